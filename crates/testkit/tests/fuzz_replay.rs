//! Replays the fuzzing corpus without a fuzzer: the committed inputs, the real captures where they are
//! present, and seeded mutations of both. A panic anywhere is a finding.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on should stop, and say what it did"
)]

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use testkit::captures::Captures;
use testkit::fuzz::{TARGETS, Target};
use testkit::mutate::{Generator, mutate};

/// Mutations tried of each input; more with `VOUCHSAFE_FUZZ_MUTATIONS`.
const MUTATIONS: usize = 1500;

#[test]
fn no_input_makes_a_parser_panic() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let mutations = std::env::var("VOUCHSAFE_FUZZ_MUTATIONS")
        .map_or(MUTATIONS, |text| text.parse().expect("VOUCHSAFE_FUZZ_MUTATIONS is a number"));
    let real = real_inputs();
    std::thread::scope(|scope| {
        for share in TARGETS.chunks(TARGETS.len().div_ceil(2)) {
            let (corpus, real) = (&corpus, &real);
            scope.spawn(move || {
                for target in share {
                    replay(target, corpus, real.get(target.name).map_or(&[], Vec::as_slice), mutations);
                }
            });
        }
    });
}

fn replay(target: &Target, corpus: &Path, real: &[(String, Vec<u8>)], mutations: usize) {
    let started = std::time::Instant::now();
    let committed = files(&corpus.join(target.name));
    assert!(!committed.is_empty(), "no corpus for {}: run the example seed-corpus", target.name);
    for (name, bytes) in committed.iter().chain(real) {
        run(target, name, bytes);
        let mut random = Generator::new(seed(name));
        // Large inputs get fewer mutations, so that a long policy costs no more than a short quote.
        let tries = mutations * 4096 / bytes.len().clamp(4096, 65536);
        for index in 0..tries {
            run(target, &format!("{name}, mutation {index}"), &mutate(bytes, &mut random));
        }
    }
    println!(
        "{:28} {:3} committed, {:3} real, {:?}",
        target.name,
        committed.len(),
        real.len(),
        started.elapsed()
    );
}

fn run(target: &Target, name: &str, bytes: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(bytes))).is_err() {
        let finding = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-finding", target.name));
        fs::write(&finding, bytes).expect("the finding can be written");
        panic!("{} panics on {name}; the input is in {}", target.name, finding.display());
    }
}

fn seed(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut out: Vec<_> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .map(|entry| {
            let path = entry.expect("the corpus can be listed").path();
            (path.display().to_string(), fs::read(&path).expect("the corpus can be read"))
        })
        .collect();
    out.sort();
    out
}

/// The captures, by the target that reads their kind.
fn real_inputs() -> BTreeMap<&'static str, Vec<(String, Vec<u8>)>> {
    let mut out: BTreeMap<&'static str, Vec<(String, Vec<u8>)>> = BTreeMap::new();
    let Some(captures) = Captures::find() else {
        return out;
    };
    for entry in captures.entries() {
        for target in testkit::fuzz::targets_for(&entry.kind) {
            out.entry(target).or_default().push((entry.path.clone(), captures.read(&entry.path)));
        }
    }
    out
}
