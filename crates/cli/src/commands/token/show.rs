//! `vouchsafe token show`: decode without trusting.

use clap::Args;
use serde_json::json;

use super::{Decoded, heading, print_members, read_token};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;

/// Decode a token without verifying it
///
/// Anyone can write what this shows. Use `vouchsafe token verify` before relying on a claim.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The token; `-` or nothing reads it from standard input
    token: Option<String>,

    /// Print `{verified, header, claims}` as JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let token = read_token(self.token)?;
        let decoded =
            Decoded::of(&token).map_err(|error| Failure::usage(format!("this is not a token: {error}")))?;
        if self.json {
            output::json(&json!({ "verified": false, "header": decoded.header, "claims": decoded.claims }))?;
        } else {
            output::line("NOT VERIFIED: anyone could have written this token")?;
            heading("header")?;
            print_members(&decoded.header)?;
            heading("claims")?;
            print_members(&decoded.claims)?;
        }
        Ok(Exit::Yes)
    }
}
