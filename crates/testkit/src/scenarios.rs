//! What is committed under `vectors/`: each scenario breaks one rule, or none.
//!
//! `cargo run -p testkit --example mint-vectors` writes them anew, with fresh keys under the same names.

mod certificates;
mod endorsements;
mod genuine;
mod open_enclave;
mod parse;
mod quote;

use time::OffsetDateTime;
use time::macros::datetime;

use crate::intel::{Ca, Forge, Minted};
use crate::vector::Vector;

/// The instant the forged worlds are current at.
pub const NOW: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);

/// A scenario and the file it is kept in.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Path below `vectors/`, without its suffix `.txt`.
    pub name: String,
    /// The contents.
    pub vector: Vector,
}

/// All scenarios, freshly minted.
#[must_use]
pub fn all() -> Vec<Scenario> {
    let mut book = Book(Vec::new());
    genuine::write(&mut book);
    parse::write(&mut book);
    certificates::write(&mut book);
    quote::write(&mut book);
    endorsements::write(&mut book);
    open_enclave::write(&mut book);
    book.0
}

struct Book(Vec<Scenario>);

impl Book {
    fn add(&mut self, name: &str, vector: Vector) {
        assert!(self.0.iter().all(|scenario| scenario.name != name), "two scenarios named `{name}`");
        self.0.push(Scenario { name: name.to_owned(), vector });
    }

    /// Changes a field before anything is signed.
    fn forge(&mut self, name: &str, expect: &str, comment: &str, change: impl FnOnce(&mut Forge)) {
        self.forge_of(Ca::Platform, name, expect, comment, change);
    }

    /// The same for a chosen authority.
    fn forge_of(&mut self, ca: Ca, name: &str, expect: &str, comment: &str, change: impl FnOnce(&mut Forge)) {
        let mut forge = Forge::new(ca, NOW);
        change(&mut forge);
        self.add(name, Vector::new(expect, comment, NOW, &forge.mint()));
    }

    /// Changes bytes after everything is signed.
    fn bytes(&mut self, name: &str, expect: &str, comment: &str, change: impl FnOnce(&mut Minted)) {
        let mut minted = Forge::new(Ca::Platform, NOW).mint();
        change(&mut minted);
        self.add(name, Vector::new(expect, comment, NOW, &minted));
    }

    /// Changes bytes after signing, in a scenario that never reaches the endorsements.
    fn quote_only(&mut self, name: &str, expect: &str, comment: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut minted = Forge::new(Ca::Platform, NOW).mint();
        change(&mut minted.quote);
        self.add(name, Vector::new(expect, comment, NOW, &minted).quote_alone());
    }
}

impl Vector {
    /// Leaves the endorsements out: parsing must fail before they are asked for.
    fn quote_alone(mut self) -> Self {
        self.sections
            .retain(|name, _| matches!(name.as_str(), "SGX QUOTE" | "OPEN ENCLAVE REPORT" | "TEST ROOT"));
        self
    }
}

/// Offset of the certification data's type, 2 bytes, in a quote with 32 bytes of QE authentication data.
const CERTIFICATION: usize = 432 + 4 + 64 + 64 + 384 + 64 + 2 + 32;

/// Puts `bytes` at `at`.
fn patch(target: &mut [u8], at: usize, bytes: &[u8]) {
    target[at..at + bytes.len()].copy_from_slice(bytes);
}

/// The position just after `what` in `text`.
fn find(text: &[u8], what: &[u8]) -> usize {
    text.windows(what.len()).position(|window| window == what).expect("it is there")
}
