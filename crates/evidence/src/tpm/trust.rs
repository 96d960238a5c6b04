//! The issuers that an operator trusts for keys in TPMs, and the chains that lead to them.
//!
//! Unlike Intel's, these chains come from many vendors: RSA and elliptic curves, up to six intermediates,
//! in any order. What decides is the same: signatures over the bytes received, names byte for byte,
//! validity, constraints, revocation, and a trusted end.

use crypto::PublicKey;
use time::OffsetDateTime;

use super::certificate::{Certificate, CertificateError, KeyRole, MAX_ISSUERS, parse_all};
use super::revocation::Crl;
use crate::verdict::{Check, CheckValue, Verdict, rules};
use crate::x509::Validity;

/// The issuers an operator trusts for one role, with the intermediates and CRLs that help.
#[derive(Debug, Clone, Default)]
pub struct TpmTrust {
    anchors: Vec<Certificate>,
    intermediates: Vec<Certificate>,
    crls: Vec<Crl>,
    require_key_usage: bool,
}

impl TpmTrust {
    /// Trusts nobody.
    #[must_use]
    pub fn new() -> Self {
        Self { require_key_usage: true, ..Self::default() }
    }

    /// Also accepts leaves without any extended key usage. Some vendors' certificates have none.
    #[must_use]
    pub const fn danger_allow_any_usage(mut self) -> Self {
        self.require_key_usage = false;
        self
    }

    /// Trusts the issuers in a DER certificate or a PEM text of certificates; those that are not
    /// self-issued only help to reach the others. Gives how many were read.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn add_issuers(&mut self, bytes: &[u8]) -> Result<usize, CertificateError> {
        let certificates = parse_all(bytes)?;
        self.check_room(certificates.len())?;
        let count = certificates.len();
        for certificate in certificates {
            if certificate.subject == certificate.issuer {
                self.anchors.push(certificate);
            } else {
                self.intermediates.push(certificate);
            }
        }
        Ok(count)
    }

    /// Trusts every issuer in `bytes`, also those that another one issued.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn add_anchors(&mut self, bytes: &[u8]) -> Result<usize, CertificateError> {
        let certificates = parse_all(bytes)?;
        self.check_room(certificates.len())?;
        let count = certificates.len();
        self.anchors.extend(certificates);
        Ok(count)
    }

    /// Adds a DER certificate revocation list. It counts once its issuer is in a chain.
    ///
    /// # Errors
    /// [`CertificateError::Crl`].
    pub fn add_crl(&mut self, der: &[u8]) -> Result<(), CertificateError> {
        if self.crls.len() >= MAX_ISSUERS {
            return Err(CertificateError::Crl { reason: "too many lists" });
        }
        self.crls.push(Crl::parse(der)?);
        Ok(())
    }

    /// Whether nobody is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    fn check_room(&self, more: usize) -> Result<(), CertificateError> {
        let found = self.anchors.len() + self.intermediates.len() + more;
        if found > MAX_ISSUERS {
            return Err(CertificateError::TooMany { found, limit: MAX_ISSUERS });
        }
        Ok(())
    }
}

/// A parsed certificate of a key in a TPM, with the intermediates sent with it. Unverified.
#[derive(Debug, Clone)]
pub struct AkCertificate {
    leaf: Certificate,
    intermediates: Vec<Certificate>,
}

impl AkCertificate {
    /// Parses a DER certificate or a PEM text, leaf first. Zero bytes after the certificate are
    /// skipped: TPMs give whole NV indices.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, CertificateError> {
        let mut certificates = parse_all(bytes)?.into_iter();
        let leaf = certificates.next().ok_or(CertificateError::Malformed { reason: "empty" })?;
        let intermediates: Vec<_> = certificates.collect();
        if intermediates.len() > MAX_DEPTH {
            return Err(CertificateError::TooMany { found: intermediates.len() + 1, limit: MAX_DEPTH + 1 });
        }
        Ok(Self { leaf, intermediates })
    }

    /// Parses DER certificates, leaf first, each as [`Self::parse`] takes one.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn of_chain<T: AsRef<[u8]>>(chain: &[T]) -> Result<Self, CertificateError> {
        if chain.len() > MAX_DEPTH + 1 {
            return Err(CertificateError::TooMany { found: chain.len(), limit: MAX_DEPTH + 1 });
        }
        let mut certificates = Vec::new();
        for der in chain {
            certificates.push(Certificate::parse_der(der.as_ref())?);
        }
        let mut certificates = certificates.into_iter();
        let leaf = certificates.next().ok_or(CertificateError::Malformed { reason: "empty" })?;
        Ok(Self { leaf, intermediates: certificates.collect() })
    }

    /// The certified key.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.leaf.key
    }

    /// The certified key as the certificate has it, a DER `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.leaf.spki
    }

    /// The certificate without what followed it, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.leaf.der
    }

    /// The subject, which is often empty: the name of a TPM stands in the alternative name.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.leaf.subject_text
    }

    /// The issuer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.leaf.issuer_text
    }

    /// The serial number, big-endian without leading zeros.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        &self.leaf.serial
    }

    /// Whether it says that it is of an authority that signs certificates.
    #[must_use]
    pub fn is_authority(&self) -> bool {
        self.leaf.check_issuer(0).is_ok()
    }

    /// Whether it names itself as its issuer, as roots do.
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.leaf.subject == self.leaf.issuer
    }

    /// When it is valid.
    #[must_use]
    pub const fn validity(&self) -> Validity {
        self.leaf.validity
    }

    /// Verifies it as one of an attestation key, see [`Self::verify_as`].
    pub(crate) fn verify(
        &self,
        trust: &TpmTrust,
        now: OffsetDateTime,
        verdict: &mut Verdict,
    ) -> Result<Validity, CertificateError> {
        let proved = self.verify_as(KeyRole::Attestation, trust, now)?;
        let validity = self.leaf.validity;
        let shown = crate::error::window(&self.leaf.subject_text, validity);
        verdict.push(Check::passed(rules::TPM_KEY_CERTIFICATE, shown, CheckValue::Time(now)));
        Ok(proved)
    }

    /// Verifies the certificate:
    /// 1. it is not a CA's, and is one for keys of `role` (extended key usage),
    /// 2. it is valid at `now`,
    /// 3. a chain of signatures leads to a trusted issuer; every issuer is a CA that signs certificates,
    ///    within its path length, and valid at `now`,
    /// 4. no list of its issuer at hand revokes any certificate of the chain.
    ///
    /// Gives when all of that holds: every certificate and list it rests on is valid then.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn verify_as(
        &self,
        role: KeyRole,
        trust: &TpmTrust,
        now: OffsetDateTime,
    ) -> Result<Validity, CertificateError> {
        self.leaf.check_leaf(role, trust.require_key_usage)?;
        self.leaf.check_validity(now)?;
        let mut search = Search { trust, presented: &self.intermediates, now, budget: MAX_SIGNATURES };
        search.climb(&self.leaf, 0)
    }
}

struct Search<'s> {
    trust: &'s TpmTrust,
    presented: &'s [Certificate],
    now: OffsetDateTime,
    budget: usize,
}

impl Search<'_> {
    /// Looks for a chain from `certificate`, which `depth` intermediates stand below; when it is valid.
    fn climb(&mut self, certificate: &Certificate, depth: usize) -> Result<Validity, CertificateError> {
        let mut error = CertificateError::Chain {
            subject: certificate.subject_text.clone(),
            issuer: certificate.issuer_text.clone(),
        };
        if depth > MAX_DEPTH {
            return Err(error);
        }
        let trust = self.trust;
        let anchors = trust.anchors.iter().map(|issuer| (issuer, true));
        let others = trust.intermediates.iter().chain(self.presented).map(|issuer| (issuer, false));
        for (issuer, trusted) in anchors.chain(others) {
            if !certificate.names_as_issuer(issuer) {
                continue;
            }
            let Some(budget) = self.budget.checked_sub(1) else { return Err(error) };
            self.budget = budget;
            if !certificate.is_signed_by(issuer) {
                continue;
            }
            let checked = issuer
                .check_issuer(depth)
                .and_then(|()| issuer.check_validity(self.now))
                .and_then(|()| self.check_revocation(certificate, issuer))
                .and_then(|lists| {
                    let above = if trusted { issuer.validity } else { self.climb(issuer, depth + 1)? };
                    Ok(certificate.validity.and(lists).and(above))
                });
            match checked {
                Ok(valid) => return Ok(valid),
                Err(found) => error = found,
            }
        }
        Err(error)
    }

    /// When the lists that do not revoke the certificate are valid.
    fn check_revocation(
        &self,
        certificate: &Certificate,
        issuer: &Certificate,
    ) -> Result<Validity, CertificateError> {
        let mut valid = certificate.validity;
        for crl in self.trust.crls.iter().filter(|crl| crl.issuer == issuer.subject) {
            if issuer.key.verify(crl.scheme, &crl.tbs, &crl.signature).is_err() {
                // A sibling of the same name may have signed it.
                continue;
            }
            if !crl.validity.contains(self.now) {
                return Err(CertificateError::Crl { reason: "not valid at the time of appraisal" });
            }
            if crl.revoked.binary_search(&certificate.serial).is_ok() {
                return Err(CertificateError::Revoked {
                    subject: certificate.subject_text.clone(),
                    serial: certificate.serial.clone(),
                });
            }
            valid = valid.and(crl.validity);
        }
        Ok(valid)
    }
}

/// The longest chains of TPM vendors have two intermediates.
const MAX_DEPTH: usize = 6;
/// Signatures checked for one leaf, however many issuers share a name.
const MAX_SIGNATURES: usize = 32;
