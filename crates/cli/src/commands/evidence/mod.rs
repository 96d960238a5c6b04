//! `vouchsafe evidence`: look at evidence, and verify it offline.

mod boot;
mod show;
mod verify;

use clap::Subcommand;
use evidence::ParseError;
use evidence::open_enclave::Report;
use evidence::sgx::Quote;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::kind::Kind;

/// Look at evidence, or verify it offline as of any time
#[derive(Debug, Subcommand)]
pub(crate) enum Evidence {
    Show(show::Show),
    Verify(Box<verify::Verify>),
}

impl Evidence {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Show(command) => command.run(),
            Self::Verify(command) => command.run(),
        }
    }
}

/// The quote in evidence of this kind, without its Open Enclave header if it has one.
pub(crate) fn parse_quote(kind: Kind, evidence: &[u8]) -> Result<Quote<'_>, ParseError> {
    if kind.is_open_enclave(evidence) {
        Report::parse(evidence).map(Report::into_quote)
    } else {
        Quote::parse(evidence)
    }
}
