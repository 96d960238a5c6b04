use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::line::NO_LINE;
use super::verify::{NotedHead, Report, VerifyError, verify};
use super::*;
use crate::store::{self, StoreError};
use crate::test_support::scratch;

fn event(operation: &str) -> Event {
    Event { operation: operation.to_owned(), outcome: "succeeded", ..Event::default() }
}

fn open(directory: &Path, mode: AuditMode) -> Result<AuditLog, AuditDirError> {
    fs::create_dir_all(directory).unwrap();
    AuditLog::open(directory, mode, Arc::new(Store::open(&directory.join(store::FILE)).unwrap()))
}

/// A log of `lines` events.
async fn written(name: &str, lines: usize) -> PathBuf {
    let directory = scratch(name);
    go_on(&directory, lines).await;
    directory
}

async fn go_on(directory: &Path, lines: usize) {
    let log = open(directory, AuditMode::BestEffort).unwrap();
    for index in 0..lines {
        log.record(event(&format!("operation {index}"))).await.unwrap();
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(directory.join("audit")).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    files
}

fn log_file(directory: &Path) -> PathBuf {
    files(directory).remove(0)
}

fn lines(directory: &Path) -> Vec<String> {
    fs::read_to_string(log_file(directory)).unwrap().lines().map(str::to_owned).collect()
}

fn write(directory: &Path, lines: &[String]) {
    fs::write(log_file(directory), lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
}

fn report(directory: &Path) -> Report {
    verify(directory, &[]).unwrap()
}

/// The problems of a log: line and text.
fn problems(directory: &Path) -> Vec<(u64, &'static str)> {
    report(directory).problems.into_iter().map(|problem| (problem.line, problem.what)).collect()
}

#[track_caller]
fn assert_problem(directory: &Path, line: u64, what: &str) {
    let problems = problems(directory);
    let [(found, text)] = problems.as_slice() else { panic!("{problems:?}") };
    assert!(*found == line && text.contains(what), "{problems:?}");
}

fn noted(report: &Report) -> NotedHead {
    let chain = &report.chains[0];
    NotedHead { writer: chain.writer.clone(), seq: chain.lines, sha256: chain.sha256.clone() }
}

#[tokio::test]
async fn a_log_goes_on_where_it_ended() {
    let directory = written("audit_chain", 3).await;
    let first = report(&directory);
    assert_eq!((first.chains[0].lines, first.chains[0].unconfirmed, first.problems.len()), (3, 0, 0));
    let log = open(&directory, AuditMode::BestEffort).unwrap();
    log.note(event("noted"));
    log.record(event("last")).await.unwrap();
    drop(log);
    let second = verify(&directory, &[noted(&first)]).unwrap();
    assert_eq!((second.chains.len(), second.chains[0].lines, second.problems.len()), (1, 5, 0));
    let lines = lines(&directory);
    assert_eq!(second.chains[0].sha256, hex::encode(crypto::sha256(lines[4].as_bytes())));
    assert!(lines.iter().all(|line| line.contains(&second.chains[0].writer)));
}

#[tokio::test]
async fn every_kind_of_tampering_is_found_and_placed() {
    type Tamper = fn(&mut Vec<String>);
    let cases: [(&str, Tamper, u64, &str); 9] = [
        ("changed", |lines| lines[1] = lines[1].replace("operation 1", "operation 9"), 3, "is not the one"),
        ("taken_out", |lines| drop(lines.remove(1)), 2, "number that follows"),
        ("first_taken_out", |lines| drop(lines.remove(0)), 1, "number that follows"),
        ("put_in", |lines| lines.insert(1, "{}".to_owned()), 2, "no event"),
        ("twice", |lines| lines.push(lines[3].clone()), 5, "number that follows"),
        ("cut", |lines| drop(lines.pop()), 0, "missing at the end"),
        ("emptied", Vec::clear, 0, "missing at the end"),
        ("last_changed", |lines| lines[3] = lines[3].replace("operation 3", "x"), 4, "names as the last"),
        ("unreadable", |lines| lines.insert(2, "\u{0}".to_owned()), 3, "no event"),
    ];
    for (name, tamper, line, what) in cases {
        let directory = written(&format!("audit_{name}"), 4).await;
        let mut text = lines(&directory);
        tamper(&mut text);
        write(&directory, &text);
        assert_problem(&directory, line, what);
        // It stays found when the log has gone on.
        go_on(&directory, 2).await;
        assert!(problems(&directory).iter().any(|(_, text)| !text.is_empty()), "{name}");
    }
    let directory = written("audit_moved", 4).await;
    let mut text = lines(&directory);
    text.swap(1, 2);
    write(&directory, &text);
    assert_eq!(problems(&directory)[0].0, 2);

    let directory = written("audit_other_writer", 2).await;
    let writer = report(&directory).chains[0].writer.clone();
    let text: Vec<_> =
        lines(&directory).iter().map(|line| line.replace(&writer, "0000000000000000")).collect();
    write(&directory, &text);
    assert!(problems(&directory)[0].1.contains("another writer"));
}

#[tokio::test]
async fn a_log_that_was_removed_or_replaced_is_missed() {
    let directory = written("audit_removed", 3).await;
    fs::remove_dir_all(directory.join("audit")).unwrap();
    assert!(matches!(verify(&directory, &[]), Err(VerifyError::Io { .. })));
    go_on(&directory, 2).await;
    assert_problem(&directory, 0, "missing between");
    assert!(lines(&directory)[0].contains("log damaged"), "and the log says it itself");

    let other = written("audit_other", 3).await;
    fs::remove_dir_all(directory.join("audit")).unwrap();
    fs::rename(other.join("audit"), directory.join("audit")).unwrap();
    let texts: Vec<_> = problems(&directory).into_iter().map(|(_, text)| text).collect();
    assert!(texts[0].contains("missing at the end") && texts[1].contains("no such writer"), "{texts:?}");

    fs::remove_file(directory.join(store::FILE)).unwrap();
    assert!(matches!(verify(&directory, &[]), Err(VerifyError::Store(StoreError::Database { .. }))));
}

#[tokio::test]
async fn a_log_written_anew_is_found_by_a_head_noted_elsewhere() {
    let directory = written("audit_noted", 3).await;
    let head = noted(&report(&directory));
    let changed = NotedHead { sha256: NO_LINE.to_owned(), ..head.clone() };
    let anew = verify(&directory, &[changed]).unwrap().problems;
    assert!(anew[0].what.contains("written anew") && anew[0].line == 3, "{anew:?}");
    let short = verify(&directory, &[NotedHead { seq: 9, ..head.clone() }]).unwrap().problems;
    assert!(short[0].what.contains("ends before"), "{short:?}");
    let directory = written("audit_noted", 4).await;
    assert_eq!(problems(&directory), []);
    let other = verify(&directory, &[head]).unwrap().problems;
    assert!(other[0].what.contains("another one"), "{other:?}");
}

#[tokio::test]
async fn a_line_torn_by_a_crash_is_set_aside_and_said() {
    let directory = written("audit_torn", 2).await;
    let mut text = fs::read(log_file(&directory)).unwrap();
    text.extend_from_slice(b"{\"seq\":3,\"at\"");
    fs::write(log_file(&directory), text).unwrap();
    assert_eq!(problems(&directory), [], "nobody was told that it is recorded");
    drop(open(&directory, AuditMode::BestEffort).unwrap());
    assert_eq!(problems(&directory), []);
    assert!(lines(&directory)[2].contains("healed"));
    assert!(log_file(&directory).with_extension("torn").exists());
}

/// As a crash leaves it between the lines and the database: the lines stand, and are told.
#[tokio::test]
async fn lines_that_the_database_did_not_confirm_are_kept_and_said() {
    let directory = written("audit_unconfirmed", 2).await;
    fs::copy(directory.join(store::FILE), directory.join("before")).unwrap();
    go_on(&directory, 2).await;
    fs::rename(directory.join("before"), directory.join(store::FILE)).unwrap();
    assert_eq!((report(&directory).chains[0].unconfirmed, problems(&directory)), (2, Vec::new()));
    go_on(&directory, 1).await;
    assert_eq!((report(&directory).chains[0].lines, problems(&directory)), (6, Vec::new()));
    assert!(lines(&directory)[4].contains("log longer: 2 lines after line 2"), "{:?}", lines(&directory));
    // What does not follow is no line of ours.
    let mut text = lines(&directory);
    text.push(text[5].replace("\"seq\":6", "\"seq\":7"));
    write(&directory, &text);
    go_on(&directory, 1).await;
    assert!(!problems(&directory).is_empty());
    assert!(lines(&directory)[7].contains("log damaged"), "{:?}", lines(&directory));
}

/// What a crash has torn is kept, each time in a file of its own, for its owner only.
#[tokio::test]
async fn torn_lines_of_several_crashes_are_kept_apart() {
    let directory = written("audit_torn_again", 2).await;
    for torn in ["{\"one", "{\"another"] {
        let mut text = fs::read(log_file(&directory)).unwrap();
        text.extend_from_slice(torn.as_bytes());
        fs::write(log_file(&directory), text).unwrap();
        drop(open(&directory, AuditMode::BestEffort).unwrap());
    }
    for (extension, torn) in [("torn", "{\"one"), ("1.torn", "{\"another")] {
        let path = log_file(&directory).with_extension(extension);
        assert_eq!(fs::read_to_string(&path).unwrap(), torn);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(lines(&directory).iter().any(|line| line.contains(&format!("`{name}`"))), "{name}");
    }
    assert_eq!((lines(&directory).len(), problems(&directory)), (4, Vec::new()));
}

/// Whatever follows the last confirmed line, a line that cannot be one of ours is told.
#[tokio::test]
async fn what_was_appended_and_is_no_line_is_found() {
    let directory = written("audit_appended", 2).await;
    let append = |bytes: &[u8]| {
        let mut text = fs::read(log_file(&directory)).unwrap();
        text.extend_from_slice(bytes);
        fs::write(log_file(&directory), text).unwrap();
    };
    append(&[b'x'; 100_000]);
    assert_problem(&directory, 3, "does not end");
    append(b"\n{}\n");
    assert_problem(&directory, 3, "does not end");
    let directory = written("audit_torn_in_the_middle", 2).await;
    let writer = report(&directory).chains[0].writer.clone();
    let mut text = fs::read(log_file(&directory)).unwrap();
    text.extend_from_slice(b"{\"seq\":3");
    fs::write(log_file(&directory), text).unwrap();
    fs::write(directory.join("audit").join(writer::file_name(&writer, 3)), "").unwrap();
    assert_problem(&directory, 3, "does not end");
}

#[tokio::test]
async fn a_log_that_is_none_is_refused() {
    let directory = scratch("audit_file");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("audit"), "").unwrap();
    let error = open(&directory, AuditMode::BestEffort).unwrap_err();
    assert!(matches!(error, AuditDirError::Io { .. }), "{error}");
}

#[tokio::test]
async fn a_log_that_nobody_began_is_not_whole() {
    let directory = scratch("audit_empty");
    fs::create_dir_all(directory.join("audit")).unwrap();
    drop(Store::open(&directory.join(store::FILE)).unwrap());
    assert!(matches!(verify(&directory, &[]), Err(VerifyError::Empty { .. })));
}

/// The file stays open when its name is gone. What is written there then is recorded nowhere.
#[tokio::test]
async fn a_log_that_is_taken_away_while_it_is_written_records_nothing() {
    type Take = fn(&Path);
    let cases: [(&str, Take); 5] = [
        ("replaced_by_a_file", |directory| {
            fs::rename(directory.join("audit"), directory.join("away")).unwrap();
            fs::write(directory.join("audit"), "").unwrap();
        }),
        ("replaced_by_a_directory", |directory| {
            fs::rename(directory.join("audit"), directory.join("away")).unwrap();
            fs::create_dir(directory.join("audit")).unwrap();
        }),
        ("replaced_by_a_copy", |directory| {
            let (file, copy) = (log_file(directory), directory.join("copy"));
            fs::copy(&file, &copy).unwrap();
            fs::rename(copy, file).unwrap();
        }),
        ("removed", |directory| fs::remove_file(log_file(directory)).unwrap()),
        ("emptied", |directory| fs::write(log_file(directory), "").unwrap()),
    ];
    for (name, take) in cases {
        let directory = scratch(&format!("audit_while_{name}"));
        let log = open(&directory, AuditMode::Required).unwrap();
        log.record(event("before")).await.unwrap();
        take(&directory);
        assert_eq!(log.record(event("during")).await, Err(AuditUnavailable), "{name}");
        assert_eq!(log.record(event("still")).await, Err(AuditUnavailable), "{name}");
    }
}

/// Lines of a file that the log would go on in are not written over.
#[tokio::test]
async fn a_next_file_that_is_there_already_is_left_alone() {
    let directory = scratch("audit_occupied");
    let log = open(&directory, AuditMode::BestEffort).unwrap();
    log.record(event("first")).await.unwrap();
    let writer = report(&directory).chains[0].writer.clone();
    // Wherever a batch ends that makes the first file long enough.
    let next: Vec<_> =
        (500..700).map(|seq| directory.join("audit").join(writer::file_name(&writer, seq))).collect();
    for file in &next {
        fs::write(file, "{}\n").unwrap();
    }
    let long = "x".repeat(32 * 1024);
    for _ in 0..600 {
        log.note(event(&long));
    }
    let mut outcome = Ok(());
    for _ in 0..2 {
        outcome = log.record(event("last")).await;
    }
    assert_eq!(outcome, Err(AuditUnavailable));
    drop(log);
    assert!(next.iter().all(|file| fs::read_to_string(file).unwrap() == "{}\n"));
}

#[tokio::test]
async fn what_was_dropped_last_is_counted_when_the_log_is_closed() {
    let directory = scratch("audit_dropped_last");
    let log = open(&directory, AuditMode::BestEffort).unwrap();
    log.record(event("before")).await.unwrap();
    fs::rename(directory.join("audit"), directory.join("away")).unwrap();
    log.note(event("unheard"));
    assert_eq!(log.record(event("during")).await, Err(AuditUnavailable));
    fs::rename(directory.join("away"), directory.join("audit")).unwrap();
    log.close();
    assert_eq!(log.record(event("after")).await, Err(AuditUnavailable));
    log.note(event("after"));
    assert_eq!(problems(&directory), []);
    let lines = lines(&directory);
    assert!(lines.len() == 2 && lines[1].contains("\"dropped\":1"), "{lines:?}");
}

#[tokio::test]
async fn what_cannot_be_written_is_said_and_counted() {
    let directory = scratch("audit_gone");
    let log = open(&directory, AuditMode::Required).unwrap();
    log.record(event("before")).await.unwrap();
    fs::rename(directory.join("audit"), directory.join("away")).unwrap();
    assert_eq!(log.record(event("during")).await, Err(AuditUnavailable));
    assert_eq!(log.attestation(event("during")).await, Err(AuditUnavailable));
    log.note(event("unheard"));
    log.note_attestation(event("unheard"));
    // The thread has taken the notes when it answers what came after them.
    assert_eq!(log.record(event("during")).await, Err(AuditUnavailable));
    fs::rename(directory.join("away"), directory.join("audit")).unwrap();
    log.record(event("after")).await.unwrap();
    drop(log);
    assert_eq!(problems(&directory), []);
    let lines = lines(&directory);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[1].contains("\"dropped\":2") && lines[2].contains("after"), "{lines:?}");
}

/// Where lines go to the disk and the database refuses, nobody is told that they are recorded.
#[tokio::test]
async fn what_the_database_does_not_confirm_is_not_recorded() {
    let directory = scratch("audit_unconfirmable");
    let log = open(&directory, AuditMode::Required).unwrap();
    log.record(event("before")).await.unwrap();
    let database = rusqlite::Connection::open(directory.join(store::FILE)).unwrap();
    let refuse = "CREATE TRIGGER full BEFORE UPDATE ON audit_head BEGIN SELECT RAISE(ABORT, 'full'); END";
    database.execute_batch(refuse).unwrap();
    assert_eq!(log.record(event("during")).await, Err(AuditUnavailable));
    database.execute_batch("DROP TRIGGER full").unwrap();
    log.record(event("after")).await.unwrap();
    drop(log);
    assert_eq!((lines(&directory).len(), problems(&directory)), (3, Vec::new()));
}

#[tokio::test]
async fn notes_do_not_keep_out_what_somebody_waits_for() {
    let directory = scratch("audit_flood");
    let log = open(&directory, AuditMode::BestEffort).unwrap();
    // More than the queue takes, faster than the disk: the thread gathers the first ones for a while.
    for _ in 0..QUEUE * 3 {
        log.note(event("flood"));
    }
    log.record(event("management")).await.unwrap();
    drop(log);
    let (lines, problems) = (lines(&directory), problems(&directory));
    assert!(problems.is_empty() && lines.iter().any(|line| line.contains("management")));
    let dropped: u64 = lines
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter_map(|line| line["dropped"].as_u64())
        .sum();
    let kept = lines.iter().filter(|line| line.contains("flood")).count();
    assert_eq!(
        u64::try_from(kept).unwrap() + dropped,
        u64::try_from(QUEUE * 3).unwrap(),
        "each is kept or counted"
    );
}

#[tokio::test]
async fn files_follow_each_other_and_the_chain_goes_on() {
    let directory = scratch("audit_rotation");
    let log = open(&directory, AuditMode::BestEffort).unwrap();
    let long = "x".repeat(32 * 1024);
    for _ in 0..3 {
        for _ in 0..399 {
            log.note(event(&long));
        }
        log.record(event(&long)).await.unwrap();
    }
    drop(log);
    let all = files(&directory);
    assert!(all.len() > 1, "{all:?}");
    assert_eq!((report(&directory).chains[0].lines, problems(&directory)), (1200, Vec::new()));
    go_on(&directory, 1).await;
    assert_eq!((report(&directory).chains[0].lines, problems(&directory)), (1201, Vec::new()));

    // As a crash leaves it right after the change of files.
    let writer = report(&directory).chains[0].writer.clone();
    fs::write(directory.join("audit").join(writer::file_name(&writer, 1202)), "").unwrap();
    go_on(&directory, 1).await;
    assert_eq!((report(&directory).chains[0].lines, problems(&directory)), (1202, Vec::new()));

    fs::remove_file(&all[0]).unwrap();
    assert!(problems(&directory)[0].1.contains("missing between"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_together_is_committed_together() {
    let directory = scratch("audit_group");
    let log = Arc::new(open(&directory, AuditMode::BestEffort).unwrap());
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
    assert_eq!(problems(&directory), [], "a log that is written to can be checked");
    drop(log);
    assert_eq!(report(&directory).chains[0].lines, 501);
    // Lines of one commit have one time.
    let mut times: Vec<_> = lines(&directory)
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["at"].clone().to_string())
        .collect();
    times.dedup();
    assert!(times.len() < 250, "{} commits", times.len());
}

#[tokio::test]
async fn switched_off_is_off_for_attestations_alone() {
    let directory = scratch("audit_off");
    let log = open(&directory, AuditMode::Off).unwrap();
    log.attestation(event("attestation")).await.unwrap();
    log.note_attestation(event("attestation"));
    log.record(event("management")).await.unwrap();
    drop(log);
    assert_eq!(report(&directory).chains[0].lines, 1);
}
