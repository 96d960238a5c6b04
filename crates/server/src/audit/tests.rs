use std::fs;
use std::path::PathBuf;

use super::verify::{Problem, Report, verify};
use super::*;
use crate::test_support::scratch;

fn event(operation: &str) -> Event {
    Event { operation: operation.to_owned(), outcome: "succeeded", ..Event::default() }
}

/// A log of `lines` events.
async fn written(name: &str, lines: usize) -> PathBuf {
    let directory = scratch(name);
    let log = AuditLog::open(&directory, AuditMode::BestEffort).unwrap();
    for index in 0..lines {
        log.record(event(&format!("operation {index}"))).await.unwrap();
    }
    directory
}

fn log_file(directory: &Path) -> PathBuf {
    directory.join("audit/00000000000000000001.jsonl")
}

fn lines(directory: &Path) -> Vec<String> {
    fs::read_to_string(log_file(directory)).unwrap().lines().map(str::to_owned).collect()
}

fn problem(directory: &Path) -> Problem {
    verify(directory, None).unwrap().problem.expect("a problem")
}

#[tokio::test]
async fn a_log_goes_on_where_it_ended() {
    let directory = written("audit_chain", 3).await;
    let first = verify(&directory, None).unwrap();
    assert_eq!((first.lines, &first.problem), (3, &None));
    let log = AuditLog::open(&directory, AuditMode::BestEffort).unwrap();
    log.note(event("noted"));
    log.record(event("last")).await.unwrap();
    drop(log);
    let Report { lines: 5, head, problem: None } = verify(&directory, Some((3, &first.head))).unwrap() else {
        panic!("the log is not whole")
    };
    assert_eq!(head, hex::encode(crypto::sha256(lines(&directory)[4].as_bytes())));
}

#[tokio::test]
async fn every_kind_of_tampering_is_found_and_placed() {
    type Tamper = fn(&mut Vec<String>);
    let cases: [(&str, Tamper, u64, &str); 6] = [
        ("changed", |lines| lines[1] = lines[1].replace("operation 1", "operation 9"), 3, "is not the one"),
        ("taken_out", |lines| drop(lines.remove(1)), 2, "number that follows"),
        ("moved", |lines| lines.swap(1, 2), 2, "number that follows"),
        ("put_in", |lines| lines.insert(1, lines[1].clone()), 3, "number that follows"),
        ("cut", |lines| drop(lines.pop()), 0, "missing at the end"),
        ("last_changed", |lines| lines[3] = lines[3].replace("operation 3", "x"), 4, "the head names"),
    ];
    for (name, tamper, line, what) in cases {
        let directory = written(&format!("audit_{name}"), 4).await;
        let mut text = lines(&directory);
        tamper(&mut text);
        fs::write(log_file(&directory), text.join("\n") + "\n").unwrap();
        let problem = problem(&directory);
        assert_eq!(problem.line, line, "{name}: {}", problem.what);
        assert!(problem.what.contains(what), "{name}: {}", problem.what);
    }
    let directory = written("audit_headless", 2).await;
    fs::remove_file(directory.join("audit/head.json")).unwrap();
    assert!(problem(&directory).what.contains("head is missing"));
}

#[tokio::test]
async fn a_log_written_anew_is_found_by_a_head_noted_elsewhere() {
    let directory = written("audit_noted", 3).await;
    let head = verify(&directory, None).unwrap().head;
    fs::remove_dir_all(directory.join("audit")).unwrap();
    written("audit_noted", 4).await;
    assert_eq!(verify(&directory, None).unwrap().problem, None);
    let anew = verify(&directory, Some((3, &head))).unwrap().problem.unwrap();
    assert!(anew.what.contains("written anew"), "{}", anew.what);
    let short = verify(&directory, Some((9, &head))).unwrap().problem.unwrap();
    assert!(short.what.contains("ends before"), "{}", short.what);
}

#[tokio::test]
async fn a_line_torn_by_a_crash_is_set_aside_and_said() {
    let directory = written("audit_torn", 2).await;
    let mut text = fs::read(log_file(&directory)).unwrap();
    text.extend_from_slice(b"{\"seq\":3,\"at\"");
    fs::write(log_file(&directory), text).unwrap();
    drop(AuditLog::open(&directory, AuditMode::BestEffort).unwrap());
    assert_eq!(verify(&directory, None).unwrap().problem, None);
    assert!(lines(&directory)[2].contains("healed"));
    assert!(log_file(&directory).with_extension("torn").exists());
}

#[tokio::test]
async fn a_log_that_was_cut_is_said_at_the_next_start() {
    let directory = written("audit_cut_start", 3).await;
    let kept = lines(&directory)[..2].join("\n") + "\n";
    fs::write(log_file(&directory), kept).unwrap();
    drop(AuditLog::open(&directory, AuditMode::BestEffort).unwrap());
    assert!(lines(&directory)[2].contains("log cut"));
}

#[tokio::test]
async fn a_log_that_is_none_is_refused() {
    let directory = written("audit_damaged", 1).await;
    fs::write(log_file(&directory), "nothing\n").unwrap();
    let error = AuditLog::open(&directory, AuditMode::BestEffort).unwrap_err();
    assert!(matches!(error, AuditDirError::Damaged { .. }), "{error}");
    let directory = scratch("audit_file");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("audit"), "").unwrap();
    let error = AuditLog::open(&directory, AuditMode::BestEffort).unwrap_err();
    assert!(matches!(error, AuditDirError::Io { .. }), "{error}");
}

#[tokio::test]
async fn what_cannot_be_written_is_said_and_counted() {
    let directory = scratch("audit_gone");
    let log = AuditLog::open(&directory, AuditMode::Required).unwrap();
    log.record(event("before")).await.unwrap();
    fs::rename(directory.join("audit"), directory.join("away")).unwrap();
    assert_eq!(log.record(event("during")).await, Err(AuditUnavailable));
    assert_eq!(log.attestation(event("during")).await, Err(AuditUnavailable));
    log.note(event("unheard"));
    // The thread has taken the note when it answers what came after it.
    assert_eq!(log.record(event("during")).await, Err(AuditUnavailable));
    fs::rename(directory.join("away"), directory.join("audit")).unwrap();
    log.record(event("after")).await.unwrap();
    drop(log);
    assert_eq!(verify(&directory, None).unwrap().problem, None);
    let lines = lines(&directory);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[1].contains("\"dropped\":1") && lines[2].contains("after"), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_together_is_committed_together() {
    let directory = scratch("audit_group");
    let log = Arc::new(AuditLog::open(&directory, AuditMode::BestEffort).unwrap());
    let started = std::time::Instant::now();
    log.record(event("one")).await.unwrap();
    let one = started.elapsed();
    let started = std::time::Instant::now();
    let all: Vec<_> = (0..500)
        .map(|_| {
            let log = Arc::clone(&log);
            tokio::spawn(async move { log.record(event("many")).await })
        })
        .collect();
    for one in all {
        one.await.unwrap().unwrap();
    }
    println!("one event took {one:?}, 500 together {:?}", started.elapsed());
    drop(log);
    assert_eq!(verify(&directory, None).unwrap().lines, 501);
}

#[tokio::test]
async fn switched_off_is_off_for_attestations_alone() {
    let directory = scratch("audit_off");
    let log = AuditLog::open(&directory, AuditMode::Off).unwrap();
    log.attestation(event("attestation")).await.unwrap();
    log.record(event("management")).await.unwrap();
    drop(log);
    assert_eq!(verify(&directory, None).unwrap().lines, 1);
}
