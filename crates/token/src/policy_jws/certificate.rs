//! One certificate of a policy signer's chain (RFC 5280), parsed for what path validation needs.

use crypto::{Curve, HashAlgorithm, PublicKey, SignatureScheme};
use time::OffsetDateTime;
use x509_cert::der::asn1::{BitStringRef, UintRef};
use x509_cert::der::oid::{AssociatedOid, ObjectIdentifier};
use x509_cert::der::{Decode, Encode, Reader as _, SliceReader};
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};
use x509_cert::name::Name;
use x509_cert::spki::SubjectPublicKeyInfoOwned;
use x509_cert::time::Time;

use super::chain::ChainError;

/// A parsed certificate. Its signature is checked by [`Self::is_signed_by`] only.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) der: Vec<u8>,
    /// DER of the names.
    pub(super) subject: Vec<u8>,
    pub(super) issuer: Vec<u8>,
    pub(super) issuer_common_name: String,
    pub(super) not_before: OffsetDateTime,
    pub(super) not_after: OffsetDateTime,
    /// How many authorities may stand below; `None` if it is no authority.
    authority: Option<Option<u8>>,
    key: PublicKey,
    scheme: SignatureScheme,
    signature: Vec<u8>,
    tbs: Vec<u8>,
}

impl Certificate {
    /// Parses the certificate at `position` of its chain, counted from the leaf at 0.
    pub(super) fn parse(der: &[u8], position: usize) -> Result<Self, ChainError> {
        let malformed = ChainError::Malformed { position };
        let (tbs, signature) = signed_parts(der).ok_or(malformed.clone())?;
        let certificate = x509_cert::Certificate::from_der(der).map_err(|_| malformed.clone())?;
        let fields = certificate.tbs_certificate();
        // RFC 5280 §4.1.1.2: the algorithm inside the signed part must be the one outside.
        let algorithm = certificate.signature_algorithm();
        if fields.signature() != algorithm {
            return Err(malformed);
        }
        let scheme = scheme(algorithm.oid)
            .ok_or(ChainError::SignatureAlgorithm { position, found: algorithm.oid.to_string() })?;
        let key = public_key(fields.subject_public_key_info()).ok_or(ChainError::Key { position })?;
        let name = |name: &Name| name.to_der().map_err(|_| malformed.clone());
        Ok(Self {
            der: der.to_vec(),
            subject: name(fields.subject())?,
            issuer: name(fields.issuer())?,
            issuer_common_name: common_name(fields.issuer()),
            not_before: date(fields.validity().not_before).ok_or(malformed.clone())?,
            not_after: date(fields.validity().not_after).ok_or(malformed)?,
            authority: authority(&certificate, position)?,
            key,
            scheme,
            signature: signature.to_vec(),
            tbs: tbs.to_vec(),
        })
    }

    /// Whether it names itself as its issuer.
    pub(super) fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    /// Whether it may issue certificates with `below` authorities between it and the leaf.
    pub(super) fn is_authority_over(&self, below: usize) -> bool {
        match self.authority {
            None => false,
            Some(None) => true,
            Some(Some(most)) => below <= usize::from(most),
        }
    }

    pub(super) fn is_signed_by(&self, issuer: &Self) -> bool {
        issuer.key.verify(self.scheme, &self.tbs, &self.signature).is_ok()
    }
}

/// The common name, or the whole name if it has none.
pub(super) fn common_name(name: &Name) -> String {
    match name.common_name() {
        Ok(Some(common)) => common.value().chars().take(MAX_NAME_CHARS).collect(),
        _ => name.to_string().chars().take(MAX_NAME_CHARS).collect(),
    }
}

/// The signed bytes as received, and the signature.
fn signed_parts(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = SliceReader::new(der).ok()?;
    let parts = reader.sequence(|parts| {
        let (tbs, _algorithm) = (parts.tlv_bytes()?, parts.tlv_bytes()?);
        Ok::<_, x509_cert::der::Error>((tbs, BitStringRef::decode(parts)?))
    });
    let (tbs, signature) = parts.ok()?;
    reader.finish().ok()?;
    Some((tbs, signature.as_bytes()?))
}

/// Basic constraints and key usage (RFC 5280 §4.2.1.9, §4.2.1.3): an authority has `cA`, and `keyCertSign`
/// if it restricts the usage of its key. Critical extensions that are not understood refuse the certificate.
fn authority(
    certificate: &x509_cert::Certificate,
    position: usize,
) -> Result<Option<Option<u8>>, ChainError> {
    let malformed = || ChainError::Malformed { position };
    let extensions = certificate.tbs_certificate().extensions().map_or(&[][..], |list| list.as_slice());
    if extensions.len() > MAX_EXTENSIONS {
        return Err(malformed());
    }
    let (mut constraints, mut usage) = (None, None);
    for (index, extension) in extensions.iter().enumerate() {
        if extensions.iter().skip(index.saturating_add(1)).any(|other| other.extn_id == extension.extn_id) {
            return Err(malformed());
        }
        let value = extension.extn_value.as_bytes();
        match extension.extn_id {
            BasicConstraints::OID => {
                constraints = Some(BasicConstraints::from_der(value).map_err(|_| malformed())?);
            }
            KeyUsage::OID => usage = Some(KeyUsage::from_der(value).map_err(|_| malformed())?),
            EXTENDED_KEY_USAGE | SUBJECT_ALT_NAME => {}
            other if extension.critical => {
                return Err(ChainError::UnknownCriticalExtension { position, found: other.to_string() });
            }
            _ => {}
        }
    }
    let may_sign = usage.is_none_or(|usage| usage.key_cert_sign());
    Ok(constraints
        .filter(|constraints| constraints.ca && may_sign)
        .map(|constraints| constraints.path_len_constraint))
}

fn public_key(spki: &SubjectPublicKeyInfoOwned) -> Option<PublicKey> {
    let bytes = spki.subject_public_key.as_bytes()?;
    match spki.algorithm.oid {
        RSA_ENCRYPTION => {
            let integers = Vec::<UintRef<'_>>::from_der(bytes).ok()?;
            let [modulus, exponent] = integers.as_slice() else { return None };
            PublicKey::rsa(modulus.as_bytes(), exponent.as_bytes()).ok()
        }
        EC_PUBLIC_KEY => {
            let curve = match spki.algorithm.parameters.as_ref()?.decode_as::<ObjectIdentifier>().ok()? {
                SECP256R1 => Curve::P256,
                SECP384R1 => Curve::P384,
                SECP521R1 => Curve::P521,
                _ => return None,
            };
            PublicKey::ec_point(curve, bytes).ok()
        }
        _ => None,
    }
}

/// RFC 8017 A.2.4 and RFC 5758 §3.2, without SHA-1.
fn scheme(algorithm: ObjectIdentifier) -> Option<SignatureScheme> {
    let (_, scheme) = SCHEMES.iter().find(|(oid, _)| *oid == algorithm)?;
    Some(*scheme)
}

fn date(time: Time) -> Option<OffsetDateTime> {
    let seconds = i64::try_from(time.to_unix_duration().as_secs()).ok()?;
    OffsetDateTime::from_unix_timestamp(seconds).ok()
}

/// Longest name in a message: it is the sender's text.
const MAX_NAME_CHARS: usize = 128;
/// Certificates in use have about ten. What is compared pair by pair needs a bound.
const MAX_EXTENSIONS: usize = 64;
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const SECP521R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const SCHEMES: [(ObjectIdentifier, SignatureScheme); 6] = [
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"), SignatureScheme::Ecdsa(HashAlgorithm::Sha256)),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3"), SignatureScheme::Ecdsa(HashAlgorithm::Sha384)),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4"), SignatureScheme::Ecdsa(HashAlgorithm::Sha512)),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11"), SignatureScheme::RsaPkcs1(HashAlgorithm::Sha256)),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12"), SignatureScheme::RsaPkcs1(HashAlgorithm::Sha384)),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13"), SignatureScheme::RsaPkcs1(HashAlgorithm::Sha512)),
];
