//! Replay (TCG PC Client Platform Firmware Profile, 10.3): the PCR values that a log stands for, and which
//! of its events the quoted values vouch for.

use crypto::{Digest, HashAlgorithm};

use super::content::{Content, Measured, Separator};
use super::error::ReplayError;
use super::mismatch::{self, MismatchCause};
use super::parse::{Event, EventLog};
use crate::tpm::{PcrSet, QuotedPcrs};
use crate::verdict::{Check, Rejection, Verdict, rules};

/// The PCR values of one bank that logs stand for, replayed one after the other.
#[derive(Debug, Clone)]
pub struct Replay {
    bank: HashAlgorithm,
    values: Vec<Digest>,
    extended: PcrSet,
    missing: Vec<(u8, usize)>,
}

impl Replay {
    /// Replays `logs` in order. PCRs start at zero, PCR 0 at the locality from which the TPM was started,
    /// and PCRs 17 to 22 at all ones unless a log has events of them: only a dynamic launch makes those.
    #[must_use]
    pub fn of(logs: &[&EventLog<'_>], bank: HashAlgorithm) -> Self {
        let mut replay = Self {
            bank,
            values: initial_values(logs, bank),
            extended: PcrSet::default(),
            missing: Vec::new(),
        };
        for event in extended(logs) {
            let Ok(index) = u8::try_from(event.pcr) else { continue };
            let value = replay.values.get_mut(usize::from(index));
            match (event.digest(bank), value) {
                (Some(digest), Some(value)) => {
                    *value = bank.digest(&[value.as_slice(), digest]);
                    replay.extended = replay.extended.with(index);
                }
                _ => replay.missing.push((index, event.sequence)),
            }
        }
        replay
    }

    /// The bank.
    #[must_use]
    pub const fn bank(&self) -> HashAlgorithm {
        self.bank
    }

    /// The PCRs that the logs have events of, with digests of the bank.
    #[must_use]
    pub const fn extended(&self) -> PcrSet {
        self.extended
    }

    /// The value of a PCR, events without a digest of the bank aside.
    #[must_use]
    pub fn value(&self, index: u8) -> Option<&Digest> {
        self.values.get(usize::from(index))
    }

    /// The first event of a PCR that has no digest of the bank: its value can then not be told.
    #[must_use]
    pub fn first_without_digest(&self, index: u8) -> Option<usize> {
        self.missing.iter().find(|(pcr, _)| *pcr == index).map(|(_, sequence)| *sequence)
    }
}

/// The events of logs that quoted PCR values vouch for, in order.
///
/// Only [`MeasuredLog::verify`] makes one; this does not compile:
///
/// ```compile_fail,E0451
/// fn forged(rest: evidence::eventlog::MeasuredLog<'_>) -> evidence::eventlog::MeasuredLog<'_> {
///     evidence::eventlog::MeasuredLog { events: Vec::new(), ..rest }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct MeasuredLog<'a> {
    bank: HashAlgorithm,
    covered: PcrSet,
    events: Vec<Measured<'a>>,
    appended: Vec<LaterEvent>,
    verdict: Verdict,
}

impl<'a> MeasuredLog<'a> {
    /// Verifies logs, replayed one after the other:
    /// 1. log and quote have a bank in common, SHA-256 or stronger unless SHA-1 is allowed,
    /// 2. in every common bank, every quoted PCR that the logs have events of replays to its quoted value
    ///    (PCRs 16 and 23 aside, which software can reset); those of PCRs 0 to 8 and 12 to 14 that they have
    ///    no events of hold their initial value,
    /// 3. every quoted PCR from 0 to 7 has a separator: the firmware measured the boot into this bank.
    ///
    /// What the logs say of other PCRs is left out. Events that are extended after the firmware's log was
    /// copied are known: `ExitBootServices` in PCR 5, and systemd's boot phases in PCR 11.
    ///
    /// # Errors
    /// [`ReplayError`], which names the first event that explains a mismatch.
    pub fn verify(
        logs: &[&EventLog<'a>],
        quoted: &QuotedPcrs,
        allow_sha1: bool,
    ) -> Result<Self, Rejection<ReplayError>> {
        let mut verdict = Verdict::new();
        match replay_all(logs, quoted, allow_sha1) {
            Ok((bank, covered, appended)) => {
                let indices = covered.iter().map(|index| u16::from(index).into()).collect();
                let shown = crate::verdict::CheckValue::List(indices);
                verdict.push(Check::passed(rules::EVENTLOG_REPLAY, "the quoted values", shown));
                let believed = extended(logs)
                    .filter(|event| u8::try_from(event.pcr).is_ok_and(|pcr| covered.contains(pcr)));
                let events = Measured::all(believed, bank);
                Ok(Self { bank, covered, events, appended, verdict })
            }
            Err(error) => Err(Rejection::new(error, verdict)),
        }
    }

    /// The bank whose digests the events' data were compared with.
    #[must_use]
    pub const fn bank(&self) -> HashAlgorithm {
        self.bank
    }

    /// The PCRs whose events are all here, as the quote vouches: what is absent did not happen.
    #[must_use]
    pub const fn covered(&self) -> PcrSet {
        self.covered
    }

    /// The events.
    #[must_use]
    pub fn events(&self) -> &[Measured<'a>] {
        &self.events
    }

    /// Events that are not in the logs and that the quoted values show to have been extended after them.
    #[must_use]
    pub fn appended(&self) -> &[LaterEvent] {
        &self.appended
    }

    /// The checks made.
    #[must_use]
    pub const fn verdict(&self) -> &Verdict {
        &self.verdict
    }
}

/// An event that is known to come after the end of a log: its PCR and text.
type LaterEvent = (u8, &'static str);
type Replayed = (HashAlgorithm, PcrSet, Vec<LaterEvent>);

fn replay_all(
    logs: &[&EventLog<'_>],
    quoted: &QuotedPcrs,
    allow_sha1: bool,
) -> Result<Replayed, ReplayError> {
    let common = |bank: &HashAlgorithm| logs.iter().all(|log| log.banks().contains(bank));
    let banks: Vec<_> = quoted.banks().into_iter().filter(common).collect();
    let best = banks.iter().copied().find(|bank| allow_sha1 || *bank != HashAlgorithm::Sha1);
    let best = best.filter(|_| !logs.is_empty()).ok_or(ReplayError::NoBank)?;
    let mut result = (best, PcrSet::default(), Vec::new());
    for bank in banks {
        let (covered, appended) = replay_bank(logs, quoted, bank)?;
        if bank == best {
            result = (best, covered, appended);
        }
    }
    Ok(result)
}

fn replay_bank(
    logs: &[&EventLog<'_>],
    quoted: &QuotedPcrs,
    bank: HashAlgorithm,
) -> Result<(PcrSet, Vec<LaterEvent>), ReplayError> {
    let replay = Replay::of(logs, bank);
    let mut covered = PcrSet::default();
    let mut appended = Vec::new();
    for index in quoted.bank(bank).iter().filter(|index| !RESETTABLE.contains(index)) {
        let Some(value) = quoted.get(bank, index) else { continue };
        if let Some(sequence) = replay.first_without_digest(index) {
            return Err(ReplayError::NoDigest { bank, pcr: index, sequence });
        }
        match compare(&replay, index, value) {
            Comparison::Differs => return Err(mismatch(logs, &replay, quoted, index)),
            Comparison::Equal(more) => {
                appended.extend(more.iter().map(|text| (index, *text)));
                covered = covered.with(index);
            }
            Comparison::OfTheSystem => {}
        }
        if index < 8 && !has_separator(logs, bank, index) {
            return Err(ReplayError::MissingSeparator { bank, pcr: index });
        }
    }
    Ok((covered, appended))
}

/// How what the logs give for a PCR compares with what was quoted.
enum Comparison {
    /// It is something else.
    Differs,
    /// It is equal, once these texts are extended, which come after the end of a log.
    Equal(&'static [&'static str]),
    /// The logs have no events of it, and the running system extends it, too.
    OfTheSystem,
}

fn compare(replay: &Replay, index: u8, quoted: &Digest) -> Comparison {
    match replay.value(index) {
        Some(replayed) if replayed == quoted => Comparison::Equal(&[]),
        Some(replayed) if replay.extended.contains(index) => {
            later_events(index, replayed, quoted).map_or(Comparison::Differs, Comparison::Equal)
        }
        Some(_) if MEASURED_BEFORE_THE_SYSTEM.contains(&index) => Comparison::Differs,
        _ => Comparison::OfTheSystem,
    }
}

/// The error for a PCR that differs, with all that the logs show of it.
fn mismatch(logs: &[&EventLog<'_>], replay: &Replay, quoted: &QuotedPcrs, pcr: u8) -> ReplayError {
    let bank = replay.bank;
    let value = |index: u8| quoted.get(bank, index);
    let others = quoted.bank(bank).iter().filter(|index| *index != pcr && !RESETTABLE.contains(index));
    let differing = others.filter(|index| {
        value(*index).is_some_and(|quoted| matches!(compare(replay, *index, quoted), Comparison::Differs))
    });
    let differing = differing.fold(PcrSet::default(), PcrSet::with);
    let cause = match (value(pcr), initial_values(logs, bank).get(usize::from(pcr))) {
        (Some(quoted), Some(initial)) if replay.extended.contains(pcr) => {
            mismatch::explain(logs, bank, pcr, *initial, quoted)
        }
        _ => MismatchCause::NoEvents,
    };
    let bytes = |digest: Option<&Digest>| digest.map(|digest| digest.as_slice().to_vec()).unwrap_or_default();
    let (replayed, quoted) = (bytes(replay.value(pcr)), bytes(value(pcr)));
    ReplayError::Pcr { bank, pcr, replayed, quoted, differing, cause }
}

/// Known events whose extension after the end of the log gives the quoted value.
fn later_events(index: u8, replayed: &Digest, quoted: &Digest) -> Option<&'static [&'static str]> {
    let bank = replayed.algorithm();
    let candidates = LATER_EVENTS.iter().filter(|(pcr, _)| *pcr == index);
    candidates.map(|(_, texts)| *texts).find(|texts| {
        let value = texts.iter().fold(*replayed, |value, text| {
            let digest = bank.digest(&[text.as_bytes()]);
            bank.digest(&[value.as_slice(), digest.as_slice()])
        });
        value == *quoted
    })
}

fn has_separator(logs: &[&EventLog<'_>], bank: HashAlgorithm, index: u8) -> bool {
    let values = [[0; 4], [0xff; 4]].map(|value| bank.digest(&[&value]));
    extended(logs)
        .filter(|event| event.pcr == u32::from(index))
        .filter_map(|event| event.digest(bank))
        .any(|digest| values.iter().any(|value| value.as_slice() == digest))
}

fn initial_values(logs: &[&EventLog<'_>], bank: HashAlgorithm) -> Vec<Digest> {
    let locality = logs.iter().map(|log| log.startup_locality()).find(|locality| *locality != 0);
    let launched = extended(logs).any(|event| DRTM.contains(&event.pcr));
    (0..PCRS)
        .map(|index| match index {
            0 => Digest::filled(bank, 0, locality.unwrap_or(0)),
            _ if DRTM.contains(&index) && !launched => Digest::filled(bank, 0xff, 0xff),
            _ => Digest::filled(bank, 0, 0),
        })
        .collect()
}

fn extended<'l, 'a>(logs: &'l [&'l EventLog<'a>]) -> impl Iterator<Item = &'l Event<'a>> {
    logs.iter().flat_map(|log| log.events()).filter(|event| event.is_extended())
}

/// Whether an event ends what firmware measures into a PCR.
pub(crate) fn is_separator(event: &Measured<'_>) -> bool {
    matches!(event.content, Content::Separator(Separator::Zero | Separator::Ones))
}

/// PCRs that only firmware and boot loaders extend, so that a log without events of them hides what they
/// hold. PCRs 9 to 11 and 15 are extended by the running system, too (Linux TPM PCR registry).
const MEASURED_BEFORE_THE_SYSTEM: &[u8] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 14];
const PCRS: u32 = 32;
const DRTM: std::ops::RangeInclusive<u32> = 17..=22;
/// The debug and the application PCR, which software can reset at any time (TCG PC Client Platform TPM Profile, 4.4).
const RESETTABLE: [u8; 2] = [16, 23];
const INVOCATION: &str = "Exit Boot Services Invocation";
const SUCCESS: &str = "Exit Boot Services Returned with Success";
const FAILURE: &str = "Exit Boot Services Returned with Failure";
/// What firmware extends while the operating system takes over, after its log was copied (PFP, 3.3.4.6),
/// and what systemd extends later (systemd, `TPM2_PCR_MEASUREMENTS`), in its order.
const LATER_EVENTS: &[(u8, &[&str])] = &[
    (5, &[INVOCATION, SUCCESS]),
    (5, &[INVOCATION, FAILURE]),
    (5, &[INVOCATION, FAILURE, SUCCESS]),
    (11, &["enter-initrd"]),
    (11, &["enter-initrd", "leave-initrd"]),
    (11, &["enter-initrd", "leave-initrd", "sysinit"]),
    (11, &["enter-initrd", "leave-initrd", "sysinit", "ready"]),
    (11, &["enter-initrd", "leave-initrd", "sysinit", "ready", "shutdown"]),
    (11, &["enter-initrd", "leave-initrd", "sysinit", "ready", "shutdown", "final"]),
    (11, &["sysinit"]),
    (11, &["sysinit", "ready"]),
];
