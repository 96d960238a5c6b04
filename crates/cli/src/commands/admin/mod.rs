//! `vouchsafe admin`: what the owner of a data directory may do.

mod token;

use clap::Subcommand;

use crate::exit::Exit;
use crate::failure::Failure;

/// Act as the owner of a service's data directory
#[derive(Debug, Subcommand)]
pub(crate) enum Admin {
    Token(token::Token),
}

impl Admin {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Token(command) => command.run(),
        }
    }
}
