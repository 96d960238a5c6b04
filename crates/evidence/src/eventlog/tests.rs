//! Logs made by hand: what must be refused, and what may not be concluded.

use crypto::{Digest, HashAlgorithm};

use super::event_type as ty;
use super::guid::{GLOBAL_VARIABLE, IMAGE_SECURITY_DATABASE, SHIM_LOCK};
use super::ima::ImaError;
use super::*;
use crate::read::ReadError;
use crate::tpm::tests::quoted;
use crate::verdict::Explain;

const SHA256: HashAlgorithm = HashAlgorithm::Sha256;

/// A crypto-agile log with a SHA-256 bank.
struct Log(Vec<u8>);

impl Log {
    fn new() -> Self {
        Self::with_algorithms(&[(0x0b, 32)])
    }

    fn with_algorithms(algorithms: &[(u16, u16)]) -> Self {
        let mut data = b"Spec ID Event03\0\0\0\0\0\0\x02\0\x02".to_vec();
        data.extend(u32::try_from(algorithms.len()).unwrap().to_le_bytes());
        for (id, size) in algorithms {
            data.extend(id.to_le_bytes());
            data.extend(size.to_le_bytes());
        }
        data.push(0);
        let mut log = Vec::new();
        log.extend([0, 0, 0, 0, 3, 0, 0, 0]);
        log.extend([0; 20]);
        log.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        log.extend(data);
        Self(log)
    }

    fn raw(mut self, pcr: u32, event_type: u32, digests: &[(u16, &[u8])], data: &[u8]) -> Self {
        self.0.extend(pcr.to_le_bytes());
        self.0.extend(event_type.to_le_bytes());
        self.0.extend(u32::try_from(digests.len()).unwrap().to_le_bytes());
        for (id, digest) in digests {
            self.0.extend(id.to_le_bytes());
            self.0.extend(*digest);
        }
        self.0.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        self.0.extend(data);
        self
    }

    /// An event whose digest is that of `measured`.
    fn measured(self, pcr: u32, event_type: u32, measured: &[u8], data: &[u8]) -> Self {
        self.raw(pcr, event_type, &[(0x0b, &crypto::sha256(measured))], data)
    }

    fn event(self, pcr: u32, event_type: u32, data: &[u8]) -> Self {
        self.measured(pcr, event_type, data, data)
    }

    fn separators(self, pcrs: &[u32]) -> Self {
        pcrs.iter().fold(self, |log, pcr| log.event(*pcr, ty::SEPARATOR, &[0; 4]))
    }

    fn variable(self, event_type: u32, guid: &Guid, name: &str, value: &[u8]) -> Self {
        self.event(7, event_type, &variable(guid, name, value))
    }

    /// The PCR values of the log, quoted by a TPM that measured exactly this.
    fn quoted(&self, pcrs: &[u8]) -> crate::tpm::QuotedPcrs {
        let log = EventLog::parse(&self.0).unwrap();
        let replay = Replay::of(&[&log], SHA256);
        let values: Vec<_> =
            pcrs.iter().map(|pcr| (SHA256, *pcr, replay.value(*pcr).unwrap().as_slice())).collect();
        quoted(&values)
    }

    fn parse(&self) -> Result<EventLog<'_>, LogError> {
        EventLog::parse(&self.0)
    }

    fn claims(&self) -> Result<BootClaims<'_>, ClaimError> {
        let log = self.parse().unwrap();
        let events: Vec<_> = log.events().iter().map(|event| Measured::new(*event, SHA256)).collect();
        BootClaims::of(&events, crate::tpm::PcrSet::from_mask(u32::MAX))
    }
}

fn variable(guid: &Guid, name: &str, value: &[u8]) -> Vec<u8> {
    let mut data = guid_bytes(guid);
    data.extend(u64::try_from(name.len()).unwrap().to_le_bytes());
    data.extend(u64::try_from(value.len()).unwrap().to_le_bytes());
    data.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
    data.extend(value);
    data
}

fn guid_bytes(guid: &Guid) -> Vec<u8> {
    let mut digits = hex::decode(guid.to_string().replace('-', "")).unwrap();
    digits[..4].reverse();
    digits[4..6].reverse();
    digits[6..8].reverse();
    digits
}

/// PCR 7 of a boot with Secure Boot, with `SecureBoot` as given and without the authority.
fn secure_boot(value: &[u8]) -> Log {
    let config = ty::EFI_VARIABLE_DRIVER_CONFIG;
    Log::new()
        .variable(config, &GLOBAL_VARIABLE, "SecureBoot", value)
        .variable(config, &GLOBAL_VARIABLE, "PK", b"pk")
        .variable(config, &GLOBAL_VARIABLE, "KEK", b"kek")
        .variable(config, &IMAGE_SECURITY_DATABASE, "db", b"db")
        .variable(config, &IMAGE_SECURITY_DATABASE, "dbx", b"")
}

fn authority(log: Log) -> Log {
    log.variable(ty::EFI_VARIABLE_AUTHORITY, &IMAGE_SECURITY_DATABASE, "db", b"certificate")
}

#[test]
fn malformed_logs_are_refused() {
    let digest: &[u8] = &[7; 32];
    assert!(matches!(EventLog::parse(&[]), Err(LogError::Shape(ReadError::Truncated { .. }))));
    let check = |log: Log| log.parse().unwrap_err();
    for count in [0, 17] {
        let algorithms: Vec<_> = (0..count).map(|id| (id + 0x100, 8)).collect();
        let error = check(Log::with_algorithms(&algorithms));
        assert_eq!(error, LogError::AlgorithmCount { found: usize::from(count), limit: 16 });
    }
    assert_eq!(
        check(Log::with_algorithms(&[(0x0b, 20)])),
        LogError::DigestSize { algorithm: 0x0b, found: 20 }
    );
    assert_eq!(
        check(Log::with_algorithms(&[(0x0b, 32), (0x0b, 32)])),
        LogError::DuplicateAlgorithm { found: 0x0b }
    );
    assert!(matches!(
        check(Log::new().raw(0, 1, &[(0x0b, digest), (0x0b, digest)], b"")),
        LogError::DigestCount { found: 2, declared: 1, .. }
    ));
    let two = || Log::with_algorithms(&[(0x0b, 32), (0x12, 32)]);
    assert_eq!(
        check(two().raw(0, 1, &[(0x0b, digest), (0x0b, digest)], b"")),
        LogError::DuplicateAlgorithm { found: 0x0b }
    );
    assert!(two().raw(0, 1, &[(0x12, digest), (0x0b, digest)], b"").parse().is_ok());
    assert!(matches!(
        check(Log::new().raw(0, 1, &[(0x0c, digest)], b"")),
        LogError::UndeclaredAlgorithm { found: 0x0c, .. }
    ));
    let error = check(Log::new().raw(32, 1, &[(0x0b, digest)], b""));
    assert_eq!(error, LogError::Pcr { sequence: 0, found: 32 });
    assert_eq!(error.check().id, "eventlog.structure");
    let mut cut = Log::new().event(0, 1, b"data");
    cut.0.pop();
    assert!(matches!(
        check(cut),
        LogError::Shape(ReadError::Truncated { field: "event", wanted: 4, found: 3, .. })
    ));
}

#[test]
fn padding_ends_a_log_and_nothing_else_does() {
    let log = Log::new().event(0, 1, b"data").0;
    for padding in [&[0; 100][..], &[0xff; 3], &[0xff; 100]] {
        let padded = [&log[..], padding].concat();
        let parsed = EventLog::parse(&padded).unwrap();
        assert_eq!((parsed.events().len(), parsed.length()), (1, log.len()));
    }
    assert!(EventLog::parse(&[&log[..], &[0, 0, 1]].concat()).is_err());
    // A trust point of Windows, and whatever follows it.
    let trust_point = [&log[..], &[0xff; 4], b"\x03\0\0\0 and so on"].concat();
    assert_eq!(EventLog::parse(&trust_point).unwrap().length(), log.len());
}

#[test]
fn large_logs_are_bounded() {
    let one = Log::new().raw(0, 1, &[], b"").0;
    let header = Log::new().0;
    let record = &one[header.len()..];
    // A last byte that is no padding, so that every record is read.
    let many = [&header[..], &record.repeat(65_537)].concat();
    let many = [many, vec![1]].concat();
    assert_eq!(EventLog::parse(&many).unwrap_err(), LogError::TooManyEvents { limit: 65_536 });
    let long = vec![0; MAX_LOG_BYTES + 1];
    assert!(matches!(EventLog::parse(&long), Err(LogError::TooLong { .. })));
    // 64 MiB in one event, in one of a size that lies, and of zeros.
    let data = vec![7; MAX_LOG_BYTES - 200];
    let log = Log::new().event(4, ty::EFI_ACTION, &data);
    assert!(log.claims().is_ok());
    let mut lying = log.0;
    let at = header.len() + 12 + 34;
    lying[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(EventLog::parse(&lying).is_err());
    assert!(EventLog::parse(&vec![0; MAX_LOG_BYTES]).is_ok_and(|log| log.events().len() <= 1));
}

#[test]
fn startup_locality_is_where_pcr_0_starts() {
    let locality = |value: &[u8]| [b"StartupLocality\0", value].concat();
    let start = |pcr, value: &[u8]| Log::new().event(pcr, ty::NO_ACTION, &locality(value));
    for value in [0, 3, 4] {
        let log = start(0, &[value]);
        let parsed = log.parse().unwrap();
        let replay = Replay::of(&[&parsed], SHA256);
        assert_eq!(replay.value(0), Some(&Digest::filled(SHA256, 0, value)));
        assert_eq!(replay.value(1), Some(&Digest::filled(SHA256, 0, 0)));
        assert_eq!(replay.value(17), Some(&Digest::filled(SHA256, 0xff, 0xff)));
        assert!(replay.extended().is_empty());
    }
    for (log, expected) in [
        (start(0, &[1]), "it is not 0, 3 or 4"),
        (start(0, &[3, 0]), "it is not 0, 3 or 4"),
        (start(1, &[3]), "it is not in PCR 0"),
        (start(0, &[3]).event(0, ty::NO_ACTION, &locality(&[3])), "it stands twice"),
        (Log::new().event(0, 1, b"").event(0, ty::NO_ACTION, &locality(&[3])), "PCR 0 was extended before"),
    ] {
        assert_eq!(log.parse().unwrap_err(), LogError::StartupLocality { reason: expected });
    }
}

#[test]
fn a_dynamic_launch_starts_its_pcrs_at_zero() {
    let log = Log::new().event(17, 0x402, b"hash");
    let parsed = log.parse().unwrap();
    let replay = Replay::of(&[&parsed], SHA256);
    assert_eq!(replay.value(18), Some(&Digest::filled(SHA256, 0, 0)));
    assert_ne!(replay.value(17), replay.value(18));
}

fn verify<'a>(log: &'a Log, quoted: &crate::tpm::QuotedPcrs) -> Result<MeasuredLog<'a>, ReplayError> {
    let parsed = log.parse().unwrap();
    MeasuredLog::verify(&[&parsed], quoted, false).map_err(|rejection| {
        assert_eq!(rejection.verdict.first_failure().unwrap().id, "eventlog.replay");
        rejection.error
    })
}

#[test]
fn only_quoted_pcrs_are_believed() {
    let log = Log::new().event(0, 1, b"a").event(4, 1, b"b").separators(&[0, 4]).event(8, ty::IPL, b"c");
    let measured = verify(&log, &log.quoted(&[0])).unwrap();
    assert_eq!(measured.covered().mask(), 1);
    assert!(measured.events().iter().all(|event| event.event.pcr == 0));
    assert_eq!(measured.events().len(), 2);
    // PCR 9 has no events and its initial value: nothing was measured. PCR 23 can be reset.
    let measured = verify(&log, &log.quoted(&[0, 4, 8, 9, 23])).unwrap();
    assert_eq!(measured.covered().mask(), 0x311);
    assert_eq!(measured.bank(), SHA256);
    // PCR 10 holds something that is not in the log: it says nothing about it.
    let replay = Replay::of(&[&log.parse().unwrap()], SHA256);
    let other = quoted(&[(SHA256, 0, replay.value(0).unwrap().as_slice()), (SHA256, 10, &[7; 32])]);
    assert_eq!(verify(&log, &other).unwrap().covered().mask(), 1);
}

#[test]
fn mismatches_name_what_explains_them() {
    let genuine = || Log::new().event(4, 1, b"a").separators(&[4]).event(4, 1, b"b");
    let values = genuine().quoted(&[4]);
    let cause = |log: &Log| match verify(log, &values).unwrap_err() {
        ReplayError::Pcr { pcr: 4, cause, .. } => cause,
        other => panic!("{other}"),
    };
    let named = |sequence, event_type| NamedEvent { sequence, event_type };
    let code = |sequence| named(sequence, 1);
    // Added, at the end and elsewhere.
    let longer = genuine().event(4, 1, b"c");
    assert_eq!(cause(&longer), MismatchCause::FirstUnknown(code(3)));
    let added = Log::new().event(4, 1, b"x").event(4, 1, b"a").separators(&[4]).event(4, 1, b"b");
    assert_eq!(cause(&added), MismatchCause::ExtraEvent(code(0)));
    // Removed: what everybody knows is found, what is not, is not.
    let shorter = Log::new().event(4, 1, b"a").separators(&[4]);
    assert_eq!(cause(&shorter), MismatchCause::Unknown);
    let without_separator = Log::new().event(4, 1, b"a").event(4, 1, b"b");
    assert_eq!(
        cause(&without_separator),
        MismatchCause::Missing { before: Some(code(1)), what: "separator" }
    );
    // Swapped, neighbours or not.
    let swapped = Log::new().event(4, 1, b"a").event(4, 1, b"b").separators(&[4]);
    assert_eq!(cause(&swapped), MismatchCause::Swapped(code(1), named(2, ty::SEPARATOR)));
    let swapped = Log::new().event(4, 1, b"b").separators(&[4]).event(4, 1, b"a");
    assert_eq!(cause(&swapped), MismatchCause::Swapped(code(0), code(2)));
    // Digest changed, data kept; data changed, digest kept, which replays; both changed.
    let digest = Log::new().measured(4, 1, b"x", b"a").separators(&[4]).event(4, 1, b"b");
    assert_eq!(cause(&digest), MismatchCause::Digest(code(0)));
    let data = Log::new().measured(4, 1, b"a", b"x").separators(&[4]).event(4, 1, b"b");
    assert!(verify(&data, &values).unwrap().events()[0].is_unbound());
    let both = Log::new().event(4, 1, b"x").separators(&[4]).event(4, 1, b"b");
    assert_eq!(cause(&both), MismatchCause::Unknown);
    let unbound = Log::new().event(4, 1, b"a").separators(&[4]).measured(4, ty::EFI_ACTION, b"y", b"x");
    assert_eq!(cause(&unbound), MismatchCause::Unbound(named(2, ty::EFI_ACTION)));
    // An event that was extended, disguised as one that was not, or as one of another PCR.
    let hidden = Log::new().event(4, 1, b"a").separators(&[4]).event(4, ty::NO_ACTION, b"b");
    assert_eq!(cause(&hidden), MismatchCause::Hidden(named(2, ty::NO_ACTION)));
    let moved = Log::new().event(4, 1, b"a").separators(&[4]).event(5, 1, b"b");
    assert_eq!(cause(&moved), MismatchCause::Moved { event: code(2), claimed: 5 });

    let none = Log::new().event(0, 1, b"a").separators(&[0]);
    // What the loader measures can't be hidden by leaving all of it out, either.
    let loader = quoted(&[(SHA256, 12, &[7; 32])]);
    let error = verify(&none, &loader).unwrap_err();
    assert!(matches!(error, ReplayError::Pcr { pcr: 12, cause: MismatchCause::NoEvents, .. }), "{error}");
    let error = verify(&none, &values).unwrap_err();
    assert!(matches!(error, ReplayError::Pcr { cause: MismatchCause::NoEvents, .. }), "{error}");
    let expected =
        "the log does not replay to the quoted value of PCR 4 (sha256): the log has no events of it";
    assert!(error.to_string().starts_with(expected), "{error}");
}

#[test]
fn mismatches_of_known_values_are_named() {
    let cause = |log: &Log, genuine: &Log, pcr: u8| match verify(log, &genuine.quoted(&[pcr])).unwrap_err() {
        ReplayError::Pcr { cause, .. } => cause,
        other => panic!("{other}"),
    };
    // `SecureBoot` rewritten with its digest, as an attacker would.
    let (on, off) = (secure_boot(&[1]).separators(&[7]), secure_boot(&[0]).separators(&[7]));
    let event = NamedEvent { sequence: 0, event_type: ty::EFI_VARIABLE_DRIVER_CONFIG };
    assert_eq!(cause(&on, &off, 7), MismatchCause::Replaced { event, by: "SecureBoot = 00" });
    // A list of forbidden signatures left out.
    let config = ty::EFI_VARIABLE_DRIVER_CONFIG;
    let variable = |log: Log, name: &str| log.variable(config, &GLOBAL_VARIABLE, name, b"x");
    let names = ["SecureBoot", "PK", "KEK", "db"];
    let shorter = names.iter().fold(Log::new(), |log, name| variable(log, name)).separators(&[7]);
    let whole = ["SecureBoot", "PK", "KEK", "db", "dbx"];
    let whole = whole.iter().fold(Log::new(), |log, name| variable(log, name)).separators(&[7]);
    let found = cause(&shorter, &whole, 7);
    assert_eq!(found, MismatchCause::Lacks("dbx"));
    assert!(found.to_string().contains("`dbx`"), "{found}");
    // The start of PCR 0.
    let locality = [&b"StartupLocality\0"[..], &[3]].concat();
    let started = Log::new().event(0, ty::NO_ACTION, &locality).separators(&[0]);
    let found = cause(&Log::new().separators(&[0]), &started, 0);
    assert_eq!(found, MismatchCause::StartupLocality { locality: 3 });
    // Something at the end that came after the log was read.
    let action = "Returning from EFI Application from Boot Option";
    let later = Log::new().separators(&[4]).event(4, ty::EFI_ACTION, action.as_bytes());
    let found = cause(&Log::new().separators(&[4]), &later, 4);
    assert_eq!(found, MismatchCause::Missing { before: None, what: action });
    // The message also says which other PCRs differ.
    let other = Log::new().event(1, 1, b"x").event(3, 1, b"x").separators(&[1, 2, 3]);
    let genuine = Log::new().event(1, 1, b"y").event(3, 1, b"y").separators(&[1, 2, 3]);
    let error = verify(&other, &genuine.quoted(&[1, 2, 3])).unwrap_err().to_string();
    assert!(error.contains("PCR 1 (sha256) (nor of PCR 3): no single event"), "{error}");
}

/// A log whose digests of one bank were changed: the other bank does not vouch for it.
#[test]
fn every_bank_is_explained_by_itself() {
    let digests = |sha256: &[u8], sha384: &[u8]| -> Log {
        let sha384 = HashAlgorithm::Sha384.digest(&[sha384]);
        Log::with_algorithms(&[(0x0b, 32), (0x0c, 48)])
            .raw(
                4,
                4,
                &[
                    (0x0b, &crypto::sha256(&[0; 4])),
                    (0x0c, HashAlgorithm::Sha384.digest(&[&[0; 4]]).as_slice()),
                ],
                &[0; 4],
            )
            .raw(4, 1, &[(0x0b, &crypto::sha256(sha256)), (0x0c, sha384.as_slice())], b"a")
    };
    let values = |log: &Log| {
        let log = log.parse().unwrap();
        let of = |bank| *Replay::of(&[&log], bank).value(4).unwrap();
        let (sha256, sha384) = (of(SHA256), of(HashAlgorithm::Sha384));
        quoted(&[(SHA256, 4, sha256.as_slice()), (HashAlgorithm::Sha384, 4, sha384.as_slice())])
    };
    let genuine = values(&digests(b"a", b"a"));
    for (log, bank) in [(digests(b"x", b"a"), SHA256), (digests(b"a", b"x"), HashAlgorithm::Sha384)] {
        match verify(&log, &genuine).unwrap_err() {
            ReplayError::Pcr { bank: found, pcr: 4, cause: MismatchCause::Digest(event), .. } => {
                assert_eq!((found, event.sequence), (bank, 1));
            }
            other => panic!("{other}"),
        }
    }
}

/// TPM Carte Blanche, CVE-2021-42299: a bank that the firmware left alone.
#[test]
fn a_bank_without_separators_was_not_measured() {
    let log = Log::new().event(0, 1, b"a");
    assert_eq!(
        verify(&log, &log.quoted(&[0])).unwrap_err(),
        ReplayError::MissingSeparator { bank: SHA256, pcr: 0 }
    );
    // All banks that are quoted must replay.
    let sha384 = HashAlgorithm::Sha384;
    let both = Log::with_algorithms(&[(0x0b, 32), (0x0c, 48)]).event(0, ty::SEPARATOR, &[0; 4]);
    let zero = both.quoted(&[0]);
    let error = verify(&both, &quoted(&[(sha384, 0, &[0; 48])])).unwrap_err();
    assert_eq!(error, ReplayError::NoDigest { bank: sha384, pcr: 0, sequence: 0 });
    assert!(verify(&both, &zero).is_ok());
    let other = quoted(&[(sha384, 0, &[0; 48])]);
    assert_eq!(verify(&log, &other).unwrap_err(), ReplayError::NoBank);
    assert_eq!(MeasuredLog::verify(&[], &zero, false).unwrap_err().error, ReplayError::NoBank);
}

#[test]
fn known_events_after_the_log_are_found() {
    let log = || Log::new().separators(&[5]).event(11, ty::IPL, b"section");
    let later = log()
        .event(5, ty::EFI_ACTION, b"Exit Boot Services Invocation")
        .event(5, ty::EFI_ACTION, b"Exit Boot Services Returned with Success")
        .event(11, ty::IPL, b"enter-initrd")
        .event(11, ty::IPL, b"leave-initrd");
    let log = log();
    let measured = verify(&log, &later.quoted(&[5, 11])).unwrap();
    assert_eq!(measured.appended().len(), 4);
    let other = later.event(11, ty::IPL, b"attack");
    assert!(verify(&log, &other.quoted(&[11])).is_err());
}

#[test]
fn secure_boot_rests_on_what_was_measured() {
    let state = |log: Log| log.claims().unwrap().secure_boot.state;
    let full = authority(secure_boot(&[1]).separators(&[7]));
    let claims = full.claims().unwrap();
    assert!(claims.secure_boot.is_enabled());
    assert_eq!(claims.to_json()["secureBootEnabled"], true);
    assert!(!claims.secure_boot.db.as_ref().unwrap().well_formed);
    let without = secure_boot(&[1]).separators(&[7]);
    let claims = without.claims().unwrap();
    assert_eq!(claims.secure_boot.missing, Some("an authority for a boot application"));
    assert_eq!(claims.to_json()["secureBootEnabled"], false);
    // What shim measures of itself allows no image.
    let sbat = secure_boot(&[1]).separators(&[7]);
    let sbat = sbat.variable(ty::EFI_VARIABLE_AUTHORITY, &SHIM_LOCK, "SbatLevel", b"sbat,1,2024");
    let sbat = sbat.variable(ty::EFI_VARIABLE_AUTHORITY, &SHIM_LOCK, "MokListRT", b"x");
    assert!(!sbat.claims().unwrap().secure_boot.is_enabled());
    assert_eq!(sbat.claims().unwrap().secure_boot.sbat_level, Some(&b"sbat,1,2024"[..]));
    let early = authority(secure_boot(&[1])).separators(&[7]);
    assert!(!early.claims().unwrap().secure_boot.is_enabled());
    assert_eq!(early.claims().unwrap().secure_boot.driver_authorities.len(), 1);
    assert_eq!(state(secure_boot(&[0]).separators(&[7])), SecureBootState::Disabled);
    assert_eq!(state(secure_boot(&[]).separators(&[7])), SecureBootState::Empty);
    assert_eq!(state(Log::new()), SecureBootState::NotMeasured);
    let unseparated = authority(secure_boot(&[1]));
    assert_eq!(unseparated.claims().unwrap().secure_boot.missing, Some("a separator"));
}

/// go-attestation, `event-log-disclosure.md`: types say nothing, and what is passed over may matter.
#[test]
fn disguised_events_of_pcr_7_are_refused() {
    let error = |log: Log| {
        let error = log.claims().unwrap_err();
        assert_eq!(error.check().id, "eventlog.secure_boot");
        error
    };
    let config = ty::EFI_VARIABLE_DRIVER_CONFIG;
    for event_type in [0x2, 0x1, 0x8000_0008, 0x8000_0003, ty::IPL] {
        assert!(matches!(
            error(secure_boot(&[0]).event(7, event_type, b"x")),
            ClaimError::Unexpected { at: " before the separator", .. }
        ));
    }
    // A separator under another type ends the configuration all the same.
    let disguised = secure_boot(&[0]).measured(7, 0x1, &[0; 4], b"x");
    assert!(matches!(error(disguised), ClaimError::Unexpected { event_type: 1, .. }));
    let data = variable(&GLOBAL_VARIABLE, "SecureBoot", &[1]);
    let measured = variable(&GLOBAL_VARIABLE, "SecureBoot", &[0]);
    let flipped = Log::new().measured(7, config, &measured, &data);
    assert_eq!(error(flipped), ClaimError::Unbound { sequence: 0, pcr: 7 });
    let twice = secure_boot(&[0]).variable(config, &GLOBAL_VARIABLE, "SecureBoot", &[1]);
    assert!(matches!(error(twice), ClaimError::Duplicate { what, .. } if what == "SecureBoot"));
    let twice = secure_boot(&[0]).variable(config, &IMAGE_SECURITY_DATABASE, "db", b"");
    assert!(matches!(error(twice), ClaimError::Duplicate { what, .. } if what == "db"));
    let other = |log: Log| log.variable(config, &SHIM_LOCK, "Other", b"");
    assert!(matches!(error(other(other(Log::new()))), ClaimError::Duplicate { .. }));
    let late = secure_boot(&[0]).separators(&[7]).variable(config, &GLOBAL_VARIABLE, "PK", b"");
    assert!(matches!(error(late), ClaimError::Unexpected { at: " after the separator", .. }));
    let twice = secure_boot(&[0]).separators(&[7, 7]);
    assert!(matches!(error(twice), ClaimError::Duplicate { what, .. } if what == "separator"));
    let failed = secure_boot(&[0]).measured(7, ty::SEPARATOR, &[1, 0, 0, 0], b"failure");
    assert!(matches!(error(failed), ClaimError::Malformed { .. }));
    let odd = Log::new().variable(config, &GLOBAL_VARIABLE, "SecureBoot", &[2]);
    assert!(matches!(error(odd), ClaimError::Malformed { .. }));
    let odd = Log::new().event(7, config, b"no variable");
    assert!(matches!(error(odd), ClaimError::Malformed { reason: "no UEFI variable", .. }));
    let many = (0..65)
        .fold(Log::new(), |log, index| log.variable(config, &GLOBAL_VARIABLE, &format!("v{index}"), b""));
    assert!(matches!(error(many), ClaimError::Malformed { reason: "too many variables", .. }));
    let unbound = secure_boot(&[1]).separators(&[7]).measured(7, ty::EFI_VARIABLE_AUTHORITY, b"x", b"y");
    assert!(matches!(error(unbound), ClaimError::Unbound { .. }));
    let actions = secure_boot(&[0]).event(7, ty::EFI_ACTION, b"UEFI Debug Mode").event(
        7,
        ty::EFI_ACTION,
        b"DMA Protection Disabled",
    );
    let claims = actions.claims().unwrap();
    assert!(claims.secure_boot.debug_mode && claims.secure_boot.dma_protection_disabled);
}

#[test]
fn the_kernel_command_line_is_the_one_grub_set() {
    let grub = |log: Log, prefix: &str, text: &str| {
        log.measured(8, ty::IPL, text.as_bytes(), format!("{prefix}{text}\0").as_bytes())
    };
    let line = |log: &Log| log.claims().unwrap().path.kernel_command_line;
    let log = grub(Log::new(), "grub_cmd: ", "linux /vmlinuz quiet");
    let log = grub(log, "kernel_cmdline: ", "/vmlinuz quiet");
    assert_eq!(line(&log).as_deref(), Some("BOOT_IMAGE=/vmlinuz quiet"));
    assert_eq!(log.claims().unwrap().path.grub_commands, ["linux /vmlinuz quiet"]);
    // The prefix is not measured: what GRUB echoed is no command line.
    let confused = grub(Log::new(), "kernel_cmdline: ", "echo /vmlinuz single");
    assert_eq!(line(&confused), None);
    let two = grub(grub(log, "grub_cmd: ", "linux /x"), "kernel_cmdline: ", "/x");
    assert_eq!(line(&two), None);
    let changed = Log::new().measured(8, ty::IPL, b"/vmlinuz", b"kernel_cmdline: /vmlinux\0");
    let path = changed.claims().unwrap().path;
    assert_eq!((path.kernel_command_line, path.unread_commands), (None, 1));
    // Older GRUB measured the final NUL.
    let old = Log::new().measured(8, ty::IPL, b"linux /v\0", b"grub_cmd linux /v\0");
    let old = old.measured(8, ty::IPL, b"/v\0", b"grub_kernel_cmdline /v\0");
    assert_eq!(line(&old).as_deref(), Some("BOOT_IMAGE=/v"));
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn unified_kernel_images() {
    let section = |log: Log, name: &str, contents: &[u8]| {
        let logged = utf16(&format!("{name}\0"));
        let measured = format!("{name}\0");
        log.measured(11, ty::IPL, measured.as_bytes(), &logged).measured(11, ty::IPL, contents, &logged)
    };
    let log = section(section(Log::new(), ".linux", b"kernel"), ".osrel", b"release");
    let log = log.measured(12, ty::IPL, &utf16("quiet"), &utf16("quiet\0"));
    let path = log.claims().unwrap().path;
    let names: Vec<_> = path.uki_sections.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [".linux", ".osrel"]);
    assert_eq!(path.uki_sections[0].1, crypto::sha256(b"kernel"));
    assert_eq!(path.kernel_command_line.as_deref(), Some("quiet"));
    // A name that was not measured names nothing.
    let renamed = Log::new().measured(11, ty::IPL, b".linux\0", &utf16(".initrd\0"));
    let renamed = renamed.measured(11, ty::IPL, b"kernel", &utf16(".initrd\0"));
    assert!(renamed.claims().unwrap().path.uki_sections.is_empty());
}

fn tag(id: u32, payload: &[u8]) -> Vec<u8> {
    [&id.to_le_bytes()[..], &u32::try_from(payload.len()).unwrap().to_le_bytes(), payload].concat()
}

fn boundary(tags: &[Vec<u8>]) -> Vec<u8> {
    tag(sipa::TRUSTBOUNDARY, &tags.concat())
}

#[test]
fn windows_flags_count_when_all_agree() {
    let windows = |values: &[u8]| {
        let tags: Vec<_> = values.iter().map(|value| tag(sipa::CODEINTEGRITY, &[*value])).collect();
        let log = Log::new().event(12, ty::EVENT_TAG, &boundary(&tags));
        let log = log.event(12, ty::SEPARATOR, b"WBCL");
        // After the end nothing counts.
        let log = log.event(12, ty::EVENT_TAG, &boundary(&[tag(sipa::CODEINTEGRITY, &[1])]));
        log.claims().unwrap().windows.unwrap()
    };
    assert!(windows(&[1, 1]).code_integrity_enabled);
    assert!(!windows(&[1, 0]).code_integrity_enabled);
    assert!(!windows(&[]).code_integrity_enabled);
    let absent = windows(&[]);
    assert!(absent.not_safe_mode && absent.not_win_pe && !absent.boot_debugging_disabled);
    assert_eq!(Log::new().event(12, ty::IPL, b"x").claims().unwrap().windows, None);
    // Nothing is absent where the quote does not say what is there.
    let none = |mask| BootClaims::of(&[], crate::tpm::PcrSet::from_mask(mask)).unwrap().to_json();
    assert_eq!((&none(0x3000)["notSafeMode"], &none(0x3000)["notWinPE"]), (&true.into(), &true.into()));
    assert_eq!((&none(0x1000)["notSafeMode"], &none(0x1000)["notWinPE"]), (&false.into(), &false.into()));
}

#[test]
fn windows_events_are_bound_and_in_order() {
    let start = || Log::new().event(12, ty::EVENT_TAG, &boundary(&[tag(sipa::CODEINTEGRITY, &[1])]));
    let error = |log: Log| {
        let error = log.claims().unwrap_err();
        assert_eq!(error.check().id, "eventlog.windows");
        error
    };
    assert!(matches!(error(start().event(13, ty::COMPACT_HASH, b"x")), ClaimError::Unexpected { .. }));
    assert!(matches!(
        error(start().measured(13, ty::EVENT_TAG, b"x", b"y")),
        ClaimError::Unbound { pcr: 13, .. }
    ));
    let ended = start().event(12, ty::SEPARATOR, b"WBCL").event(12, ty::SEPARATOR, b"WBCL");
    assert!(matches!(error(ended), ClaimError::Duplicate { .. }));
    let counter = |value: u8| tag(sipa::BOOTCOUNTER, &[value, 0, 0, 0, 0, 0, 0, 0]);
    let counters = start().event(13, ty::EVENT_TAG, &boundary(&[counter(1), counter(2)]));
    assert_eq!(error(counters), ClaimError::Windows { sequence: 1, pcr: 13, reason: "two boot counters" });
    let broken = start().event(13, ty::EVENT_TAG, &boundary(&[tag(sipa::VSM_IDKS_INFO, b"x")]));
    assert!(matches!(error(broken), ClaimError::Windows { reason: "no RSA identity key", .. }));
    let key = |byte: u8| {
        let mut payload = [0, 2048_u32, 3, 256].into_iter().flat_map(u32::to_le_bytes).collect::<Vec<_>>();
        payload.extend([1, 0, 1]);
        payload.extend([byte; 256]);
        tag(sipa::VSM_IDKS_INFO, &payload)
    };
    let one = start().event(13, ty::EVENT_TAG, &boundary(&[key(0xff), key(0xff)]));
    assert!(one.claims().unwrap().windows.unwrap().vsm_signing_key.is_some());
    let two = start().event(13, ty::EVENT_TAG, &boundary(&[key(0xff), key(0xfd)]));
    assert!(matches!(error(two), ClaimError::Windows { reason: "two identity keys", .. }));
}

#[test]
fn events_show_what_was_measured() {
    let order = variable(&GLOBAL_VARIABLE, "BootOrder", &[1, 0]);
    let option = variable(&GLOBAL_VARIABLE, "Boot0001", b"option");
    let renamed = variable(&GLOBAL_VARIABLE, "Boot0002", b"option");
    let policy = tag(0x0005_000f, b"policy");
    let module = tag(sipa::LOADEDMODULE_AGGREGATION, &tag(sipa::FILEPATH, &utf16("\\a\0")));
    let tags = [policy, module, tag(0x0005_9999, b"x"), tag(sipa::BITLOCKER_UNLOCK, &[4, 0, 0, 0])];
    let log = Log::new()
        .measured(1, ty::EFI_VARIABLE_BOOT, &[1, 0], &order)
        .measured(1, ty::EFI_VARIABLE_BOOT, b"option", &option)
        .measured(1, ty::EFI_VARIABLE_BOOT, b"option", &renamed)
        .event(12, ty::EVENT_TAG, &boundary(&tags))
        .event(0, 0x8000_0008, b"blob");
    let parsed = log.parse().unwrap();
    let events: Vec<_> = parsed.events().iter().map(|event| Measured::new(*event, SHA256)).collect();
    let shown = events_json(&events, &[]);
    let data = |index: usize| shown["Events"][index]["ProcessedData"].clone();
    assert_eq!(
        data(0),
        serde_json::json!({
            "UnicodeName": "BootOrder", "VariableData": "AQA",
            "VariableGuid": "8BE4DF61-93CA-11D2-AA0D-00E098032B8C",
        })
    );
    assert_eq!(data(1)["UnicodeName"], "Boot0001");
    // The name is not measured, and not the one that comes next.
    assert_eq!(data(2), serde_json::json!({ "VariableData": "b3B0aW9u" }));
    assert_eq!(
        data(3),
        serde_json::json!({ "EVENT_TRUSTBOUNDARY": {
            "EVENT_SI_POLICY": [{ "RawData": "cG9saWN5" }],
            "EVENT_LOADEDMODULE_AGGREGATION": [{ "EVENT_FILEPATH": "\\a" }],
            "EVENT_00059999": { "RawData": "eA" },
            "EVENT_BITLOCKER_UNLOCK": { "String": "TPM", "Value": 4 },
        } })
    );
    assert_eq!(data(4), serde_json::Value::Null);
    assert_eq!(shown["Events"][4]["EventSeq"], 5);
    assert_eq!(shown["Events"][4]["EventTypeString"], "EV_EFI_PLATFORM_FIRMWARE_BLOB");
}

/// A record of an IMA log, with the right template hash.
fn ima_record(template: &str, fields: &[&[u8]]) -> (Vec<u8>, Vec<u8>) {
    let mut data = Vec::new();
    for field in fields {
        data.extend(u32::try_from(field.len()).unwrap().to_le_bytes());
        data.extend(*field);
    }
    (ima_frame(template, &crypto::sha1(&data), &data), data)
}

fn ima_frame(template: &str, hash: &[u8], data: &[u8]) -> Vec<u8> {
    let mut record = 10_u32.to_le_bytes().to_vec();
    record.extend(hash);
    record.extend(u32::try_from(template.len()).unwrap().to_le_bytes());
    record.extend(template.as_bytes());
    record.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
    record.extend(data);
    record
}

fn extend(value: &mut Vec<u8>, digest: &[u8]) {
    *value = crypto::sha256_of_parts(&[value, digest]).to_vec();
}

fn sha256_field(data: &[u8]) -> Vec<u8> {
    [&b"sha256:\0"[..], &crypto::sha256(data)].concat()
}

#[test]
fn ima_records_up_to_the_quote() {
    let pcr = |index: u8| [index; 32];
    let values: Vec<_> = (0..10).map(pcr).collect();
    let aggregate = crypto::sha256(&values.concat());
    let digest = [&b"sha256:\0"[..], &aggregate].concat();
    let (first, first_data) = ima_record("ima-ng", &[&digest, b"boot_aggregate\0"]);
    let version = sha256_field(b"6.1.0\0");
    let (second, second_data) = ima_record("ima-buf", &[&version, b"kernel_version\0", b"6.1.0\0"]);
    let violation = ima_frame("ima-ng", &[0; 20], &first_data);
    let (later, _) = ima_record("ima-sig", &[&digest, b"/bin/late\0", b"\x03\x02sig"]);
    let mut value = vec![0; 32];
    extend(&mut value, &crypto::sha256(&first_data));
    extend(&mut value, &crypto::sha256(&second_data));
    extend(&mut value, &[0xff; 32]);
    let mut list: Vec<(HashAlgorithm, u8, &[u8])> =
        (0..10).zip(&values).map(|(index, value)| (SHA256, index, value.as_slice())).collect();
    list.push((SHA256, 10, &value));
    let bytes = [first, second, violation, later].concat();
    let log = ImaLog::parse(&bytes).unwrap();
    assert_eq!(log.unverified_records().len(), 4);
    let measured = MeasuredIma::verify(&log, &quoted(&list), false).unwrap();
    assert_eq!((measured.records().len(), measured.later_records()), (3, 1));
    assert_eq!((measured.boot_aggregate(), measured.bank()), (Some(true), SHA256));
    let shown = events_json(&[], measured.records());
    assert_eq!(shown["Events"][1]["EventTypeString"], "IMA_MEASUREMENT_EVENT");
    assert_eq!(shown["Events"][1]["ProcessedData"]["KernelVersion"], "6.1.0");
    assert_eq!(shown["Events"][2]["ProcessedData"]["Violation"], true);
    assert_eq!(shown["Events"][0]["ProcessedData"]["HashAlgorithm"], "sha256");

    let error = |quoted: &crate::tpm::QuotedPcrs| MeasuredIma::verify(&log, quoted, false).unwrap_err().error;
    assert_eq!(error(&quoted(&[(SHA256, 10, &[0; 32])])), ImaError::NotExtended);
    assert_eq!(error(&quoted(&[(SHA256, 9, &[0; 32])])), ImaError::NotQuoted);
    assert_eq!(error(&quoted(&[(HashAlgorithm::Sha1, 10, &[0; 20])])), ImaError::NotQuoted);
    let replay = error(&quoted(&[(SHA256, 10, &[7; 32])]));
    assert!(matches!(replay, ImaError::Replay { .. }));
    assert_eq!((replay.check().id, ImaError::NotQuoted.check().id), ("ima.replay", "ima.replay"));
    let empty = ImaLog::parse(&[]).unwrap();
    let measured = MeasuredIma::verify(&empty, &quoted(&[(SHA256, 10, &[0; 32])]), false).unwrap();
    assert_eq!(measured.boot_aggregate(), None);
}

#[test]
fn ima_mismatches_are_explained() {
    let records: Vec<_> = [&b"a"[..], b"b", b"c"]
        .iter()
        .map(|name| ima_record("ima-ng", &[&sha256_field(name), &[*name, b"\0"].concat()]))
        .collect();
    let bytes = records.iter().flat_map(|(record, _)| record.clone()).collect::<Vec<_>>();
    let log = ImaLog::parse(&bytes).unwrap();
    let cause = |hashes: &[Vec<u8>]| {
        let mut value = vec![0; 32];
        for hash in hashes {
            extend(&mut value, hash);
        }
        let quoted = quoted(&[(SHA256, 10, &value)]);
        match MeasuredIma::verify(&log, &quoted, false).unwrap_err().error {
            ImaError::Replay { cause, .. } => cause,
            other => panic!("{other}"),
        }
    };
    let hash = |index: usize| crypto::sha256(&records[index].1).to_vec();
    let padded = |index: usize| [&crypto::sha1(&records[index].1)[..], &[0; 12]].concat();
    assert_eq!(cause(&[hash(0), hash(2)]), ImaMismatch::Extra(1));
    assert_eq!(cause(&[hash(1)]), ImaMismatch::Extra(0));
    assert_eq!(cause(&[padded(0), padded(1)]), ImaMismatch::Padded);
    assert_eq!(cause(&[hash(0), hash(2), hash(1)]), ImaMismatch::Unknown);
}

#[test]
fn buffers_are_shown_when_they_were_measured() {
    let wrong = sha256_field(b"other");
    let (record, _) = ima_record("ima-buf", &[&wrong, b"kernel_version\0", b"6.1.0"]);
    let log = ImaLog::parse(&record).unwrap();
    let shown = events_json(&[], log.unverified_records());
    assert_eq!(shown["Events"][0]["ProcessedData"]["KernelVersion"], serde_json::Value::Null);
    let (record, _) = ima_record("ima-buf", &[&sha256_field(b"no DER"), b".ima\0", b"no DER"]);
    let log = ImaLog::parse(&record).unwrap();
    let shown = events_json(&[], log.unverified_records());
    assert_eq!(shown["Events"][0]["ProcessedData"]["Keyring"], ".ima");
}

#[test]
fn the_first_ima_template_has_no_length() {
    let name = b"/bin/sh";
    let digest = crypto::sha1(b"file");
    let mut padded = [0; 256];
    padded[..name.len()].copy_from_slice(name);
    let hash = crypto::sha1(&[&digest[..], &padded].concat());
    let mut record = 10_u32.to_le_bytes().to_vec();
    record.extend(hash);
    record.extend(*b"\x03\0\0\0ima");
    record.extend(digest);
    record.extend(7_u32.to_le_bytes());
    record.extend(name);
    let two = record.repeat(2);
    let log = ImaLog::parse(&two).unwrap();
    assert_eq!(log.unverified_records().len(), 2);
    let fields = log.unverified_records()[1].fields().unwrap();
    assert_eq!((fields.name, fields.digest, fields.digest_algorithm), ("/bin/sh", &digest[..], "sha1"));
    for length in 1..record.len() {
        assert!(ImaLog::parse(&record[..length]).is_err(), "cut to {length}");
    }
}

#[test]
fn per_bank_and_odd_ima_logs() {
    let (_, data) = ima_record("ima-ngv2", &[b"ima:sha256:\0digest", b"/bin/sh\0"]);
    let newer = ima_frame("ima-ngv2", &crypto::sha256(&data), &data);
    let log = ImaLog::parse(&newer).unwrap();
    let fields = log.unverified_records()[0].fields().unwrap();
    assert_eq!((fields.digest_algorithm, fields.digest), ("sha256", &b"digest"[..]));

    let error = |bytes: &[u8]| {
        let error = ImaLog::parse(bytes).unwrap_err();
        assert_eq!(error.check().id, "ima.structure");
        error
    };
    let (good, data) = ima_record("ima-ng", &[b"sha256:\0digest", b"name\0"]);
    let changed = ima_frame("ima-ng", &[7; 20], &data);
    assert_eq!(error(&[good.clone(), changed].concat()), ImaError::TemplateHash { record: 1 });
    assert!(matches!(error(&good[..good.len() - 1]), ImaError::Shape { record: 0, .. }));
    let (other, _) = ima_record("ima-xx", &[b"x", b"y"]);
    assert_eq!(error(&other), ImaError::UnknownTemplate { record: 0 });
    let (more, _) = ima_record("ima-ng", &[b"x", b"y", b"z"]);
    assert!(matches!(error(&more), ImaError::Shape { record: 0, error: ReadError::Trailing { .. } }));
    assert!(matches!(error(&vec![0; 64 * 1024 * 1024 + 1]), ImaError::TooLong { .. }));
    // The smallest records there are, each a violation.
    let tiny = ima_frame("ima-ng", &[0; 20], &[0; 8]).repeat(100_001);
    assert_eq!(error(&tiny), ImaError::TooManyRecords { limit: 100_000 });
}
