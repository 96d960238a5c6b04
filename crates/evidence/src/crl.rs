//! Certificate revocation lists (RFC 5280 §5) as Intel issues them: version 2, complete lists, signed
//! with ECDSA on P-256, with issuer, CRL number and authority key identifier.

use der::asn1::{OctetString, Uint};
use der::oid::ObjectIdentifier;
use der::{Decode, Encode};
use x509_cert::Version;
use x509_cert::certificate::Rfc5280;
use x509_cert::crl::TbsCertList;
use x509_cert::ext::Extension;

use crate::x509::{self, Certificate, ECDSA_WITH_SHA256, MAX_EXTENSIONS, Signed, Validity};

/// Why bytes are not a CRL of the issuer they must come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    /// The issuer named, or its key identifier, is not that of the certificate that must have signed it.
    #[error("the CRL comes from another issuer")]
    Issuer,
    /// Not DER of an X.509 version 2 CRL.
    #[error("not a DER encoded X.509 version 2 CRL")]
    Malformed,
    /// A field or extension that Intel's profile requires is missing.
    #[error("the CRL has no {field}")]
    Missing {
        /// What is missing.
        field: &'static str,
    },
    /// The CRL number does not fit 64 bits.
    #[error("the CRL number does not fit 64 bits")]
    Number,
    /// The signature does not verify under the issuer's key, or is not ECDSA with SHA-256.
    #[error("the signature of the CRL does not verify")]
    Signature,
    /// The list is longer than any of Intel's.
    #[error("{length} bytes, more than the {limit} accepted")]
    TooLong {
        /// Its length.
        length: usize,
        /// The most bytes accepted.
        limit: usize,
    },
    /// A critical extension that is not understood, as those of partial lists are, or one twice.
    #[error("the CRL has the unknown critical or repeated extension {oid}")]
    UnknownExtension {
        /// The extension.
        oid: ObjectIdentifier,
    },
}

/// A parsed list. Its signature is checked by [`Self::check_issued_by`] only.
#[derive(Debug, Clone)]
pub(crate) struct Crl {
    tbs: Vec<u8>,
    signature: Vec<u8>,
    issuer: Vec<u8>,
    pub(crate) issuer_common_name: String,
    authority_key_id: Vec<u8>,
    /// Never decreases from one list of an issuer to the next.
    pub(crate) number: u64,
    pub(crate) validity: Validity,
    /// Serial numbers, big-endian without leading zeros, sorted.
    revoked: Vec<Vec<u8>>,
}

impl Crl {
    /// Parses a DER encoded list.
    pub(crate) fn parse(der: &[u8]) -> Result<Self, CrlError> {
        if der.len() > MAX_CRL_BYTES {
            return Err(CrlError::TooLong { length: der.len(), limit: MAX_CRL_BYTES });
        }
        let signed = Signed::parse(der).ok_or(CrlError::Malformed)?;
        if signed.algorithm != ECDSA_WITH_SHA256 {
            return Err(CrlError::Signature);
        }
        let list = TbsCertList::<Rfc5280>::from_der(signed.tbs).map_err(|_| CrlError::Malformed)?;
        if list.signature.to_der().ok().as_deref() != Some(signed.algorithm) {
            return Err(CrlError::Signature);
        }
        if list.version != Version::V2 {
            return Err(CrlError::Malformed);
        }
        let extensions = list.crl_extensions.as_deref().unwrap_or_default();
        refuse_unknown(extensions, &[AUTHORITY_KEY_ID, CRL_NUMBER])?;
        let number = find(extensions, CRL_NUMBER).ok_or(CrlError::Missing { field: "CRL number" })?;
        let authority = find(extensions, AUTHORITY_KEY_ID)
            .ok_or(CrlError::Missing { field: "authority key identifier" })?;
        let next_update = list.next_update.ok_or(CrlError::Missing { field: "nextUpdate" })?;
        let mut revoked = Vec::new();
        for entry in list.revoked_certificates.as_deref().unwrap_or_default() {
            let extensions = entry.crl_entry_extensions.as_deref().unwrap_or_default();
            refuse_unknown(extensions, &[REASON_CODE])?;
            revoked.push(x509::serial(&entry.serial_number));
        }
        revoked.sort();
        let common_name = list.issuer.common_name().map_err(|_| CrlError::Malformed)?;
        Ok(Self {
            tbs: signed.tbs.to_vec(),
            signature: signed.signature.to_vec(),
            issuer: list.issuer.to_der().map_err(|_| CrlError::Malformed)?,
            issuer_common_name: common_name.map(|name| name.value().into_owned()).unwrap_or_default(),
            authority_key_id: x509::key_identifier(authority).ok_or(CrlError::Malformed)?,
            number: crl_number(number)?,
            validity: Validity {
                not_before: x509::date(list.this_update).ok_or(CrlError::Malformed)?,
                not_after: x509::date(next_update).ok_or(CrlError::Malformed)?,
            },
            revoked,
        })
    }

    /// Checks that `issuer` issued this list: name, key identifier and signature.
    pub(crate) fn check_issued_by(&self, issuer: &Certificate) -> Result<(), CrlError> {
        if self.issuer != issuer.subject || self.authority_key_id != issuer.subject_key_id {
            return Err(CrlError::Issuer);
        }
        issuer.key.verify_der(&self.tbs, &self.signature).map_err(|_| CrlError::Signature)
    }

    /// Whether the certificate with this serial number is listed.
    pub(crate) fn revokes(&self, serial: &[u8]) -> bool {
        self.revoked.binary_search_by(|listed| listed.as_slice().cmp(serial)).is_ok()
    }

    /// How many certificates are listed.
    pub(crate) fn revoked_count(&self) -> usize {
        self.revoked.len()
    }
}

fn crl_number(extension: &[u8]) -> Result<u64, CrlError> {
    let number = Uint::from_der(extension).map_err(|_| CrlError::Malformed)?;
    number.as_bytes().iter().try_fold(0_u64, |number, byte| {
        let shifted = number.checked_mul(256).ok_or(CrlError::Number)?;
        Ok(shifted | u64::from(*byte))
    })
}

/// Unknown extensions that are not critical say nothing about which certificates are listed.
fn refuse_unknown(extensions: &[Extension], understood: &[ObjectIdentifier]) -> Result<(), CrlError> {
    if extensions.len() > MAX_EXTENSIONS {
        return Err(CrlError::Malformed);
    }
    for (index, extension) in extensions.iter().enumerate() {
        let oid = extension.extn_id;
        let repeated = extensions.iter().skip(index + 1).any(|other| other.extn_id == oid);
        if repeated || (extension.critical && !understood.contains(&oid)) {
            return Err(CrlError::UnknownExtension { oid });
        }
    }
    Ok(())
}

fn find(extensions: &[Extension], oid: ObjectIdentifier) -> Option<&[u8]> {
    let found = extensions.iter().find(|extension| extension.extn_id == oid)?;
    Some(OctetString::as_bytes(&found.extn_value))
}

const AUTHORITY_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
const CRL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");
const REASON_CODE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.21");
/// Intel's largest list has 57 entries in 3.4 KB; this leaves room for 25 000.
const MAX_CRL_BYTES: usize = 1024 * 1024;
