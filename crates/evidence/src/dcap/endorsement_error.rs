//! What can be wrong with endorsements: the vendor's service or the operator must act.

use time::OffsetDateTime;

use super::{DocumentError, Tee};
use crate::crl::CrlError;
use crate::error::window;
use crate::verdict::{Check, CheckValue, Explain, Rule, rules};
use crate::x509::{CertificateRole, ChainError, Validity};

/// Why endorsements cannot be used. The vendor's service or the operator must act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndorsementError {
    /// An issuer chain is not one under a root trusted for it.
    #[error("issuer chain of the {item}: {error}")]
    Chain {
        /// Whose chain.
        item: &'static str,
        /// What is wrong with it.
        error: ChainError,
    },
    /// A CRL is not one of its issuer.
    #[error("{item}: {error}")]
    Crl {
        /// Which CRL.
        item: &'static str,
        /// What is wrong with it.
        error: CrlError,
    },
    /// A signed document is not as specified.
    #[error("{item}: {error}")]
    Document {
        /// Which document.
        item: &'static str,
        /// What is wrong with it.
        error: DocumentError,
    },
    /// The PCK CRL comes from neither of Intel's two PCK CAs.
    #[error("the PCK CRL comes from neither the Processor nor the Platform CA")]
    PckCa,
    /// The root CRL lists a certificate that signed one of the endorsements.
    #[error("the {role} that signed the {item}, serial number {}, is revoked", hex::encode(serial))]
    Revoked {
        /// What it signed.
        item: &'static str,
        /// Which certificate.
        role: CertificateRole,
        /// Its serial number, big-endian.
        serial: Vec<u8>,
    },
    /// The QE identity is for another kind of TEE than the TCB info.
    #[error("the TCB info is for {tcb_info}, the QE identity for {qe_identity}")]
    Tee {
        /// That of the TCB info.
        tcb_info: Tee,
        /// That of the QE identity.
        qe_identity: Tee,
    },
    /// An endorsement, or a certificate that signed it, is not valid now.
    #[error("the {item} is not valid at {}, only {validity}", CheckValue::Time(*at))]
    Validity {
        /// Which endorsement or certificate.
        item: &'static str,
        /// When it is valid.
        validity: Validity,
        /// The time of appraisal.
        at: OffsetDateTime,
    },
}

impl Explain for EndorsementError {
    fn check(&self) -> Check {
        match self {
            Self::Chain { item, error } => {
                let rule =
                    by_item(item, rules::TCB_INFO_CHAIN, rules::QE_IDENTITY_CHAIN, rules::PCK_CRL_CHAIN);
                Check::failed(rule, "a chain to a trusted root", error.to_string())
            }
            Self::Crl { item, error } => {
                let rule =
                    if *item == ROOT_CRL { rules::ROOT_CRL_SIGNATURE } else { rules::PCK_CRL_SIGNATURE };
                Check::failed(rule, "a CRL signed by its issuer", error.to_string())
            }
            Self::Document { item, error: DocumentError::Signature } => {
                let rule =
                    if *item == TCB_INFO { rules::TCB_INFO_SIGNATURE } else { rules::QE_IDENTITY_SIGNATURE };
                Check::failed(rule, "valid", "invalid")
            }
            Self::Document { item, error } => {
                let rule =
                    if *item == TCB_INFO { rules::TCB_INFO_STRUCTURE } else { rules::QE_IDENTITY_STRUCTURE };
                Check::failed(rule, "a document as specified", error.to_string())
            }
            Self::PckCa => Check::failed(rules::PCK_CRL_CHAIN, "Processor or Platform CA", "another CA"),
            Self::Revoked { item, serial, .. } => {
                let rule = by_item(
                    item,
                    rules::TCB_INFO_SIGNER_REVOCATION,
                    rules::QE_IDENTITY_SIGNER_REVOCATION,
                    rules::PCK_CA_REVOCATION,
                );
                Check::failed(rule, "not listed", serial.as_slice())
            }
            Self::Tee { tcb_info, qe_identity } => {
                Check::failed(rules::QE_IDENTITY_STRUCTURE, tcb_info.as_str(), qe_identity.as_str())
            }
            Self::Validity { item, validity, at } => {
                Check::failed(rules::ENDORSEMENTS_VALIDITY, window(item, *validity), *at)
            }
        }
    }
}

fn by_item(item: &str, tcb_info: Rule, qe_identity: Rule, pck_crl: Rule) -> Rule {
    match item {
        TCB_INFO => tcb_info,
        QE_IDENTITY => qe_identity,
        _ => pck_crl,
    }
}

/// Name of an endorsement, as errors and verdicts show it.
pub(super) const TCB_INFO: &str = "TCB info";
/// Name of an endorsement, as errors and verdicts show it.
pub(super) const QE_IDENTITY: &str = "QE identity";
/// Name of an endorsement, as errors and verdicts show it.
pub(super) const PCK_CRL: &str = "PCK CRL";
/// Name of an endorsement, as errors and verdicts show it.
pub(super) const ROOT_CRL: &str = "root CA CRL";
