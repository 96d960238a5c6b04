//! X.509 certificates as Intel's profile has them ("Intel SGX PCK Certificate and CRL Profile
//! Specification", RFC 5280), parsed strictly and checked over the bytes received.
//!
//! Only what that profile needs is here: ECDSA on P-256 with SHA-256, names compared byte for byte,
//! chains of a fixed length whose every place has a role.

use crypto::P256PublicKey;
use der::asn1::{BitStringRef, OctetString};
use der::oid::{AssociatedOid, ObjectIdentifier};
use der::{Decode, Encode, Reader as _, SliceReader};
use time::OffsetDateTime;
use x509_cert::TbsCertificate;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, BasicConstraints, KeyUsage, SubjectKeyIdentifier};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;

use crate::pem::{self, PemError};
use crate::verdict::CheckValue;

/// The place of a certificate in a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CertificateRole {
    /// The root of trust, "Intel SGX Root CA".
    Root,
    /// "Intel SGX PCK Processor CA" or "Intel SGX PCK Platform CA".
    PckCa,
    /// The leaf, "Intel SGX PCK Certificate".
    Pck,
    /// "Intel SGX TCB Signing", which signs TCB info and enclave identities.
    TcbSigning,
}

impl CertificateRole {
    /// The part of the subject's common name that says the role.
    const fn common_name(self) -> &'static str {
        match self {
            Self::Root => "SGX Root CA",
            Self::PckCa => "CA",
            Self::Pck => "SGX PCK Certificate",
            Self::TcbSigning => "SGX TCB Signing",
        }
    }
}

impl std::fmt::Display for CertificateRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Root => "root certificate",
            Self::PckCa => "PCK CA certificate",
            Self::Pck => "PCK certificate",
            Self::TcbSigning => "TCB signing certificate",
        })
    }
}

/// Why a certificate chain is not one of Intel's shape under a trusted root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The chain has not the number of certificates of its kind.
    #[error("the chain has {found} certificates instead of {expected}")]
    CertificateCount {
        /// How many there have to be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// The same extension stands twice in a certificate (RFC 5280 §4.2).
    #[error("the {role} has extension {oid} twice")]
    DuplicateExtension {
        /// Which certificate.
        role: CertificateRole,
        /// The extension.
        oid: ObjectIdentifier,
    },
    /// The issuer named is not the subject of the next certificate, or the key identifiers differ.
    #[error("the {role} was not issued by the next certificate of the chain")]
    Issuer {
        /// Which certificate.
        role: CertificateRole,
    },
    /// Not DER of an X.509 version 3 certificate.
    #[error("the {role} is not a DER encoded X.509 version 3 certificate")]
    Malformed {
        /// Which certificate.
        role: CertificateRole,
    },
    /// An extension that Intel's profile requires is missing.
    #[error("the {role} has no {extension} extension")]
    MissingExtension {
        /// Which certificate.
        role: CertificateRole,
        /// The extension's name.
        extension: &'static str,
    },
    /// Not strict PEM.
    #[error("the certificate chain is not strict PEM: {0}")]
    Pem(#[from] PemError),
    /// Common name, basic constraints or key usage are not those of the role.
    #[error(
        "the certificate in the place of the {role} has not that role's {field}; the order is leaf to root"
    )]
    Profile {
        /// Which certificate.
        role: CertificateRole,
        /// What differs.
        field: &'static str,
    },
    /// The signature does not verify under the next certificate's key, or is not ECDSA with SHA-256.
    #[error("the signature of the {role} does not verify")]
    Signature {
        /// Which certificate.
        role: CertificateRole,
    },
    /// A critical extension that is not understood (RFC 5280 §4.2).
    #[error("the {role} has the unknown critical extension {oid}")]
    UnknownCriticalExtension {
        /// Which certificate.
        role: CertificateRole,
        /// The extension.
        oid: ObjectIdentifier,
    },
    /// The root's key is none of those trusted for this kind of chain.
    #[error("the chain ends in a root that is not trusted for it")]
    UntrustedRoot,
}

/// The time in which something is valid, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// `notBefore`, `thisUpdate` or `issueDate`.
    pub not_before: OffsetDateTime,
    /// `notAfter` or `nextUpdate`.
    pub not_after: OffsetDateTime,
}

impl Validity {
    /// Whether `now` lies in it.
    #[must_use]
    pub fn contains(&self, now: OffsetDateTime) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    /// When both hold.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            not_before: self.not_before.max(other.not_before),
            not_after: self.not_after.min(other.not_after),
        }
    }
}

/// `from 2026-01-01T00:00:00Z to 2026-02-01T00:00:00Z`.
impl std::fmt::Display for Validity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "from {} to {}", CheckValue::Time(self.not_before), CheckValue::Time(self.not_after))
    }
}

/// One parsed certificate. Its signature is checked by [`verify_chain`] only.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    pub(crate) der: Vec<u8>,
    tbs: Vec<u8>,
    signature: Vec<u8>,
    pub(crate) key: P256PublicKey,
    /// DER of the names.
    pub(crate) subject: Vec<u8>,
    pub(crate) issuer: Vec<u8>,
    pub(crate) subject_text: String,
    pub(crate) issuer_text: String,
    pub(crate) common_name: String,
    pub(crate) issuer_common_name: String,
    /// Big-endian, without leading zeros.
    pub(crate) serial: Vec<u8>,
    pub(crate) validity: Validity,
    pub(crate) subject_key_id: Vec<u8>,
    authority_key_id: Vec<u8>,
    basic_constraints: BasicConstraints,
    key_usage: KeyUsage,
    /// The value of extension 1.2.840.113741.1.13.1.
    pub(crate) sgx_extension: Option<Vec<u8>>,
}

impl Certificate {
    /// Parses the certificate that stands at `role`'s place, and checks its profile.
    pub(crate) fn parse(der: &[u8], role: CertificateRole) -> Result<Self, ChainError> {
        let malformed = ChainError::Malformed { role };
        let signed = Signed::parse(der).ok_or(malformed)?;
        if signed.algorithm != ECDSA_WITH_SHA256 {
            return Err(ChainError::Signature { role });
        }
        let tbs = TbsCertificate::from_der(signed.tbs).map_err(|_| malformed)?;
        // RFC 5280 §4.1.1.2: the algorithm inside the signed part must be the one outside.
        if tbs.signature().to_der().ok().as_deref() != Some(signed.algorithm) {
            return Err(ChainError::Signature { role });
        }
        if tbs.version() != x509_cert::Version::V3 {
            return Err(malformed);
        }
        let spki = tbs.subject_public_key_info();
        let curve = spki.algorithm.parameters.as_ref().and_then(|curve| curve.decode_as().ok());
        if spki.algorithm.oid != ID_EC_PUBLIC_KEY || curve != Some(PRIME256V1) {
            return Err(ChainError::Profile { role, field: "public key algorithm" });
        }
        let point = spki.subject_public_key.as_bytes().ok_or(malformed)?;
        let key = P256PublicKey::from_point(point)
            .map_err(|_| ChainError::Profile { role, field: "public key algorithm" })?;
        let extensions = Extensions::parse(tbs.extensions().map_or(&[][..], |list| list), role)?;
        let name = |name: &Name| name.to_der().map_err(|_| malformed);
        let certificate = Self {
            der: der.to_vec(),
            tbs: signed.tbs.to_vec(),
            signature: signed.signature.to_vec(),
            key,
            subject: name(tbs.subject())?,
            issuer: name(tbs.issuer())?,
            subject_text: tbs.subject().to_string(),
            issuer_text: tbs.issuer().to_string(),
            common_name: common_name(tbs.subject()).ok_or(malformed)?,
            issuer_common_name: common_name(tbs.issuer()).ok_or(malformed)?,
            serial: serial(tbs.serial_number()),
            validity: Validity {
                not_before: date(tbs.validity().not_before).ok_or(malformed)?,
                not_after: date(tbs.validity().not_after).ok_or(malformed)?,
            },
            subject_key_id: extensions.subject_key_id,
            authority_key_id: extensions.authority_key_id,
            basic_constraints: extensions.basic_constraints,
            key_usage: extensions.key_usage,
            sgx_extension: extensions.sgx,
        };
        certificate.check_profile(role)?;
        Ok(certificate)
    }

    /// Subject, basic constraints and key usage of `role`.
    fn check_profile(&self, role: CertificateRole) -> Result<(), ChainError> {
        if !self.common_name.contains(role.common_name()) {
            return Err(ChainError::Profile { role, field: "common name" });
        }
        let path_length = self.basic_constraints.path_len_constraint;
        let signs_both = self.key_usage.key_cert_sign() && self.key_usage.crl_sign();
        let (is_ca, usage, path_fits) = match role {
            // Below the root stands one more CA, below that none. Both issue CRLs, too.
            CertificateRole::Root => (true, signs_both, path_length != Some(0)),
            CertificateRole::PckCa => (true, signs_both, true),
            CertificateRole::Pck | CertificateRole::TcbSigning => {
                let signs_certificates = self.key_usage.key_cert_sign() || self.key_usage.crl_sign();
                (false, self.key_usage.digital_signature() && !signs_certificates, path_length.is_none())
            }
        };
        if self.basic_constraints.ca != is_ca || !path_fits {
            return Err(ChainError::Profile { role, field: "basic constraints" });
        }
        if !usage {
            return Err(ChainError::Profile { role, field: "key usage" });
        }
        Ok(())
    }

    /// Whether `issuer` issued this certificate.
    pub(crate) fn is_issued_by(&self, issuer: &Self) -> bool {
        self.check_issued_by(issuer, CertificateRole::Pck).is_ok()
    }

    /// Checks that `issuer` issued this certificate: name, key identifier and signature.
    fn check_issued_by(&self, issuer: &Self, role: CertificateRole) -> Result<(), ChainError> {
        if self.issuer != issuer.subject || self.authority_key_id != issuer.subject_key_id {
            return Err(ChainError::Issuer { role });
        }
        issuer.key.verify_der(&self.tbs, &self.signature).map_err(|_| ChainError::Signature { role })
    }
}

/// Parses a PEM chain that has exactly the certificates of `roles`, leaf first, root last.
pub(crate) fn parse_chain<const N: usize>(
    text: &[u8],
    roles: [CertificateRole; N],
) -> Result<[Certificate; N], ChainError> {
    let bodies = pem::decode(text, CERTIFICATE)?;
    let count = ChainError::CertificateCount { expected: N, found: bodies.len() };
    if bodies.len() != N {
        return Err(count);
    }
    let certificates = bodies
        .iter()
        .zip(roles)
        .map(|(der, role)| Certificate::parse(der, role))
        .collect::<Result<Vec<_>, _>>()?;
    certificates.try_into().map_err(|_| count)
}

/// Verifies a parsed chain:
/// 1. every certificate names the next as its issuer and is signed by the next one's key,
/// 2. the last one is signed by itself and its key is one of `trusted`.
pub(crate) fn verify_chain<const N: usize>(
    chain: &[Certificate; N],
    roles: [CertificateRole; N],
    trusted: &[P256PublicKey],
) -> Result<(), ChainError> {
    let issuers = chain.iter().skip(1).chain(chain.last());
    for ((certificate, issuer), role) in chain.iter().zip(issuers).zip(roles) {
        certificate.check_issued_by(issuer, role)?;
    }
    if chain.last().is_some_and(|root| trusted.contains(&root.key)) {
        return Ok(());
    }
    Err(ChainError::UntrustedRoot)
}

/// The three parts of a signed structure of RFC 5280 (certificate or CRL), as received.
pub(crate) struct Signed<'a> {
    pub(crate) tbs: &'a [u8],
    pub(crate) algorithm: &'a [u8],
    pub(crate) signature: &'a [u8],
}

impl<'a> Signed<'a> {
    /// `None` if `der` is not such a structure, or something follows it.
    pub(crate) fn parse(der: &'a [u8]) -> Option<Self> {
        let mut reader = SliceReader::new(der).ok()?;
        let parts = reader.sequence(|parts| {
            let (tbs, algorithm) = (parts.tlv_bytes()?, parts.tlv_bytes()?);
            Ok::<_, der::Error>((tbs, algorithm, BitStringRef::decode(parts)?))
        });
        let (tbs, algorithm, signature) = parts.ok()?;
        reader.finish().ok()?;
        Some(Self { tbs, algorithm, signature: signature.as_bytes()? })
    }
}

/// The extensions of Intel's profile; each must be there, except the PCK leaf's own.
struct Extensions {
    authority_key_id: Vec<u8>,
    basic_constraints: BasicConstraints,
    key_usage: KeyUsage,
    sgx: Option<Vec<u8>>,
    subject_key_id: Vec<u8>,
}

impl Extensions {
    fn parse(extensions: &[Extension], role: CertificateRole) -> Result<Self, ChainError> {
        if extensions.len() > MAX_EXTENSIONS {
            return Err(ChainError::Malformed { role });
        }
        for (index, extension) in extensions.iter().enumerate() {
            let oid = extension.extn_id;
            if extensions.iter().skip(index + 1).any(|other| other.extn_id == oid) {
                return Err(ChainError::DuplicateExtension { role, oid });
            }
            if extension.critical && !UNDERSTOOD.contains(&oid) {
                return Err(ChainError::UnknownCriticalExtension { role, oid });
            }
        }
        let find = |oid, name| {
            extensions
                .iter()
                .find(|extension| extension.extn_id == oid)
                .map(|extension| extension.extn_value.as_bytes())
                .ok_or(ChainError::MissingExtension { role, extension: name })
        };
        let malformed = ChainError::Malformed { role };
        let authority = find(AuthorityKeyIdentifier::OID, "authority key identifier")?;
        find(CRL_DISTRIBUTION_POINTS, "CRL distribution points")?;
        let subject = find(SubjectKeyIdentifier::OID, "subject key identifier")?;
        let usage = find(KeyUsage::OID, "key usage")?;
        let constraints = find(BasicConstraints::OID, "basic constraints")?;
        Ok(Self {
            authority_key_id: key_identifier(authority).ok_or(malformed)?,
            basic_constraints: BasicConstraints::from_der(constraints).map_err(|_| malformed)?,
            key_usage: KeyUsage::from_der(usage).map_err(|_| malformed)?,
            sgx: find(SGX_EXTENSION, "SGX").ok().map(<[u8]>::to_vec),
            subject_key_id: OctetString::from_der(subject).map_err(|_| malformed)?.into_bytes().into(),
        })
    }
}

/// The key identifier of an authority key identifier extension.
pub(crate) fn key_identifier(extension: &[u8]) -> Option<Vec<u8>> {
    let authority = AuthorityKeyIdentifier::from_der(extension).ok()?;
    Some(authority.key_identifier?.into_bytes().into())
}

/// A serial number, big-endian without leading zeros: the same for a certificate and the CRL that lists it.
pub(crate) fn serial(number: &SerialNumber) -> Vec<u8> {
    number.as_bytes().iter().copied().skip_while(|byte| *byte == 0).collect()
}

/// A time of a certificate or CRL.
pub(crate) fn date(time: x509_cert::time::Time) -> Option<OffsetDateTime> {
    let seconds = i64::try_from(time.to_unix_duration().as_secs()).ok()?;
    OffsetDateTime::from_unix_timestamp(seconds).ok()
}

fn common_name(name: &Name) -> Option<String> {
    name.common_name().ok()?.map(|name| name.value().into_owned())
}

/// DER of `AlgorithmIdentifier { ecdsa-with-SHA256 }` (RFC 5758 §3.2): without parameters.
pub(crate) const ECDSA_WITH_SHA256: &[u8] =
    &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// PEM label of certificates.
pub(crate) const CERTIFICATE: &str = "CERTIFICATE";
const ID_EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const PRIME256V1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const CRL_DISTRIBUTION_POINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.31");
const SGX_EXTENSION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113741.1.13.1");
/// Intel's certificates have six. What is compared pair by pair needs a bound.
pub(crate) const MAX_EXTENSIONS: usize = 32;
/// What may be critical.
const UNDERSTOOD: &[ObjectIdentifier] = &[
    AuthorityKeyIdentifier::OID,
    BasicConstraints::OID,
    CRL_DISTRIBUTION_POINTS,
    KeyUsage::OID,
    SGX_EXTENSION,
    SubjectKeyIdentifier::OID,
];
