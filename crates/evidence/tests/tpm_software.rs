//! Evidence of a software TPM, and credentials that it can read. `VOUCHSAFE_SWTPM_LAB` names a directory that
//! `swtpm-lab.sh --keep` wrote; `tpm2-tools` must be there, too. Without it nothing is tested here.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stderr, clippy::print_stdout, missing_docs)]

use std::path::PathBuf;
use std::process::Command;

use crypto::HashAlgorithm;
use evidence::tpm::{
    Attest, EndorsementKey, Evidence, Expectations, KeyTrust, PcrBytes, PcrSet, PublicArea, Signature,
    SignatureBytes, TpmTrust, make_credential,
};
use time::OffsetDateTime;

struct Lab(PathBuf);

impl Lab {
    fn load() -> Option<Self> {
        let lab = std::env::var_os("VOUCHSAFE_SWTPM_LAB").map(PathBuf::from);
        if lab.is_none() {
            eprintln!("SKIPPED: set VOUCHSAFE_SWTPM_LAB to a directory of a running software TPM");
        }
        lab.map(Self)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        let path = self.0.join(name);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn run(&self, command: &str) {
        let script = format!(". {0}/env; cd {0}; {command}", self.0.display());
        let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn evidence_of_a_software_tpm_verifies() {
    let Some(lab) = Lab::load() else { return };
    let (quote, signature, nonce) = (lab.read("quote.msg"), lab.read("quote.sig"), lab.read("nonce"));
    let (pcrs, log, area) = (lab.read("pcrs"), lab.read("eventlog"), lab.read("ak.tpm2b"));
    let certificate = lab.read("ak.crt");
    let logs = [log.as_slice()];
    let evidence = Evidence {
        quote: &quote,
        signature: SignatureBytes::Tpmt(&signature),
        pcrs: PcrBytes::Concatenated(&pcrs),
        event_logs: &logs,
        ima_log: None,
        ak_public: Some(&area),
        ak_certificate: Some(&certificate),
    };
    let mut issuers = TpmTrust::new();
    issuers.add_issuers(&lab.read("ca.pem")).unwrap();
    let trust = KeyTrust::new(issuers);
    let expectations = Expectations { nonce: &nonce, required: PcrSet::FIRMWARE, allow_sha1: false };
    let now = OffsetDateTime::now_utc();
    let verified = evidence.verify(&trust, &expectations, now).unwrap_or_else(|error| panic!("{error}"));
    assert!(verified.key().is_certified());
    assert_eq!(verified.key().name().unwrap(), lab.read("ak.name"));

    let (area, attest, signature) = (lab.read("key.tpm2b"), lab.read("certify.msg"), lab.read("certify.sig"));
    let attest = Attest::parse(&attest).unwrap();
    let certified = attest.verify_certified_key(
        &PublicArea::parse_sized(&area).unwrap(),
        &Signature::parse(&signature).unwrap(),
        verified.key(),
        attest.extra_data,
    );
    certified.unwrap();
}

#[test]
fn a_tpm_reads_credentials_for_its_keys() {
    let Some(lab) = Lab::load() else { return };
    let (ek, ak) = (lab.read("ek.tpm2b"), lab.read("ak.tpm2b"));
    let (ek, ak) = (PublicArea::parse_sized(&ek).unwrap(), PublicArea::parse_sized(&ak).unwrap());
    assert!(ek.symmetric().unwrap().is_aes_cfb());
    let key = ek.public_key().unwrap();
    let ek = EndorsementKey {
        key: &key,
        name_algorithm: ek.name_algorithm,
        symmetric_bits: ek.symmetric().unwrap().key_bits,
    };
    let secret = crypto::random_bytes::<32>().unwrap();
    let credential = make_credential(&ek, &ak.name(), &secret).unwrap();
    // The file format of tpm2-tools.
    let mut file = vec![0xba, 0xdc, 0xc0, 0xde, 0, 0, 0, 1];
    for part in [&credential.id_object, &credential.encrypted_secret] {
        file.extend(u16::try_from(part.len()).unwrap().to_be_bytes());
        file.extend(part);
    }
    std::fs::write(lab.0.join("vouchsafe.blob"), file).unwrap();
    lab.run(
        "tpm2_flushcontext -t; tpm2_flushcontext -l; tpm2_startauthsession --policy-session -S vs.ctx && \
         tpm2_policysecret -S vs.ctx -c e && \
         tpm2_activatecredential -c cfg/ak.ctx -C cfg/ek.ctx -i vouchsafe.blob -o vouchsafe.secret -P session:vs.ctx && \
         tpm2_flushcontext vs.ctx",
    );
    assert_eq!(lab.read("vouchsafe.secret"), secret);
    let long = make_credential(&ek, &ak.name(), &[0; 33]);
    assert!(long.is_err());
    assert_eq!(ek.name_algorithm, HashAlgorithm::Sha256);
}
