//! The PCK chain inside a quote: who vouches for the platform's provisioning certification key.

use crypto::{P256PublicKey, sha256};
use der::asn1::{AnyRef, OctetStringRef};
use der::oid::ObjectIdentifier;
use der::{Decode, Reader as _, SliceReader, Tag, Tagged};
use time::OffsetDateTime;

use super::{EndorsementsId, PckCa, Tee};
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
    /// Parses the PEM text of certification data type 5: leaf, intermediate, root. `verdict` holds what
    /// was checked of the quote so far.
    pub(crate) fn parse(pem: &'a [u8], tee: Tee, verdict: Verdict) -> Result<Self, Rejection<VerifyError>> {
        match Self::parse_parts(pem) {
            Ok((certificates, extension, ca)) => Ok(Self { pem, tee, ca, certificates, extension, verdict }),
            Err(error) => Err(Rejection::new(error, verdict)),
        }
    }

    fn parse_parts(pem: &[u8]) -> Result<([Certificate; 3], PckExtension, PckCa), VerifyError> {
        let certificates = x509::parse_chain(pem, CHAIN)?;
        let [leaf, intermediate, _] = &certificates;
        let extension = leaf.sgx_extension.as_deref().ok_or(PckExtensionError::Missing { field: "all" })?;
        let extension = PckExtension::parse(extension)?;
        let ca = PckCa::from_common_name(&leaf.issuer_common_name)
            .filter(|ca| PckCa::from_common_name(&intermediate.common_name) == Some(*ca))
            .ok_or(x509::ChainError::Profile { role: CertificateRole::PckCa, field: "common name" })?;
        Ok((certificates, extension, ca))
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
/// ```compile_fail
/// fn forged(pem: Box<[u8]>, rest: evidence::dcap::VerifiedPck) -> evidence::dcap::VerifiedPck {
///     evidence::dcap::VerifiedPck { pem, ..rest }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct VerifiedPck {
    pem: Box<[u8]>,
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
        // The text was parsed strictly before, so it has three blocks.
        let blocks = pem::decode(&self.pem, CERTIFICATE).unwrap_or_default();
        pem::encode(blocks.iter().skip(1).map(Vec::as_slice), CERTIFICATE)
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
            subject: certificate.subject_text.clone(),
            issuer: certificate.issuer_text.clone(),
            serial: hex::encode(&certificate.serial),
            validity: certificate.validity,
            fingerprint: sha256(&certificate.der),
        }
    }
}

/// How a platform's memory is protected ("Intel SGX PCK Certificate and CRL Profile" 1.3.5, SGX Type).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SgxType {
    /// Client and small server processors: encryption with integrity tree.
    Standard,
    /// Scalable servers: encryption without integrity.
    Scalable,
    /// Scalable servers with integrity.
    ScalableWithIntegrity,
}

impl SgxType {
    /// `Standard`, `Scalable` or `Scalable with Integrity`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "Standard",
            Self::Scalable => "Scalable",
            Self::ScalableWithIntegrity => "Scalable with Integrity",
        }
    }
}

/// Why the SGX extension of a PCK certificate is not as specified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PckExtensionError {
    /// A field is there twice.
    #[error("{field} stands twice")]
    Duplicate {
        /// The field.
        field: &'static str,
    },
    /// A field has another type, length or range.
    #[error("{field} is not as specified")]
    Malformed {
        /// The field.
        field: &'static str,
    },
    /// A field is missing.
    #[error("{field} is missing")]
    Missing {
        /// The field.
        field: &'static str,
    },
}

/// What a PCK certificate says of its platform: extension 1.2.840.113741.1.13.1 ("Intel SGX PCK
/// Certificate and CRL Profile Specification" 1.3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PckExtension {
    /// Provisioning id of the platform.
    pub ppid: [u8; 16],
    /// Security versions of the sixteen TCB components.
    pub components: [u8; 16],
    /// Security version of the provisioning certification enclave.
    pub pce_svn: u16,
    /// The raw CPU security version.
    pub cpu_svn: [u8; 16],
    /// Id of the provisioning certification enclave, in memory order.
    pub pce_id: [u8; 2],
    /// Platform family, in memory order.
    pub fmspc: [u8; 6],
    /// How memory is protected.
    pub sgx_type: SgxType,
    /// Id of the platform instance (Platform CA only).
    pub platform_instance_id: Option<[u8; 16]>,
    /// Whether packages can be added to the platform (Platform CA only).
    pub dynamic_platform: Option<bool>,
    /// Whether Intel keeps the platform's root keys (Platform CA only).
    pub cached_keys: Option<bool>,
    /// Whether simultaneous multithreading is on (Platform CA only).
    pub smt_enabled: Option<bool>,
}

impl PckExtension {
    fn parse(der: &[u8]) -> Result<Self, PckExtensionError> {
        let fields = Fields::parse(der, "SGX extension")?;
        let tcb = Fields::of(fields.require(2, "TCB")?, "TCB")?;
        let mut components = [0; 16];
        for (suffix, component) in (1..).zip(&mut components) {
            *component = integer(tcb.require(suffix, "TCB component")?, "TCB component")?;
        }
        let configuration = match fields.find(7) {
            Some(value) => Some(Fields::of(value, "configuration")?),
            None => None,
        };
        let flag = |suffix, field| {
            let value = configuration.as_ref().and_then(|flags| flags.find(suffix));
            value
                .map(|value| value.decode_as().map_err(|_| PckExtensionError::Malformed { field }))
                .transpose()
        };
        Ok(Self {
            ppid: octets(fields.require(1, "PPID")?, "PPID")?,
            components,
            pce_svn: integer(tcb.require(17, "PCESVN")?, "PCESVN")?,
            cpu_svn: octets(tcb.require(18, "CPUSVN")?, "CPUSVN")?,
            pce_id: octets(fields.require(3, "PCEID")?, "PCEID")?,
            fmspc: octets(fields.require(4, "FMSPC")?, "FMSPC")?,
            sgx_type: sgx_type(fields.require(5, "SGX type")?)?,
            platform_instance_id: fields
                .find(6)
                .map(|value| octets(value, "platform instance id"))
                .transpose()?,
            dynamic_platform: flag(1, "dynamic platform")?,
            cached_keys: flag(2, "cached keys")?,
            smt_enabled: flag(3, "SMT enabled")?,
        })
    }
}

/// A SEQUENCE of (OID, value) pairs; fields are known by the last arc of their OID.
struct Fields<'a> {
    fields: Vec<(u32, AnyRef<'a>)>,
}

impl<'a> Fields<'a> {
    fn parse(der: &'a [u8], field: &'static str) -> Result<Self, PckExtensionError> {
        Self::of(AnyRef::from_der(der).map_err(|_| PckExtensionError::Malformed { field })?, field)
    }

    fn of(value: AnyRef<'a>, field: &'static str) -> Result<Self, PckExtensionError> {
        let malformed = PckExtensionError::Malformed { field };
        if value.tag() != Tag::Sequence {
            return Err(malformed);
        }
        let mut reader = SliceReader::new(value.value()).map_err(|_| malformed)?;
        let mut fields: Vec<(u32, AnyRef<'a>)> = Vec::new();
        while !reader.is_finished() {
            let (oid, value): (ObjectIdentifier, AnyRef<'a>) = reader
                .sequence(|pair| Ok::<_, der::Error>((pair.decode()?, pair.decode()?)))
                .map_err(|_| malformed)?;
            let suffix = oid.arcs().last().ok_or(malformed)?;
            if fields.iter().any(|(other, _)| *other == suffix) {
                return Err(PckExtensionError::Duplicate { field });
            }
            fields.push((suffix, value));
        }
        Ok(Self { fields })
    }

    fn find(&self, suffix: u32) -> Option<AnyRef<'a>> {
        self.fields.iter().find(|(found, _)| *found == suffix).map(|(_, value)| *value)
    }

    fn require(&self, suffix: u32, field: &'static str) -> Result<AnyRef<'a>, PckExtensionError> {
        self.find(suffix).ok_or(PckExtensionError::Missing { field })
    }
}

fn octets<const N: usize>(value: AnyRef<'_>, field: &'static str) -> Result<[u8; N], PckExtensionError> {
    let malformed = PckExtensionError::Malformed { field };
    let octets: &OctetStringRef = value.decode_as().map_err(|_| malformed)?;
    octets.as_bytes().try_into().map_err(|_| malformed)
}

fn integer<'a, T: der::DecodeValue<'a, Error = der::Error> + der::FixedTag + 'a>(
    value: AnyRef<'a>,
    field: &'static str,
) -> Result<T, PckExtensionError> {
    value.decode_as().map_err(|_| PckExtensionError::Malformed { field })
}

fn sgx_type(value: AnyRef<'_>) -> Result<SgxType, PckExtensionError> {
    match (value.tag(), value.value()) {
        (Tag::Enumerated, [0]) => Ok(SgxType::Standard),
        (Tag::Enumerated, [1]) => Ok(SgxType::Scalable),
        (Tag::Enumerated, [2]) => Ok(SgxType::ScalableWithIntegrity),
        _ => Err(PckExtensionError::Malformed { field: "SGX type" }),
    }
}

const CHAIN: [CertificateRole; 3] = [CertificateRole::Pck, CertificateRole::PckCa, CertificateRole::Root];
/// The more special first: a root's name is a CA's too.
const ROLES: [CertificateRole; 4] =
    [CertificateRole::Pck, CertificateRole::TcbSigning, CertificateRole::Root, CertificateRole::PckCa];
