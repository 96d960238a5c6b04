//! Intel SGX: ECDSA quotes version 3 (Intel SGX ECDSA QuoteLib Reference, appendix A).
//!
//! - bytes to [`Quote`]: its fields, unverified.
//! - [`Quote::verify`]: the only maker of a [`VerifiedReport`].
//! - [`VerifiedReport::bind`]: the only maker of a [`BoundReport`].

mod body;
mod certification;
mod quote;
mod report;
mod verify;

pub use crate::dcap::{PckChain, VerifiedPck};
pub use body::{Attributes, ReportBody};
pub use certification::{CertificationData, PlatformId, QeReportCertification};
pub use quote::{Header, Quote};
pub use report::{BoundReport, VerifiedReport};
pub use verify::AuthenticQuote;

#[cfg(test)]
mod tests;
