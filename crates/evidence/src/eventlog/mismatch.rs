//! Why a log does not replay to a quoted value, as far as the log can show it.
//!
//! A PCR's value is a chain of hashes: of a value that a log does not reach nothing can be read off. But a log in which
//! one thing was changed reaches it again when that is undone, so this undoes one thing after the other. What is found
//! that way is certain; where nothing is, several things were changed, or contents that only the TPM has seen.

use crypto::{Digest, HashAlgorithm};

use super::content::{KNOWN_ACTIONS, Measured, Separator};
use super::event_type;
use super::guid::GLOBAL_VARIABLE;
use super::parse::{Event, EventLog};
use super::uefi::VariableData;

/// What explains that a log does not replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MismatchCause {
    /// With the digest that its data have, this event gives the quoted value: its digest was changed.
    Digest(NamedEvent),
    /// Without this event the log replays: it was added to the log, or not extended.
    ExtraEvent(NamedEvent),
    /// The log replays up to this event: it is the first that the TPM does not know.
    FirstUnknown(NamedEvent),
    /// With this event, which the log says is not extended, it replays.
    Hidden(NamedEvent),
    /// The log lacks a variable that every firmware measures into the PCR.
    Lacks(&'static str),
    /// With a known event at this place it replays: the log lacks it.
    Missing {
        /// The event it comes before; none if it is the last of its PCR.
        before: Option<NamedEvent>,
        /// What is missing.
        what: &'static str,
    },
    /// With this event, which the log says was extended into another PCR, it replays.
    Moved {
        /// The event.
        event: NamedEvent,
        /// The PCR that the log says.
        claimed: u32,
    },
    /// The log has no events of the PCR, which holds more than its initial value.
    NoEvents,
    /// If this event were a known other one, the log would replay: it was changed.
    Replaced {
        /// The event.
        event: NamedEvent,
        /// What was measured instead.
        by: &'static str,
    },
    /// The log replays from another locality than it says.
    StartupLocality {
        /// The locality from which the TPM was started.
        locality: u8,
    },
    /// With these two events in the other order the log replays.
    Swapped(NamedEvent, NamedEvent),
    /// The data of this event are not what its digest is of, although firmware measures them: it may have been changed.
    Unbound(NamedEvent),
    /// The log does not show it: events are missing from it whose contents are unknown, or several were changed.
    Unknown,
}

/// An event as a message names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedEvent {
    /// Its place in its log, from 0.
    pub sequence: usize,
    /// Its claimed type.
    pub event_type: u32,
}

impl NamedEvent {
    const fn of(event: &Event<'_>) -> Self {
        Self { sequence: event.sequence, event_type: event.event_type }
    }
}

impl std::fmt::Display for NamedEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match event_type::name(self.event_type) {
            Some(name) => write!(f, "event {} (`{name}`)", self.sequence),
            None => write!(f, "event {} (`{:#010x}`)", self.sequence, self.event_type),
        }
    }
}

impl std::fmt::Display for MismatchCause {
    /// What is wrong, and what to do about it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Digest(event) => write!(
                f,
                "it would if the digest of {event} were that of its data, so the digest was changed; read the log again"
            ),
            Self::ExtraEvent(event) => write!(
                f,
                "it would without {event}, which was added to the log or never extended; read the log again, and if it \
                 is still there, ask the maker of the firmware"
            ),
            Self::FirstUnknown(event) => write!(
                f,
                "it does up to {event}, which the TPM does not know; read the log before the quote is made, not after, \
                 and if it is still there, it was added"
            ),
            Self::Hidden(event) => {
                write!(f, "it would with {event}, which was extended, although its type says that it was not")
            }
            Self::Lacks(variable) => write!(
                f,
                "it has no event of the variable `{variable}`, which every firmware measures: that one was removed; read \
                 the whole log again"
            ),
            Self::Missing { before: Some(event), what } => {
                write!(f, "it would with `{what}` before {event}; read the whole log again")
            }
            Self::Missing { before: None, what } => {
                write!(f, "it would with `{what}` at its end; read the log again, after that was measured")
            }
            Self::Moved { event, claimed } => {
                write!(f, "it would with {event}, which the log says was extended into PCR {claimed}")
            }
            Self::NoEvents => f.write_str("the log has no events of it; read the whole log"),
            Self::Replaced { event, by } => {
                write!(f, "it would if {event} were `{by}`, which is what was measured: the log was changed")
            }
            Self::StartupLocality { locality } => write!(
                f,
                "it would if the TPM had been started from locality {locality}; the log's StartupLocality record is \
                 missing or was changed"
            ),
            Self::Swapped(first, second) => {
                write!(f, "it would if {first} and {second} were in the other order: the log was changed")
            }
            Self::Unbound(event) => write!(
                f,
                "the first suspicious one is {event}, whose data are not what its digest is of; compare it with the log \
                 of an earlier boot"
            ),
            Self::Unknown => f.write_str(
                "no single event explains it, so events are missing whose contents the log does not show, several were \
                 changed, or the log is of another boot; read log and quote in the same boot, and compare the log with \
                 that of an earlier one",
            ),
        }
    }
}

/// Looks for the one thing that explains why a PCR does not have its quoted value. `records` are all records of the
/// logs, in order, `initial` is where the PCR starts.
pub(crate) fn explain(
    logs: &[&EventLog<'_>],
    bank: HashAlgorithm,
    pcr: u8,
    initial: Digest,
    quoted: &Digest,
) -> MismatchCause {
    let records: Vec<_> = logs.iter().flat_map(|log| log.events()).collect();
    let own: Vec<_> =
        records.iter().copied().filter(|event| event.is_extended() && event.pcr == u32::from(pcr)).collect();
    let digests = own.iter().map(|event| event.digest(bank).unwrap_or_default()).collect();
    let mut chain = Chain { bank, quoted, digests, prefixes: Vec::new(), budget: MAX_EXTENDS };
    chain.prefixes = chain.prefixes_from(initial);
    let search = Search { records, own, pcr };
    search
        .first_unknown(&chain)
        .or_else(|| search.other_start(&chain))
        .or_else(|| search.extended_elsewhere(&mut chain))
        .or_else(|| search.extra(&mut chain))
        .or_else(|| search.changed_digest(&mut chain))
        .or_else(|| search.swapped(&mut chain))
        .or_else(|| search.replaced(&mut chain))
        .or_else(|| search.missing(&mut chain))
        .or_else(|| search.lacks_variable())
        .or_else(|| search.unbound(bank))
        .unwrap_or(MismatchCause::Unknown)
}

/// The digests of one PCR's events, and what they give with something undone.
struct Chain<'a> {
    bank: HashAlgorithm,
    quoted: &'a Digest,
    digests: Vec<&'a [u8]>,
    /// The value before each event.
    prefixes: Vec<Digest>,
    /// How many more times a value may be extended.
    budget: usize,
}

impl Chain<'_> {
    fn extend(&self, value: &Digest, digest: &[u8]) -> Digest {
        self.bank.digest(&[value.as_slice(), digest])
    }

    fn prefixes_from(&self, initial: Digest) -> Vec<Digest> {
        let mut value = initial;
        let before = self.digests.iter().map(|digest| {
            let before = value;
            value = self.extend(&value, digest);
            before
        });
        before.collect()
    }

    /// Whether the quoted value comes out when `inserted` stands in the place of `replaced` events from `at`.
    fn reaches(&mut self, at: usize, replaced: usize, inserted: &[&[u8]]) -> bool {
        let Some(rest) = self.digests.get(at.saturating_add(replaced)..) else { return false };
        let Some(budget) = self.budget.checked_sub(rest.len() + inserted.len() + 1) else { return false };
        let Some(start) = self.value_before(at) else { return false };
        let chain = inserted.iter().chain(rest);
        let value = chain.fold(start, |value, digest| self.extend(&value, digest));
        self.budget = budget;
        value == *self.quoted
    }

    /// The value before an event, or after the last.
    fn value_before(&self, at: usize) -> Option<Digest> {
        match self.prefixes.get(at) {
            Some(value) => Some(*value),
            None => Some(self.extend(self.prefixes.last()?, self.digests.last()?)),
        }
    }
}

struct Search<'l, 'a> {
    /// All records of all logs.
    records: Vec<&'l Event<'a>>,
    /// Those that were extended into the PCR, if the log is right.
    own: Vec<&'l Event<'a>>,
    pcr: u8,
}

impl Search<'_, '_> {
    fn named(&self, at: usize) -> Option<NamedEvent> {
        self.own.get(at).map(|event| NamedEvent::of(event))
    }

    fn first_unknown(&self, chain: &Chain<'_>) -> Option<MismatchCause> {
        let at = chain.prefixes.iter().position(|value| value == chain.quoted)?;
        self.named(at).map(MismatchCause::FirstUnknown)
    }

    fn other_start(&self, chain: &Chain<'_>) -> Option<MismatchCause> {
        let localities = [0, 3, 4].into_iter().filter(|_| self.pcr == 0);
        let mut found = localities.filter(|locality| {
            let start = Digest::filled(chain.bank, 0, *locality);
            let value = chain.digests.iter().fold(start, |value, digest| chain.extend(&value, digest));
            value == *chain.quoted
        });
        found.next().map(|locality| MismatchCause::StartupLocality { locality })
    }

    /// Records that the log says were not extended, or into another PCR.
    fn extended_elsewhere(&self, chain: &mut Chain<'_>) -> Option<MismatchCause> {
        let mut at = 0;
        for event in &self.records {
            if event.is_extended() && event.pcr == u32::from(self.pcr) {
                at += 1;
                continue;
            }
            let Some(digest) = event.digest(chain.bank) else { continue };
            // Most records of another PCR have the digest of a separator, which says nothing of where it came from.
            if event.is_extended() && event.event_type == event_type::SEPARATOR {
                continue;
            }
            if chain.reaches(at, 0, &[digest]) {
                let named = NamedEvent::of(event);
                return Some(match event.is_extended() {
                    true => MismatchCause::Moved { event: named, claimed: event.pcr },
                    false => MismatchCause::Hidden(named),
                });
            }
        }
        None
    }

    fn extra(&self, chain: &mut Chain<'_>) -> Option<MismatchCause> {
        let at = (0..self.own.len()).find(|at| chain.reaches(*at, 1, &[]))?;
        self.named(at).map(MismatchCause::ExtraEvent)
    }

    fn changed_digest(&self, chain: &mut Chain<'_>) -> Option<MismatchCause> {
        let bank = chain.bank;
        let found = self.own.iter().enumerate().find(|(at, event)| {
            let whole = bank.digest(&[event.data]);
            let value = VariableData::parse(event.data).map(|variable| bank.digest(&[variable.value]));
            let candidates = [Some(whole), value].into_iter().flatten();
            candidates
                .filter(|digest| event.digest(bank) != Some(digest.as_slice()))
                .any(|digest| chain.reaches(*at, 1, &[digest.as_slice()]))
        });
        found.map(|(_, event)| MismatchCause::Digest(NamedEvent::of(event)))
    }

    fn swapped(&self, chain: &mut Chain<'_>) -> Option<MismatchCause> {
        let digests = chain.digests.clone();
        // Neighbours first: the others cost the most.
        for distance in 1..digests.len() {
            for (at, window) in digests.windows(distance + 1).enumerate() {
                let Some((first, rest)) = window.split_first() else { continue };
                let Some((last, middle)) = rest.split_last() else { continue };
                let exchanged = [&[*last][..], middle, &[*first]].concat();
                if chain.reaches(at, exchanged.len(), &exchanged) {
                    return Some(MismatchCause::Swapped(self.named(at)?, self.named(at + distance)?));
                }
            }
            if chain.budget < RESERVED_EXTENDS {
                break;
            }
        }
        None
    }

    fn replaced(&self, chain: &mut Chain<'_>) -> Option<MismatchCause> {
        let bank = chain.bank;
        let known = self.known(bank);
        for (at, event) in self.own.iter().enumerate() {
            let switched = switched_variable(event.data).map(|(what, data)| (what, bank.digest(&[&data])));
            for (what, digest) in switched.iter().chain(&known) {
                if chain.reaches(at, 1, &[digest.as_slice()]) {
                    return Some(MismatchCause::Replaced { event: self.named(at)?, by: what });
                }
            }
        }
        None
    }

    fn missing(&self, chain: &mut Chain<'_>) -> Option<MismatchCause> {
        for (what, digest) in self.known(chain.bank) {
            for at in 0..=self.own.len() {
                if chain.reaches(at, 0, &[digest.as_slice()]) {
                    return Some(MismatchCause::Missing { before: self.named(at), what });
                }
            }
        }
        None
    }

    /// Of PCR 7 (PFP, 3.3.4.8).
    fn lacks_variable(&self) -> Option<MismatchCause> {
        let names: Vec<_> = self.own.iter().filter_map(|event| VariableData::parse(event.data)).collect();
        let has = |name: &str| names.iter().any(|variable| variable.name == name);
        let lacking = SECURE_BOOT_VARIABLES.iter().find(|name| self.pcr == 7 && !has(name))?;
        // Without any of them the log is of something else.
        (names.len() > 1).then_some(MismatchCause::Lacks(lacking))
    }

    /// Events that firmware makes in this PCR and everybody knows.
    fn known(&self, bank: HashAlgorithm) -> Vec<(&'static str, Digest)> {
        let mut known = Vec::new();
        if self.pcr < 8 {
            known.push(("separator", bank.digest(&[&Separator::Zero.value()])));
        }
        if [4, 5, 7].contains(&self.pcr) {
            known.extend(KNOWN_ACTIONS.iter().map(|text| (*text, bank.digest(&[text.as_bytes()]))));
        }
        known
    }

    /// The first event of a type whose data every firmware measures, with other data.
    fn unbound(&self, bank: HashAlgorithm) -> Option<MismatchCause> {
        let suspicious = |event: &&&Event<'_>| {
            BOUND_TYPES.contains(&event.event_type) && Measured::new(***event, bank).is_unbound()
        };
        self.own.iter().find(suspicious).map(|event| MismatchCause::Unbound(NamedEvent::of(event)))
    }
}

/// The variable `SecureBoot` with its other value.
fn switched_variable(data: &[u8]) -> Option<(&'static str, Vec<u8>)> {
    let variable = VariableData::parse(data)?;
    if variable.guid != GLOBAL_VARIABLE || variable.name != "SecureBoot" {
        return None;
    }
    let (_, start) = data.split_last()?;
    match variable.value {
        [0] => Some(("SecureBoot = 01", [start, &[1]].concat())),
        [1] => Some(("SecureBoot = 00", [start, &[0]].concat())),
        _ => None,
    }
}

/// What an explanation may cost: a millisecond or two, once for a refused log. Every step takes half the square of the
/// number of events; PCRs have up to 40 of them, in the longest captured log 84.
const MAX_EXTENDS: usize = 8_000;
/// What exchanging two events that are no neighbours leaves for the steps after it.
const RESERVED_EXTENDS: usize = 5_000;
const SECURE_BOOT_VARIABLES: &[&str] = &["SecureBoot", "PK", "KEK", "db", "dbx"];
/// Events whose data are measured by every known firmware.
const BOUND_TYPES: &[u32] = &[
    event_type::SEPARATOR,
    event_type::EFI_ACTION,
    event_type::EFI_VARIABLE_DRIVER_CONFIG,
    event_type::EFI_VARIABLE_AUTHORITY,
    event_type::EFI_GPT_EVENT,
];
