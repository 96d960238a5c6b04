//! Logs of 64 MiB and of hostile sizes are read or refused within bounded memory and time. Each case runs in a process
//! of its own, which says how far its peak memory (`VmHWM` of `/proc/self/status`) rose above the log itself.
#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stderr, clippy::print_stdout, missing_docs)]

use std::process::Command;
use std::time::{Duration, Instant};

use crypto::{Digest, HashAlgorithm, SigningAlgorithm, SigningKey};
use evidence::eventlog::{
    BootClaims, EventLog, ImaLog, MAX_LOG_BYTES, MeasuredIma, MeasuredLog, Replay, events_json,
    unverified_log_report,
};
use evidence::tpm::{Attest, AttestationKey, Expectations, PcrSet, PcrValues, QuotedPcrs, Signature};

const SHA256: HashAlgorithm = HashAlgorithm::Sha256;
const CASE: &str = "VOUCHSAFE_HOSTILE_CASE";

/// How much memory a case may take beside the log, and how long.
struct Bound {
    mebibytes: u64,
    seconds: u64,
}

type Case = (&'static str, fn() -> Vec<u8>, fn(&[u8]), Bound);

/// Case, log, what is done with it, and its bounds: twice the memory measured or less, and ten times the time or less,
/// because other things run on the machine.
const CASES: &[Case] = &[
    ("records of 1 KiB", kilobyte_records, boot, Bound { mebibytes: 600, seconds: 10 }),
    (
        "records of 1 KiB that do not replay",
        kilobyte_records,
        other_boot,
        Bound { mebibytes: 100, seconds: 10 },
    ),
    ("one action", || giant(4, 0x8000_0007, b""), boot, Bound { mebibytes: 300, seconds: 10 }),
    ("one command of GRUB", || giant(8, 0xd, b"grub_cmd: "), boot, Bound { mebibytes: 300, seconds: 10 }),
    ("one text in UTF-16", || giant(12, 0xd, b""), boot, Bound { mebibytes: 300, seconds: 10 }),
    ("one variable", || giant(7, 0x8000_0001, &[0; 32]), boot, Bound { mebibytes: 300, seconds: 10 }),
    ("tiny records", tiny_records, boot, Bound { mebibytes: 500, seconds: 10 }),
    ("tiny records that do not replay", tiny_records, other_boot, Bound { mebibytes: 100, seconds: 10 }),
    ("a million tiny records", million_records, refused, Bound { mebibytes: 30, seconds: 5 }),
    ("nested aggregations", nested, boot, Bound { mebibytes: 300, seconds: 10 }),
    ("aggregations of many events", many_tags, boot, Bound { mebibytes: 300, seconds: 10 }),
    ("a database of many entries", database, boot, Bound { mebibytes: 300, seconds: 10 }),
    ("sizes that lie", lying, refused, Bound { mebibytes: 10, seconds: 2 }),
    (
        "zeros",
        || vec![0; MAX_LOG_BYTES],
        |bytes| drop(EventLog::parse(bytes)),
        Bound { mebibytes: 10, seconds: 2 },
    ),
    ("too long", || vec![1; MAX_LOG_BYTES + 1], refused, Bound { mebibytes: 10, seconds: 2 }),
    ("IMA records", ima_records, ima, Bound { mebibytes: 600, seconds: 10 }),
    ("IMA records that do not replay", ima_records, other_ima, Bound { mebibytes: 150, seconds: 10 }),
    ("one IMA record", one_ima_record, ima, Bound { mebibytes: 300, seconds: 10 }),
    ("IMA violations", || ima_violations(100_000), ima, Bound { mebibytes: 600, seconds: 10 }),
    (
        "a million IMA violations",
        || ima_violations(1_000_000),
        refused_ima,
        Bound { mebibytes: 30, seconds: 5 },
    ),
    ("IMA records of hostile sizes", lying_ima, refused_ima, Bound { mebibytes: 10, seconds: 5 }),
];

#[test]
fn memory_and_time_are_bounded() {
    if let Ok(case) = std::env::var(CASE) {
        return child(&case);
    }
    let program = std::env::current_exe().unwrap();
    let mut failures = String::new();
    for (case, _, _, bound) in CASES {
        let arguments = ["--exact", "memory_and_time_are_bounded", "--nocapture"];
        let output = Command::new(&program).args(arguments).env(CASE, case).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find_map(|line| line.split_once("measured ")).map(|(_, line)| line);
        let Some((mebibytes, milliseconds)) = line.and_then(|line| line.split_once(' ')) else {
            failures.push_str(&format!(
                "{case}: {}\n{}\n",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            ));
            continue;
        };
        let (mebibytes, milliseconds): (u64, u64) =
            (mebibytes.parse().unwrap(), milliseconds.parse().unwrap());
        println!("{case}: {mebibytes} MiB beside the log, {milliseconds} ms");
        if mebibytes > bound.mebibytes || milliseconds > bound.seconds * 1000 {
            failures.push_str(&format!("{case}: {mebibytes} MiB, {milliseconds} ms\n"));
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

fn child(case: &str) {
    let (_, mint, read, _) = CASES.iter().find(|(name, ..)| *name == case).unwrap();
    // What minting takes must not count: it happens in a process of its own, too.
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile.log");
    if std::env::var_os("VOUCHSAFE_HOSTILE_MINT").is_some() {
        std::fs::write(&file, mint()).unwrap();
        return;
    }
    let program = std::env::current_exe().unwrap();
    let arguments = ["--exact", "memory_and_time_are_bounded"];
    let minted = Command::new(program).args(arguments).env("VOUCHSAFE_HOSTILE_MINT", "1").status().unwrap();
    assert!(minted.success());
    let bytes = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let (before, start) = (peak(), Instant::now());
    read(&bytes);
    let took: Duration = start.elapsed();
    println!("measured {} {}", (peak() - before) / 1024, took.as_millis());
}

/// The highest resident memory of this process so far, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

// ---------------------------------------------------------------- what is done with a log

/// Everything: alone, and under a quote of what it replays to.
fn boot(bytes: &[u8]) {
    let log = EventLog::parse(bytes).unwrap();
    let replay = Replay::of(&[&log], SHA256);
    let quoted = quoted(|index| *replay.value(index).unwrap());
    let measured = MeasuredLog::verify(&[&log], &quoted, false).unwrap();
    let _ = BootClaims::of(measured.events(), measured.covered()).map(|claims| claims.details());
    drop(events_json(measured.events(), &[]));
    drop(measured);
    drop(unverified_log_report(bytes).unwrap());
}

/// Under a quote of something else, so that the first event that explains it is looked for.
fn other_boot(bytes: &[u8]) {
    let log = EventLog::parse(bytes).unwrap();
    let quoted = quoted(|_| Digest::filled(SHA256, 7, 7));
    MeasuredLog::verify(&[&log], &quoted, false).unwrap_err();
}

fn refused(bytes: &[u8]) {
    EventLog::parse(bytes).unwrap_err();
}

fn ima(bytes: &[u8]) {
    let log = ImaLog::parse(bytes).unwrap();
    let mut value = Digest::filled(SHA256, 0, 0);
    for record in log.unverified_records() {
        let hash =
            if record.violation { Digest::filled(SHA256, 0xff, 0xff) } else { SHA256.digest(&[record.data]) };
        value = SHA256.digest(&[value.as_slice(), hash.as_slice()]);
    }
    let measured = MeasuredIma::verify(&log, &quoted(|_| value), false).unwrap();
    assert_eq!(measured.records().len(), log.unverified_records().len());
    drop(events_json(&[], measured.records()));
}

fn other_ima(bytes: &[u8]) {
    let log = ImaLog::parse(bytes).unwrap();
    MeasuredIma::verify(&log, &quoted(|_| Digest::filled(SHA256, 7, 7)), false).unwrap_err();
}

fn refused_ima(bytes: &[u8]) {
    ImaLog::parse(bytes).unwrap_err();
}

/// A quote of all PCRs but 16 and 23 by a key of our own.
fn quoted(value: impl Fn(u8) -> Digest) -> QuotedPcrs {
    let key = SigningKey::generate(SigningAlgorithm::Rs256).unwrap();
    let mut values = PcrValues::new();
    let mut digested = Vec::new();
    for index in (0..23).filter(|index| *index != 16) {
        values.insert(SHA256, index, value(index).as_slice()).unwrap();
        digested.extend(value(index).as_slice());
    }
    let mut message = b"\xffTCG\x80\x18\0\0\0\x05nonce".to_vec();
    message.extend([0; 25]);
    message.extend([0, 0, 0, 1, 0, 0x0b, 3, 0xff, 0xff, 0x7e, 0, 32]);
    message.extend(crypto::sha256(&digested));
    let signature = key.sign(&message).unwrap();
    let attest = Attest::parse(&message).unwrap();
    let expectations = Expectations { nonce: b"nonce", required: PcrSet::default(), allow_sha1: false };
    let key = AttestationKey::from_trusted_spki(&key.public_key_der().unwrap()).unwrap();
    attest.verify_quote(&Signature::RawRsa(&signature), &values, &key, &expectations).unwrap().pcrs().clone()
}

// ---------------------------------------------------------------- logs

/// A crypto-agile log with the separators that a boot has.
fn header() -> Vec<u8> {
    let mut log = vec![0, 0, 0, 0, 3, 0, 0, 0];
    log.extend([0; 20]);
    let spec = b"Spec ID Event03\0\0\0\0\0\0\x02\0\x02\x01\0\0\0\x0b\0\x20\0\0";
    log.extend(u32::try_from(spec.len()).unwrap().to_le_bytes());
    log.extend(spec);
    for pcr in 0..8 {
        log.extend(event(pcr, 4, &[0; 4]));
    }
    log
}

fn event(pcr: u32, kind: u32, data: &[u8]) -> Vec<u8> {
    let mut event = [pcr, kind, 1].iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>();
    event.extend([0x0b, 0]);
    event.extend(crypto::sha256(data));
    event.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
    event.extend(data);
    event
}

/// `count` events after the header.
fn events(count: usize, event: &[u8]) -> Vec<u8> {
    let log = [header(), event.repeat(count)].concat();
    assert!(log.len() <= MAX_LOG_BYTES);
    // A last byte that is no padding.
    assert!(!matches!(log.last(), Some(0 | 0xff)));
    log
}

fn kilobyte_records() -> Vec<u8> {
    events(62_000, &event(9, 0xc, &[7; 1000]))
}

fn tiny_records() -> Vec<u8> {
    events(65_000, &event(4, 0x8000_0007, b"x"))
}

fn million_records() -> Vec<u8> {
    events(1_000_000, &event(4, 0xd, b"x"))
}

fn giant(pcr: u32, kind: u32, start: &[u8]) -> Vec<u8> {
    let mut data = start.to_vec();
    data.resize(MAX_LOG_BYTES - 1000, b'x');
    events(1, &event(pcr, kind, &data))
}

fn tag(id: u32, payload: &[u8]) -> Vec<u8> {
    [&id.to_le_bytes()[..], &u32::try_from(payload.len()).unwrap().to_le_bytes(), payload].concat()
}

/// Millions of aggregations in one another, and as many in a row in eight levels.
fn nested() -> Vec<u8> {
    let deep = |levels: u32| -> Vec<u8> {
        let level = |inner: u32| [0x4001_0001_u32.to_le_bytes(), (8 * inner).to_le_bytes()].concat();
        (0..levels).rev().flat_map(level).collect()
    };
    let flat = (0..7).fold(tag(0x0005_0002, &[1]).repeat(1_000_000), |data, _| tag(0x4001_0001, &data));
    let events = [deep(6_000_000), flat, deep(7)].map(|data| event(12, 6, &data)).concat();
    let log = [header(), events, event(12, 4, b"WBCL")].concat();
    assert!(log.len() <= MAX_LOG_BYTES);
    log
}

/// As many tagged events as fit, in many records.
fn many_tags() -> Vec<u8> {
    let tags = tag(0x0005_0002, &[1]).repeat(100_000);
    events(60, &event(12, 6, &tag(0x4001_0001, &tags)))
}

/// A variable `db` with as many entries as fit.
fn database() -> Vec<u8> {
    let mut data = hex::decode("cbb219d73a3d9645a3bcdad00e67656f").unwrap();
    let entries = 1_000_000_u32;
    let mut list = hex::decode("2616c4c14c509240aca941f936934328").unwrap();
    for number in [28 + entries * 48, 0, 48] {
        list.extend(number.to_le_bytes());
    }
    list.extend([7].repeat(48 * 1_000_000));
    data.extend(2_u64.to_le_bytes());
    data.extend(u64::try_from(list.len()).unwrap().to_le_bytes());
    data.extend("db".encode_utf16().flat_map(u16::to_le_bytes));
    data.extend(list);
    events(1, &event(7, 0x8000_0001, &data))
}

fn lying() -> Vec<u8> {
    let mut log = giant(4, 0xd, b"");
    let at = header().len() + 12 + 34;
    log[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    log
}

fn ima_record(data: &[u8], hash: &[u8]) -> Vec<u8> {
    let mut record = 10_u32.to_le_bytes().to_vec();
    record.extend(hash);
    record.extend(*b"\x06\0\0\0ima-ng");
    record.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
    record.extend(data);
    record
}

fn ima_data(name: &[u8]) -> Vec<u8> {
    let mut data = 40_u32.to_le_bytes().to_vec();
    data.extend(*b"sha256:\0");
    data.extend([7; 32]);
    data.extend(u32::try_from(name.len()).unwrap().to_le_bytes());
    data.extend(name);
    data
}

/// As many records as are accepted, and together 64 MiB.
fn ima_records() -> Vec<u8> {
    let data = ima_data(&[b'x'; 550]);
    let record = ima_record(&data, &crypto::sha1(&data));
    let log = record.repeat((MAX_LOG_BYTES / record.len()).min(100_000));
    assert!(log.len() > MAX_LOG_BYTES * 9 / 10);
    log
}

fn lying_ima() -> Vec<u8> {
    let mut log = ima_records();
    let end = log.len();
    log[end - 600..end - 596].copy_from_slice(&u32::MAX.to_le_bytes());
    [log, u32::MAX.to_le_bytes().repeat(20)].concat()
}

fn one_ima_record() -> Vec<u8> {
    let data = ima_data(&vec![b'x'; MAX_LOG_BYTES - 1000]);
    ima_record(&data, &crypto::sha1(&data))
}

fn ima_violations(count: usize) -> Vec<u8> {
    ima_record(&[0; 8], &[0; 20]).repeat(count)
}
