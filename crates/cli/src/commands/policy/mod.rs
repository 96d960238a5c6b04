//! `vouchsafe policy`: the workbench of policy authors, and policies on a service.

mod check;
mod claims;
mod diff;
mod eval;
mod fmt;
mod history;
mod jws;
mod remote;
pub(super) mod service;
mod sign;
pub(super) mod signer;
mod test;

use clap::Subcommand;
use policy::Policy as Analyzed;
use std::path::Path;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::input;
use crate::output;

/// Write, test and compare attestation policies, and keep them on a service
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    Check(check::Check),
    Fmt(fmt::Fmt),
    Test(test::Test),
    Eval(Box<eval::Eval>),
    Explain(Box<eval::Explain>),
    Diff(diff::Diff),
    Sign(sign::Sign),
    Get(Box<remote::Get>),
    Set(Box<remote::Set>),
    Reset(Box<remote::Reset>),
    History(Box<history::History>),
    Rollback(Box<history::Rollback>),
}

impl Policy {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Check(command) => command.run(),
            Self::Fmt(command) => command.run(),
            Self::Test(command) => command.run(),
            Self::Eval(command) => command.run(),
            Self::Explain(command) => command.run(),
            Self::Diff(command) => command.run(),
            Self::Sign(command) => command.run(),
            Self::Get(command) => command.run(),
            Self::Set(command) => command.run(),
            Self::Reset(command) => command.run(),
            Self::History(command) => command.run(),
            Self::Rollback(command) => command.run(),
        }
    }
}

/// Reads and analyzes a policy, for commands that need one that is right. Findings go to standard error.
fn analyzed(path: &Path) -> Result<Analyzed, Failure> {
    analyzed_text(&path.display().to_string(), &input::read_file(path)?)
}

/// Analyzes a policy that came from the file `shown`.
fn analyzed_text(shown: &str, bytes: &[u8]) -> Result<Analyzed, Failure> {
    Analyzed::analyze_bytes(bytes).map_err(|diagnostics| {
        let text = String::from_utf8_lossy(bytes);
        for diagnostic in diagnostics.iter() {
            output::note(&output::printable(&check::explain(shown, &text, diagnostic)));
        }
        Failure::denied(format!("`{shown}` is not a policy"))
    })
}
