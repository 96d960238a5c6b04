//! TCG event logs (TCG PC Client Platform Firmware Profile, 10.2; TCG EFI Platform Specification 1.22
//! for SHA-1 logs). Little-endian.
//!
//! A log is a claim of the machine. Nothing in it is believed here; [`super::replay`] says which of its
//! records the TPM vouches for, and [`super::content`] what of their data.

use crypto::HashAlgorithm;

use super::error::LogError;
use super::event_type::NO_ACTION;
use crate::read::{ReadError, Reader};
use crate::tpm::{digest_bytes, hash_algorithm};

/// A parsed log. Its records borrow from the bytes.
#[derive(Debug, Clone)]
pub struct EventLog<'a> {
    format: LogFormat,
    algorithms: Vec<u16>,
    events: Vec<Event<'a>>,
    startup_locality: Option<u8>,
    length: usize,
}

/// How the records of a log are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// `TCG_PCR_EVENT2`: a digest for every bank.
    CryptoAgile,
    /// `TCG_PCR_EVENT` throughout: SHA-1 only.
    Sha1,
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its place in the log, from 0; the header of a crypto-agile log does not count.
    pub sequence: usize,
    /// The PCR it says it was extended into; in logs of confidential VMs the measurement register.
    pub pcr: u32,
    /// What it says it is. Not measured.
    pub event_type: u32,
    /// Its data. Measured only as far as [`super::Content`] says.
    pub data: &'a [u8],
    digests: [Option<&'a [u8]>; 4],
}

impl<'a> Event<'a> {
    /// The digest that was extended into a bank.
    #[must_use]
    pub const fn digest(&self, bank: HashAlgorithm) -> Option<&'a [u8]> {
        let [sha1, sha256, sha384, sha512] = self.digests;
        match bank {
            HashAlgorithm::Sha1 => sha1,
            HashAlgorithm::Sha256 => sha256,
            HashAlgorithm::Sha384 => sha384,
            HashAlgorithm::Sha512 => sha512,
        }
    }

    fn set_digest(&mut self, bank: HashAlgorithm, digest: &'a [u8]) {
        let [sha1, sha256, sha384, sha512] = &mut self.digests;
        *match bank {
            HashAlgorithm::Sha1 => sha1,
            HashAlgorithm::Sha256 => sha256,
            HashAlgorithm::Sha384 => sha384,
            HashAlgorithm::Sha512 => sha512,
        } = Some(digest);
    }

    /// Whether a TPM extends it: all but `EV_NO_ACTION`.
    #[must_use]
    pub const fn is_extended(&self) -> bool {
        self.event_type != NO_ACTION
    }
}

impl<'a> EventLog<'a> {
    /// Parses a log, SHA-1 or crypto-agile by its first record. Bytes after the last record must be all
    /// zero or all `FF`, as the unused part of an ACPI area is, or follow a record for PCR `FFFFFFFF`,
    /// which Windows writes for its trust points; [`Self::length`] says where the log ends.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, LogError> {
        if bytes.len() > MAX_LOG_BYTES {
            return Err(LogError::TooLong { length: bytes.len(), limit: MAX_LOG_BYTES });
        }
        let padding = padding_start(bytes);
        let mut log = Self {
            format: LogFormat::Sha1,
            algorithms: vec![crate::tpm::hash_id(HashAlgorithm::Sha1)],
            events: Vec::new(),
            startup_locality: None,
            length: 0,
        };
        let (sizes, _) = Reader::prefix(bytes, "TCG event log", |r| {
            let first = sha1_event(r)?;
            let sizes = if first.event_type == NO_ACTION { spec_id(first.data)? } else { None };
            match &sizes {
                Some(sizes) => {
                    log.format = LogFormat::CryptoAgile;
                    log.algorithms = sizes.iter().map(|(id, _)| *id).collect();
                }
                None => log.push(first)?,
            }
            while !r.is_empty() {
                if r.offset() >= padding || r.starts_with(&[0xff; 4]) {
                    break;
                }
                let event = match &sizes {
                    Some(sizes) => agile_event(r, sizes)?,
                    None => sha1_event(r)?,
                };
                log.push(event)?;
            }
            log.length = r.offset();
            Ok::<_, LogError>(sizes)
        })?;
        drop(sizes);
        Ok(log)
    }

    fn push(&mut self, mut event: Event<'a>) -> Result<(), LogError> {
        if self.events.len() == MAX_EVENTS {
            return Err(LogError::TooManyEvents { limit: MAX_EVENTS });
        }
        event.sequence = self.events.len();
        if event.pcr > HIGHEST_PCR {
            return Err(LogError::Pcr { sequence: event.sequence, found: event.pcr });
        }
        if let Some(locality) = startup_locality(&event)? {
            if self.startup_locality.is_some() {
                return Err(LogError::StartupLocality { reason: "it stands twice" });
            }
            if self.events.iter().any(|event| event.pcr == 0 && event.is_extended()) {
                return Err(LogError::StartupLocality { reason: "PCR 0 was extended before" });
            }
            self.startup_locality = Some(locality);
        }
        self.events.push(event);
        Ok(())
    }

    /// How its records are laid out.
    #[must_use]
    pub const fn format(&self) -> LogFormat {
        self.format
    }

    /// The `TPM_ALG_ID` of each bank it says it has digests for.
    #[must_use]
    pub fn algorithms(&self) -> &[u16] {
        &self.algorithms
    }

    /// The banks that can be replayed, strongest first.
    #[must_use]
    pub fn banks(&self) -> Vec<HashAlgorithm> {
        let mut banks: Vec<_> = self.algorithms.iter().filter_map(|id| hash_algorithm(*id)).collect();
        banks.sort();
        banks.dedup();
        banks.reverse();
        banks
    }

    /// Its records in order, without the header of a crypto-agile log.
    #[must_use]
    pub fn events(&self) -> &[Event<'a>] {
        &self.events
    }

    /// The locality from which the TPM was started, which is where PCR 0 starts (0, 3 or 4).
    #[must_use]
    pub fn startup_locality(&self) -> u8 {
        self.startup_locality.unwrap_or(0)
    }

    /// The length of the log in bytes, without padding.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length
    }
}

/// `TCG_PCR_EVENT`.
fn sha1_event<'a>(r: &mut Reader<'a>) -> Result<Event<'a>, ReadError> {
    let (pcr, event_type) = (r.u32_le("pcrIndex")?, r.u32_le("eventType")?);
    let digest: &[u8; 20] = r.array("digest")?;
    let size = r.u32_le("eventSize")?;
    let data = r.take_u32("event", size)?;
    Ok(Event { sequence: 0, pcr, event_type, data, digests: [Some(digest), None, None, None] })
}

/// `TCG_PCR_EVENT2`; the sizes are those that the header declares.
fn agile_event<'a>(r: &mut Reader<'a>, sizes: &[(u16, usize)]) -> Result<Event<'a>, LogError> {
    let (pcr, event_type) = (r.u32_le("pcrIndex")?, r.u32_le("eventType")?);
    let count = r.u32_le("digestCount")?;
    let found = usize::try_from(count).unwrap_or(usize::MAX);
    if found > sizes.len() {
        return Err(LogError::DigestCount { found, declared: sizes.len(), offset: r.offset() });
    }
    let mut event = Event { sequence: 0, pcr, event_type, data: &[], digests: [None; 4] };
    // There are no more algorithms than bits: refused in `spec_id`.
    let mut seen = 0_u32;
    for _ in 0..found {
        let id = r.u16_le("algorithmId")?;
        let place = sizes.iter().position(|(declared, _)| *declared == id);
        let Some((place, (_, size))) = place.and_then(|place| Some((place, sizes.get(place)?))) else {
            return Err(LogError::UndeclaredAlgorithm { found: id, offset: r.offset() });
        };
        let bit = 1_u32.checked_shl(u32::try_from(place).unwrap_or(u32::MAX)).unwrap_or(0);
        if seen & bit != 0 {
            return Err(LogError::DuplicateAlgorithm { found: id });
        }
        seen |= bit;
        let digest = r.take("digest", *size)?;
        if let Some(bank) = hash_algorithm(id) {
            event.set_digest(bank, digest);
        }
    }
    let size = r.u32_le("eventSize")?;
    event.data = r.take_u32("event", size)?;
    Ok(event)
}

/// The digest sizes of a `Spec ID Event03`; `None` if the record is not one, and the log SHA-1 only.
fn spec_id(data: &[u8]) -> Result<Option<Vec<(u16, usize)>>, LogError> {
    if !data.starts_with(SPEC_ID_03) {
        return Ok(None);
    }
    Reader::all(data, "Spec ID event", |r| {
        r.array::<16>("signature")?;
        r.u32_le("platformClass")?;
        r.array::<2>("specVersion")?;
        r.u8("specErrata")?;
        r.u8("uintnSize")?;
        let count = r.u32_le("numberOfAlgorithms")?;
        let found = usize::try_from(count).unwrap_or(usize::MAX);
        if found == 0 || found > MAX_ALGORITHMS {
            return Err(LogError::AlgorithmCount { found, limit: MAX_ALGORITHMS });
        }
        let mut sizes: Vec<(u16, usize)> = Vec::with_capacity(found);
        for _ in 0..found {
            let (id, size) = (r.u16_le("algorithmId")?, usize::from(r.u16_le("digestSize")?));
            if sizes.iter().any(|(other, _)| *other == id) {
                return Err(LogError::DuplicateAlgorithm { found: id });
            }
            if digest_bytes(id).is_some_and(|known| known != size) {
                return Err(LogError::DigestSize { algorithm: id, found: size });
            }
            sizes.push((id, size));
        }
        let length = r.u8("vendorInfoSize")?;
        r.take("vendorInfo", length.into())?;
        Ok(Some(sizes))
    })
}

/// The locality of a StartupLocality record (PFP, 10.4.5.3).
fn startup_locality(event: &Event<'_>) -> Result<Option<u8>, LogError> {
    let Some(locality) = event.data.strip_prefix(STARTUP_LOCALITY).filter(|_| !event.is_extended()) else {
        return Ok(None);
    };
    match (event.pcr, locality) {
        (0, [locality @ (0 | 3 | 4)]) => Ok(Some(*locality)),
        (0, _) => Err(LogError::StartupLocality { reason: "it is not 0, 3 or 4" }),
        _ => Err(LogError::StartupLocality { reason: "it is not in PCR 0" }),
    }
}

/// Where the run of equal zero or `FF` bytes starts that ends the log.
fn padding_start(bytes: &[u8]) -> usize {
    match bytes.last() {
        Some(last @ (0 | 0xff)) => bytes.iter().rposition(|byte| byte != last).map_or(0, |index| index + 1),
        _ => bytes.len(),
    }
}

/// What the service accepts of all logs of a request together; the largest captured log has 80 KB.
pub const MAX_LOG_BYTES: usize = 64 * 1024 * 1024;
/// The longest captured log has 203 records. This bounds memory to about 10 MB.
const MAX_EVENTS: usize = 65_536;
/// TPMs have up to five banks.
const MAX_ALGORITHMS: usize = 16;
/// TPMs of PCs have PCRs 0 to 23, their selections up to four bytes.
const HIGHEST_PCR: u32 = 31;
const SPEC_ID_03: &[u8] = b"Spec ID Event03\0";
const STARTUP_LOCALITY: &[u8] = b"StartupLocality\0";
