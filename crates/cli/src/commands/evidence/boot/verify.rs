//! `vouchsafe evidence verify --kind tpm-evidence`.

use std::path::Path;

use evidence::tpm::{Expectations, KeyTrust, PcrSet, VerifiedEvidence};
use evidence::verdict::Verdict;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::super::show::plain;
use super::super::verify::print_checks;
use super::BootOptions;
use super::directory::Directory;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Table};

/// Verifies the evidence in a directory and prints what came of it.
pub(in super::super) fn verify(
    path: &Path,
    options: &BootOptions,
    trust: &KeyTrust,
    nonce: Option<&[u8]>,
    now: OffsetDateTime,
    as_json: bool,
) -> Result<Exit, Failure> {
    let nonce = nonce.ok_or_else(|| {
        Failure::usage("a quote is verified against the nonce that was sent to the machine; none is given")
            .hint("`--runtime-data FILE` names a file with the nonce, as it was given to the TPM (not in hexadecimal)")
    })?;
    let files = Directory::read(path, options.quote())?;
    let logs: Vec<&[u8]> = files.event_log.iter().map(Vec::as_slice).collect();
    let evidence = files.evidence(&logs);
    let expectations = Expectations {
        nonce,
        required: options.require_pcrs.unwrap_or(PcrSet::FIRMWARE),
        allow_sha1: options.allow_sha1,
    };
    let (reason, verdict, verified) = match evidence.verify(trust, &expectations, now) {
        Ok(verified) => (None, verified.verdict().clone(), Some(verified)),
        Err(rejection) => (Some(rejection.error.to_string()), rejection.verdict, None),
    };
    if as_json {
        output::json(&document(reason.as_deref(), &verdict, verified.as_ref()))?;
    } else {
        print(reason.as_deref(), &verdict, verified.as_ref())?;
    }
    if verified.is_some() {
        if files.event_log.is_none() {
            output::note("note: the evidence has no `eventlog`; nothing is known of the boot");
        }
        if files.ima_log.is_none() {
            output::note("note: the evidence has no `ima.bin`; nothing is known of what ran after the boot");
        }
    }
    Ok(if reason.is_none() { Exit::Yes } else { Exit::Denied })
}

fn document(reason: Option<&str>, verdict: &Verdict, verified: Option<&VerifiedEvidence<'_>>) -> Value {
    let mut document = Map::new();
    let mut insert = |name: &str, value: Value| document.insert(name.to_owned(), value);
    insert("verdict", if reason.is_none() { "genuine" } else { "not-genuine" }.into());
    if let Some(reason) = reason {
        insert("reason", reason.into());
    }
    let claims = verified.map(VerifiedEvidence::claims).unwrap_or_default();
    insert("claims", Value::Object(claims));
    if let Some(verified) = verified {
        insert("boot", Value::Object(verified.boot().details()));
        insert("ima", ima(verified));
        insert("pcrs", pcrs(verified));
        insert("events", verified.events_json());
    }
    insert("checks", json!(verdict));
    document.into()
}

/// Values by bank and PCR, as the reports of logs have them.
fn pcrs(verified: &VerifiedEvidence<'_>) -> Value {
    let mut banks: Map<String, Value> = Map::new();
    for (index, value) in verified.quote().pcrs().iter() {
        let bank = banks.entry(value.algorithm().name()).or_insert_with(|| json!({}));
        if let Some(bank) = bank.as_object_mut() {
            bank.insert(index.to_string(), json!(hex::encode(value.as_slice())));
        }
    }
    banks.into()
}

fn ima(verified: &VerifiedEvidence<'_>) -> Value {
    verified.ima().map_or(Value::Null, |ima| {
        json!({
            "bank": ima.bank().name(),
            "records": ima.records().len(),
            "laterRecords": ima.later_records(),
            "bootAggregateMatches": ima.boot_aggregate(),
        })
    })
}

fn print(
    reason: Option<&str>,
    verdict: &Verdict,
    verified: Option<&VerifiedEvidence<'_>>,
) -> Result<(), Failure> {
    match reason {
        None => output::line("genuine")?,
        Some(reason) => output::line(&format!("NOT GENUINE: {}", output::printable(reason)))?,
    }
    if let Some(verified) = verified {
        output::line("claims")?;
        let mut table = Table::default();
        for (name, value) in verified.claims() {
            table.row(name, plain(&value));
        }
        table.print()?;
        print_details(&verified.boot().details())?;
        if let Some(ima) = verified.ima() {
            output::line("IMA log")?;
            let mut table = Table::default();
            table.row("records vouched for", ima.records().len());
            table.row("records after the quote", ima.later_records());
            table.print()?;
        }
    }
    print_checks(verdict)
}

/// What the events say of the boot beyond the claims, without the longest lists.
pub(super) fn print_details(details: &Map<String, Value>) -> Result<(), Failure> {
    for (title, part) in details {
        let Some(members) = part.as_object() else { continue };
        output::line(&words(title))?;
        let mut table = Table::default();
        for (name, value) in members {
            let list = match value {
                Value::Null => continue,
                Value::Array(list) => list.as_slice(),
                value => std::slice::from_ref(value),
            };
            if list.len() > MOST_SHOWN {
                table.row(words(name), format!("{} of them; `--json` shows them", list.len()));
            } else {
                for value in list {
                    table.row(words(name), entry(value));
                }
            }
        }
        table.print()?;
    }
    Ok(())
}

/// A part of a boot in a line. Of a certificate its name, which is what people know it by.
fn entry(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let name = |member: &str| members.get(member).and_then(Value::as_str);
            if let Some(subject) = name("subject") {
                return match name("wellKnown") {
                    Some(known) => format!("{known} (well known)"),
                    None => subject.to_owned(),
                };
            }
            let is_shown = |value: &&Value| !value.is_null() && !value.as_array().is_some_and(Vec::is_empty);
            let shown = members.iter().filter(|(_, value)| is_shown(value));
            shown
                .map(|(name, value)| format!("{} {}", words(name), entry(value)))
                .collect::<Vec<_>>()
                .join(", ")
        }
        Value::Array(list) => list.iter().map(entry).collect::<Vec<_>>().join("; "),
        value => plain(value).trim_end().replace('\n', "\\n"),
    }
}

/// `kernelCommandLine` as words.
pub(super) fn words(name: &str) -> String {
    let mut words = String::new();
    for character in name.chars() {
        if character.is_ascii_uppercase() {
            words.push(' ');
        }
        words.push(character.to_ascii_lowercase());
    }
    words
}

/// A screen for each part of a boot.
const MOST_SHOWN: usize = 12;
