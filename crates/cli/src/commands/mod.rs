//! The commands, one file each.

mod attest;
mod token;

use clap::Subcommand;

use crate::exit::Exit;
use crate::failure::Failure;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Attest(Box<attest::Attest>),
    #[command(subcommand)]
    Token(token::Token),
}

impl Command {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Attest(command) => command.run(),
            Self::Token(command) => command.run(),
        }
    }
}
