//! Attestation keys: keys that a TPM uses for statements of its own only.

use crypto::{HashAlgorithm, PublicKey, SignatureScheme};
use time::OffsetDateTime;

use super::error::{KeyError, VerifyError};
use super::public::{Attributes, PublicArea, Scheme, TPM_BOUND};
use super::spki;
use super::trust::{AkCertificate, TpmTrust};
use crate::verdict::{Check, Rejection, Verdict, rules};
use crate::x509::Validity;

/// An attestation key that somebody vouches for.
///
/// Only the functions below make one; this does not compile:
///
/// ```compile_fail,E0451
/// fn forged(rest: evidence::tpm::AttestationKey) -> evidence::tpm::AttestationKey {
///     evidence::tpm::AttestationKey { certified: true, ..rest }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct AttestationKey {
    key: PublicKey,
    /// The scheme fixed in the public area; a certificate alone does not say it.
    scheme: Option<SignatureScheme>,
    certified: bool,
    name: Option<Vec<u8>>,
    spki: Vec<u8>,
    /// When its certificate's chain is valid.
    valid: Option<Validity>,
    verdict: Verdict,
}

impl AttestationKey {
    /// Accepts a public area that the operator trusts, or that was enrolled with its endorsement key:
    /// 1. it is a restricted signing key fixed to its TPM ([`check_attestation_key`]).
    ///
    /// That it lives in a TPM is the caller's knowledge.
    ///
    /// # Errors
    /// [`VerifyError`], with the checks made up to then.
    pub fn from_trusted_public(area: &PublicArea<'_>) -> Result<Self, Rejection<VerifyError>> {
        let mut verdict = Verdict::new();
        let checked = check_attestation_key(area);
        let (key, scheme) = match checked {
            Ok(checked) => checked,
            Err(error) => return Err(Rejection::new(error.into(), verdict)),
        };
        verdict.push(Check::passed(rules::TPM_KEY_TRUST, "a trusted key", "trusted by the operator"));
        verdict.push(attributes_passed());
        let spki = spki::encode(&key);
        Ok(Self {
            key,
            scheme: Some(scheme),
            certified: false,
            name: Some(area.name()),
            spki,
            valid: None,
            verdict,
        })
    }

    /// Accepts a key that the operator trusts, of which only the public key is known, as in a PEM file.
    /// The operator vouches for its attributes, too.
    ///
    /// # Errors
    /// [`KeyError::Kind`] or [`KeyError::Malformed`], if it is no key that can attest.
    pub fn from_trusted_spki(der: &[u8]) -> Result<Self, Rejection<VerifyError>> {
        let mut verdict = Verdict::new();
        let parsed = spki::parse(der).ok_or(KeyError::Malformed).and_then(|key| {
            check_kind(&key)?;
            Ok(key)
        });
        match parsed {
            Ok(key) => {
                verdict.push(Check::passed(rules::TPM_KEY_TRUST, "a trusted key", "trusted by the operator"));
                let spki = spki::encode(&key);
                Ok(Self { key, scheme: None, certified: false, name: None, spki, valid: None, verdict })
            }
            Err(error) => Err(Rejection::new(error.into(), verdict)),
        }
    }

    /// Accepts a certified key:
    /// 1. the certificate chains to a trusted issuer and is one of an attestation key at `now`,
    /// 2. the public area, if one was sent, holds the same key, and is a restricted signing key fixed
    ///    to its TPM.
    ///
    /// # Errors
    /// [`VerifyError`], with the checks made up to then.
    pub fn from_certificate(
        certificate: &AkCertificate,
        area: Option<&PublicArea<'_>>,
        trust: &TpmTrust,
        now: OffsetDateTime,
    ) -> Result<Self, Rejection<VerifyError>> {
        let mut verdict = Verdict::new();
        match Self::certified(certificate, area, trust, now, &mut verdict) {
            Ok(key) => Ok(Self { verdict, ..key }),
            Err(error) => Err(Rejection::new(error, verdict)),
        }
    }

    fn certified(
        certificate: &AkCertificate,
        area: Option<&PublicArea<'_>>,
        trust: &TpmTrust,
        now: OffsetDateTime,
        verdict: &mut Verdict,
    ) -> Result<Self, VerifyError> {
        let valid = Some(certificate.verify(trust, now, verdict)?);
        let key = certificate.public_key().clone();
        check_kind(&key)?;
        let mut scheme = None;
        if let Some(area) = area {
            let (found, fixed) = check_attestation_key(area)?;
            if found != key {
                return Err(KeyError::Mismatch.into());
            }
            verdict.push(attributes_passed());
            scheme = Some(fixed);
        }
        verdict.push(Check::passed(rules::TPM_KEY_TRUST, "a certified key", "certified"));
        let spki = certificate.spki().to_vec();
        let name = area.map(PublicArea::name);
        Ok(Self { key, scheme, certified: true, name, spki, valid, verdict: Verdict::new() })
    }

    /// A key for which nobody vouches, where a policy asks for no more. What it signs may come from anywhere.
    pub(super) fn danger_unendorsed(key: &PublicKey) -> Result<Self, KeyError> {
        check_kind(key)?;
        let mut verdict = Verdict::new();
        verdict.push(Check::noted(rules::TPM_KEY_TRUST, "nobody vouches for the key"));
        let spki = spki::encode(key);
        Ok(Self { key: key.clone(), scheme: None, certified: false, name: None, spki, valid: None, verdict })
    }

    /// The public key.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// The scheme fixed in the key, if its public area is known.
    #[must_use]
    pub const fn scheme(&self) -> Option<SignatureScheme> {
        self.scheme
    }

    /// Whether a certificate of a trusted issuer vouches for it: the claim `aikValidated`.
    #[must_use]
    pub const fn is_certified(&self) -> bool {
        self.certified
    }

    /// Whether what vouches for it still does at `now`, if it did before: its certificate's chain and the
    /// revocation lists at hand are valid.
    #[must_use]
    pub fn is_valid_at(&self, now: OffsetDateTime) -> bool {
        self.valid.is_none_or(|valid| valid.contains(now))
    }

    /// The name of its public area, if that was sent or is known. A certificate vouches for the key
    /// alone; that the rest of the public area is the TPM's own is known of trusted public areas only.
    #[must_use]
    pub fn name(&self) -> Option<&[u8]> {
        self.name.as_deref()
    }

    /// The public key as a DER `SubjectPublicKeyInfo`, of which the claim `aikPubHash` is SHA-256.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The checks made on the key.
    #[must_use]
    pub const fn verdict(&self) -> &Verdict {
        &self.verdict
    }
}

fn attributes_passed() -> Check {
    let expected = "a restricted signing key fixed to the TPM";
    Check::passed(rules::TPM_KEY_ATTRIBUTES, expected, expected)
}

/// Checks the public area of an attestation key (TPM 2.0 Library Part 1, 23.3.2 and 25.2):
/// 1. fixedTPM, fixedParent, sensitiveDataOrigin, restricted and sign are set, decrypt is not,
/// 2. the name algorithm is SHA-256 or stronger,
/// 3. it is an RSA key from 2048 bits, or one on P-256 or P-384,
/// 4. its scheme is RSASSA, RSAPSS or ECDSA, with SHA-256, SHA-384 or SHA-512.
///
/// # Errors
/// [`KeyError`].
pub fn check_attestation_key(area: &PublicArea<'_>) -> Result<(PublicKey, SignatureScheme), KeyError> {
    area.attributes.require(TPM_BOUND)?;
    area.attributes.require(&[(Attributes::RESTRICTED, "restricted"), (Attributes::SIGN, "sign")])?;
    area.attributes.forbid(Attributes::DECRYPT, "decrypt")?;
    area.check_name_algorithm()?;
    let key = area.public_key()?;
    check_kind(&key)?;
    let (scheme, hash) = match area.scheme() {
        Some(Scheme::Ecdsa(hash)) => (SignatureScheme::Ecdsa(hash), hash),
        Some(Scheme::RsaPss(hash)) => (SignatureScheme::RsaPss(hash), hash),
        Some(Scheme::RsaSsa(hash)) => (SignatureScheme::RsaPkcs1(hash), hash),
        Some(Scheme::Null | Scheme::Other) | None => return Err(KeyError::Scheme),
    };
    if hash == HashAlgorithm::Sha1 {
        return Err(KeyError::WeakHash { what: "signing scheme", found: hash });
    }
    Ok((key, scheme))
}

/// Checks the public area of an application key that a TPM certifies: its secret is the TPM's alone, and
/// it signs or decrypts for applications, which restricted keys do not.
///
/// # Errors
/// [`KeyError`].
pub fn check_application_key(area: &PublicArea<'_>) -> Result<PublicKey, KeyError> {
    area.attributes.require(TPM_BOUND)?;
    area.attributes.forbid(Attributes::RESTRICTED, "restricted")?;
    area.check_name_algorithm()?;
    let key = area.public_key()?;
    check_kind(&key)?;
    Ok(key)
}

pub(super) fn check_kind(key: &PublicKey) -> Result<(), KeyError> {
    match (key.curve(), key.rsa_bits()) {
        (Some(crypto::Curve::P256 | crypto::Curve::P384), _) | (_, Some(2048..)) => Ok(()),
        _ => Err(KeyError::Kind),
    }
}
