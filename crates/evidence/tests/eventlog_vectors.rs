//! Captured event logs parse to the manifest's values, and flipped bits of them change no claim.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stderr, clippy::print_stdout, missing_docs)]

mod support;

use std::collections::BTreeMap;

use crypto::HashAlgorithm;
use evidence::eventlog::{
    BootClaims, ClaimError, EventLog, LogFormat, Measured, Replay, RtmrReplay, SecureBoot, SecureBootState,
    event_type_name, events_json, unverified_cc_log_report, unverified_log_report,
    unverified_secure_boot_variable,
};
use evidence::tpm::PcrSet;
use serde_json::{Value, json};
use support::Vectors;

/// Logs that say that Secure Boot is on, without what it rests on: a single event.
const INCOMPLETE: &[&str] = &["tpm/eventlogs/tpm2-tools/event-uefivar.bin"];

fn name(bank: HashAlgorithm) -> &'static str {
    bank.name()
}

fn measured<'a>(log: &EventLog<'a>, bank: HashAlgorithm) -> Vec<Measured<'a>> {
    let events = log.events().iter().filter(|event| event.is_extended());
    events.map(|event| Measured::new(*event, bank)).collect()
}

fn state(expected: &Value) -> SecureBootState {
    match expected {
        Value::Bool(true) => SecureBootState::Enabled,
        Value::Bool(false) => SecureBootState::Disabled,
        Value::String(text) if text == "empty" => SecureBootState::Empty,
        Value::Null => SecureBootState::NotMeasured,
        other => panic!("{other}"),
    }
}

#[test]
fn every_log_parses_to_the_manifest() {
    let Some(vectors) = Vectors::load() else { return };
    let (mut logs, mut pcrs, mut coherent) = (0, 0, 0);
    for entry in vectors.entries.iter().filter(|entry| entry["kind"] == "tcg-eventlog") {
        let expected = &entry["expected"];
        if expected.is_null() {
            continue;
        }
        let path = entry["path"].as_str().unwrap();
        let bytes = vectors.read(path);
        let log = EventLog::parse(&bytes).unwrap_or_else(|error| panic!("{path}: {error}"));
        let format = match log.format() {
            LogFormat::CryptoAgile => "crypto-agile",
            LogFormat::Sha1 => "sha1-legacy",
        };
        assert_eq!(expected["format"], format, "{path}");
        assert_eq!(expected["log_bytes"], log.length(), "{path}");
        assert_eq!(expected["startup_locality"], log.startup_locality(), "{path}");
        assert_eq!(expected["events"], log.events().len(), "{path}");
        if let Some(types) = expected["event_types"].as_object() {
            let mut found = BTreeMap::new();
            for event in log.events() {
                *found.entry(event.event_type).or_insert(0) += 1;
            }
            for (kind, count) in types {
                let id = kind.strip_prefix("0x").map(|digits| u32::from_str_radix(digits, 16).unwrap());
                let count_found = found
                    .iter()
                    .filter(|(found, _)| id == Some(**found) || event_type_name(**found) == Some(kind))
                    .map(|(_, count)| *count)
                    .sum::<u64>();
                assert_eq!(*count, json!(count_found), "{path}: {kind}");
            }
        }
        for (bank, values) in expected["pcrs"].as_object().unwrap() {
            let bank = log.banks().into_iter().find(|found| name(*found) == bank).unwrap();
            let replay = Replay::of(&[&log], bank);
            assert_eq!(replay.extended().iter().count(), values.as_object().unwrap().len(), "{path}");
            for (index, value) in values.as_object().unwrap() {
                let found = replay.value(index.parse().unwrap()).unwrap();
                assert_eq!(*value, hex::encode(found.as_slice()), "{path}: PCR {index} of {bank}");
                pcrs += 1;
            }
        }
        for bank in log.banks() {
            let events = measured(&log, bank);
            if events.iter().any(|event| event.digest.is_none()) {
                continue;
            }
            assert_eq!(unverified_secure_boot_variable(&events), state(&expected["secure_boot"]), "{path}");
            let claims = BootClaims::of(&events, PcrSet::from_mask(u32::MAX))
                .unwrap_or_else(|error| panic!("{path}: {error}"));
            assert_eq!(claims.secure_boot.state, state(&expected["secure_boot"]), "{path}");
            let enabled = claims.to_json()["secureBootEnabled"] == true;
            let incomplete = INCOMPLETE.contains(&path);
            assert_eq!(claims.secure_boot.missing.is_some(), incomplete, "{path}");
            assert_eq!(enabled, expected["secure_boot"] == true && !incomplete, "{path}");
            coherent += 1;
        }
        let report = unverified_log_report(&bytes).unwrap();
        for (bank, values) in report["pcrs"].as_object().unwrap() {
            // Banks that no event has a digest of are not in the manifest.
            let expected = expected["pcrs"].get(bank).cloned().unwrap_or(json!({}));
            assert_eq!(*values, expected, "{path}");
        }
        assert_eq!(
            report["claims"]["secureBootEnabled"].as_bool(),
            Some(expected["secure_boot"] == true && !INCOMPLETE.contains(&path)),
            "{path}"
        );
        logs += 1;
    }
    println!("{logs} logs, {pcrs} PCR values, {coherent} coherent banks");
    assert_eq!((logs, pcrs, coherent), (28, 489, 53));
}

#[test]
fn confidential_vm_logs() {
    let Some(vectors) = Vectors::load() else { return };
    let (mut logs, mut refused) = (0, 0);
    for entry in vectors.entries.iter().filter(|entry| entry["kind"] == "cc-eventlog") {
        let (path, expected) = (entry["path"].as_str().unwrap(), &entry["expected"]);
        let bytes = vectors.read(path);
        let log = EventLog::parse(&bytes).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(expected["events"], log.events().len(), "{path}");
        assert_eq!(expected["log_bytes"], log.length(), "{path}");
        let replay = RtmrReplay::of(&log);
        let rtmrs = expected["rtmr"].as_object().unwrap();
        for index in 0..4 {
            let value = rtmrs.get(&format!("rtmr{index}"));
            assert_eq!(value.is_some(), replay.is_extended(index), "{path}: RTMR {index}");
            if let Some(value) = value {
                assert_eq!(*value, hex::encode(replay.rtmr(index).unwrap().as_slice()), "{path}");
            }
        }
        let events = measured(&log, HashAlgorithm::Sha384);
        assert_eq!(unverified_secure_boot_variable(&events), state(&expected["secure_boot"]), "{path}");
        let report = unverified_cc_log_report(&bytes).unwrap();
        assert_eq!(report["rtmr"], expected["rtmr"], "{path}");
        // Two separators in the register of PCRs 1 and 7 can't be told from a repeated one: refused.
        match SecureBoot::of_shared_register(&events) {
            Ok(found) => {
                assert_eq!(found.state, state(&expected["secure_boot"]), "{path}");
                assert!(expected["verdict"].is_null(), "{path}");
            }
            Err(error) => {
                assert!(matches!(error, ClaimError::Duplicate { .. }), "{path}: {error}");
                refused += 1;
            }
        }
        logs += 1;
    }
    assert_eq!((logs, refused), (6, 4));
}

/// `tpm2_eventlog`'s own expected output.
#[test]
fn yaml_of_tpm2_eventlog() {
    let Some(vectors) = Vectors::load() else { return };
    let mut values = 0;
    for entry in vectors.entries.iter().filter(|entry| entry["kind"] == "eventlog-expected-yaml") {
        let path = entry["path"].as_str().unwrap();
        let text = String::from_utf8(vectors.read(path)).unwrap();
        let bytes = vectors.read(path.strip_suffix(".yaml").unwrap());
        let log = EventLog::parse(&bytes).unwrap();
        let mut replay = None;
        for line in text.lines().skip_while(|line| *line != "pcrs:").skip(1) {
            let (key, value) = line.trim().split_once(':').unwrap();
            let (key, value) = (key.trim(), value.trim());
            if value.is_empty() {
                let bank = log.banks().into_iter().find(|bank| name(*bank) == key).unwrap();
                replay = Some(Replay::of(&[&log], bank));
                continue;
            }
            let found = replay.as_ref().unwrap().value(key.parse().unwrap()).unwrap();
            assert_eq!(format!("0x{}", hex::encode(found.as_slice())), value, "{path}: PCR {key}");
            values += 1;
        }
    }
    println!("{values} values of tpm2_eventlog");
    assert!(values > 50);
}

/// Every log cut anywhere, and with hostile sizes in it, is parsed or refused, and nothing else.
#[test]
fn cut_and_hostile_logs_do_not_panic() {
    let Some(vectors) = Vectors::load() else { return };
    for path in [
        "tpm/eventlogs/tpm2-tools/event-sd-boot-fedora37.bin",
        "tpm/eventlogs/tpm2-tools/event-uefi-sha1-log.bin",
        "tpm/eventlogs/go-attestation/short_no_action_eventlog",
    ] {
        let mut bytes = vectors.read(path);
        for length in 0..bytes.len() {
            let _ = EventLog::parse(&bytes[..length]).map(|log| derive(&log));
        }
        for index in 0..bytes.len().saturating_sub(4) {
            let saved: [u8; 4] = bytes[index..index + 4].try_into().unwrap();
            bytes[index..index + 4].copy_from_slice(&[0xff, 0xff, 0xff, 0x7f]);
            let _ = EventLog::parse(&bytes).map(|log| derive(&log));
            bytes[index..index + 4].copy_from_slice(&saved);
        }
    }
}

fn derive(log: &EventLog<'_>) -> usize {
    log.banks()
        .into_iter()
        .map(|bank| {
            let events = measured(log, bank);
            let _ = BootClaims::of(&events, PcrSet::from_mask(u32::MAX));
            events_json(&events, &[]).to_string().len()
        })
        .sum()
}
