//! `vouchsafe audit`: the audit log of a service.

mod verify;

use clap::Subcommand;

use crate::exit::Exit;
use crate::failure::Failure;

/// Check a service's audit log
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    Verify(verify::Verify),
}

impl Audit {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Verify(command) => command.run(),
        }
    }
}
