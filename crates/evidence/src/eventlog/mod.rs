//! Logs of measured boot, and what quoted PCR values let one conclude from them.
//!
//! Bytes are parsed into an [`EventLog`]; [`MeasuredLog::verify`] keeps those of its events that the
//! [`crate::tpm::QuotedPcrs`] vouch for, each with what its digest vouches for of its data ([`Content`]);
//! [`BootClaims::of`] reads them. [`ImaLog`] and [`MeasuredIma`] are the same for what runs after boot.
//! Event types are never measured, and nothing that is not measured decides anything.
//!
//! - records: [`EventLog`], [`Event`], [`Replay`]; of confidential VMs: [`RtmrReplay`].
//! - what they say: [`BootClaims`], made of [`SecureBoot`], [`BootPath`], [`WindowsBoot`].
//! - what a log says of itself, without a quote: [`unverified_log_report`].
//! - the claim `events` of policies: [`events_json`].

mod cc;
mod claims;
mod content;
mod details;
mod error;
mod event_type;
mod guid;
mod ima;
mod json;
mod known_keys;
mod linux;
mod mismatch;
mod parse;
mod replay;
mod report;
mod secure_boot;
mod sipa;
mod uefi;
mod windows;

#[cfg(test)]
mod tests;

pub use cc::RtmrReplay;
pub use claims::BootClaims;
pub use content::{Content, GrubText, Measured, Separator};
pub use error::{ClaimError, LogError, ReplayError};
pub use event_type::name as event_type_name;
pub use guid::Guid;
pub use ima::{ImaError, ImaFields, ImaLog, ImaMismatch, ImaRecord, MeasuredIma, Template};
pub use json::events as events_json;
pub use linux::BootPath;
pub use mismatch::{MismatchCause, NamedEvent};
pub use parse::{Event, EventLog, LogFormat, MAX_LOG_BYTES};
pub use replay::{MeasuredLog, Replay};
pub use report::{unverified_cc_log_report, unverified_log_report};
pub use secure_boot::{KeyDatabase, SecureBoot, SecureBootState, unverified_secure_boot_variable};
pub use sipa::{Tag, name as sipa_name};
pub use uefi::{SignatureEntry, VariableData, signature_lists};
pub use windows::WindowsBoot;
