//! The commands, one file each.

mod admin;
mod attest;
mod audit;
mod config;
mod connection;
mod endorsements;
mod evidence;
mod policy;
mod serve;
mod signers;
mod token;
mod tpm;
mod version;

use clap::Subcommand;

use crate::exit::Exit;
use crate::failure::Failure;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(Box<serve::Serve>),
    #[command(subcommand)]
    Attest(Box<attest::Attest>),
    #[command(subcommand)]
    Token(token::Token),
    #[command(subcommand)]
    Evidence(evidence::Evidence),
    #[command(subcommand)]
    Endorsements(endorsements::Endorsements),
    #[command(subcommand)]
    Policy(policy::Policy),
    #[command(subcommand)]
    Signers(signers::Signers),
    #[command(subcommand)]
    Tpm(tpm::Tpm),
    #[command(subcommand)]
    Admin(admin::Admin),
    #[command(subcommand)]
    Audit(audit::Audit),
    #[command(subcommand)]
    Config(config::Config),
    Version(version::Version),
}

impl Command {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Serve(command) => command.run(),
            Self::Attest(command) => command.run(),
            Self::Token(command) => command.run(),
            Self::Evidence(command) => command.run(),
            Self::Endorsements(command) => command.run(),
            Self::Policy(command) => command.run(),
            Self::Signers(command) => command.run(),
            Self::Tpm(command) => command.run(),
            Self::Admin(command) => command.run(),
            Self::Audit(command) => command.run(),
            Self::Config(command) => command.run(),
            Self::Version(command) => command.run(),
        }
    }
}
