//! `vouchsafe tpm`: the TPM of this machine.

mod show;

use clap::Subcommand;

use crate::exit::Exit;
use crate::failure::Failure;

/// Look at the TPM of this machine
#[derive(Debug, Subcommand)]
pub(crate) enum Tpm {
    Show(show::Show),
}

impl Tpm {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Show(command) => command.run(),
        }
    }
}
