//! Writes the committed vectors anew, with fresh keys under the same names.
//!
//! `cargo run -p testkit --example mint-vectors [--check]`; with `--check` it only says which scenarios do
//! not come out as they expect.

use std::fs;
use std::path::Path;

#[expect(clippy::print_stdout, reason = "a command-line tool")]
fn main() -> std::io::Result<()> {
    let check = std::env::args().any(|argument| argument == "--check");
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors");
    let scenarios = testkit::scenarios::all();
    if !check {
        for kind in ["sgx", "dcap", "oe"] {
            let kind = directory.join(kind);
            if kind.exists() {
                fs::remove_dir_all(&kind)?;
            }
            fs::create_dir_all(&kind)?;
        }
    }
    let mut wrong = 0;
    for scenario in &scenarios {
        let found = scenario.vector.run();
        if found != scenario.vector.expect {
            wrong += 1;
            println!("{}: expected {}, found {found}", scenario.name, scenario.vector.expect);
        }
        if !check {
            fs::write(directory.join(format!("{}.txt", scenario.name)), scenario.vector.text())?;
        }
    }
    println!("{} scenarios, {wrong} not as expected", scenarios.len());
    std::process::exit(i32::from(wrong > 0));
}
