//! Captured quotes, certificates and measured boots verify as their manifests say.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stderr, clippy::print_stdout, missing_docs)]

mod support;

use crypto::HashAlgorithm::{self, Sha256};
use evidence::eventlog::{
    BootClaims, Content, EventLog, ImaLog, Measured, MeasuredIma, MeasuredLog, Replay, events_json,
};
use evidence::tpm::{
    AkCertificate, Attest, AttestationKey, Attested, CertificateError, Evidence, EvidenceError, Expectations,
    KeyError, KeyRole, KeyTrust, PcrBytes, PcrSet, PcrValues, PublicArea, QuotedPcrs, Signature,
    SignatureBytes, TpmTrust, VerifiedEvidence, VerifyError,
};
use serde_json::Value;
use support::Vectors;
use time::OffsetDateTime;
use time::macros::datetime;

const NOW: OffsetDateTime = datetime!(2026-11-25 00:00 UTC);

fn hex_of(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

#[test]
fn every_attestation_parses_to_the_manifest() {
    let Some(vectors) = Vectors::load() else { return };
    let mut quotes = 0;
    for entry in vectors.entries.iter().filter(|entry| entry["kind"] == "tpm-attest") {
        let path = entry["path"].as_str().unwrap();
        let bytes = vectors.read(path);
        let attest = Attest::parse(&bytes).unwrap_or_else(|error| panic!("{path}: {error}"));
        let expected = &entry["expected"];
        let Attested::Quote { selection, pcr_digest } = &attest.attested else {
            assert!(expected.is_null(), "{path}");
            assert_eq!(attest.attested.type_name(), "certification", "{path}");
            continue;
        };
        assert_eq!(expected["extra_data"], hex::encode(attest.extra_data), "{path}");
        assert_eq!(expected["pcr_digest"], hex::encode(pcr_digest), "{path}");
        assert_eq!(expected["clock"], attest.clock_info.clock, "{path}");
        assert_eq!(expected["reset_count"], attest.clock_info.reset_count, "{path}");
        assert_eq!(expected["restart_count"], attest.clock_info.restart_count, "{path}");
        let version = format!("{:#x}", attest.firmware_version);
        assert_eq!(expected["firmware_version"], version, "{path}");
        let banks = expected["pcr_selection"].as_array().unwrap();
        assert_eq!(banks.len(), selection.banks().len(), "{path}");
        for ((bank, set), expected) in selection.banks().iter().zip(banks) {
            assert_eq!(expected["bank"], bank.name(), "{path}");
            assert_eq!(expected["pcrs"], serde_json::json!(set.iter().collect::<Vec<_>>()), "{path}");
        }
        quotes += 1;
    }
    assert_eq!(quotes, 7);
}

struct Quote {
    name: &'static str,
    quote: Vec<u8>,
    signature: Vec<u8>,
    raw: bool,
    key: Vec<u8>,
    nonce: Vec<u8>,
    pcrs: PcrValues,
    log: Option<Vec<u8>>,
}

impl Quote {
    fn evidence<'a>(&'a self, logs: &'a [&'a [u8]]) -> Evidence<'a> {
        let bytes = &self.signature;
        Evidence {
            quote: &self.quote,
            signature: if self.raw { SignatureBytes::RawRsa(bytes) } else { SignatureBytes::Tpmt(bytes) },
            pcrs: PcrBytes::Values(&self.pcrs),
            event_logs: logs,
            ima_log: None,
            ak_public: Some(&self.key),
            ak_certificate: None,
        }
    }

    fn verify<'a>(&'a self, logs: &'a [&'a [u8]]) -> Result<VerifiedEvidence<'a>, EvidenceError> {
        let mut trust = KeyTrust::default();
        trust.add_key(&self.key).unwrap();
        let expectations =
            Expectations { nonce: &self.nonce, required: PcrSet::default(), allow_sha1: false };
        self.evidence(logs).verify(&trust, &expectations, NOW).map_err(|rejection| {
            assert_eq!(
                rejection.verdict.checks().iter().filter(|c| c.id.starts_with("tpm.key.trust")).count(),
                1
            );
            assert!(rejection.verdict.first_failure().is_some());
            rejection.error
        })
    }
}

fn pcrs_of(values: &Value) -> PcrValues {
    let mut pcrs = PcrValues::new();
    for (index, value) in values.as_object().unwrap() {
        pcrs.insert(Sha256, index.parse().unwrap(), &hex_of(value)).unwrap();
    }
    pcrs
}

fn base64(value: &Value) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap()).unwrap()
}

fn gce(vectors: &Vectors) -> Quote {
    let directory = "tpm/go-tpm-tools/gce-cos-85-nonce9009";
    let path = format!("{directory}.quote-sha256.attest.bin");
    let entry = vectors.entries.iter().find(|entry| entry["path"] == path.as_str()).unwrap();
    Quote {
        name: "gce",
        quote: vectors.read(&path),
        signature: vectors.read(&format!("{directory}.quote-sha256.tpmt_signature.bin")),
        raw: false,
        key: vectors.read(&format!("{directory}.ak.tpmt_public.bin")),
        nonce: vec![0x90, 0x09],
        pcrs: pcrs_of(&entry["expected"]["pcrs"]),
        log: Some(vectors.read(&format!("{directory}.eventlog.bin"))),
    }
}

fn azure_guest(vectors: &Vectors, name: &'static str) -> Quote {
    let directory = format!("azure-guest/attestation-info/{name}");
    let request: Value = serde_json::from_slice(&vectors.read(&format!("{directory}.json"))).unwrap();
    let mut pcrs = PcrValues::new();
    for pcr in request["TpmInfo"]["PCRs"].as_array().unwrap() {
        let index = u8::try_from(pcr["Index"].as_u64().unwrap()).unwrap();
        pcrs.insert(Sha256, index, &base64(&pcr["Digest"])).unwrap();
    }
    Quote {
        name,
        quote: vectors.read(&format!("{directory}.pcrquote.attest.bin")),
        signature: vectors.read(&format!("{directory}.pcrsignature.bin")),
        raw: true,
        key: vectors.read(&format!("{directory}.aikpub.tpm2b_public.bin")),
        nonce: Vec::new(),
        pcrs,
        log: Some(vectors.read(&format!("{directory}.tcglogs.bin"))),
    }
}

/// The PCR values as `tpm2_quote` writes them: its C structures.
fn azure_vtpm(vectors: &Vectors) -> Quote {
    let file = |name: &str| vectors.read(&format!("tpm/azure-vtpm-2026-07/{name}"));
    let dump = file("pcrs.bin");
    let mut pcrs = PcrValues::new();
    for index in 0..8 {
        let at = 0x8c + 66 * usize::from(index) + 2;
        pcrs.insert(Sha256, index, &dump[at..at + 32]).unwrap();
    }
    Quote {
        name: "azure vtpm",
        quote: file("quote.msg"),
        signature: file("quote.sig"),
        raw: true,
        key: file("ak.pub"),
        nonce: hex::decode(file("nonce.hex").trim_ascii()).unwrap(),
        pcrs,
        log: None,
    }
}

/// `bincode` of signature, message and PCR values.
fn az_cvm(vectors: &Vectors) -> Quote {
    let bytes = vectors.read("tpm/az-cvm-tooling/quote.bin");
    let mut rest = bytes.as_slice();
    let number = |rest: &mut &[u8]| {
        let (number, after) = rest.split_first_chunk().unwrap();
        *rest = after;
        usize::try_from(u64::from_le_bytes(*number)).unwrap()
    };
    let length = number(&mut rest);
    let (signature, mut rest) = rest.split_at(length);
    let length = number(&mut rest);
    let (message, mut rest) = rest.split_at(length);
    assert_eq!(number(&mut rest), 24);
    Quote {
        name: "az-cvm-tooling",
        quote: message.to_vec(),
        signature: signature.to_vec(),
        raw: true,
        key: vectors.read("tpm/az-cvm-tooling/akpub.pem"),
        nonce: b"challenge".to_vec(),
        pcrs: PcrValues::from_first(Sha256, rest).unwrap(),
        log: None,
    }
}

#[test]
fn genuine_quotes_verify_with_their_logs() {
    let Some(vectors) = Vectors::load() else { return };
    for quote in [
        gce(&vectors),
        azure_guest(&vectors, "AttestationInfoWindows"),
        azure_guest(&vectors, "AttestationInfoSecurebootOff"),
        azure_vtpm(&vectors),
        az_cvm(&vectors),
    ] {
        let logs: Vec<&[u8]> = quote.log.iter().map(Vec::as_slice).collect();
        let verified = quote.verify(&logs).unwrap_or_else(|error| panic!("{}: {error}", quote.name));
        assert!(verified.verdict().passed(), "{}", quote.name);
        let claims = verified.claims();
        assert_eq!(claims["aikValidated"], false);
        let secure_boot = ["gce", "AttestationInfoWindows"].contains(&quote.name);
        assert_eq!(claims["secureBootEnabled"], secure_boot, "{}", quote.name);
        if quote.name.starts_with("Attestation") {
            let windows = verified.boot().windows.as_ref().unwrap();
            assert!(windows.code_integrity_enabled && windows.not_win_pe && windows.cold_boot);
            assert!(windows.boot_debugging_disabled && windows.test_signing_disabled);
            assert!(windows.boot_mgr_svn.is_some());
        }
        // Another nonce, a longer and a shorter one.
        for nonce in [&b"other"[..], &[&quote.nonce[..], b"x"].concat()] {
            let other = Quote { nonce: nonce.to_vec(), ..quote_of(&quote) };
            assert!(matches!(other.verify(&[]), Err(EvidenceError::Verify(VerifyError::Nonce { .. }))));
        }
    }
}

fn quote_of(quote: &Quote) -> Quote {
    Quote {
        name: quote.name,
        quote: quote.quote.clone(),
        signature: quote.signature.clone(),
        raw: quote.raw,
        key: quote.key.clone(),
        nonce: quote.nonce.clone(),
        pcrs: quote.pcrs.clone(),
        log: quote.log.clone(),
    }
}

#[test]
fn quotes_of_the_reference_simulator() {
    let Some(vectors) = Vectors::load() else { return };
    let nonce = hex::decode(vectors.read("tpm/ms-tpm-20-ref/nonce.hex").trim_ascii()).unwrap();
    for name in ["rsassa-sha256", "ecdsa-sha384"] {
        let file = |part: &str| vectors.read(&format!("tpm/ms-tpm-20-ref/{name}-{part}"));
        let (quote, signature, chain) =
            (file("attest.bin"), file("tpmt-signature.bin"), file("ak-chain.pem"));
        // A TPM that nobody extended.
        let pcrs = PcrValues::from_first(Sha256, &[0; 96]).unwrap();
        let evidence = Evidence {
            quote: &quote,
            signature: SignatureBytes::Tpmt(&signature),
            pcrs: PcrBytes::Values(&pcrs),
            event_logs: &[],
            ima_log: None,
            ak_public: None,
            ak_certificate: Some(&chain),
        };
        let expectations = Expectations { nonce: &nonce, required: PcrSet::from_mask(7), allow_sha1: false };
        let mut issuers = TpmTrust::new().danger_allow_any_usage();
        assert_eq!(issuers.add_issuers(&chain).unwrap(), 2);
        let trust = KeyTrust::new(issuers);
        let verified =
            evidence.verify(&trust, &expectations, NOW).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(verified.key().is_certified());
        let late = evidence.verify(&trust, &expectations, datetime!(2036-01-01 00:00 UTC)).unwrap_err();
        let late = late.error;
        assert!(
            matches!(
                late,
                EvidenceError::Verify(VerifyError::Certificate(CertificateError::Validity { .. }))
            ),
            "{late}"
        );
        let unknown = evidence.verify(&KeyTrust::default(), &expectations, NOW).unwrap_err().error;
        assert!(matches!(unknown, EvidenceError::Verify(VerifyError::Certificate(_))), "{unknown}");
    }
}

#[test]
fn refused_quotes() {
    let Some(vectors) = Vectors::load() else { return };
    // Its manifest says that the values don't match; they do. One changed value does not.
    let json: Value = serde_json::from_slice(&vectors.read("tpm/trustee/tpm_evidence.json")).unwrap();
    let mut pcrs = PcrValues::new();
    for (index, value) in (0..).zip(json["tpm_quote"]["pcrs"].as_array().unwrap()) {
        pcrs.insert(Sha256, index, &hex_of(value)).unwrap();
    }
    let quote = base64(&json["tpm_quote"]["message"]);
    let quote = Quote {
        name: "trustee",
        nonce: Attest::parse(&quote).unwrap().extra_data.to_vec(),
        quote,
        signature: base64(&json["tpm_quote"]["signature"]),
        raw: false,
        key: base64(&json["ak_public"]),
        pcrs,
        log: None,
    };
    quote.verify(&[]).unwrap();
    let mut other = PcrValues::new();
    for (index, value) in quote.pcrs.iter() {
        let value = if index == 16 { &[7; 32] } else { value.as_slice() };
        other.insert(Sha256, index, value).unwrap();
    }
    let error = Quote { pcrs: other, ..quote }.verify(&[]).unwrap_err();
    assert!(matches!(error, EvidenceError::Verify(VerifyError::PcrDigest { .. })), "{error}");
    // SHA-1 throughout.
    let directory = "tpm/go-attestation/windows_gcp_shielded_vm";
    let key = vectors.read(&format!("{directory}.ak.tpmt_public.bin"));
    let quote = Quote {
        name: "windows gcp",
        quote: vectors.read(&format!("{directory}.quote.attest.bin")),
        signature: vectors.read(&format!("{directory}.quote.tpmt_signature.bin")),
        raw: false,
        key,
        nonce: Vec::new(),
        pcrs: PcrValues::new(),
        log: None,
    };
    let mut trust = KeyTrust::default();
    trust.add_key(&quote.key).unwrap();
    let expectations = Expectations { nonce: &[], required: PcrSet::default(), allow_sha1: true };
    let error = quote.evidence(&[]).verify(&trust, &expectations, NOW).unwrap_err().error;
    assert_eq!(
        error,
        EvidenceError::Verify(
            KeyError::WeakHash { what: "signing scheme", found: HashAlgorithm::Sha1 }.into()
        )
    );
}

#[test]
fn certified_application_keys() {
    let Some(vectors) = Vectors::load() else { return };
    for name in ["AttestationInfoWindows", "AttestationInfoSecurebootOff"] {
        let quote = azure_guest(&vectors, name);
        let mut trust = KeyTrust::default();
        trust.add_key(&quote.key).unwrap();
        let expectations = Expectations { nonce: &[], required: PcrSet::default(), allow_sha1: false };
        let verified = quote.evidence(&[]).verify(&trust, &expectations, NOW).unwrap();
        let file = |part: &str| vectors.read(&format!("azure-guest/attestation-info/{name}.enckey.{part}"));
        let (area, attest, signature) =
            (file("tpm2b_public.bin"), file("certify.attest.bin"), file("certify.signature.bin"));
        let area = PublicArea::parse_sized(&area).unwrap();
        let parsed = Attest::parse(&attest).unwrap();
        let signature = Signature::RawRsa(&signature);
        let key = verified.key();
        let certified = parsed.verify_certified_key(&area, &signature, key, parsed.extra_data).unwrap();
        assert_eq!((certified.name_algorithm(), certified.attributes()), (11, 0x2_0432));
        assert_eq!(certified.auth_policy().len(), 32);
        let other = PublicArea::parse_sized(&quote.key).unwrap();
        assert!(matches!(
            parsed.verify_certified_key(&other, &signature, key, parsed.extra_data),
            Err(VerifyError::CertifiedName { .. })
        ));
        assert!(matches!(
            parsed.verify_certified_key(&area, &signature, key, b"other"),
            Err(VerifyError::Nonce { .. })
        ));
        // A certification is no quote, and a quote no certification.
        let swapped = Attest::parse(&quote.quote).unwrap();
        assert!(matches!(
            swapped.verify_certified_key(&area, &signature, key, b""),
            Err(VerifyError::Type { .. })
        ));
    }
}

#[test]
fn certificates_chain_to_their_issuers() {
    let Some(vectors) = Vectors::load() else { return };
    let trust = |paths: &[&str]| {
        let mut trust = TpmTrust::new();
        for path in paths {
            trust.add_issuers(&vectors.read(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
        trust
    };
    let azure = trust(&[
        "tpm/azure-vtpm-ca/global-virtual-tpm-ca-03.pem",
        "tpm/azure-vtpm-ca/azure-virtual-tpm-root-2023.crt",
    ]);
    let google = trust(&["tpm/gce-ca/gcp_ek_ak_ca_intermediate_v3.crt", "tpm/gce-ca/gcp_ek_ak_ca_root.crt"]);
    let leaf = AkCertificate::parse(&vectors.read("tpm/azure-vtpm-2026-07/akcert_0x01C101D0.der")).unwrap();
    let at = datetime!(2026-08-01 00:00 UTC);
    leaf.verify_as(KeyRole::Attestation, &azure, at).unwrap();
    assert!(matches!(
        leaf.verify_as(KeyRole::Endorsement, &azure, at),
        Err(CertificateError::Profile { .. })
    ));
    assert!(matches!(leaf.verify_as(KeyRole::Attestation, &google, at), Err(CertificateError::Chain { .. })));
    // The intermediate alone ends nowhere.
    let intermediate = trust(&["tpm/azure-vtpm-ca/global-virtual-tpm-ca-03.pem"]);
    assert!(matches!(
        leaf.verify_as(KeyRole::Attestation, &intermediate, at),
        Err(CertificateError::Chain { .. })
    ));
    let sibling = trust(&[
        "tpm/azure-vtpm-ca/global-virtual-tpm-ca-01.crt",
        "tpm/azure-vtpm-ca/azure-virtual-tpm-root-2023.crt",
    ]);
    assert!(leaf.verify_as(KeyRole::Attestation, &sibling, at).is_err());

    for (path, role) in [
        ("tpm/gce-certs/pca_tpm_rsa_sign_cert.pem", KeyRole::Attestation),
        ("tpm/gce-certs/pca_tpm_ecc_sign_cert.pem", KeyRole::Attestation),
        ("tpm/gce-certs/pca_tpm_rsa_enc_cert.pem", KeyRole::Endorsement),
    ] {
        let leaf =
            AkCertificate::parse(&vectors.read(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let at = leaf.validity().not_before;
        // They have no extended key usage.
        assert!(matches!(leaf.verify_as(role, &google, at), Err(CertificateError::Profile { .. })), "{path}");
        let allowing = google.clone().danger_allow_any_usage();
        assert!(leaf.verify_as(role, &allowing, at).is_ok(), "{path}");
    }
}

#[test]
fn certificates_of_vendors_are_read() {
    let Some(vectors) = Vectors::load() else { return };
    let (mut read, mut leaves, mut refused) = (0, 0, Vec::new());
    for entry in &vectors.entries {
        let path = entry["path"].as_str().unwrap();
        let kind = entry["kind"].as_str().unwrap();
        match kind {
            "tpm-vendor-ca" | "tpm-root-ca" | "tpm-intermediate-ca" => {
                match TpmTrust::new().add_anchors(&vectors.read(path)) {
                    Ok(count) => read += count,
                    Err(error) => refused.push(format!("{path}: {error}")),
                }
            }
            "tpm-ak-cert" | "tpm-ek-cert" => {
                let parsed = AkCertificate::parse(&vectors.read(path)).unwrap();
                let expected = &entry["expected"]["certificates"][0];
                if expected.is_object() {
                    let serial = expected["serial"].as_str().unwrap().trim_start_matches('0').to_owned();
                    assert_eq!(hex::encode(parsed.serial()).trim_start_matches('0'), serial, "{path}");
                }
                leaves += 1;
            }
            _ => {}
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
    assert_eq!((read, leaves), (54, 8));
}

/// The measured boots of a PC.
struct Lab {
    root: std::path::PathBuf,
    manifest: Value,
}

impl Lab {
    fn load() -> Option<Self> {
        let root = support::root()?.join("vectors-lab");
        if !root.join("manifest.json").is_file() {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no {}", root.display());
            eprintln!("SKIPPED: no measured boots in {}", root.display());
            return None;
        }
        let manifest = serde_json::from_slice(&std::fs::read(root.join("manifest.json")).unwrap()).unwrap();
        Some(Self { root, manifest })
    }

    fn read(&self, path: &str) -> Vec<u8> {
        std::fs::read(self.root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn sets(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.manifest["sets"].as_object().unwrap().iter()
    }
}

struct Set {
    quote: Vec<u8>,
    signature: Vec<u8>,
    nonce: Vec<u8>,
    pcrs: Vec<u8>,
    log: Vec<u8>,
    ima: Vec<u8>,
    public: Vec<u8>,
    certificate: Vec<u8>,
    issuers: Vec<u8>,
}

impl Set {
    fn load(lab: &Lab, base: &str, replace: &Value) -> Self {
        let read = |name: &str| {
            let path = replace.get(name).and_then(Value::as_str);
            lab.read(path.unwrap_or(&format!("{base}/{name}")))
        };
        Self {
            quote: read("quote.msg"),
            signature: read("quote.sig"),
            nonce: read("nonce"),
            pcrs: read("pcrs"),
            log: read("eventlog"),
            ima: read("ima.bin"),
            public: read("ak.pub"),
            certificate: read("ak.crt"),
            // The issuers are what the operator trusts: an attacker does not replace them.
            issuers: lab.read(&format!("{base}/ca.pem")),
        }
    }

    fn trust(&self, others: &[Vec<u8>]) -> KeyTrust {
        let mut issuers = TpmTrust::new();
        for bytes in others.iter().chain([&self.issuers]) {
            issuers.add_issuers(bytes).unwrap();
        }
        KeyTrust::new(issuers)
    }

    fn verify<'a>(
        &'a self,
        logs: &'a [&'a [u8]],
        trust: &KeyTrust,
    ) -> Result<VerifiedEvidence<'a>, EvidenceError> {
        let expectations = Expectations { nonce: &self.nonce, required: PcrSet::FIRMWARE, allow_sha1: false };
        let evidence = Evidence {
            quote: &self.quote,
            signature: SignatureBytes::Tpmt(&self.signature),
            pcrs: PcrBytes::Concatenated(&self.pcrs),
            event_logs: logs,
            ima_log: Some(&self.ima),
            ak_public: Some(&self.public),
            ak_certificate: Some(&self.certificate),
        };
        evidence.verify(trust, &expectations, NOW).map_err(|rejection| rejection.error)
    }
}

#[test]
fn measured_boots_of_the_lab() {
    let Some(lab) = Lab::load() else { return };
    let mut sets = 0;
    for (name, expected) in lab.sets() {
        let set = Set::load(&lab, name, &Value::Null);
        let logs = [set.log.as_slice()];
        let verified = set.verify(&logs, &set.trust(&[])).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(verified.verdict().passed());
        let claims = verified.claims();
        assert_eq!(claims["secureBootEnabled"], expected["secure_boot"], "{name}");
        assert_eq!(claims["aikValidated"], true, "{name}");
        assert_eq!(claims["kernelCommandLine"], expected["kernel_cmdline"], "{name}");
        assert_eq!(expected["ak_name"], hex::encode(verified.key().name().unwrap()), "{name}");
        let records = verified.ima().unwrap();
        assert_eq!(expected["ima"]["entries_covered_by_quote"], records.records().len(), "{name}");
        let all = expected["ima"]["entries"].as_u64().unwrap();
        assert_eq!(all, u64::try_from(records.records().len() + records.later_records()).unwrap());
        assert_eq!(records.boot_aggregate(), Some(true), "{name}");
        // The manifest counts the header, too.
        let events = EventLog::parse(&set.log).unwrap().events().len() + 1;
        assert_eq!(expected["eventlog_events"], events, "{name}");
        let pcrs = verified.pcrs_json(|digest| hex::encode(digest));
        for (index, value) in expected["pcrs_sha256"].as_object().unwrap() {
            let index: usize = index.parse().unwrap();
            assert_eq!(pcrs["PCRs"][index]["Digests"]["SHA256"], *value, "{name}");
        }
        let boot = &verified.boot().secure_boot;
        if expected["secure_boot"] == true {
            assert!(boot.db.as_ref().unwrap().certificates.len() > 1);
            assert!(!boot.dbx.as_ref().unwrap().image_hashes.is_empty());
            assert!(boot.sbat_level.unwrap().starts_with(b"sbat,1,"));
            assert_eq!(boot.authorities.len(), 1);
        } else {
            assert!(boot.authorities.is_empty());
        }
        let events = verified.events_json();
        let shown = events["Events"].as_array().unwrap();
        let secure_boot: Vec<_> = shown
            .iter()
            .filter(|event| event["ProcessedData"]["UnicodeName"] == "SecureBoot")
            .map(|event| event["ProcessedData"]["VariableData"].as_str().unwrap())
            .collect();
        assert_eq!(secure_boot, [if expected["secure_boot"] == true { "AQ" } else { "AA" }]);
        assert!(shown.iter().any(|event| event["ProcessedData"]["UnicodeName"] == "BootOrder"));
        sets += 1;
    }
    assert_eq!(sets, 3);
}

#[test]
fn tampered_boots_are_refused() {
    let Some(lab) = Lab::load() else { return };
    let all: Vec<_> = lab.sets().map(|(name, _)| lab.read(&format!("{name}/ca.pem"))).collect();
    let mut refused = 0;
    for case in lab.manifest["tampered"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let set = Set::load(&lab, case["base"].as_str().unwrap(), &case["replace"]);
        let logs = [set.log.as_slice()];
        // Every issuer of the lab is trusted: that of the other key, too.
        let error = set.verify(&logs, &set.trust(&all)).expect_err(name);
        let found = error.to_string();
        let expected = match case["reference_reason"].as_str().unwrap() {
            "event data does not match its digest" => "do not match its digest",
            "event log does not parse" => "are left",
            "nonce" => "nonce",
            "quote signature" => "signature of the quote",
            "PCR values do not match the quoted digest" => "digest over the PCR values",
            "quote does not cover PCRs 0-7" => "does not cover PCR 1, 2, 3, 5, 6, 7",
            "not a quote (TPM_ST 8019)" => "type time instead of quote",
            "IMA: template-digest mismatch" => "template hash",
            "IMA: no prefix replays to PCR 10" => "no part of the IMA log",
            reason => {
                let pcr = reason.strip_prefix("event log replay differs in PCR ").unwrap();
                &format!("does not replay to the quoted value of PCR {pcr}")
            }
        };
        assert!(found.contains(expected), "{name}: {found}");
        refused += 1;
    }
    assert_eq!(refused, 16);

    // The other attestations of each set, genuine and with the right nonce.
    for (name, _) in lab.sets() {
        let set = Set::load(
            &lab,
            name,
            &serde_json::json!({
                "quote.msg": format!("{name}/quote-sha1.msg"), "quote.sig": format!("{name}/quote-sha1.sig"),
            }),
        );
        let error = set.verify(&[], &set.trust(&[])).unwrap_err();
        assert!(matches!(error, EvidenceError::Verify(VerifyError::NotCovered { .. })), "{name}: {error}");
    }
}

fn flips(length: usize) -> impl Iterator<Item = (usize, u8)> {
    (0..length).flat_map(|index| (0..8).map(move |bit| (index, 1 << bit)))
}

#[test]
fn every_bit_of_quote_signature_and_key_counts() {
    let Some(lab) = Lab::load() else { return };
    let (mut tried, mut same) = (0_u32, 0_u32);
    for (name, _) in lab.sets() {
        let mut set = Set::load(&lab, name, &Value::Null);
        set.ima.clear();
        let trust = set.trust(&[]);
        for part in 0..4 {
            let length = [&set.quote, &set.signature, &set.public, &set.pcrs][part].len();
            for (index, bit) in flips(length) {
                let bytes = [&mut set.quote, &mut set.signature, &mut set.public, &mut set.pcrs];
                bytes.into_iter().nth(part).unwrap()[index] ^= bit;
                tried += 1;
                let key = PublicArea::parse(&set.public).ok().and_then(|area| area.public_key().ok());
                let original = AkCertificate::parse(&set.certificate).unwrap();
                let quiet = part == 2 && key.as_ref() == Some(original.public_key());
                match verify_quote_only(&set, &trust) {
                    Err(_) => {}
                    // Bits of the public area that change neither key nor what it may do: the certificate
                    // vouches for the key alone.
                    Ok(()) if quiet => same += 1,
                    Ok(()) => panic!("{name}: part {part}, byte {index}, bit {bit:#x}"),
                }
                let bytes = [&mut set.quote, &mut set.signature, &mut set.public, &mut set.pcrs];
                bytes.into_iter().nth(part).unwrap()[index] ^= bit;
            }
        }
    }
    println!("{tried} bits flipped, {same} of them say nothing about the key");
}

fn verify_quote_only(set: &Set, trust: &KeyTrust) -> Result<(), EvidenceError> {
    let expectations = Expectations { nonce: &set.nonce, required: PcrSet::FIRMWARE, allow_sha1: false };
    let evidence = Evidence {
        quote: &set.quote,
        signature: SignatureBytes::Tpmt(&set.signature),
        pcrs: PcrBytes::Concatenated(&set.pcrs),
        event_logs: &[],
        ima_log: None,
        ak_public: Some(&set.public),
        ak_certificate: Some(&set.certificate),
    };
    evidence.verify(trust, &expectations, NOW).map(|_| ()).map_err(|rejection| rejection.error)
}

/// Logs up to this length have every bit flipped whenever the tests run.
const WHOLE_BYTES: usize = 16 * 1024;

/// A log that takes as long as all others together: it has 65 events in one PCR, so that explaining why it does not
/// replay takes longest. One seeded bit of each of its bytes is flipped by default.
const SLOW: &[&str] = &["tpm/eventlogs/tpm2-tools/event-bootorder.bin"];

/// What is concluded from a log.
#[derive(PartialEq, Debug)]
struct Conclusions<'a> {
    claims: BootClaims<'a>,
    covered: PcrSet,
    /// The place of every event, and what was measured of it.
    events: Vec<(u32, Content<'a>)>,
}

/// The claim `events`: PCR and processed data.
fn processed(events: &[Measured<'_>]) -> Vec<(Value, Value)> {
    let shown = events_json(events, &[]);
    let shown = shown["Events"].as_array().unwrap().iter();
    shown.map(|event| (event["PcrIndex"].clone(), event["ProcessedData"].clone())).collect()
}

fn conclude<'a>(bytes: &'a [u8], quoted: &QuotedPcrs) -> Option<(Conclusions<'a>, MeasuredLog<'a>)> {
    let log = EventLog::parse(bytes).ok()?;
    let allow_sha1 = quoted.banks() == [HashAlgorithm::Sha1];
    let measured = MeasuredLog::verify(&[&log], quoted, allow_sha1).ok()?;
    let claims = BootClaims::of(measured.events(), measured.covered()).ok()?;
    let contents = measured.events().iter().map(|event| (event.event.pcr, event.content.clone()));
    let conclusions = Conclusions { claims, covered: measured.covered(), events: contents.collect() };
    Some((conclusions, measured))
}

/// Every bit of logs up to [`WHOLE_BYTES`], one seeded bit of every byte of longer ones; `VOUCHSAFE_FLIPS=all` flips
/// every bit of those, too. The claim `events`, which takes longest to make, is compared for the seeded bits.
fn flip_log(name: &str, log: &[u8], quoted: &QuotedPcrs) {
    let (genuine, measured) = conclude(log, quoted).unwrap_or_else(|| panic!("{name}"));
    let genuine_processed = processed(measured.events());
    let thorough = std::env::var("VOUCHSAFE_FLIPS").as_deref() == Ok("all");
    let all = thorough || (log.len() <= WHOLE_BYTES && !SLOW.contains(&name));
    let start = std::time::Instant::now();
    let (mut accepted, mut fewer) = (0, 0);
    let mut bytes = log.to_vec();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for index in 0..bytes.len() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let seeded = 1_u8 << (seed >> 61);
        for bit in (0..8).map(|bit| 1_u8 << bit).filter(|bit| all || *bit == seeded) {
            bytes[index] ^= bit;
            if let Some((found, measured)) = conclude(&bytes, quoted) {
                accepted += 1;
                if found != genuine {
                    fewer += 1;
                    let place = format!("{name}: byte {index}");
                    check_fewer(&place, &found, &genuine);
                    if thorough || bit == seeded {
                        let found_processed = processed(measured.events());
                        let lost = genuine.covered.without(found.covered);
                        check_processed(&place, lost, &found_processed, &genuine_processed);
                    }
                }
            }
            bytes[index] ^= bit;
        }
    }
    let flips = if all { 8 * log.len() } else { log.len() };
    println!(
        "{name}: {flips} flips in {:?}; {accepted} are of bytes that decide nothing, {fewer} of them show less",
        start.elapsed()
    );
}

fn bytes_of(name: &str, value: &Value) -> Option<Vec<u8>> {
    use base64::Engine;
    let text = value.as_str()?;
    match name {
        "String" => Some(text.as_bytes().to_vec()),
        "RawData" => base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).ok(),
        _ => None,
    }
}

fn shown_bytes(shown: &Value) -> Option<Vec<u8>> {
    let only = shown.as_object()?.iter().next()?;
    Some(bytes_of(only.0, only.1).unwrap_or_else(|| vec![0xff; 3]))
}

/// Whether the bytes are the value of the variable, or end with it where it was measured as a whole,
/// or are the text in UTF-16.
fn is_structure(genuine: &Value, bytes: Option<Vec<u8>>) -> bool {
    if let Some((text, bytes)) = genuine["String"].as_str().zip(bytes.as_ref()) {
        let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        return bytes.strip_prefix(&units[..]).is_some_and(|rest| rest.iter().all(|byte| *byte == 0));
    }
    let value = bytes_of("RawData", &genuine["VariableData"]);
    genuine["UnicodeName"].is_string()
        && bytes
            .zip(value)
            .is_some_and(|(bytes, value)| bytes == value || (bytes.len() > 32 && bytes.ends_with(&value)))
}

/// Of each event the same bytes, shown as text or not by what type it claims, or nothing.
fn check_processed(place: &str, lost: PcrSet, found: &[(Value, Value)], genuine: &[(Value, Value)]) {
    let kept = |pcr: &Value| !lost.contains(u8::try_from(pcr.as_u64().unwrap()).unwrap());
    let remaining: Vec<_> = genuine.iter().filter(|(pcr, _)| kept(pcr)).collect();
    assert_eq!(found.len(), remaining.len(), "{place}");
    for ((pcr, found), (genuine_pcr, genuine)) in found.iter().zip(remaining) {
        assert_eq!(pcr, genuine_pcr, "{place}");
        let lesser = match found {
            Value::Null => true,
            Value::Object(members) => members.iter().all(|(name, value)| {
                let bytes = bytes_of(name, value);
                genuine[name] == *value || bytes == shown_bytes(genuine) || is_structure(genuine, bytes)
            }),
            _ => false,
        };
        assert!(lesser, "{place}: {found} instead of {genuine}");
    }
}

/// Less may be concluded, as of an event whose data no longer hash to its digest; never something else.
fn check_fewer(place: &str, found: &Conclusions<'_>, genuine: &Conclusions<'_>) {
    // All events of a PCR that the running system extends, too, may be gone: it is then not covered.
    let lost = genuine.covered.without(found.covered);
    assert!(found.covered.without(genuine.covered).is_empty(), "{place}");
    assert!(lost.without(PcrSet::from_mask(0x8e00)).is_empty(), "{place}: {lost:?}");
    assert_eq!(found.claims.secure_boot, genuine.claims.secure_boot, "{place}");
    assert_eq!(found.claims.windows, genuine.claims.windows, "{place}");
    let (found, genuine) = (&found.claims.path, &genuine.claims.path);
    let mut rest = genuine.grub_commands.iter();
    let in_order = found.grub_commands.iter().all(|command| rest.any(|other| other == command));
    assert!(in_order, "{place}: {:?}", found.grub_commands);
    let missing = found.grub_commands.len() < genuine.grub_commands.len();
    assert!(!missing || found.unread_commands > genuine.unread_commands, "{place}");
    let line = &found.kernel_command_line;
    assert!(line.is_none() || *line == genuine.kernel_command_line, "{place}: {line:?}");
    assert_eq!(found.images, genuine.images, "{place}");
    assert!(lost.contains(9) || found.files == genuine.files, "{place}");
    assert_eq!(found.called_application, genuine.called_application, "{place}");
    assert_eq!(found.exited_boot_services, genuine.exited_boot_services, "{place}");
    assert_eq!(found.uki_sections, genuine.uki_sections, "{place}");
}

#[test]
fn flipped_bits_of_logs_change_no_conclusion() {
    let Some(lab) = Lab::load() else { return };
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for (name, _) in lab.sets() {
        let set = Set::load(&lab, name, &Value::Null);
        // Two machines of the lab booted alike.
        if !seen.contains(&set.log) {
            let verified = set.verify(&[], &set.trust(&[])).unwrap();
            flip_log(name, &set.log, verified.quote().pcrs());
            seen.push(set.log.clone());
        }
    }
    assert_eq!(seen.len(), 2);
    let Some(vectors) = Vectors::load() else { return };
    for quote in [gce(&vectors), azure_guest(&vectors, "AttestationInfoWindows")] {
        let verified = quote.verify(&[]).unwrap();
        flip_log(quote.name, quote.log.as_ref().unwrap(), verified.quote().pcrs());
    }
}

/// Every bit of an IMA log that the quote covers counts; what comes after changes nothing.
#[test]
fn every_bit_of_ima_logs_counts() {
    let Some(lab) = Lab::load() else { return };
    for (name, expected) in lab.sets() {
        let set = Set::load(&lab, name, &Value::Null);
        let verified = set.verify(&[], &set.trust(&[])).unwrap();
        let quoted = verified.quote().pcrs();
        let records = |bytes: &[u8]| -> Option<Vec<(u32, Vec<u8>)>> {
            let log = ImaLog::parse(bytes).ok()?;
            let measured = MeasuredIma::verify(&log, quoted, false).ok()?;
            Some(measured.records().iter().map(|record| (record.pcr, record.data.to_vec())).collect())
        };
        let genuine = records(&set.ima).unwrap();
        // How many bytes may be cut off: those of later records.
        let covered =
            (0..set.ima.len()).find(|length| records(&set.ima[..*length]).is_some()).unwrap_or(set.ima.len());
        let mut bytes = set.ima.clone();
        let mut later = 0;
        for (index, bit) in flips(set.ima.len()) {
            bytes[index] ^= bit;
            if let Some(found) = records(&bytes) {
                assert!(index >= covered, "{name}: byte {index}, bit {bit:#x}");
                assert_eq!(found, genuine, "{name}: byte {index}");
                later += 1;
            }
            bytes[index] ^= bit;
        }
        println!("{name}: {} flips, {later} of them after the quote", 8 * set.ima.len());
        let all_covered = expected["ima"]["entries"] == expected["ima"]["entries_covered_by_quote"];
        assert_eq!(later == 0, all_covered, "{name}");
    }
}

/// Logs that came without a quote, under one of our own over what they replay to.
#[test]
fn flipped_bits_of_logs_without_quotes_change_no_conclusion() {
    let Some(vectors) = Vectors::load() else { return };
    let key = crypto::SigningKey::generate(crypto::SigningAlgorithm::Rs256).unwrap();
    let all = std::env::var("VOUCHSAFE_FLIPS").as_deref() == Ok("all");
    let (mut flipped, mut unmeasured, mut longer) = (Vec::new(), Vec::new(), 0);
    for entry in vectors.entries.iter().filter(|entry| entry["kind"] == "tcg-eventlog") {
        let path = entry["path"].as_str().unwrap();
        let bytes = vectors.read(path);
        let Ok(log) = EventLog::parse(&bytes) else { continue };
        if bytes.len() > WHOLE_BYTES && !all {
            longer += 1;
            continue;
        }
        let quoted = quote_of_log(&key, &log);
        if conclude(&bytes, &quoted).is_some() {
            flip_log(path, &bytes, &quoted);
            flipped.push(path);
        } else {
            unmeasured.push(path);
        }
    }
    println!(
        "SKIPPED: {longer} longer logs (VOUCHSAFE_FLIPS=all flips them, too), and no whole boots: {unmeasured:?}"
    );
    assert!(flipped.len() >= 7, "{flipped:?}");
    assert!(all || unmeasured.len() == 4, "{unmeasured:?}");
}

fn quote_of_log(key: &crypto::SigningKey, log: &EventLog<'_>) -> QuotedPcrs {
    let bank = log.banks()[0];
    let replay = Replay::of(&[log], bank);
    let mut values = PcrValues::new();
    let mut digested = Vec::new();
    for index in 0..24 {
        let value = replay.value(index).unwrap().as_slice();
        values.insert(bank, index, value).unwrap();
        digested.extend(value);
    }
    let mut message = b"\xffTCG\x80\x18\0\0\0\x05nonce".to_vec();
    message.extend([0; 25]);
    message.extend([0, 0, 0, 1]);
    message.extend(evidence::tpm::hash_id(bank).to_be_bytes());
    message.extend([3, 0xff, 0xff, 0xff, 0, 32]);
    message.extend(crypto::sha256(&digested));
    let signature = key.sign(&message).unwrap();
    let attest = Attest::parse(&message).unwrap();
    let expectations = Expectations { nonce: b"nonce", required: PcrSet::default(), allow_sha1: true };
    let key = AttestationKey::from_trusted_spki(&key.public_key_der().unwrap()).unwrap();
    let verified = attest.verify_quote(&Signature::RawRsa(&signature), &values, &key, &expectations).unwrap();
    verified.pcrs().clone()
}
