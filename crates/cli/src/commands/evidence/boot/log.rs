//! Event logs alone: what they say of themselves, which proves nothing.

use std::path::Path;

use crypto::HashAlgorithm;
use evidence::eventlog::{
    Content, EventLog, LogError, Measured, Separator, event_type_name, unverified_cc_log_report,
    unverified_log_report,
};
use serde_json::{Map, Value};

use super::super::show::plain;
use super::verify::{print_details, words};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::input;
use crate::kind::BootKind;
use crate::output::{self, Table};

/// `evidence verify` of a log: a log that cannot be read, or that contradicts itself, is not genuine; of any other
/// nothing is verified.
pub(in super::super) fn read_log(kind: BootKind, path: &Path, as_json: bool) -> Result<Exit, Failure> {
    let bytes = input::read_file(path)?;
    let (mut document, mut reason) = match report(kind, &bytes) {
        Ok(report) => (report, None),
        Err(error) => (Map::new(), Some(error.to_string())),
    };
    // Firmware of confidential VMs measures two separators into one register, which leaves open what they separate:
    // there it is not the log that is wrong.
    if kind == BootKind::TcgEventlog && reason.is_none() {
        reason = document.get("claimsError").map(plain);
    }
    let verdict = if reason.is_some() { "not-genuine" } else { "unverified" };
    document.insert("verdict".to_owned(), verdict.into());
    if let Some(reason) = &reason {
        document.insert("reason".to_owned(), format!("event log: {reason}").into());
    }
    if as_json {
        output::json(&document)?;
    } else {
        print(&document)?;
    }
    Ok(if reason.is_some() { Exit::Denied } else { Exit::Yes })
}

/// `evidence show` of a log: every event.
pub(in super::super) fn show_log(
    kind: BootKind,
    shown: &str,
    bytes: &[u8],
    as_json: bool,
) -> Result<Exit, Failure> {
    let undecodable = |error| Failure::usage(format!("`{shown}` cannot be decoded: {error}"));
    if as_json {
        let mut report = report(kind, bytes).map_err(undecodable)?;
        report.insert("verified".to_owned(), false.into());
        output::json(&report)?;
        return Ok(Exit::Yes);
    }
    let log = EventLog::parse(bytes).map_err(undecodable)?;
    output::line("NOT VERIFIED: anyone could have written this")?;
    print_events(&log)?;
    Ok(Exit::Yes)
}

fn report(kind: BootKind, bytes: &[u8]) -> Result<Map<String, Value>, LogError> {
    match kind {
        BootKind::CcEventlog => unverified_cc_log_report(bytes),
        BootKind::TcgEventlog | BootKind::TpmEvidence => unverified_log_report(bytes),
    }
}

fn print(document: &Map<String, Value>) -> Result<(), Failure> {
    match document.get("reason") {
        Some(reason) => output::line(&format!("NOT GENUINE: {}", output::printable(&plain(reason))))?,
        None => {
            let what = match document.get("rtmr") {
                Some(_) => "compare its registers with those of a quote",
                None => "`--kind tpm-evidence` verifies it with its quote",
            };
            output::line(&format!("UNVERIFIED: a log alone proves nothing; {what}"))?
        }
    }
    let mut table = Table::default();
    for name in HEADER {
        if let Some(value) = document.get(name) {
            table.row(words(name), plain(value));
        }
    }
    table.print()?;
    for (bank, values) in document.get("pcrs").and_then(Value::as_object).into_iter().flatten() {
        print_values(&format!("PCR values that it stands for, {bank}"), values)?;
    }
    if let Some(values) = document.get("rtmr") {
        print_values("registers that it stands for, sha384", values)?;
    }
    if let Some(claims) = document.get("claims") {
        print_values("claims that it would make", claims)?;
    }
    document.get("boot").and_then(Value::as_object).map_or(Ok(()), print_details)
}

fn print_values(title: &str, values: &Value) -> Result<(), Failure> {
    output::line(title)?;
    let mut rows: Vec<_> = values.as_object().into_iter().flatten().collect();
    // PCR 2 before PCR 10.
    rows.sort_by_key(|(name, _)| (name.parse::<u8>().unwrap_or(0), name.as_str()));
    let mut table = Table::default();
    for (name, value) in rows {
        table.row(name, plain(value));
    }
    table.print()
}

/// One line an event: its place, PCR, claimed type, digest, and what of its data the digest vouches for.
pub(super) fn print_events(log: &EventLog<'_>) -> Result<(), Failure> {
    let bank = log.banks().first().copied().unwrap_or(HashAlgorithm::Sha256);
    output::line(&format!(
        "{} events; the data shown are those that the {bank} digest vouches for",
        log.events().len()
    ))?;
    let mut table = Table::default();
    let extended = log.events().iter().filter(|event| event.is_extended());
    let mut measured = Measured::all(extended, bank).into_iter().peekable();
    for event in log.events() {
        let name = event_type_name(event.event_type)
            .map_or_else(|| format!("{:#010x}", event.event_type), str::to_owned);
        let what = measured.next_if(|measured| measured.event.sequence == event.sequence);
        let digest = event.digest(bank).and_then(|digest| digest.get(..SHOWN_DIGEST_BYTES)).map(hex::encode);
        // GRUB's configuration has commands of several lines.
        let shown = what.map_or_else(|| "not extended".to_owned(), |measured| content(&measured.content));
        let shown = shown.replace('\n', "\\n");
        table.row(
            format!(
                "{:>4}  PCR {:>2}  {}",
                event.sequence,
                event.pcr,
                digest.unwrap_or_else(|| "-".repeat(16))
            ),
            format!("{name}: {shown}"),
        );
    }
    table.print()
}

fn content(content: &Content<'_>) -> String {
    match content {
        Content::Action(text) => (*text).to_owned(),
        Content::Data(data) => format!("{} bytes", data.len()),
        Content::Grub { text, .. } => (*text).to_owned(),
        Content::Separator(Separator::Error) => "separator that reports an error".to_owned(),
        Content::Separator(Separator::Windows) => "end of what Windows measures".to_owned(),
        Content::Separator(Separator::Ones | Separator::Zero) => "separator".to_owned(),
        Content::Tagged(tags) => format!("{} events of Windows", tags.len()),
        Content::Text(text) => text.clone(),
        Content::UkiSection(name) => format!("section {name}"),
        Content::Unbound => "data not measured".to_owned(),
        Content::Variable { variable, named } => {
            let claimed = if *named { "" } else { ", by its claimed name" };
            match variable.value {
                [value] => format!("{} = {value:02x}{claimed}", variable.name),
                value => format!("{}, {} bytes{claimed}", variable.name, value.len()),
            }
        }
    }
}

const HEADER: [&str; 7] =
    ["format", "digestAlgorithms", "eventCount", "logBytes", "startupLocality", "secureBoot", "claimsError"];
/// Enough to tell digests apart.
const SHOWN_DIGEST_BYTES: usize = 8;
