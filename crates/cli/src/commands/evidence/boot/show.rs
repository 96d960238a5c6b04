//! `vouchsafe evidence show` of a directory with TPM evidence.

use std::path::Path;

use evidence::eventlog::{EventLog, unverified_log_report};
use evidence::tpm::{Attest, Attested, PublicArea};
use serde_json::{Map, Value, json};

use super::super::show::plain;
use super::directory::Directory;
use super::log::print_events;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Table};

/// Decodes quote, key and log.
pub(in super::super) fn show_evidence(path: &Path, as_json: bool) -> Result<Exit, Failure> {
    let undecodable = |error: &dyn std::fmt::Display| {
        Failure::usage(format!("`{}` cannot be decoded: {error}", path.display()))
    };
    let files = Directory::read(path, "quote")?;
    let attest = Attest::parse(&files.quote).map_err(|error| undecodable(&error))?;
    let mut document = Map::new();
    document.insert("quote".to_owned(), quote(&attest));
    let key = files.ak_public.as_deref();
    let key = key.and_then(|key| PublicArea::parse(key).or_else(|_| PublicArea::parse_sized(key)).ok());
    if let Some(area) = key {
        let shown = json!({
            "name": hex::encode(area.name()),
            "attributes": format!("{:#010x}", area.attributes.bits()),
            "auth_policy": hex::encode(area.auth_policy),
        });
        document.insert("attestation_key".to_owned(), shown);
    }
    if as_json {
        if let Some(log) = &files.event_log {
            let report = unverified_log_report(log).map_err(|error| undecodable(&error))?;
            document.insert("event_log".to_owned(), Value::Object(report));
        }
        document.insert("verified".to_owned(), false.into());
        output::json(&document)?;
        return Ok(Exit::Yes);
    }
    output::line("NOT VERIFIED: anyone could have written this")?;
    for (title, members) in &document {
        output::line(&title.replace('_', " "))?;
        let mut table = Table::default();
        for (name, value) in members.as_object().into_iter().flatten() {
            table.row(name.replace('_', " "), plain(value));
        }
        table.print()?;
    }
    if let Some(log) = &files.event_log {
        output::line("event log")?;
        print_events(&EventLog::parse(log).map_err(|error| undecodable(&error))?)?;
    }
    Ok(Exit::Yes)
}

fn quote(attest: &Attest<'_>) -> Value {
    let (pcrs, pcr_digest) = match &attest.attested {
        Attested::Quote { selection, pcr_digest } => {
            let banks = selection.banks().iter().map(|(bank, set)| {
                let indices: Vec<_> = set.iter().map(|index| index.to_string()).collect();
                format!("{bank}:{}", indices.join(","))
            });
            (Some(banks.collect::<Vec<_>>()), Some(hex::encode(pcr_digest)))
        }
        _ => (None, None),
    };
    json!({
        "type": attest.attested.type_name(),
        "nonce": hex::encode(attest.extra_data),
        "pcrs": pcrs,
        "pcr_digest": pcr_digest,
        "clock_ms": attest.clock_info.clock,
        "reset_count": attest.clock_info.reset_count,
        "restart_count": attest.clock_info.restart_count,
        "clock_safe": attest.clock_info.safe,
        "firmware_version": format!("{:#x}", attest.firmware_version),
    })
}
