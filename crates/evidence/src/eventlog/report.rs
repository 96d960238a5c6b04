//! What a log says of itself, for people who look at one without a quote. Nothing of it is verified.

use crypto::HashAlgorithm;
use serde_json::{Map, Value, json};

use super::cc::RtmrReplay;
use super::claims::BootClaims;
use super::content::Measured;
use super::details;
use super::error::LogError;
use super::json::events as events_json;
use super::parse::{EventLog, LogFormat};
use super::replay::Replay;
use super::secure_boot::{SecureBoot, unverified_secure_boot_variable};
use crate::tpm::PcrSet;

/// A firmware log by itself: format, banks, the PCR values it stands for in each bank, and the claims that
/// its events would make, by the digests of its strongest bank.
///
/// # Errors
/// [`LogError`].
pub fn unverified_log_report(bytes: &[u8]) -> Result<Map<String, Value>, LogError> {
    let log = EventLog::parse(bytes)?;
    let mut report = header(&log);
    let mut pcrs = Map::new();
    for bank in log.banks() {
        let replay = Replay::of(&[&log], bank);
        let values = replay.extended().iter().filter_map(|index| {
            let value = replay.value(index)?;
            Some((index.to_string(), json!(hex::encode(value.as_slice()))))
        });
        pcrs.insert(bank.name().to_owned(), Value::Object(values.collect()));
    }
    report.insert("pcrs".to_owned(), Value::Object(pcrs));
    let events = measured(&log, best_bank(&log));
    let variable = unverified_secure_boot_variable(&events);
    report.insert("secureBoot".to_owned(), json!(variable.as_str()));
    match BootClaims::of(&events, PcrSet::from_mask(u32::MAX)) {
        Ok(claims) => {
            report.insert("boot".to_owned(), Value::Object(claims.details()));
            report.insert("claims".to_owned(), Value::Object(claims.to_json()))
        }
        Err(error) => report.insert("claimsError".to_owned(), json!(error.to_string())),
    };
    let shown = events_json(&events, &[]).get_mut("Events").map(Value::take).unwrap_or_default();
    report.insert("events".to_owned(), shown);
    Ok(report)
}

/// The log of a confidential VM by itself: the run-time measurement registers it stands for.
///
/// # Errors
/// [`LogError`].
pub fn unverified_cc_log_report(bytes: &[u8]) -> Result<Map<String, Value>, LogError> {
    let log = EventLog::parse(bytes)?;
    let mut report = header(&log);
    let replay = RtmrReplay::of(&log);
    let mut rtmrs = Map::new();
    for index in (0..4).filter(|index| replay.is_extended(*index)) {
        if let Some(value) = replay.rtmr(index) {
            rtmrs.insert(format!("rtmr{index}"), json!(hex::encode(value.as_slice())));
        }
    }
    report.insert("rtmr".to_owned(), Value::Object(rtmrs));
    let events = measured(&log, HashAlgorithm::Sha384);
    let variable = unverified_secure_boot_variable(&events);
    report.insert("secureBoot".to_owned(), json!(variable.as_str()));
    match SecureBoot::of_shared_register(&events) {
        Ok(found) => {
            let claims = json!({ "secureBootEnabled": found.is_enabled() });
            report.insert("claims".to_owned(), claims);
            let boot = json!({ "secureBoot": details::secure_boot(&found) });
            report.insert("boot".to_owned(), boot);
        }
        Err(error) => {
            report.insert("claimsError".to_owned(), json!(error.to_string()));
        }
    }
    Ok(report)
}

fn header(log: &EventLog<'_>) -> Map<String, Value> {
    let format = match log.format() {
        LogFormat::CryptoAgile => "crypto-agile",
        LogFormat::Sha1 => "sha1-legacy",
    };
    let banks: Vec<_> = log.banks().into_iter().rev().map(HashAlgorithm::name).collect();
    Map::from_iter([
        ("format".to_owned(), json!(format)),
        ("digestAlgorithms".to_owned(), json!(banks)),
        ("eventCount".to_owned(), json!(log.events().len())),
        ("logBytes".to_owned(), json!(log.length())),
        ("startupLocality".to_owned(), json!(log.startup_locality())),
    ])
}

/// The strongest bank in which every event has a digest; firmware and loader may know different ones.
fn best_bank(log: &EventLog<'_>) -> HashAlgorithm {
    let complete = |bank: &HashAlgorithm| {
        log.events().iter().filter(|event| event.is_extended()).all(|event| event.digest(*bank).is_some())
    };
    let banks = log.banks();
    banks.iter().copied().find(complete).or(banks.first().copied()).unwrap_or(HashAlgorithm::Sha256)
}

fn measured<'a>(log: &EventLog<'a>, bank: HashAlgorithm) -> Vec<Measured<'a>> {
    Measured::all(log.events().iter().filter(|event| event.is_extended()), bank)
}
