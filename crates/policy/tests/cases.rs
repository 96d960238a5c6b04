//! Policy cases as text: a policy, the claims that come in, and what happens, in `tests/cases/*.txt`.
//!
//! A file holds cases like this; `--- limits` and `--- provided` (names of known claims) may stand before
//! `--- claims`:
//!
//! ```text
//! === what the case shows
//! version=1.0; …
//! --- claims
//! name = value
//! --- expect
//! permitted by rule 1 of authorizationrules (line 2)
//! ```
//!
//! With `UPDATE_CASES=1` the expectations are written anew, to be read before they are committed.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use policy::{Fault, Limits, Policy, Problem};

#[test]
fn cases() {
    let mut codes = BTreeSet::new();
    let mut different = Vec::new();
    let mut count = 0;
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<_> =
        std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut rewritten = String::new();
        for case in text.split("=== ").skip(1) {
            count += 1;
            let (given, expected) = case.split_once("--- expect\n").unwrap_or((case, ""));
            let found = run(given, &mut codes);
            if found.trim_end() != expected.trim_end() {
                different.push(format!("=== {given}--- expected\n{expected}--- found\n{found}"));
            }
            rewritten += &format!("=== {}\n--- expect\n{}\n\n", given.trim_end(), found.trim_end());
        }
        if std::env::var_os("UPDATE_CASES").is_some() {
            std::fs::write(&path, rewritten.trim_end().to_owned() + "\n").unwrap();
        }
    }
    println!("policy cases: {} of {count} as expected", count - different.len());
    assert!(different.is_empty(), "{}", different.join("\n"));

    // Bytes that are no text have no text case; `tests/hostile.rs` has them.
    let elsewhere = ["refused not-utf8"];
    let expected = Problem::CODES.map(|code| format!("refused {code}"));
    let expected = expected.into_iter().chain(Fault::CODES.map(|code| format!("error {code}")));
    let missing: Vec<_> =
        expected.filter(|code| !codes.contains(code) && !elsewhere.contains(&code.as_str())).collect();
    assert!(missing.is_empty(), "no case reaches {missing:?}");
}

fn run(given: &str, codes: &mut BTreeSet<String>) -> String {
    let mut sections = given.split("--- ");
    let (_, text) = sections.next().unwrap().split_once('\n').unwrap();
    // The line break before the next section belongs to the case file.
    let text = text.strip_suffix('\n').unwrap_or(text);
    let mut limits = Limits::DEFAULT;
    let mut incoming = Vec::new();
    let mut provided = None;
    for section in sections {
        match section.split_once('\n').unwrap() {
            ("claims", body) => incoming = common::claims(body),
            ("limits", body) => body.lines().for_each(|line| limit(&mut limits, line)),
            ("provided", body) => provided = Some(body.split_whitespace().collect::<Vec<_>>()),
            (other, _) => panic!("unknown section `{other}`"),
        }
    }
    let policy = match Policy::analyze_within(text, limits) {
        Ok(policy) => policy,
        Err(diagnostics) => {
            codes.extend(diagnostics.iter().map(|finding| format!("refused {}", finding.problem.code())));
            return common::findings(&diagnostics);
        }
    };
    codes.extend(policy.warnings().iter().map(|finding| format!("refused {}", finding.problem.code())));
    let mut out = String::new();
    for warning in policy.unknown_claims(provided.as_deref().unwrap_or_default()) {
        if provided.is_some() {
            codes.insert(format!("refused {}", warning.problem.code()));
            out += &common::finding(&warning);
        }
    }
    let (told, error) = common::run(&policy, &incoming);
    codes.extend(error.map(|error| format!("error {}", error.fault.code())));
    out + &told
}

fn limit(limits: &mut Limits, line: &str) {
    let Some((name, value)) = line.split_once(" = ") else { return };
    let value: usize = value.parse().unwrap();
    match name {
        "text_size_bytes" => limits.text_size_bytes = value,
        "rules" => limits.rules = value,
        "call_nesting" => limits.call_nesting = value,
        "claims" => limits.claims = value,
        "issued_claims" => limits.issued_claims = value,
        "result_size_bytes" => limits.result_size_bytes = value,
        "steps" => limits.steps = u64::try_from(value).unwrap(),
        other => panic!("unknown limit `{other}`"),
    }
}
