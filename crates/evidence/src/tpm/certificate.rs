//! X.509 certificates of attestation and endorsement keys, and of their issuers (TCG EK Credential Profile
//! 2.5; TPM 2.0 Library Part 1, 9.4.3; RFC 5280).

use crypto::{HashAlgorithm, PublicKey, SignatureScheme};
use der::asn1::{AnyRef, OctetString};
use der::oid::{AssociatedOid, ObjectIdentifier};
use der::{Decode, Encode, Header, Reader as _, SliceReader};
use time::OffsetDateTime;
use x509_cert::TbsCertificate;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName,
    SubjectKeyIdentifier,
};
use x509_cert::spki::AlgorithmIdentifierRef;

use super::spki;
use crate::verdict::{Check, rules};
use crate::x509::{self, MAX_EXTENSIONS, Signed, Validity};

/// Why a certificate, or the chain above it, is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// No chain leads to a trusted issuer.
    #[error("no chain of valid signatures leads from `{subject}`, issued by `{issuer}`, to a trusted issuer")]
    Chain {
        /// The subject of the certificate whose issuer is not trusted.
        subject: String,
        /// The issuer it names.
        issuer: String,
    },
    /// A CRL that is not one, or not of an issuer in the chain.
    #[error("CRL: {reason}")]
    Crl {
        /// What is wrong.
        reason: &'static str,
    },
    /// Not DER of a certificate, or a PEM text of them.
    #[error("not a DER or PEM encoded X.509 version 3 certificate: {reason}")]
    Malformed {
        /// What is wrong.
        reason: &'static str,
    },
    /// The certificate is not one of the kind needed.
    #[error("the certificate of `{subject}` is not one of {expected}: {reason}")]
    Profile {
        /// Whose it is.
        subject: String,
        /// What was needed.
        expected: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
    /// Its issuer revoked it.
    #[error("the certificate of `{subject}` with serial number {} is revoked", hex::encode(serial))]
    Revoked {
        /// Whose it is.
        subject: String,
        /// Its serial number, big-endian.
        serial: Vec<u8>,
    },
    /// Too many certificates.
    #[error("{found} certificates, more than the {limit} accepted")]
    TooMany {
        /// How many there are.
        found: usize,
        /// The most accepted.
        limit: usize,
    },
    /// Not valid at the time of appraisal.
    #[error(
        "the certificate of `{subject}` is valid from {} to {}, not at {at}",
        validity.not_before, validity.not_after
    )]
    Validity {
        /// Whose it is.
        subject: String,
        /// When it is valid.
        validity: Validity,
        /// The time of appraisal.
        at: OffsetDateTime,
    },
}

impl CertificateError {
    pub(crate) fn check(&self) -> Check {
        match self {
            Self::Validity { subject, validity, at } => {
                Check::failed(rules::TPM_KEY_CERTIFICATE, crate::error::window(subject, *validity), *at)
            }
            Self::Revoked { serial, .. } => {
                Check::failed(rules::TPM_KEY_CERTIFICATE, "not revoked", serial.as_slice())
            }
            _ => Check::failed(
                rules::TPM_KEY_CERTIFICATE,
                "a certificate of a trusted issuer",
                self.to_string(),
            ),
        }
    }
}

/// What a certificate vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRole {
    /// An attestation key: extended key usage 2.23.133.8.3.
    Attestation,
    /// An endorsement key: extended key usage 2.23.133.8.1.
    Endorsement,
}

impl KeyRole {
    const fn what(self) -> &'static str {
        match self {
            Self::Attestation => "an attestation key",
            Self::Endorsement => "an endorsement key",
        }
    }

    const fn usage(self) -> ObjectIdentifier {
        match self {
            Self::Attestation => AIK_CERTIFICATE,
            Self::Endorsement => EK_CERTIFICATE,
        }
    }
}

/// One certificate; its signature is checked by [`Self::is_signed_by`] only.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    pub(super) der: Vec<u8>,
    tbs: Vec<u8>,
    signature: Vec<u8>,
    /// `None` for schemes that are not accepted, as a trusted root's own may be.
    scheme: Option<SignatureScheme>,
    pub(super) spki: Vec<u8>,
    pub(super) key: PublicKey,
    pub(super) subject: Vec<u8>,
    pub(super) issuer: Vec<u8>,
    pub(super) subject_text: String,
    pub(super) issuer_text: String,
    pub(super) serial: Vec<u8>,
    pub(super) validity: Validity,
    subject_key_id: Option<Vec<u8>>,
    authority_key_id: Option<Vec<u8>>,
    basic_constraints: Option<BasicConstraints>,
    key_usage: Option<KeyUsage>,
    extended_key_usage: Option<Vec<ObjectIdentifier>>,
}

impl Certificate {
    /// Parses DER with zero bytes after it.
    pub(super) fn parse_der(bytes: &[u8]) -> Result<Self, CertificateError> {
        if bytes.len() > MAX_BUNDLE_BYTES {
            return Err(CertificateError::Malformed { reason: "too long" });
        }
        Self::parse(without_padding(bytes)?)
    }

    fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        let bad = |reason| CertificateError::Malformed { reason };
        let signed = Signed::parse(der).ok_or(bad("not a signed structure"))?;
        let tbs = TbsCertificate::from_der(signed.tbs).map_err(|_| bad("the signed part"))?;
        // RFC 5280 §4.1.1.2: the algorithm inside the signed part must be the one outside.
        if tbs.signature().to_der().ok().as_deref() != Some(signed.algorithm) {
            return Err(bad("two different signature algorithms"));
        }
        if tbs.version() != x509_cert::Version::V3 {
            return Err(bad("not version 3"));
        }
        let spki = tbs.subject_public_key_info().to_der().map_err(|_| bad("the public key"))?;
        let key = spki::parse(&spki).ok_or(bad("a public key of an unsupported kind or size"))?;
        let extensions = tbs.extensions().map_or(&[][..], |list| list);
        check_extensions(extensions)?;
        let find = |oid| {
            extensions.iter().find(|found| found.extn_id == oid).map(|found| found.extn_value.as_bytes())
        };
        let value = |oid| find(oid).map(<[u8]>::to_vec);
        let subject_key_id = match value(SubjectKeyIdentifier::OID) {
            None => None,
            Some(id) => {
                let id = OctetString::from_der(&id).map_err(|_| bad("the subject key identifier"))?;
                Some(id.as_bytes().to_vec())
            }
        };
        Ok(Self {
            der: der.to_vec(),
            tbs: signed.tbs.to_vec(),
            signature: signed.signature.to_vec(),
            scheme: scheme(signed.algorithm),
            key,
            spki,
            subject: tbs.subject().to_der().map_err(|_| bad("the subject"))?,
            issuer: tbs.issuer().to_der().map_err(|_| bad("the issuer"))?,
            subject_text: tbs.subject().to_string(),
            issuer_text: tbs.issuer().to_string(),
            serial: x509::serial(tbs.serial_number()),
            validity: Validity {
                not_before: x509::date(tbs.validity().not_before).ok_or(bad("notBefore"))?,
                not_after: x509::date(tbs.validity().not_after).ok_or(bad("notAfter"))?,
            },
            subject_key_id,
            authority_key_id: find(AuthorityKeyIdentifier::OID).and_then(x509::key_identifier),
            basic_constraints: decode(find(BasicConstraints::OID), "the basic constraints")?,
            key_usage: decode(find(KeyUsage::OID), "the key usage")?,
            extended_key_usage: decode::<ExtendedKeyUsage>(
                find(ExtendedKeyUsage::OID),
                "the extended key usage",
            )?
            .map(|usage| usage.0),
        })
    }

    pub(super) fn check_validity(&self, now: OffsetDateTime) -> Result<(), CertificateError> {
        if self.validity.contains(now) {
            return Ok(());
        }
        let subject = self.subject_text.clone();
        Err(CertificateError::Validity { subject, validity: self.validity, at: now })
    }

    pub(super) fn check_leaf(&self, role: KeyRole, require_usage: bool) -> Result<(), CertificateError> {
        let wrong = |reason| {
            Err(CertificateError::Profile {
                subject: self.subject_text.clone(),
                expected: role.what(),
                reason,
            })
        };
        if self.basic_constraints.as_ref().is_some_and(|constraints| constraints.ca) {
            return wrong("it is a CA's");
        }
        if let Some(usage) = &self.key_usage {
            let fits = match role {
                KeyRole::Attestation => usage.digital_signature(),
                KeyRole::Endorsement => usage.key_encipherment() || usage.key_agreement(),
            };
            if usage.key_cert_sign() || !fits {
                return wrong("its key usage");
            }
        }
        match &self.extended_key_usage {
            None if require_usage => wrong("it has no extended key usage"),
            Some(usages) if !usages.contains(&role.usage()) => wrong("its extended key usage"),
            _ => Ok(()),
        }
    }

    /// A CA that signs certificates, above `depth` other CAs.
    pub(super) fn check_issuer(&self, depth: usize) -> Result<(), CertificateError> {
        let wrong = |reason| {
            Err(CertificateError::Profile { subject: self.subject_text.clone(), expected: "a CA", reason })
        };
        match &self.basic_constraints {
            Some(constraints) if constraints.ca => {
                if constraints.path_len_constraint.is_some_and(|limit| usize::from(limit) < depth) {
                    return wrong("its path length");
                }
            }
            _ => return wrong("its basic constraints"),
        }
        if self.key_usage.as_ref().is_some_and(|usage| !usage.key_cert_sign()) {
            return wrong("its key usage");
        }
        Ok(())
    }

    pub(super) fn names_as_issuer(&self, issuer: &Self) -> bool {
        let ids = self.authority_key_id.as_ref().zip(issuer.subject_key_id.as_ref());
        self.issuer == issuer.subject && ids.is_none_or(|(authority, subject)| authority == subject)
    }

    pub(super) fn is_signed_by(&self, issuer: &Self) -> bool {
        self.scheme.is_some_and(|scheme| issuer.key.verify(scheme, &self.tbs, &self.signature).is_ok())
    }
}

fn decode<'a, T: Decode<'a>>(
    value: Option<&'a [u8]>,
    reason: &'static str,
) -> Result<Option<T>, CertificateError> {
    value.map(|value| T::from_der(value).map_err(|_| CertificateError::Malformed { reason })).transpose()
}

fn check_extensions(extensions: &[Extension]) -> Result<(), CertificateError> {
    if extensions.len() > MAX_EXTENSIONS {
        return Err(CertificateError::Malformed { reason: "too many extensions" });
    }
    for (index, extension) in extensions.iter().enumerate() {
        let oid = extension.extn_id;
        if extensions.iter().skip(index + 1).any(|other| other.extn_id == oid) {
            return Err(CertificateError::Malformed { reason: "an extension stands twice" });
        }
        if extension.critical && !UNDERSTOOD.contains(&oid) {
            return Err(CertificateError::Malformed { reason: "an unknown critical extension" });
        }
    }
    Ok(())
}

/// The scheme of an `AlgorithmIdentifier`, if it is one that is accepted.
pub(super) fn scheme(algorithm: &[u8]) -> Option<SignatureScheme> {
    let algorithm = AlgorithmIdentifierRef::from_der(algorithm).ok()?;
    if algorithm.oid == RSASSA_PSS {
        // RFC 4055 §3.1: the hash function is the first member, [0]; the rest follows from it in
        // practice, and a signature by other rules does not verify.
        let parameters: AnyRef<'_> = algorithm.parameters?;
        let mut reader = SliceReader::new(parameters.value()).ok()?;
        let header = Header::decode(&mut reader).ok()?;
        let body = reader.read_slice(header.length()).ok()?;
        let hash = AlgorithmIdentifierRef::from_der(body).ok()?;
        let found = HASHES.iter().find(|(oid, _)| *oid == hash.oid)?;
        return Some(SignatureScheme::RsaPss(found.1));
    }
    SCHEMES.iter().find(|(oid, _)| *oid == algorithm.oid).map(|(_, scheme)| *scheme)
}

/// The certificates of a DER file, with zero bytes after it, or of a PEM text with anything around its
/// blocks: bundles of vendors have comments.
pub(super) fn parse_all(bytes: &[u8]) -> Result<Vec<Certificate>, CertificateError> {
    let bad = |reason| CertificateError::Malformed { reason };
    if bytes.len() > MAX_BUNDLE_BYTES {
        return Err(bad("too long"));
    }
    if bytes.first() == Some(&0x30) {
        return Ok(vec![Certificate::parse_der(bytes)?]);
    }
    let text = std::str::from_utf8(bytes.trim_ascii()).map_err(|_| bad("neither DER nor text"))?;
    let mut certificates = Vec::new();
    let mut rest = text;
    while let Some((_, block)) = rest.split_once(BEGIN) {
        let (body, after) = block.split_once(END).ok_or(bad("a PEM block without end"))?;
        if certificates.len() == MAX_ISSUERS {
            return Err(CertificateError::TooMany { found: MAX_ISSUERS + 1, limit: MAX_ISSUERS });
        }
        let body: String = body.split_ascii_whitespace().collect();
        let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body)
            .map_err(|_| bad("base64"))?;
        certificates.push(Certificate::parse_der(&der)?);
        rest = after;
    }
    if certificates.is_empty() {
        return Err(bad("no certificate in it"));
    }
    Ok(certificates)
}

/// Cuts zero bytes after the outermost structure.
fn without_padding(bytes: &[u8]) -> Result<&[u8], CertificateError> {
    let bad = CertificateError::Malformed { reason: "not DER" };
    let mut reader = SliceReader::new(bytes).map_err(|_| bad.clone())?;
    let whole = reader.tlv_bytes().map_err(|_| bad.clone())?;
    let padding = bytes.get(whole.len()..).unwrap_or_default();
    if padding.iter().all(|byte| *byte == 0) { Ok(whole) } else { Err(bad) }
}

/// Vendor bundles together have a few hundred.
pub(super) const MAX_ISSUERS: usize = 2048;
/// A bundle of all vendors is below 1 MiB.
pub(super) const MAX_BUNDLE_BYTES: usize = 8 * 1024 * 1024;
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

const EK_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.8.1");
const AIK_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.8.3");
const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const SCHEMES: &[(ObjectIdentifier, SignatureScheme)] = &[
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11"), SignatureScheme::RsaPkcs1(HashAlgorithm::Sha256)),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12"), SignatureScheme::RsaPkcs1(HashAlgorithm::Sha384)),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13"), SignatureScheme::RsaPkcs1(HashAlgorithm::Sha512)),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"), SignatureScheme::Ecdsa(HashAlgorithm::Sha256)),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3"), SignatureScheme::Ecdsa(HashAlgorithm::Sha384)),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4"), SignatureScheme::Ecdsa(HashAlgorithm::Sha512)),
];
const HASHES: &[(ObjectIdentifier, HashAlgorithm)] = &[
    (ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1"), HashAlgorithm::Sha256),
    (ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2"), HashAlgorithm::Sha384),
    (ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3"), HashAlgorithm::Sha512),
];
/// What may be critical. The alternative name is critical where the subject is empty; it says who made the
/// TPM, which decides nothing.
const UNDERSTOOD: &[ObjectIdentifier] = &[
    AuthorityKeyIdentifier::OID,
    BasicConstraints::OID,
    ExtendedKeyUsage::OID,
    KeyUsage::OID,
    SubjectAltName::OID,
    SubjectKeyIdentifier::OID,
    // Certificate policies: no policy is asked for, so any is acceptable (RFC 5280 §6.1.1).
    ObjectIdentifier::new_unwrap("2.5.29.32"),
];
