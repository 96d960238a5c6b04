//! `vouchsafe tpm roots`: directories of roots, which say whom a service trusts to certify keys in TPMs.

mod import;
mod item;
mod list;
mod source;

use clap::{Subcommand, ValueEnum};
use evidence::tpm::KeyRole;

use crate::exit::Exit;
use crate::failure::Failure;

/// Fill and look at directories of roots, which say whose TPMs a service trusts
#[derive(Debug, Subcommand)]
pub(crate) enum Roots {
    Import(import::Import),
    List(list::List),
}

impl Roots {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Import(command) => command.run(),
            Self::List(command) => command.run(),
        }
    }
}

/// The keys that roots say something about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Endorsement keys, which makers of TPMs certify; machines enrol with them
    Ek,
    /// Attestation keys, certified by somebody other than the service itself
    Aik,
}

impl Role {
    const fn of(role: KeyRole) -> Self {
        match role {
            KeyRole::Attestation => Self::Aik,
            KeyRole::Endorsement => Self::Ek,
        }
    }

    /// The subdirectory, and the name in JSON.
    const fn name(self) -> &'static str {
        match self {
            Self::Aik => "aik",
            Self::Ek => "ek",
        }
    }
}
