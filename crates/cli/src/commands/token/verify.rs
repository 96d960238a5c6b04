//! `vouchsafe token verify`: the relying party. It is told an issuer to trust and learns everything else from what
//! that issuer publishes; nothing in the token says where keys are.

use std::path::PathBuf;

use clap::Args;
use relying_party::{Error, Metadata, Verifier, metadata_url};
use reqwest::{Client, Url};
use serde_json::Value;
use time::OffsetDateTime;

use super::{print_members, read_token};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::http;
use crate::output;

/// Verify a token of an issuer that you trust, and print its claims
///
/// Fetches the issuer's OpenID configuration and keys over HTTPS, then checks signature, issuer and times. Unsigned
/// tokens, as draft policies yield, never verify.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Verify {
    /// The token; `-` or nothing reads it from standard input
    token: Option<String>,

    /// The issuer you trust, as its tokens name it
    #[arg(long, value_name = "URI", env = "VOUCHSAFE_ISSUER")]
    issuer: String,

    /// Certificate authorities to trust for the connection instead of the system's
    #[arg(long, value_name = "PEM", env = "VOUCHSAFE_CA_FILE")]
    ca_file: Option<PathBuf>,

    /// Print the claims as a JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  vouchsafe token verify - --issuer https://localhost:8443 --ca-file ca.pem < token
  vouchsafe token verify --json \"$TOKEN\" --issuer https://sharedeus.eus.attest.azure.net";

impl Verify {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let token = read_token(self.token)?;
        let client = http::client(self.ca_file.as_deref())?;
        let verifier = http::block_on(discover(&client, &self.issuer))?;
        let claims = verifier.verify(&token, OffsetDateTime::now_utc()).map_err(|error| refused(&error))?;
        if self.json {
            output::json(&Value::from(claims.as_json().clone()))?;
        } else {
            output::line(&format!(
                "verified: signed by {}, whom you trust",
                output::printable(verifier.issuer())
            ))?;
            print_members(claims.as_json())?;
        }
        Ok(Exit::Yes)
    }
}

/// From the issuer to its keys (OpenID Connect Discovery 1.0 §4).
async fn discover(client: &Client, issuer: &str) -> Result<Verifier, Failure> {
    let metadata = metadata_url(issuer).map_err(|error| Failure::usage(format!("`--issuer`: {error}")))?;
    let metadata = http::get(client, &parse(&metadata)?).await?;
    let metadata = Metadata::parse(issuer, &metadata).map_err(|error| unusable(issuer, &error.into()))?;
    let keys = http::get(client, &parse(metadata.jwks_uri())?).await?;
    Verifier::new(&metadata, &keys).map_err(|error| unusable(issuer, &error))
}

fn parse(url: &str) -> Result<Url, Failure> {
    Url::parse(url).map_err(|error| Failure::failed(format!("`{url}` is not a URI: {error}")))
}

fn unusable(issuer: &str, error: &Error) -> Failure {
    Failure::failed(format!("the issuer `{issuer}` publishes nothing that can be used: {error}"))
}

fn refused(error: &Error) -> Failure {
    Failure::denied(format!("the token does not verify: {error}"))
        .hint("`vouchsafe token show` says what is in it")
}
