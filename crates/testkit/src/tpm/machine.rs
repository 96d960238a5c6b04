//! A machine that has booted, and who certifies its attestation key.

use time::{Duration, OffsetDateTime};

use super::log::BootLog;
use super::structures::{self, Counters, RESTRICTED_SIGNING, rsassa};
use crate::asn1;
use crate::key::Key;
use crate::x509::{Certificate, Extension, Name, SIGNS_CERTIFICATES, SIGNS_DATA, ecdsa_with_sha256};

/// An authority of attestation keys.
#[derive(Debug, Clone)]
pub struct Makers {
    /// Signs certificates.
    pub key: Key,
    /// From when to when they are valid: a year before and after this.
    pub now: OffsetDateTime,
}

impl Makers {
    /// A fresh authority.
    #[must_use]
    pub fn new(now: OffsetDateTime) -> Self {
        Self { key: Key::generate(), now }
    }

    /// Its own certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> Vec<u8> {
        let extensions = vec![
            Extension::basic_constraints(Some(1)),
            Extension::key_usage(SIGNS_CERTIFICATES),
            Extension::subject_key_id(&self.key.id()),
        ];
        self.template(Name::intel(AUTHORITY), self.key.clone(), extensions).der()
    }

    /// A certificate of an attestation key.
    #[must_use]
    pub fn certify(&self, key: &Key) -> Certificate {
        // tcg-kp-AIKCertificate.
        let usage = asn1::sequence(&[asn1::oid("2.23.133.8.3")]);
        let extensions = vec![
            Extension::basic_constraints(None),
            Extension::key_usage(SIGNS_DATA),
            Extension { oid: "2.5.29.37", critical: false, value: usage },
            Extension::authority_key_id(&self.key.id()),
        ];
        self.template(Name::intel("attestation key"), key.clone(), extensions)
    }

    fn template(&self, subject: Name, key: Key, extensions: Vec<Extension>) -> Certificate {
        Certificate {
            version: 2,
            serial: vec![7],
            algorithm: ecdsa_with_sha256(),
            issuer: Name::intel(AUTHORITY),
            not_before: self.now - Duration::days(365),
            not_after: self.now + Duration::days(365),
            subject,
            key,
            signer: self.key.clone(),
            extensions,
        }
    }
}

/// A machine with an RSA attestation key.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The attestation key.
    pub key: Key,
    /// Its certificate, DER.
    pub certificate: Option<Vec<u8>>,
    /// What was measured at boot.
    pub log: BootLog,
    /// The PCRs, which the log leads to unless they were changed.
    pub pcrs: [[u8; 32]; 24],
    /// The TPM's clock.
    pub counters: Counters,
}

impl Machine {
    /// A machine that booted so, its key certified by `makers`.
    #[must_use]
    pub fn booted(log: BootLog, makers: &Makers) -> Self {
        let key = Key::generate_rsa();
        let certificate = Some(makers.certify(&key).der());
        let pcrs = log.pcrs();
        Self { key, certificate, log, pcrs, counters: Counters { reset: 3, restart: 1, clock: 60_000 } }
    }

    /// The attestation key's public area.
    #[must_use]
    pub fn public(&self) -> Vec<u8> {
        structures::rsa_public(&self.key, RESTRICTED_SIGNING)
    }

    /// `TPMS_ATTEST` and `TPMT_SIGNATURE` of a quote of these PCRs.
    #[must_use]
    pub fn quote(&self, nonce: &[u8], pcrs: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let values: Vec<&[u8]> = pcrs.iter().map(|pcr| &self.pcrs[usize::from(*pcr)][..]).collect();
        let digest = crypto::sha256_of_parts(&values);
        let quote = structures::quote(nonce, pcrs, &digest, self.counters);
        let signature = rsassa(&self.key, &quote);
        (quote, signature)
    }

    /// The platform claim that Windows makes of a quote of all PCRs (`NCryptCreateClaim`); it carries the log, too.
    #[must_use]
    pub fn platform_claim(&self, nonce: &[u8]) -> Vec<u8> {
        let all: Vec<u8> = (0..24).collect();
        let (quote, signature) = self.quote(nonce, &all);
        // Without the head of a `TPMT_SIGNATURE`.
        let (signature, log) = (&signature[6..], self.log.bytes());
        let values = self.pcrs.concat();
        let mut claim = b"PAD2".to_vec();
        claim.extend(2_u32.to_le_bytes());
        claim.extend(32_u32.to_le_bytes());
        for part in [&values[..], &quote, signature, &log] {
            claim.extend(u32::try_from(part.len()).expect("a length").to_le_bytes());
        }
        claim.extend(0x0b_u32.to_le_bytes());
        [&claim[..], &values, &quote, signature, &log].concat()
    }
}

const AUTHORITY: &str = "authority of attestation keys";
