//! The PCK chain inside a quote: who vouches for the platform's provisioning certification key.

use crypto::{P256PublicKey, sha256};
use time::OffsetDateTime;

use super::{EndorsementsId, PckCa, PckExtension, PckExtensionError, Tee};
use crate::anchors::TrustAnchors;
use crate::error::{VerifyError, window};
use crate::pem;
use crate::verdict::{Check, Rejection, Verdict, rules};
use crate::x509::{self, CERTIFICATE, Certificate, CertificateRole, Validity};

/// The PCK chain of a quote, parsed and of the right shape, but **not verified**.
#[derive(Debug)]
pub struct PckChain<'a> {
    pem: &'a [u8],
    tee: Tee,
    ca: PckCa,
    certificates: [Certificate; 3],
    extension: PckExtension,
    verdict: Verdict,
}

impl<'a> PckChain<'a> {
    /// Parses the PEM text of certification data type 5: leaf first, then the CA and the root. `verdict` holds what
    /// was checked of the quote so far.
    pub(crate) fn parse(pem: &'a [u8], tee: Tee, verdict: Verdict) -> Result<Self, Rejection<VerifyError>> {
        match Self::parse_parts(pem) {
            Ok((certificates, extension, ca)) => Ok(Self { pem, tee, ca, certificates, extension, verdict }),
            Err(error) => Err(Rejection::new(error, verdict)),
        }
    }

    fn parse_parts(pem: &[u8]) -> Result<([Certificate; 3], PckExtension, PckCa), VerifyError> {
        let certificates = Self::parse_certificates(pem)?;
        let [leaf, intermediate, _] = &certificates;
        let extension = leaf.sgx_extension.as_deref().ok_or(PckExtensionError::Missing { field: "all" })?;
        let extension = PckExtension::parse(extension)?;
        let ca = PckCa::from_common_name(&leaf.issuer_common_name)
            .filter(|ca| PckCa::from_common_name(&intermediate.common_name) == Some(*ca))
            .ok_or(x509::ChainError::Profile { role: CertificateRole::PckCa, field: "common name" })?;
        Ok((certificates, extension, ca))
    }

    /// Intel's chains are leaf, CA, root. Some attesters (Fortanix) write the root before the CA, which
    /// Intel's library accepts, too; every certificate still has to be of its own profile.
    fn parse_certificates(pem: &[u8]) -> Result<[Certificate; 3], x509::ChainError> {
        let certificates = x509::parse_chain(pem, CHAIN);
        if let Err(x509::ChainError::Profile { .. }) = certificates {
            let root_before_ca = [CertificateRole::Pck, CertificateRole::Root, CertificateRole::PckCa];
            if let Ok([leaf, root, ca]) = x509::parse_chain(pem, root_before_ca) {
                return Ok([leaf, ca, root]);
            }
        }
        certificates
    }

    /// What to fetch for verifying this chain. From an unverified certificate: it proves nothing.
    #[must_use]
    pub fn endorsements_id(&self) -> EndorsementsId {
        EndorsementsId { tee: self.tee, fmspc: self.extension.fmspc, ca: self.ca }
    }

    /// SHA-256 of the chain as it stands in the quote: callers keep [`VerifiedPck`]s by it.
    #[must_use]
    pub fn cache_key(&self) -> [u8; 32] {
        sha256(self.pem)
    }

    /// What the leaf says of the platform, **unverified**.
    #[must_use]
    pub fn unverified_extension(&self) -> &PckExtension {
        &self.extension
    }

    /// The three certificates, leaf first, **unverified**.
    #[must_use]
    pub fn unverified_certificates(&self) -> [CertificateSummary; 3] {
        let mut roles = CHAIN.into_iter();
        self.certificates.each_ref().map(|certificate| {
            CertificateSummary::new(certificate, roles.next().unwrap_or(CertificateRole::Root))
        })
    }

    /// Intermediate and root in PEM: the issuer chain of the PCK CRL, which raw CRL files come without.
    #[must_use]
    pub fn issuer_chain_pem(&self) -> Vec<u8> {
        pem::encode(
            self.certificates.iter().skip(1).map(|certificate| certificate.der.as_slice()),
            CERTIFICATE,
        )
    }

    /// Verifies the chain:
    /// 1. each certificate was issued by the next (name, key identifier, signature over the bytes received),
    /// 2. the root signed itself and its key is one trusted for PCK chains.
    ///
    /// Shape and profile were checked by parsing; validity and revocation depend on time and endorsements
    /// and are checked with each quote.
    ///
    /// # Errors
    /// [`VerifyError::PckChain`].
    pub fn verify(&self, anchors: &TrustAnchors) -> Result<VerifiedPck, Rejection<VerifyError>> {
        if let Err(error) = x509::verify_chain(&self.certificates, CHAIN, anchors.pck()) {
            return Err(Rejection::new(error.into(), self.verdict.clone()));
        }
        let [leaf, intermediate, root] = &self.certificates;
        let mut verdict = self.verdict.clone();
        verdict.push(Check::passed(rules::PCK_CHAIN, "valid", "valid"));
        verdict.push(Check::passed(rules::PCK_ROOT, "a trusted root", "a trusted root"));
        verdict.push(Check::passed(rules::PCK_SGX_EXTENSION, "complete", "complete"));
        Ok(VerifiedPck {
            pem: self.pem.into(),
            issuer_chain_pem: self.issuer_chain_pem(),
            id: self.endorsements_id(),
            extension: self.extension.clone(),
            key: leaf.key.clone(),
            leaf_serial: leaf.serial.clone(),
            issuer: PckIssuer::of(intermediate, root),
            ca_serials: [
                (CertificateRole::PckCa, intermediate.serial.clone()),
                (CertificateRole::Root, root.serial.clone()),
            ],
            windows: [
                (CertificateRole::Pck, leaf.validity),
                (CertificateRole::PckCa, intermediate.validity),
                (CertificateRole::Root, root.validity),
            ],
            verdict,
        })
    }
}

/// The names and keys of a PCK CA and of its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PckIssuer {
    subject: Vec<u8>,
    key: [u8; 65],
    root_key: [u8; 65],
}

impl PckIssuer {
    pub(crate) fn of(intermediate: &Certificate, root: &Certificate) -> Self {
        Self {
            subject: intermediate.subject.clone(),
            key: *intermediate.key.point(),
            root_key: *root.key.point(),
        }
    }
}

/// A PCK chain verified up to a trusted root. Callers keep it, by [`PckChain::cache_key`]: verifying a
/// chain costs several times what verifying a quote costs.
///
/// Only [`PckChain::verify`] makes one; this does not compile:
///
/// ```compile_fail,E0451
/// fn forged(pem: Box<[u8]>, rest: evidence::dcap::VerifiedPck) -> evidence::dcap::VerifiedPck {
///     evidence::dcap::VerifiedPck { pem, ..rest }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct VerifiedPck {
    pem: Box<[u8]>,
    issuer_chain_pem: Vec<u8>,
    id: EndorsementsId,
    extension: PckExtension,
    key: P256PublicKey,
    leaf_serial: Vec<u8>,
    issuer: PckIssuer,
    ca_serials: [(CertificateRole, Vec<u8>); 2],
    windows: [(CertificateRole, Validity); 3],
    verdict: Verdict,
}

impl VerifiedPck {
    /// Which endorsements the platform needs.
    #[must_use]
    pub fn endorsements_id(&self) -> EndorsementsId {
        self.id
    }

    /// What the leaf says of the platform.
    #[must_use]
    pub fn extension(&self) -> &PckExtension {
        &self.extension
    }

    /// When the first of the three certificates ends being valid.
    #[must_use]
    pub fn not_after(&self) -> OffsetDateTime {
        let [(_, leaf), (_, intermediate), (_, root)] = &self.windows;
        leaf.not_after.min(intermediate.not_after).min(root.not_after)
    }

    /// Intermediate and root in PEM, as [`PckChain::issuer_chain_pem`].
    #[must_use]
    pub fn issuer_chain_pem(&self) -> Vec<u8> {
        self.issuer_chain_pem.clone()
    }

    pub(crate) fn pem(&self) -> &[u8] {
        &self.pem
    }

    pub(crate) fn key(&self) -> &P256PublicKey {
        &self.key
    }

    pub(crate) fn leaf_serial(&self) -> &[u8] {
        &self.leaf_serial
    }

    pub(crate) fn issuer(&self) -> &PckIssuer {
        &self.issuer
    }

    pub(crate) fn ca_serials(&self) -> &[(CertificateRole, Vec<u8>)] {
        &self.ca_serials
    }

    /// The checks made of the quote's structure and of the chain.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Checks that all three certificates are valid at `now`.
    pub(crate) fn check_validity(&self, now: OffsetDateTime) -> Result<Check, VerifyError> {
        for (role, validity) in self.windows {
            if !validity.contains(now) {
                return Err(VerifyError::PckValidity { role, validity, at: now });
            }
        }
        let (_, leaf) = self.windows[0];
        Ok(Check::passed(rules::PCK_VALIDITY, window("PCK certificate", leaf), now))
    }
}

/// A certificate for people to read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateSummary {
    /// Its place in the chain.
    pub role: CertificateRole,
    /// The subject's name (RFC 4514).
    pub subject: String,
    /// The issuer's name (RFC 4514).
    pub issuer: String,
    /// The serial number, big-endian, in lower-case hexadecimal.
    pub serial: String,
    /// When it is valid.
    pub validity: Validity,
    /// SHA-256 of its DER.
    pub fingerprint: [u8; 32],
    /// What a PCK certificate says of its platform.
    pub pck_extension: Option<PckExtension>,
}

impl CertificateSummary {
    /// The certificates of a PEM text in whatever order, as far as they have a role in Intel's chains.
    pub(crate) fn list(pem: &[u8]) -> Vec<Self> {
        let bodies = pem::decode(pem, CERTIFICATE).unwrap_or_default();
        let summary = |der: &Vec<u8>| {
            ROLES.into_iter().find_map(|role| Some(Self::new(&Certificate::parse(der, role).ok()?, role)))
        };
        bodies.iter().filter_map(summary).collect()
    }

    fn new(certificate: &Certificate, role: CertificateRole) -> Self {
        Self {
            role,
            subject: printable(&certificate.subject_text),
            issuer: printable(&certificate.issuer_text),
            serial: hex::encode(&certificate.serial),
            validity: certificate.validity,
            fingerprint: sha256(&certificate.der),
            pck_extension: certificate.sgx_extension.as_deref().and_then(|der| PckExtension::parse(der).ok()),
        }
    }
}

/// Names come from whoever made the certificate, and end on terminals.
fn printable(name: &str) -> String {
    name.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

const CHAIN: [CertificateRole; 3] = [CertificateRole::Pck, CertificateRole::PckCa, CertificateRole::Root];
/// The more special first: a root's name is a CA's too.
const ROLES: [CertificateRole; 4] =
    [CertificateRole::Pck, CertificateRole::TcbSigning, CertificateRole::Root, CertificateRole::PckCa];
