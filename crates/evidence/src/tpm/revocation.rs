//! Certificate revocation lists of TPM vendors (RFC 5280 §5): complete lists, of any of the signature
//! schemes that their certificates have.

use crypto::SignatureScheme;
use der::oid::{AssociatedOid, ObjectIdentifier};
use der::{Decode, Encode};
use x509_cert::certificate::Rfc5280;
use x509_cert::crl::TbsCertList;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::AuthorityKeyIdentifier;

use super::certificate::{CertificateError, MAX_BUNDLE_BYTES, scheme};
use crate::x509::{self, Signed, Validity};

/// A parsed list; its signature is checked in the chain.
#[derive(Debug, Clone)]
pub(super) struct Crl {
    pub(super) tbs: Vec<u8>,
    pub(super) signature: Vec<u8>,
    pub(super) scheme: SignatureScheme,
    pub(super) issuer: Vec<u8>,
    pub(super) validity: Validity,
    pub(super) revoked: Vec<Vec<u8>>,
}

impl Crl {
    pub(super) fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        let bad = |reason| CertificateError::Crl { reason };
        if der.len() > MAX_BUNDLE_BYTES {
            return Err(bad("too long"));
        }
        let signed = Signed::parse(der).ok_or(bad("not a signed structure"))?;
        let list = TbsCertList::<Rfc5280>::from_der(signed.tbs).map_err(|_| bad("the signed part"))?;
        if list.signature.to_der().ok().as_deref() != Some(signed.algorithm) {
            return Err(bad("two different signature algorithms"));
        }
        let entries = list.revoked_certificates.as_deref().unwrap_or_default();
        let critical = |list: Option<&[Extension]>, known: &[ObjectIdentifier]| {
            list.unwrap_or_default().iter().any(|found| found.critical && !known.contains(&found.extn_id))
        };
        // Critical ones say that the list is partial or that entries are of other issuers.
        if critical(list.crl_extensions.as_deref(), &[AuthorityKeyIdentifier::OID])
            || entries.iter().any(|entry| critical(entry.crl_entry_extensions.as_deref(), &[]))
        {
            return Err(bad("an unknown critical extension"));
        }
        let next_update = list.next_update.ok_or(bad("no nextUpdate"))?;
        let mut revoked: Vec<_> = entries.iter().map(|entry| x509::serial(&entry.serial_number)).collect();
        revoked.sort();
        Ok(Self {
            tbs: signed.tbs.to_vec(),
            signature: signed.signature.to_vec(),
            scheme: scheme(signed.algorithm).ok_or(bad("a signature scheme that is not accepted"))?,
            issuer: list.issuer.to_der().map_err(|_| bad("the issuer"))?,
            validity: Validity {
                not_before: x509::date(list.this_update).ok_or(bad("thisUpdate"))?,
                not_after: x509::date(next_update).ok_or(bad("nextUpdate"))?,
            },
            revoked,
        })
    }
}
