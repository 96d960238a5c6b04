//! Runs the committed vectors on the production path and holds them to their names.
//!
//! The vectors are made by `cargo run -p testkit --example mint-vectors`.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop, and say what it did"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use testkit::names;
use testkit::vector::Vector;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors")
}

/// Name (`sgx/genuine`) and contents of every committed vector.
fn committed() -> Vec<(String, Vector)> {
    let mut out = Vec::new();
    for kind in ["dcap", "oe", "sgx"] {
        let entries = fs::read_dir(directory().join(kind)).expect("vectors are committed");
        for entry in entries {
            let path = entry.expect("vectors can be listed").path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
            let name = format!("{kind}/{stem}");
            assert!(path.extension().is_some_and(|suffix| suffix == "txt"), "{name} is no vector");
            let text = fs::read_to_string(&path).expect("a vector is text");
            let vector = Vector::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            out.push((name, vector));
        }
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    out
}

#[test]
fn every_vector_comes_out_as_expected() {
    let vectors = committed();
    let wrong: Vec<String> = vectors
        .iter()
        .filter_map(|(name, vector)| {
            let found = vector.run();
            (found != vector.expect).then(|| format!("{name}: expected {}, found {found}", vector.expect))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), vectors.len(), wrong.join("\n"));
    println!("{} vectors", vectors.len());
}

#[test]
fn every_scenario_is_committed_and_still_comes_out_as_expected() {
    let scenarios = testkit::scenarios::all();
    let minted: BTreeSet<&str> = scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
    let vectors = committed();
    let committed: BTreeSet<&str> = vectors.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(minted, committed, "run the example mint-vectors");
    for scenario in scenarios {
        let (_, vector) = vectors.iter().find(|(name, _)| *name == scenario.name).expect("compared above");
        assert_eq!(vector.expect, scenario.vector.expect, "{}: run mint-vectors", scenario.name);
        assert_eq!(scenario.vector.run(), scenario.vector.expect, "{}, freshly minted", scenario.name);
    }
}

#[test]
fn every_error_variant_has_a_vector() {
    let mut reached: BTreeSet<(String, String)> = BTreeSet::new();
    for (_, vector) in committed() {
        let mut parts = vector.expect.split('.');
        let mut list = parts.next().unwrap_or_default().to_owned();
        for variant in parts {
            reached.insert((list, variant.to_owned()));
            list = format!(".{variant}");
            // A root that is no anchor and a PCK chain both hold the error of a chain.
            if matches!(variant, "Root" | "PckChain") {
                ".Chain".clone_into(&mut list);
            }
        }
    }
    let missing: Vec<String> = names::ALL
        .iter()
        .flat_map(|(list, variants)| variants.iter().map(move |variant| (list, variant)))
        .filter(|(list, variant)| !reached.contains(&((**list).to_owned(), (**variant).to_owned())))
        .map(|(list, variant)| format!("{list}.{variant}"))
        .collect();
    assert!(missing.is_empty(), "no vector for {}", missing.join(", "));
}

#[test]
fn every_tcb_status_has_a_vector() {
    let vectors = committed();
    for status in evidence::dcap::TcbStatus::ALL {
        let expect = match status {
            evidence::dcap::TcbStatus::Revoked => "Verify.TcbRevoked".to_owned(),
            status => format!("genuine {status}"),
        };
        assert!(vectors.iter().any(|(_, vector)| vector.expect == expect), "no vector for {status}");
    }
}
