//! What endorsements of one platform consist of, each with the name it is kept and fetched under.

use std::fmt;

use evidence::dcap::{EndorsementsId, PckCa, Tee};

/// One document or list that a provisioning certification service gives out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Item {
    /// Revocations of platform certificates by one of Intel's two authorities.
    PckCrl {
        /// The authority.
        ca: PckCa,
    },
    /// Identity of the quoting enclave.
    QeIdentity {
        /// The technology it quotes for.
        tee: Tee,
        /// The evaluation data number asked for; none is the service's standard one.
        number: Option<u32>,
    },
    /// Revocations of the authorities themselves.
    RootCaCrl,
    /// TCB levels of one platform type.
    TcbInfo {
        /// The technology.
        tee: Tee,
        /// The platform type.
        fmspc: [u8; 6],
        /// As in `QeIdentity`.
        number: Option<u32>,
    },
}

impl Item {
    /// The four items that verify a platform's quotes.
    #[must_use]
    pub fn of(id: &EndorsementsId, number: Option<u32>) -> [Self; 4] {
        [
            Self::TcbInfo { tee: id.tee, fmspc: id.fmspc, number },
            Self::QeIdentity { tee: id.tee, number },
            Self::RootCaCrl,
            Self::PckCrl { ca: id.ca },
        ]
    }

    /// The path and query of the item below a service's base URL (PCS API v4); none for the root's list,
    /// which is elsewhere.
    pub(crate) fn path(self) -> Option<String> {
        let technology = |tee| match tee {
            Tee::Sgx => "sgx",
            Tee::Tdx => "tdx",
        };
        let query = |number: Option<u32>| number.map(|number| format!("tcbEvaluationDataNumber={number}"));
        match self {
            Self::PckCrl { ca } => {
                Some(format!("/sgx/certification/v4/pckcrl?ca={}&encoding=der", authority(ca)))
            }
            Self::QeIdentity { tee, number } => {
                let query = query(number).map(|query| format!("?{query}")).unwrap_or_default();
                Some(format!("/{}/certification/v4/qe/identity{query}", technology(tee)))
            }
            Self::RootCaCrl => None,
            Self::TcbInfo { tee, fmspc, number } => {
                let query = query(number).map(|query| format!("&{query}")).unwrap_or_default();
                let fmspc = hex::encode_upper(fmspc);
                Some(format!("/{}/certification/v4/tcb?fmspc={fmspc}{query}", technology(tee)))
            }
        }
    }

    /// Names of the response header with the certificates of the item's signer.
    pub(crate) fn issuer_chain_headers(self) -> &'static [&'static str] {
        match self {
            Self::PckCrl { .. } => &["SGX-PCK-CRL-Issuer-Chain"],
            Self::QeIdentity { .. } => &["SGX-Enclave-Identity-Issuer-Chain"],
            Self::RootCaCrl => &[],
            // The second is version 3 of the API, which caching services still answer with.
            Self::TcbInfo { .. } => &["TCB-Info-Issuer-Chain", "SGX-TCB-Info-Issuer-Chain"],
        }
    }

    /// Whether the body is a list in DER rather than JSON.
    pub(crate) fn is_crl(self) -> bool {
        matches!(self, Self::PckCrl { .. } | Self::RootCaCrl)
    }
}

/// The stable name, under which the database keeps the item.
impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let technology = |tee| match tee {
            Tee::Sgx => "sgx",
            Tee::Tdx => "tdx",
        };
        let suffix = |number: Option<u32>| number.map(|number| format!("@{number}")).unwrap_or_default();
        match self {
            Self::PckCrl { ca } => write!(f, "pck-crl/{}", authority(*ca)),
            Self::QeIdentity { tee, number } => {
                write!(f, "qe-identity/{}{}", technology(*tee), suffix(*number))
            }
            Self::RootCaCrl => f.write_str("root-ca-crl"),
            Self::TcbInfo { tee, fmspc, number } => {
                write!(f, "tcb-info/{}/{}{}", technology(*tee), hex::encode(fmspc), suffix(*number))
            }
        }
    }
}

fn authority(ca: PckCa) -> &'static str {
    match ca {
        PckCa::Platform => "platform",
        PckCa::Processor => "processor",
    }
}
