//! Event logs of confidential VMs (UEFI Specification 2.10, 38.4; ACPI table "CCEL"; Intel TDX Virtual
//! Firmware Design Guide): the same records, in which the PCR index is that of a measurement register.

use crypto::{Digest, HashAlgorithm};

use super::parse::EventLog;
use super::replay::Replay;

/// The run-time measurement registers that a log stands for: TDX's RTMR 0 to 3, SHA-384.
#[derive(Debug, Clone)]
pub struct RtmrReplay {
    replay: Replay,
}

impl RtmrReplay {
    /// Replays the log: register index 1 is RTMR 0, and so on; index 0 stands for MRTD, which no event
    /// extends.
    #[must_use]
    pub fn of(log: &EventLog<'_>) -> Self {
        Self { replay: Replay::of(&[log], HashAlgorithm::Sha384) }
    }

    /// The value of RTMR 0 to 3; none for others, and if an event has no SHA-384 digest.
    #[must_use]
    pub fn rtmr(&self, index: u8) -> Option<&Digest> {
        if index > 3 {
            return None;
        }
        self.replay.value(index + 1)
    }

    /// Whether the log has events of this RTMR.
    #[must_use]
    pub fn is_extended(&self, index: u8) -> bool {
        index <= 3 && self.replay.extended().contains(index + 1)
    }
}
