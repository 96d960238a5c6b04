//! `vouchsafe tpm`: the TPM of this machine, and what the operator of a service does about TPMs.

mod machines;
mod roots;
mod show;

use clap::Subcommand;

use crate::exit::Exit;
use crate::failure::Failure;

/// Look at the TPM of this machine; decide whose TPMs a service trusts
#[derive(Debug, Subcommand)]
pub(crate) enum Tpm {
    #[command(subcommand)]
    Machines(Box<machines::Machines>),
    #[command(subcommand)]
    Roots(roots::Roots),
    Show(show::Show),
}

impl Tpm {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Machines(command) => command.run(),
            Self::Roots(command) => command.run(),
            Self::Show(command) => command.run(),
        }
    }
}
