//! Intel DCAP: who made a quote's key, and what Intel says of that platform.
//!
//! - the PCK chain inside a quote, and its SGX extension: [`PckChain`], [`VerifiedPck`].
//! - what Intel publishes, verified once and kept: [`Endorsements`] from [`RawEndorsements`].
//! - the platform's verdict: [`TcbVerdict`], [`TcbStatus`].
//! - the files and answers that endorsements come in: [`formats`].

mod endorsement_error;
mod endorsements;
mod pck;
mod pck_extension;
mod qe_identity;
mod signed_json;
mod tcb;
mod tcb_info;

pub mod formats;

pub use endorsement_error::EndorsementError;
pub use endorsements::{CollateralDigests, Endorsements, Expiry, RawEndorsements};
pub use pck::{CertificateSummary, PckChain, VerifiedPck};
pub use pck_extension::{PckExtension, PckExtensionError, SgxType};
pub use signed_json::DocumentError;
pub use tcb::{TcbComponent, TcbStatus, TcbVerdict, UnknownTcbStatus};

/// The kind of TEE that endorsements are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tee {
    /// SGX enclaves.
    Sgx,
    /// TDX trust domains.
    Tdx,
}

impl Tee {
    /// `SGX` or `TDX`, as in the `id` of a TCB info.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sgx => "SGX",
            Self::Tdx => "TDX",
        }
    }
}

impl std::fmt::Display for Tee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The CA that issued a PCK certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PckCa {
    /// "Intel SGX PCK Platform CA", for platforms registered with Intel (multi-package servers).
    Platform,
    /// "Intel SGX PCK Processor CA", for single processors.
    Processor,
}

impl PckCa {
    /// `platform` or `processor`, as in the `ca` parameter of the PCS API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Processor => "processor",
        }
    }

    /// The CA named by a common name, if it is one of the two.
    pub(crate) fn from_common_name(name: &str) -> Option<Self> {
        if name.contains("SGX PCK Platform CA") {
            Some(Self::Platform)
        } else if name.contains("SGX PCK Processor CA") {
            Some(Self::Processor)
        } else {
            None
        }
    }
}

impl std::fmt::Display for PckCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which endorsements a platform needs. It comes from an unverified certificate: it says what to
/// fetch, and proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndorsementsId {
    /// The kind of TEE.
    pub tee: Tee,
    /// Family, model, stepping, platform and custom SKU, in memory order.
    pub fmspc: [u8; 6],
    /// The CA whose CRL is needed.
    pub ca: PckCa,
}

impl std::fmt::Display for EndorsementsId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} platform {} ({} CA)", self.tee, hex::encode(self.fmspc), self.ca)
    }
}
