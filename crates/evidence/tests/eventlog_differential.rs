//! Every log at hand replays to what `tpm2_eventlog` (tpm2-tools) says, bank by bank and PCR by PCR, but for logs named
//! in [`EXCEPTIONS`] with the reason; a name there that is no longer needed fails, too. Without the tool, which
//! `scripts/check prepare` installs, nothing is compared, and that is said.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stderr, clippy::print_stdout, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crypto::HashAlgorithm;
use evidence::eventlog::{EventLog, Replay};
use support::Vectors;

/// What the tool does that differs, as of version 5.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Because {
    /// It extends PCR 0 with the digests of `EV_NO_ACTION` records, which TPMs do not.
    ExtendsNoAction,
    /// It starts PCR 0 at zero, although the log says from which locality the TPM was started.
    IgnoresStartupLocality,
    /// It gives no values at all.
    GivesUp,
}

const EXCEPTIONS: &[(&str, Because)] = &[
    ("tpm/eventlogs/go-attestation/option_rom_eventlog", Because::GivesUp),
    ("tpm/eventlogs/go-attestation/short_no_action_eventlog", Because::GivesUp),
    ("tpm/eventlogs/go-tpm-tools/eventlogwithsp800155.bin", Because::ExtendsNoAction),
    ("tpm/eventlogs/go-tpm-tools/glinux-alex.bin", Because::IgnoresStartupLocality),
    ("tpm/eventlogs/intel/binary_bios_measurements20", Because::IgnoresStartupLocality),
    ("minted/startup-locality", Because::IgnoresStartupLocality),
    ("minted/no-action", Because::ExtendsNoAction),
];

type Values = BTreeMap<String, BTreeMap<u8, String>>;

#[test]
fn replays_equal_those_of_tpm2_eventlog() {
    if Command::new("tpm2_eventlog").arg("--version").output().is_err() {
        eprintln!("SKIPPED: no tpm2_eventlog; install tpm2-tools, or run `scripts/check prepare`");
        return;
    }
    let (mut equal, mut values, mut needed, mut differences) = (0, 0, Vec::new(), String::new());
    let logs = logs();
    for (name, bytes) in &logs {
        let ours = replay(bytes);
        let theirs = tool(name, bytes);
        let exception = EXCEPTIONS.iter().find(|(log, _)| log == name).map(|(_, because)| *because);
        let found = match &theirs {
            None => Some(Because::GivesUp),
            Some(theirs) if *theirs == ours => None,
            Some(theirs) => Some(explain(name, bytes, &ours, theirs)),
        };
        if found != exception {
            differences.push_str(&format!("{name}: {found:?}, the list says {exception:?}\n"));
        }
        match found {
            Some(_) => needed.push(name.as_str()),
            None => {
                equal += 1;
                values += ours.values().map(BTreeMap::len).sum::<usize>();
            }
        }
    }
    assert!(differences.is_empty(), "{differences}");
    println!("{equal} logs, {values} values are equal; {} logs are excepted: {needed:?}", needed.len());
    let captured = logs.iter().any(|(name, _)| name.starts_with("tpm/"));
    assert!(equal >= if captured { 34 } else { 4 }, "only {equal}");
    assert!(!captured || needed.len() == EXCEPTIONS.len(), "a log of the list is gone");
}

/// Why the values differ: only PCR 0 may, and it must be by the tool's own rules.
fn explain(name: &str, bytes: &[u8], ours: &Values, theirs: &Values) -> Because {
    let log = EventLog::parse(bytes).unwrap();
    for (bank, values) in ours {
        for index in values.keys().chain(theirs[bank].keys()).filter(|index| **index != 0) {
            assert_eq!(values.get(index), theirs[bank].get(index), "{name}: PCR {index} of {bank}");
        }
    }
    let without_locality = pcr_0(&log, false, false);
    let with_no_action = pcr_0(&log, true, false);
    let found = |values: &BTreeMap<String, String>| {
        theirs.iter().all(|(bank, theirs)| values.get(bank) == theirs.get(&0))
    };
    if log.startup_locality() != 0 && (found(&without_locality) || found(&with_no_action)) {
        Because::IgnoresStartupLocality
    } else if found(&with_no_action) {
        Because::ExtendsNoAction
    } else {
        panic!("{name}: {ours:?} instead of {theirs:?}")
    }
}

fn pcr_0(log: &EventLog<'_>, no_action: bool, locality: bool) -> BTreeMap<String, String> {
    let start = if locality { log.startup_locality() } else { 0 };
    let banks = log.banks().into_iter().map(|bank| {
        let events = log.events().iter().filter(|event| event.pcr == 0 && (no_action || event.is_extended()));
        let value = events
            .filter_map(|event| event.digest(bank))
            .fold(crypto::Digest::filled(bank, 0, start), |value, digest| {
                bank.digest(&[value.as_slice(), digest])
            });
        (bank.name().to_owned(), hex::encode(value.as_slice()))
    });
    banks.collect()
}

/// Ours: the PCRs that were extended, for every bank.
fn replay(bytes: &[u8]) -> Values {
    let log = EventLog::parse(bytes).unwrap();
    let banks = log.banks().into_iter().map(|bank| {
        let replay = Replay::of(&[&log], bank);
        let values = replay.extended().iter();
        let values = values.map(|index| (index, hex::encode(replay.value(index).unwrap().as_slice())));
        (bank.name().to_owned(), values.collect::<BTreeMap<_, _>>())
    });
    banks.filter(|(_, values)| !values.is_empty()).collect()
}

/// The tool's section `pcrs:`; none if it does not get that far.
fn tool(name: &str, bytes: &[u8]) -> Option<Values> {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("differential.log");
    std::fs::write(&file, bytes).unwrap();
    let output = Command::new("tpm2_eventlog").arg(&file).output().unwrap();
    if !output.status.success() {
        eprintln!("{name}: tpm2_eventlog gives up: {}", output.status);
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut values = Values::new();
    let mut bank = String::new();
    for line in text.lines().skip_while(|line| *line != "pcrs:").skip(1) {
        let (key, value) = line.trim().split_once(':').unwrap();
        match value.trim().strip_prefix("0x") {
            // Banks that this service does not know have no values here.
            Some(digest) if HashAlgorithm::ALL.iter().any(|known| known.name() == bank) => {
                let values = values.entry(bank.clone()).or_default();
                values.insert(key.trim().parse().unwrap(), digest.to_owned());
            }
            Some(_) => {}
            None => bank = key.trim().to_owned(),
        }
    }
    Some(values)
}

/// Every log at hand that parses: captured, of the lab, and minted.
fn logs() -> Vec<(String, Vec<u8>)> {
    let mut logs = minted();
    if let Some(vectors) = Vectors::load() {
        // The tool reads no logs of confidential VMs. What has no expectation is the base64 text of another log.
        let logs_of_tpms =
            |entry: &&serde_json::Value| entry["kind"] == "tcg-eventlog" && !entry["expected"].is_null();
        for entry in vectors.entries.iter().filter(logs_of_tpms) {
            let path = entry["path"].as_str().unwrap();
            logs.push((path.to_owned(), vectors.read(path)));
        }
    }
    if let Some(root) = support::root() {
        let lab = root.join("vectors-lab");
        let mut files: Vec<_> =
            ["tampered", "secure-boot-on", "secure-boot-off", "secure-boot-on-ecc-late-ima"]
                .iter()
                .filter_map(|directory| std::fs::read_dir(lab.join(directory)).ok())
                .flatten()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.to_string_lossy().ends_with("eventlog"))
                .collect();
        files.sort();
        for file in files {
            let bytes = std::fs::read(&file).unwrap();
            let name = format!("lab/{}", file.strip_prefix(&lab).unwrap().display());
            match EventLog::parse(&bytes) {
                Ok(_) => logs.push((name, bytes)),
                Err(error) => println!("{name} does not parse: {error}"),
            }
        }
    }
    logs
}

const BANKS: [(u16, HashAlgorithm); 4] = [
    (0x04, HashAlgorithm::Sha1),
    (0x0b, HashAlgorithm::Sha256),
    (0x0c, HashAlgorithm::Sha384),
    (0x0d, HashAlgorithm::Sha512),
];

/// Logs of every selection of banks, of many events in all PCRs, and of SHA-1 layout.
fn minted() -> Vec<(String, Vec<u8>)> {
    let mut logs = Vec::new();
    let events: Vec<(u32, u32, Vec<u8>)> = (0..600_u32)
        .map(|index| {
            (index * 7 % 24, if index % 2 == 0 { 0x1 } else { 0x8000_0007 }, index.to_le_bytes().to_vec())
        })
        .chain((0..8).map(|pcr| (pcr, 4, vec![0; 4])))
        .collect();
    for banks in [&BANKS[..], &BANKS[1..2], &BANKS[..2], &BANKS[2..]] {
        let names: Vec<_> = banks.iter().map(|(_, bank)| bank.name()).collect();
        logs.push((format!("minted/{}", names.join("-")), agile(banks, &events)));
    }
    let mut sha1 = Vec::new();
    for (pcr, kind, data) in &events {
        sha1.extend(record(*pcr, *kind, &crypto::sha1(data), data));
    }
    logs.push(("minted/legacy".to_owned(), sha1));
    let locality = [(0, 3, b"StartupLocality\0\x03".to_vec())];
    logs.push(("minted/startup-locality".to_owned(), agile(&BANKS, &[&locality[..], &events].concat())));
    let no_action = [(0, 3, b"SP800-155 Event\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec())];
    logs.push(("minted/no-action".to_owned(), agile(&BANKS, &[&no_action[..], &events].concat())));
    logs
}

fn record(pcr: u32, kind: u32, digests: &[u8], data: &[u8]) -> Vec<u8> {
    let size = u32::try_from(data.len()).unwrap();
    [&pcr.to_le_bytes()[..], &kind.to_le_bytes(), digests, &size.to_le_bytes(), data].concat()
}

fn agile(banks: &[(u16, HashAlgorithm)], events: &[(u32, u32, Vec<u8>)]) -> Vec<u8> {
    let count = u32::try_from(banks.len()).unwrap();
    let mut spec = b"Spec ID Event03\0\0\0\0\0\0\x02\0\x02".to_vec();
    spec.extend(count.to_le_bytes());
    for (id, bank) in banks {
        spec.extend(id.to_le_bytes());
        spec.extend(u16::try_from(bank.size_bytes()).unwrap().to_le_bytes());
    }
    spec.push(0);
    let mut log = record(0, 3, &[0; 20], &spec);
    for (pcr, kind, data) in events {
        let mut digests = count.to_le_bytes().to_vec();
        for (id, bank) in banks {
            digests.extend(id.to_le_bytes());
            // What firmware writes into records that it does not extend.
            let digest = if *kind == 3 {
                vec![0; bank.size_bytes()]
            } else {
                bank.digest(&[data]).as_slice().to_vec()
            };
            digests.extend(digest);
        }
        log.extend(record(*pcr, *kind, &digests, data));
    }
    log
}
