//! What the sender of evidence can do wrong, one enum per stage. A variant is a broken rule.

use time::OffsetDateTime;

use crate::dcap::{PckExtensionError, Tee};
use crate::read::ReadError;
use crate::verdict::{Check, CheckValue, Explain, Rule, rules};
use crate::x509::{CertificateRole, ChainError, Validity};

/// The bytes are not evidence of the kind they were sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// An Open Enclave report that another enclave of the same platform must check (report type 1).
    #[error("a local Open Enclave report (type {found}); send a remote one (type 2)")]
    LocalReport {
        /// The report type found.
        found: u32,
    },
    /// A field reaches past the end, or bytes are left over.
    #[error(transparent)]
    Shape(#[from] ReadError),
    /// Longer than any quote with its padding.
    #[error("{length} bytes of evidence, more than the {limit} accepted")]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The most bytes accepted.
        limit: usize,
    },
    /// The bytes after the quote are neither zero padding nor custom claims whose digest is the report data.
    #[error(
        "{length} bytes after the quote at offset {offset} are neither zero padding nor custom claims \
         whose SHA-256 is the report data"
    )]
    TrailingBytes {
        /// Where the authentication data end, in bytes from the start of the quote.
        offset: usize,
        /// How many bytes follow.
        length: usize,
    },
    /// The certification data are of a type that Intel does not define.
    #[error("certification data of unknown type {found}; send a quote with a PCK chain (type 5)")]
    UnknownCertificationType {
        /// The type found.
        found: u16,
    },
    /// An Open Enclave evidence format that is not one of its three SGX formats.
    #[error("unknown Open Enclave evidence format {}", hex::encode(found))]
    UnknownFormat {
        /// The format id found.
        found: [u8; 16],
    },
    /// The quoting enclave is not of Intel.
    #[error("unknown quoting enclave vendor {}", hex::encode(found))]
    UnknownQeVendor {
        /// The vendor id found.
        found: [u8; 16],
    },
    /// The attestation key is not an ECDSA key on P-256 (type 2).
    #[error("attestation key type {found} is not supported; send an ECDSA P-256 quote (type 2)")]
    UnsupportedAttestationKey {
        /// The type found.
        found: u16,
    },
    /// The quote is of another TEE.
    #[error("a quote of TEE type {found:#x}, not of an SGX enclave")]
    UnsupportedTee {
        /// The TEE type found.
        found: u32,
    },
    /// A version of the structure that is not supported.
    #[error("{structure} version {found} is not supported; send version {supported}")]
    UnsupportedVersion {
        /// Which structure.
        structure: &'static str,
        /// The version found.
        found: u32,
        /// The version supported.
        supported: &'static str,
    },
    /// QE report certification data (type 6) of a version 3 quote repeat another QE report than the quote's.
    #[error("the QE report inside the certification data (type 6) is not the QE report of the quote")]
    WrappedQeReport,
}

impl Explain for ParseError {
    fn check(&self) -> Check {
        match self {
            Self::UnknownCertificationType { found } => {
                Check::failed(rules::CERTIFICATION_TYPE, 5_u16, *found)
            }
            Self::WrappedQeReport => {
                Check::failed(rules::CERTIFICATION_TYPE, "the quote's QE report", "another QE report")
            }
            Self::TrailingBytes { .. } => Check::failed(
                rules::CUSTOM_CLAIMS_BINDING,
                "zero padding or bound custom claims",
                self.to_string(),
            ),
            _ => Check::failed(rules::QUOTE_STRUCTURE, "an ECDSA quote version 3", self.to_string()),
        }
    }
}

/// The evidence is not genuine, or cannot be shown to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The certification data hold no PCK chain, so nothing says whose key signed the QE report.
    #[error(
        "certification data of type {found} ({name}) can't be verified; send a quote with a PCK chain (type 5)"
    )]
    CertificationType {
        /// The type found.
        found: u16,
        /// What the type holds.
        name: &'static str,
    },
    /// An endorsement, or a certificate that signed it, is not valid at the time of appraisal.
    #[error("the {item} is not valid at {}, only {validity}", CheckValue::Time(*at))]
    EndorsementsValidity {
        /// Which endorsement or certificate.
        item: &'static str,
        /// When it is valid.
        validity: Validity,
        /// The time of appraisal.
        at: OffsetDateTime,
    },
    /// The TCB info is for another platform family.
    #[error(
        "the TCB info is for FMSPC {}, the PCK certificate for {}",
        hex::encode(tcb_info),
        hex::encode(pck)
    )]
    Fmspc {
        /// That of the PCK certificate.
        pck: [u8; 6],
        /// That of the TCB info.
        tcb_info: [u8; 6],
    },
    /// The TCB info is for another provisioning certification enclave.
    #[error(
        "the TCB info is for PCEID {}, the PCK certificate for {}",
        hex::encode(tcb_info),
        hex::encode(pck)
    )]
    PceId {
        /// That of the PCK certificate.
        pck: [u8; 2],
        /// That of the TCB info.
        tcb_info: [u8; 2],
    },
    /// A CA of the PCK chain is listed in the root CRL.
    #[error("the {role} with serial number {} is revoked", hex::encode(serial))]
    PckCaRevoked {
        /// Which certificate.
        role: CertificateRole,
        /// Its serial number, big-endian.
        serial: Vec<u8>,
    },
    /// The PCK chain is not Intel's.
    #[error("PCK chain: {0}")]
    PckChain(#[from] ChainError),
    /// The CRL at hand is not that of the PCK certificate's issuer.
    #[error("the PCK CRL is that of another issuer than the PCK certificate's")]
    PckCrlIssuer,
    /// The SGX extension of the PCK certificate is not as specified.
    #[error("SGX extension of the PCK certificate: {0}")]
    PckExtension(#[from] PckExtensionError),
    /// The chain verified is not the one in this quote: a mistake of the caller.
    #[error("the PCK chain verified is not the one in this quote")]
    PckIdentity,
    /// The PCK certificate is listed in its issuer's CRL.
    #[error("the PCK certificate with serial number {} is revoked", hex::encode(serial))]
    PckRevoked {
        /// Its serial number, big-endian.
        serial: Vec<u8>,
    },
    /// A certificate of the PCK chain is not valid at the time of appraisal.
    #[error("the {role} is not valid at {}, only {validity}", CheckValue::Time(*at))]
    PckValidity {
        /// Which certificate.
        role: CertificateRole,
        /// When it is valid.
        validity: Validity,
        /// The time of appraisal.
        at: OffsetDateTime,
    },
    /// ATTRIBUTES of the quoting enclave, masked, are not those of its identity.
    #[error("the quoting enclave has attributes {} instead of {}", hex::encode(found), hex::encode(expected))]
    QeAttributes {
        /// Those of the QE identity.
        expected: [u8; 16],
        /// Those of the QE report, masked.
        found: [u8; 16],
    },
    /// ISVPRODID of the quoting enclave is not that of its identity.
    #[error("the quoting enclave has product id {found} instead of {expected}")]
    QeIsvProdId {
        /// That of the QE identity.
        expected: u16,
        /// That of the QE report.
        found: u16,
    },
    /// MISCSELECT of the quoting enclave, masked, is not that of its identity.
    #[error("the quoting enclave has MISCSELECT {found:#010x} instead of {expected:#010x}")]
    QeMiscSelect {
        /// That of the QE identity.
        expected: u32,
        /// That of the QE report, masked.
        found: u32,
    },
    /// MRSIGNER of the quoting enclave is not that of its identity.
    #[error("the quoting enclave was signed by {} instead of {}", hex::encode(found), hex::encode(expected))]
    QeMrSigner {
        /// That of the QE identity.
        expected: [u8; 32],
        /// That of the QE report.
        found: [u8; 32],
    },
    /// The QE report's data are not the digest of the attestation key and the QE authentication data.
    #[error("the QE report is for another attestation key")]
    QeReportBinding {
        /// The digest of key and authentication data.
        expected: [u8; 32],
        /// The first half of the QE report's data.
        found: [u8; 32],
    },
    /// The PCK key did not sign the QE report.
    #[error("the QE report is not signed by the PCK key")]
    QeReportSignature,
    /// The attestation key did not sign header and report body.
    #[error("the quote is not signed by its attestation key")]
    QuoteSignature,
    /// No TCB level matches, so nothing is known of this TCB.
    #[error("no TCB level of the {component} matches")]
    TcbNotSupported {
        /// `platform` or `quoting enclave`.
        component: &'static str,
    },
    /// The TCB level that matches is revoked.
    #[error("the TCB level of the {component} is revoked")]
    TcbRevoked {
        /// `platform` or `quoting enclave`.
        component: &'static str,
    },
    /// The endorsements are for another kind of TEE.
    #[error("the endorsements are for {found}, not for {expected}")]
    Tee {
        /// What the evidence is of.
        expected: Tee,
        /// What the endorsements are for.
        found: Tee,
    },
}

impl Explain for VerifyError {
    fn check(&self) -> Check {
        let failed =
            |rule: Rule, expected: CheckValue, actual: CheckValue| Check::failed(rule, expected, actual);
        match self {
            Self::CertificationType { found, .. } => {
                failed(rules::CERTIFICATION_TYPE, 5_u16.into(), (*found).into())
            }
            Self::EndorsementsValidity { item, validity, at } => {
                failed(rules::ENDORSEMENTS_VALIDITY, window(item, *validity), (*at).into())
            }
            Self::Fmspc { pck, tcb_info } => failed(rules::TCB_INFO_FMSPC, pck.into(), tcb_info.into()),
            Self::PceId { pck, tcb_info } => failed(rules::TCB_INFO_PCEID, pck.into(), tcb_info.into()),
            Self::PckCaRevoked { serial, .. } => {
                failed(rules::PCK_CA_REVOCATION, "not listed".into(), CheckValue::hex(serial))
            }
            Self::PckChain(ChainError::UntrustedRoot) => {
                failed(rules::PCK_ROOT, "a trusted root".into(), "another root".into())
            }
            Self::PckChain(error) => {
                failed(rules::PCK_CHAIN, "PCK, PCK CA and root certificate".into(), error.to_string().into())
            }
            Self::PckCrlIssuer => {
                failed(rules::PCK_CRL_ISSUER, "the PCK certificate's issuer".into(), "another issuer".into())
            }
            Self::PckExtension(error) => {
                failed(rules::PCK_SGX_EXTENSION, "complete".into(), error.to_string().into())
            }
            Self::PckIdentity => {
                failed(rules::PCK_IDENTITY, "the quote's PCK chain".into(), "another chain".into())
            }
            Self::PckRevoked { serial } => {
                failed(rules::PCK_REVOCATION, "not listed".into(), CheckValue::hex(serial))
            }
            Self::PckValidity { role, validity, at } => {
                failed(rules::PCK_VALIDITY, window(&role.to_string(), *validity), (*at).into())
            }
            Self::QeAttributes { expected, found } => {
                failed(rules::QE_ATTRIBUTES, expected.into(), found.into())
            }
            Self::QeIsvProdId { expected, found } => {
                failed(rules::QE_ISVPRODID, (*expected).into(), (*found).into())
            }
            Self::QeMiscSelect { expected, found } => {
                failed(rules::QE_MISCSELECT, (&expected.to_le_bytes()).into(), (&found.to_le_bytes()).into())
            }
            Self::QeMrSigner { expected, found } => failed(rules::QE_MRSIGNER, expected.into(), found.into()),
            Self::QeReportBinding { expected, found } => {
                failed(rules::QE_REPORT_BINDING, expected.into(), found.into())
            }
            Self::QeReportSignature => failed(rules::QE_REPORT_SIGNATURE, "valid".into(), "invalid".into()),
            Self::QuoteSignature => failed(rules::QUOTE_SIGNATURE, "valid".into(), "invalid".into()),
            Self::TcbNotSupported { component } => {
                failed(tcb_rule(component), "a matching level".into(), "no matching level".into())
            }
            Self::TcbRevoked { component } => {
                failed(tcb_rule(component), "a level not revoked".into(), "Revoked".into())
            }
            Self::Tee { expected, found } => {
                failed(rules::TCB_INFO_TEE, expected.as_str().into(), found.as_str().into())
            }
        }
    }
}

fn tcb_rule(component: &str) -> Rule {
    if component == PLATFORM { rules::TCB_PLATFORM } else { rules::TCB_QE }
}

/// `TCB info: 2025-01-01T00:00:00Z, 2025-02-01T00:00:00Z`.
pub(crate) fn window(item: &str, validity: Validity) -> CheckValue {
    CheckValue::List(vec![item.to_owned().into(), validity.not_before.into(), validity.not_after.into()])
}

/// The component whose TCB levels the TCB info lists.
pub(crate) const PLATFORM: &str = "platform";
/// The component whose TCB levels the QE identity lists.
pub(crate) const QUOTING_ENCLAVE: &str = "quoting enclave";

/// The evidence is genuine, but not bound to the data sent with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    /// CONFIGID does not start with the SHA-256 of the init-time data.
    #[error("the SHA-256 of the init-time data is not the first half of CONFIGID")]
    InitTimeData {
        /// The digest of the data sent.
        expected: [u8; 32],
        /// What the report holds.
        found: [u8; 32],
    },
    /// The report data do not start with the SHA-256 of the runtime data.
    #[error("the SHA-256 of the runtime data is not the first half of the report data")]
    RuntimeData {
        /// The digest of the data sent.
        expected: [u8; 32],
        /// What the report holds.
        found: [u8; 32],
    },
}

impl Explain for BindingError {
    fn check(&self) -> Check {
        match self {
            Self::InitTimeData { expected, found } => {
                Check::failed(rules::INIT_TIME_DATA_BINDING, expected, found)
            }
            Self::RuntimeData { expected, found } => {
                Check::failed(rules::RUNTIME_DATA_BINDING, expected, found)
            }
        }
    }
}
