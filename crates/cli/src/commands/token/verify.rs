//! `vouchsafe token verify`: the relying party.

use std::path::PathBuf;

use clap::Args;

use crate::exit::Exit;
use crate::failure::Failure;

/// Verify a token of an issuer that you trust, and print its claims
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The token; `-` or nothing reads it from standard input
    token: Option<String>,

    /// The issuer you trust, exactly as its tokens name it
    #[arg(long, value_name = "URI", env = "VOUCHSAFE_ISSUER")]
    issuer: String,

    /// Certificate authorities to trust for the connection instead of the system's
    #[arg(long, value_name = "PEM", env = "VOUCHSAFE_CA_FILE")]
    ca_file: Option<PathBuf>,

    /// Print the claims as JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        Err(Failure::failed("not yet"))
    }
}
