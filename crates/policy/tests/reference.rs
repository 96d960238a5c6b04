//! Runs every example of `docs/policy.md`.
//!
//! An example is a fenced block marked `policy`, optionally one marked `claims`, and one marked `result`,
//! in this order: the policy, the claims that come in, and what happens, in the form of the case files.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod common;

use policy::{Fault, Limits, Policy, Problem};

const REFERENCE: &str = include_str!("../../../docs/policy.md");

#[test]
fn examples_do_what_they_say() {
    let mut policy = None;
    let mut incoming = Vec::new();
    let mut examples = 0;
    let mut different = Vec::new();
    for (kind, body) in blocks(REFERENCE) {
        match kind {
            "policy" => {
                assert!(policy.is_none(), "an example without result before\n{body}");
                policy = Some(body);
                incoming = Vec::new();
            }
            "claims" => incoming = common::claims(body),
            "result" => {
                examples += 1;
                let text = policy.take().unwrap();
                let found = match Policy::analyze(text) {
                    Ok(policy) => common::run(&policy, &incoming).0,
                    Err(diagnostics) => common::findings(&diagnostics),
                };
                if found != body {
                    different.push(format!("{text}--- told\n{body}--- found\n{found}"));
                }
            }
            _ => {}
        }
    }
    assert!(policy.is_none(), "the last example has no result");
    println!("examples of the reference: {} of {examples} as told", examples - different.len());
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(examples >= 19, "only {examples} examples");
}

#[test]
fn the_reference_names_every_function_code_and_limit() {
    let functions =
        ["JmesPath", "JsonToClaimValue", "IsSubsetOf", "AppendString", "NegateBool", "ContainsOnlyValue"];
    for name in functions {
        assert!(REFERENCE.contains(&format!("### {name}")), "{name}");
    }
    for code in Problem::CODES.iter().chain(&Fault::CODES) {
        assert!(REFERENCE.contains(&format!("`{code}`")), "{code}");
    }
    let limits = Limits::DEFAULT;
    for (name, value) in [
        ("policy text", limits.text_size_bytes.to_string() + " bytes"),
        ("rules", limits.rules.to_string()),
        ("nested function calls", limits.call_nesting.to_string()),
        ("claims in the incoming set", limits.claims.to_string()),
        ("claims issued", limits.issued_claims.to_string()),
        ("nesting of JSON", limits.json_nesting.to_string()),
        ("nesting of a query", limits.query_nesting.to_string()),
        ("operators of a query", limits.query_operators.to_string()),
        ("query text", limits.query_size_bytes.to_string() + " bytes"),
        ("result of a function", limits.result_size_bytes.to_string() + " bytes"),
        ("evaluation steps", limits.steps.to_string()),
    ] {
        let row = format!("| {name} | {value} |");
        assert!(REFERENCE.contains(&row), "{row}");
    }
}

/// The fenced blocks of a Markdown text: their marks and bodies.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    let fences: Vec<&str> = text.split("```").collect();
    fences.chunks(2).filter_map(|pair| pair.get(1)?.split_once('\n')).collect()
}
