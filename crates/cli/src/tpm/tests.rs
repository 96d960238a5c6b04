//! The commands against a software TPM, and what it answers against the verifier of `evidence`.

use std::path::{Path, PathBuf};

use crypto::HashAlgorithm;
use evidence::tpm::{
    Attest, AttestationKey as VerifiedKey, EndorsementKey as Ek, Expectations, PcrSet, PcrValues, PublicArea,
    Signature, make_credential,
};

use super::attestation_key::{AttestationKey, Loaded, activate, create, load};
use super::commands::KeyBlobs;
use super::endorsement::{Endorsement, EndorsementKey};
use super::quote::quote;
use super::{KeyAlgorithm, Tcti, Tpm};

#[path = "../../tests/support/swtpm.rs"]
mod swtpm;

use swtpm::Swtpm;

fn scratch(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("vouchsafe-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

fn open(swtpm: &Swtpm) -> Tpm {
    Tpm::open(&swtpm.tcti().parse::<Tcti>().unwrap(), Vec::new()).map_err(|failure| failure.message).unwrap()
}

fn loaded(tpm: &mut Tpm, key: KeyBlobs) -> AttestationKey {
    match load(tpm, key).unwrap() {
        Loaded::Key(key) => key,
        Loaded::Foreign => panic!("a key of this TPM is taken for another's"),
    }
}

#[test]
fn keys_credentials_and_quotes_of_a_software_tpm_verify() {
    let directory = scratch("tpm-client");
    let Some(swtpm) = Swtpm::start(&directory) else { return };
    for pcr in [0, 10, 23] {
        swtpm.extend(pcr, &[pcr; 20], &[pcr; 32]);
    }
    for algorithm in [KeyAlgorithm::Rsa, KeyAlgorithm::Ecc] {
        let mut tpm = open(&swtpm);
        let blobs = create(&mut tpm, algorithm).unwrap();
        let key = loaded(&mut tpm, blobs);
        credentials_are_activated(&mut tpm, &key);
        quote_verifies(&mut tpm, &key);
        drop(tpm);
        assert_eq!(swtpm.loaded(), 0, "everything is flushed");
    }
    the_key_of_another_tpm_is_told(&swtpm, &directory);
    refusals_are_explained_and_leave_nothing_loaded(&swtpm);
    std::fs::remove_dir_all(directory).unwrap();
}

/// With the certified endorsement key, and with the one on P-256, of which this TPM has no certificate.
fn credentials_are_activated(tpm: &mut Tpm, key: &AttestationKey) {
    let endorsement = Endorsement::of_tpm(tpm).map_err(|failure| failure.message).unwrap();
    let ek = endorsement.load(tpm).map_err(|failure| failure.message).unwrap();
    credential_is_activated(tpm, key, &ek);
    tpm.flush(ek.handle).unwrap();
    let (handle, public) = tpm.create_primary(&super::templates::endorsement_key(KeyAlgorithm::Ecc)).unwrap();
    credential_is_activated(tpm, key, &EndorsementKey { handle, public });
    tpm.flush(handle).unwrap();
}

fn credential_is_activated(tpm: &mut Tpm, key: &AttestationKey, ek: &EndorsementKey) {
    let area = PublicArea::parse(&ek.public).unwrap();
    let public = area.public_key().unwrap();
    let symmetric_bits = area.symmetric().unwrap().key_bits;
    let ek_for = Ek { key: &public, name_algorithm: area.name_algorithm, symmetric_bits };
    let name = PublicArea::parse(&key.public).unwrap().name();
    let sized = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    let credential = make_credential(&ek_for, &name, b"a secret").unwrap();
    let (blob, secret) = (sized(&credential.id_object), sized(&credential.encrypted_secret));
    assert_eq!(activate(tpm, key, ek, &blob, &secret).unwrap(), b"a secret");

    let mut other_name = name.clone();
    *other_name.last_mut().unwrap() ^= 1;
    let other = make_credential(&ek_for, &other_name, b"a secret").unwrap();
    let refused = activate(tpm, key, ek, &sized(&other.id_object), &sized(&other.encrypted_secret));
    assert!(refused.unwrap_err().message.contains("TPM_RC_INTEGRITY"), "for another key's name");
    assert!(activate(tpm, key, ek, &credential.id_object, &secret).is_err(), "without its size");
}

fn quote_verifies(tpm: &mut Tpm, key: &AttestationKey) {
    let pcrs = PcrSet::from_mask(0xff_ffff);
    let quoted = quote(tpm, key, HashAlgorithm::Sha256, pcrs, b"a nonce").unwrap();
    assert_eq!(quoted.pcrs.len(), 24);
    let mut values = PcrValues::new();
    for (index, value) in &quoted.pcrs {
        values.insert(quoted.bank, *index, value).unwrap();
    }
    assert_eq!(quoted.pcrs[10].1, crypto::sha256_of_parts(&[&[0; 32], &[10; 32]]));
    let trusted = VerifiedKey::from_trusted_public(&PublicArea::parse(&key.public).unwrap()).unwrap();
    let expectations = Expectations { nonce: b"a nonce", required: pcrs, allow_sha1: false };
    let signature = Signature::parse(&quoted.signature).unwrap();
    let attest = Attest::parse(&quoted.attest).unwrap();
    attest.verify_quote(&signature, &values, &trusted, &expectations).unwrap();

    let few = quote(tpm, key, HashAlgorithm::Sha256, PcrSet::from_mask(0x400), &[]).unwrap();
    assert_eq!(few.pcrs.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [10]);
    let inactive = quote(tpm, key, HashAlgorithm::Sha384, pcrs, &[]).err().unwrap();
    assert_eq!(inactive.message, "the TPM has no PCR 0 in its sha384 bank");
}

fn the_key_of_another_tpm_is_told(swtpm: &Swtpm, directory: &Path) {
    let other_directory = directory.join("other");
    let other = Swtpm::start(&other_directory).unwrap();
    let foreign = create(&mut open(&other), KeyAlgorithm::Ecc).unwrap();
    assert!(matches!(load(&mut open(swtpm), foreign).unwrap(), Loaded::Foreign));
}

fn refusals_are_explained_and_leave_nothing_loaded(swtpm: &Swtpm) {
    let tcti = swtpm.tcti().parse().unwrap();
    // The hierarchy's password is empty.
    let mut tpm = Tpm::open(&tcti, b"wrong".to_vec()).map_err(|failure| failure.message).unwrap();
    let failure = crate::failure::Failure::from(create(&mut tpm, KeyAlgorithm::Rsa).err().unwrap());
    assert_eq!(
        failure.message,
        "the TPM refused TPM2_CreatePrimary: the password is wrong (TPM_RC_BAD_AUTH, 0x9a2, session 1)"
    );
    assert!(failure.hint.unwrap().contains("--endorsement-auth-file"));
    drop(tpm);
    let mut tpm = open(swtpm);
    let session = tpm.start_policy_session().unwrap();
    assert!(tpm.load(0x8000_0000, &KeyBlobs { public: vec![], private: vec![] }).is_err());
    assert!(session > 0);
    drop(tpm);
    assert_eq!(swtpm.loaded(), 0);
}
