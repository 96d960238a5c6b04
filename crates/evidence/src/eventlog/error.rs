//! What the sender of a log can do wrong, one enum per stage.

use crypto::HashAlgorithm;

use super::mismatch::MismatchCause;
use crate::read::ReadError;
use crate::tpm::PcrSet;
use crate::verdict::{Check, Explain, rules};

/// The bytes are not a TCG event log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The header declares no algorithm, or more than TPMs have.
    #[error("the log's header declares {found} digest algorithms instead of 1 to {limit}")]
    AlgorithmCount {
        /// How many.
        found: usize,
        /// The most accepted.
        limit: usize,
    },
    /// A record has more digests than the header declares.
    #[error("a record at offset {offset} has {found} digests, the header declares {declared}")]
    DigestCount {
        /// How many.
        found: usize,
        /// How many the header declares.
        declared: usize,
        /// Where, in bytes from the start of the log.
        offset: usize,
    },
    /// The header gives an algorithm another size than it has.
    #[error("the log's header gives algorithm {algorithm:#06x} digests of {found} bytes")]
    DigestSize {
        /// The `TPM_ALG_ID`.
        algorithm: u16,
        /// The size declared.
        found: usize,
    },
    /// An algorithm stands twice in the header or in a record.
    #[error("algorithm {found:#06x} stands twice in one record")]
    DuplicateAlgorithm {
        /// The `TPM_ALG_ID`.
        found: u16,
    },
    /// A record is for a PCR that TPMs do not have.
    #[error("event {sequence} is for PCR {found}, which no TPM has")]
    Pcr {
        /// Which record.
        sequence: usize,
        /// The index found.
        found: u32,
    },
    /// A record reaches past the end of the log.
    #[error(transparent)]
    Shape(#[from] ReadError),
    /// The StartupLocality record is not one that firmware writes.
    #[error("the StartupLocality record is not acceptable: {reason}")]
    StartupLocality {
        /// Why.
        reason: &'static str,
    },
    /// The log is longer than any.
    #[error("a log of {length} bytes, more than the {limit} accepted")]
    TooLong {
        /// Its length.
        length: usize,
        /// The most accepted.
        limit: usize,
    },
    /// The log has more records than any.
    #[error("more than {limit} events")]
    TooManyEvents {
        /// The most accepted.
        limit: usize,
    },
    /// A record has a digest by an algorithm that the header does not declare.
    #[error(
        "a record at offset {offset} has a digest by algorithm {found:#06x}, which the header does not declare"
    )]
    UndeclaredAlgorithm {
        /// The `TPM_ALG_ID`.
        found: u16,
        /// Where, in bytes from the start of the log.
        offset: usize,
    },
}

impl Explain for LogError {
    fn check(&self) -> Check {
        Check::failed(rules::EVENTLOG_STRUCTURE, "a TCG event log", self.to_string())
    }
}

/// The log is not the one that the quoted PCRs hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// A PCR that the firmware always extends holds its initial value or other events than those of
    /// firmware: without separators nobody measured the boot into this bank.
    #[error(
        "PCR {pcr} of the {bank} bank has no separator in the log: the firmware did not measure its boot \
         into this bank"
    )]
    MissingSeparator {
        /// The bank.
        bank: HashAlgorithm,
        /// The PCR.
        pcr: u8,
    },
    /// A record has no digest for a bank that was quoted.
    #[error("event {sequence} of PCR {pcr} has no digest for the {bank} bank")]
    NoDigest {
        /// The bank.
        bank: HashAlgorithm,
        /// The PCR.
        pcr: u8,
        /// Which record.
        sequence: usize,
    },
    /// Log and quote have no bank in common that counts.
    #[error("log and quote have no bank of SHA-256 or stronger in common")]
    NoBank,
    /// The log does not replay to the quoted value of a PCR.
    #[error(
        "the log does not replay to the quoted value of PCR {pcr} ({bank}){}: {cause}",
        also_differing(*differing)
    )]
    Pcr {
        /// The bank.
        bank: HashAlgorithm,
        /// The PCR.
        pcr: u8,
        /// What the log gives.
        replayed: Vec<u8>,
        /// What was quoted.
        quoted: Vec<u8>,
        /// The other PCRs whose quoted values it does not replay to, either.
        differing: PcrSet,
        /// What explains it.
        cause: MismatchCause,
    },
}

fn also_differing(differing: PcrSet) -> String {
    let list: Vec<_> = differing.iter().map(|index| index.to_string()).collect();
    if list.is_empty() { String::new() } else { format!(" (nor of PCR {})", list.join(", ")) }
}

impl Explain for ReplayError {
    fn check(&self) -> Check {
        match self {
            Self::Pcr { replayed, quoted, .. } => {
                Check::failed(rules::EVENTLOG_REPLAY, quoted.as_slice(), replayed.as_slice())
            }
            _ => Check::failed(rules::EVENTLOG_REPLAY, "a log of the quoted PCRs", self.to_string()),
        }
    }
}

/// The log replays, but its events do not tell a coherent boot, so that nothing may be concluded from it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// The data of an event that decides something are not what was measured.
    #[error("the data of event {sequence} (PCR {pcr}) do not match its digest")]
    Unbound {
        /// Which record.
        sequence: usize,
        /// Its PCR.
        pcr: u32,
    },
    /// A UEFI structure in a measured event does not parse.
    #[error("event {sequence} (PCR {pcr}): {reason}")]
    Malformed {
        /// Which record.
        sequence: usize,
        /// Its PCR.
        pcr: u32,
        /// What is wrong.
        reason: &'static str,
    },
    /// An event of a type that has no place there: a disguise for another one.
    #[error("event {sequence} of type {event_type:#x} has no place in PCR {pcr}{at}")]
    Unexpected {
        /// Which record.
        sequence: usize,
        /// Its PCR.
        pcr: u32,
        /// Its type.
        event_type: u32,
        /// Where in the PCR.
        at: &'static str,
    },
    /// A variable or separator stands twice.
    #[error("event {sequence} (PCR {pcr}) is the second {what}")]
    Duplicate {
        /// Which record.
        sequence: usize,
        /// Its PCR.
        pcr: u32,
        /// What stands twice.
        what: String,
    },
    /// Windows events contradict each other or are nested too deep.
    #[error("event {sequence} (PCR {pcr}) of the Windows log: {reason}")]
    Windows {
        /// Which record.
        sequence: usize,
        /// Its PCR.
        pcr: u32,
        /// What is wrong.
        reason: &'static str,
    },
}

impl Explain for ClaimError {
    fn check(&self) -> Check {
        let rule = match self {
            Self::Windows { .. } => rules::EVENTLOG_WINDOWS,
            Self::Unbound { pcr, .. }
            | Self::Malformed { pcr, .. }
            | Self::Unexpected { pcr, .. }
            | Self::Duplicate { pcr, .. }
                if *pcr > 7 =>
            {
                rules::EVENTLOG_WINDOWS
            }
            _ => rules::EVENTLOG_SECURE_BOOT,
        };
        Check::failed(rule, "measured events in order", self.to_string())
    }
}
