//! Runs the transcripts in `tests/transcripts`: arguments, input, status and output of the real program, written
//! to be read as documentation. Each file runs in a directory that holds the [`world`].
//!
//! - `# ...` is prose.
//! - `$ vouchsafe ...` is a command; words may be in single quotes. `< ...` lines below it are its standard input.
//! - Lines below are its standard output, those after `! ` its standard error. `[..]` stands for any text in a
//!   line, a line `...` for any lines.
//! - `[status N]` ends a command that does not end with status 0.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use support::{VOUCHSAFE, world};

#[test]
fn every_transcript_happens_as_written() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut files: Vec<_> =
        std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 5, "the transcripts are missing");
    let mut differences = String::new();
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("transcripts").join(name);
        world(&place);
        for step in steps(&std::fs::read_to_string(&file).unwrap()) {
            let actual = step.run(&place);
            if !matches(&step.expected, &actual) {
                let (expected, actual) = (step.expected.join("\n"), actual.join("\n"));
                let command = &step.command;
                differences.push_str(&format!(
                    "\n{name}: $ {command}\n--- expected\n{expected}\n--- actual\n{actual}\n"
                ));
            }
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

/// The page's `file=` blocks are files, its `console` blocks are transcripts; one block after the other.
#[test]
fn the_workbench_page_happens_as_written() {
    let page = include_str!("../../../docs/policy-workbench.md");
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("transcripts").join("workbench");
    world(&place);
    let (mut differences, mut commands) = (String::new(), 0);
    for block in page.split("```").skip(1).step_by(2) {
        let (mark, body) = block.split_once('\n').unwrap();
        if let Some((_, name)) = mark.split_once("file=") {
            let file = place.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, body).unwrap();
        } else if mark == "console" {
            for step in steps(body) {
                commands += 1;
                let actual = step.run(&place);
                if !matches(&step.expected, &actual) {
                    let (expected, actual) = (step.expected.join("\n"), actual.join("\n"));
                    let command = &step.command;
                    differences.push_str(&format!(
                        "\n$ {command}\n--- expected\n{expected}\n--- actual\n{actual}\n"
                    ));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{differences}");
    assert!(commands >= 12, "only {commands} commands");
}

struct Step {
    command: String,
    input: String,
    /// Output, error and status lines.
    expected: Vec<String>,
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { command: command.to_owned(), input: String::new(), expected: Vec::new() });
        } else if line.starts_with("# ") {
        } else if let Some(step) = steps.last_mut() {
            match line.strip_prefix("< ") {
                Some(input) => step.input.push_str(&format!("{input}\n")),
                None => step.expected.push(line.to_owned()),
            }
        } else {
            assert!(line.is_empty(), "output without a command: {line}");
        }
    }
    assert!(!steps.is_empty(), "a transcript without a command");
    for step in &mut steps {
        while step.expected.last().is_some_and(String::is_empty) {
            step.expected.pop();
        }
    }
    steps
}

impl Step {
    fn run(&self, directory: &Path) -> Vec<String> {
        let words = words(&self.command);
        assert_eq!(words[0], "vouchsafe", "{}", self.command);
        let mut child = Command::new(VOUCHSAFE)
            .args(&words[1..])
            .current_dir(directory)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("XDG_DATA_HOME", directory.join("xdg"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that does not read its input may be gone by now.
        let _ = child.stdin.take().unwrap().write_all(self.input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let mut lines: Vec<String> =
            String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        lines.extend(String::from_utf8(output.stderr).unwrap().lines().map(|line| format!("! {line}")));
        for line in &mut lines {
            line.truncate(line.trim_end().len());
        }
        match output.status.code() {
            Some(0) => {}
            Some(code) => lines.push(format!("[status {code}]")),
            None => lines.push("[killed]".to_owned()),
        }
        lines
    }
}

/// Splits at blanks outside single quotes.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for character in command.chars() {
        match character {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            _ => words.last_mut().unwrap().push(character),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn matches(expected: &[String], actual: &[String]) -> bool {
    match expected.split_first() {
        None => actual.is_empty(),
        Some((line, rest)) if line == "..." => {
            (0..=actual.len()).any(|skipped| matches(rest, &actual[skipped..]))
        }
        Some((line, rest)) => actual
            .split_first()
            .is_some_and(|(first, others)| line_matches(line, first) && matches(rest, others)),
    }
}

fn line_matches(pattern: &str, line: &str) -> bool {
    match pattern.trim_end().split_once("[..]") {
        None => pattern.trim_end() == line,
        Some((start, rest)) => line.strip_prefix(start).is_some_and(|line| {
            line.char_indices()
                .map(|(at, _)| at)
                .chain([line.len()])
                .any(|at| line_matches(rest, &line[at..]))
        }),
    }
}

#[test]
fn the_runner_sees_differences() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(matches(&lines("a [..] c\n...\nz"), &lines("a b c\nx\ny\nz")));
    assert!(!matches(&lines("a [..] c"), &lines("a b d")));
    assert!(!matches(&lines("a"), &lines("a\nb")));
    assert!(!matches(&lines("a\nb"), &lines("a")));
    assert_eq!(words("vouchsafe 'a b' c"), ["vouchsafe", "a b", "c"]);
}
