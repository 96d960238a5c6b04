//! The commands against a software TPM, and what it answers against the verifier of `evidence`.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use crypto::HashAlgorithm;
use evidence::tpm::{
    Attest, AttestationKey as VerifiedKey, EndorsementKey as Ek, Expectations, PcrSet, PcrValues, PublicArea,
    Signature, make_credential,
};

use super::attestation_key::{AttestationKey, Loaded, activate, create, load};
use super::commands::KeyBlobs;
use super::endorsement::{Endorsement, EndorsementKey};
use super::identity::{Identity, pcrs};
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
    it_says_what_it_is(&swtpm);
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
    let (handle, public) =
        tpm.create_primary(&super::templates::endorsement_key(KeyAlgorithm::Ecc, &[])).unwrap();
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

fn it_says_what_it_is(swtpm: &Swtpm) {
    let mut tpm = open(swtpm);
    let identity = Identity::of(&mut tpm).unwrap();
    assert_eq!((identity.manufacturer.as_str(), identity.model.as_str()), ("IBM", "SWTPM"));
    assert_eq!(identity.banks, [HashAlgorithm::Sha1, HashAlgorithm::Sha256]);
    let sha1 = pcrs(&mut tpm, HashAlgorithm::Sha1).unwrap();
    assert_eq!(sha1.len(), 24);
    assert_eq!(sha1[23].1, crypto::sha1(&[[0; 20], [23; 20]].concat()));
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

/// A TPM that gives these answers, one after the other, and then the commands it was sent.
fn scripted(answers: Vec<Vec<u8>>) -> (Tpm, JoinHandle<Vec<Vec<u8>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let commands = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut commands = Vec::new();
        for answer in answers {
            let mut command = vec![0; 10];
            socket.read_exact(&mut command).unwrap();
            let size = u32::from_be_bytes(command[2..6].try_into().unwrap());
            command.resize(size.try_into().unwrap(), 0);
            socket.read_exact(&mut command[10..]).unwrap();
            commands.push(command);
            socket.write_all(&answer).unwrap();
        }
        commands
    });
    let tcti = Tcti::Swtpm { host: "127.0.0.1".to_owned(), port };
    (Tpm::open(&tcti, Vec::new()).map_err(|failure| failure.message).unwrap(), commands)
}

fn answer(code: u32, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(10 + body.len()).unwrap();
    [&[0x80, 1][..], &size.to_be_bytes(), &code.to_be_bytes(), body].concat()
}

/// To `TPM2_PCR_Read` of PCR 0: the counter and the value.
fn pcr_value(counter: u8, value: u8) -> Vec<u8> {
    let selection = [0, 0, 0, 1, 0, 0x0b, 3, 1, 0, 0];
    answer(0, &[&[0, 0, 0, counter][..], &selection, &[0, 0, 0, 1, 0, 32], &[value; 32]].concat())
}

/// To `TPM2_Quote` of PCR 0 with this value.
fn quote_of(value: u8) -> Vec<u8> {
    let mut attest = b"\xffTCG\x80\x18\0\0\0\0".to_vec();
    attest.extend([0; 16]);
    attest.extend([1, 0, 0, 0, 0, 0, 0, 0, 0]);
    attest.extend([0, 0, 0, 1, 0, 0x0b, 3, 1, 0, 0, 0, 32]);
    attest.extend(crypto::sha256(&[value; 32]));
    let length = u16::try_from(attest.len()).unwrap();
    let parameters = [&length.to_be_bytes()[..], &attest, b"signature"].concat();
    let size = u32::try_from(parameters.len()).unwrap();
    let mut bytes = answer(0, &[&size.to_be_bytes()[..], &parameters, &[0, 0, 1, 0, 0]].concat());
    bytes[1] = 2;
    bytes
}

fn some_key() -> AttestationKey {
    AttestationKey { handle: 0x8000_0000, public: Vec::new() }
}

#[test]
fn a_quote_of_other_values_is_asked_for_again() {
    let (mut tpm, commands) =
        scripted(vec![pcr_value(1, 5), quote_of(6), answer(0x922, &[]), pcr_value(2, 6), quote_of(6)]);
    let quoted = quote(&mut tpm, &some_key(), HashAlgorithm::Sha256, PcrSet::from_mask(1), b"n").unwrap();
    assert_eq!(quoted.pcrs, [(0, vec![6; 32])]);
    assert_eq!(quoted.signature, b"signature");
    let commands = commands.join().unwrap();
    assert_eq!(commands[2], commands[3], "TPM_RC_RETRY is answered with the same command");
}

#[test]
fn pcrs_that_never_rest_are_given_up() {
    let (mut tpm, commands) = scripted((0..8).flat_map(|n| [pcr_value(n, 5), quote_of(6)]).collect());
    let failure =
        quote(&mut tpm, &some_key(), HashAlgorithm::Sha256, PcrSet::from_mask(1), b"n").err().unwrap();
    assert!(failure.message.contains("changed during each of 8 attempts"), "{}", failure.message);
    commands.join().unwrap();
}

#[test]
fn answers_that_no_tpm_gives_are_refused() {
    let mut more_pcrs = pcr_value(1, 5);
    more_pcrs[21] = 3;
    let mut short_value = pcr_value(1, 5);
    short_value[29] = 31;
    let huge_count = answer(0, &[0, 0, 0, 1, 0, 0, 0, 1, 0, 0x0b, 3, 1, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    for hostile in [more_pcrs, short_value, huge_count, answer(0, &[]), answer(0x0ff, &[])] {
        let (mut tpm, commands) = scripted(vec![hostile]);
        assert!(tpm.pcr_read(HashAlgorithm::Sha256, PcrSet::from_mask(1)).is_err());
        commands.join().unwrap();
    }
    // It always has more, and never goes on.
    let same = answer(0, &[1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0xc0, 0, 2]);
    let (mut tpm, commands) = scripted(vec![same.clone(), same]);
    assert_eq!(tpm.handles(0x01c0_0002, 0x01c0_0200).unwrap(), [0x01c0_0002]);
    commands.join().unwrap();
}
