//! `vouchsafe admin token`: an access token without an identity provider.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;
use server::auth::Role;
use server::auth::local::{self, LocalIssuerError, LocalToken};
use time::OffsetDateTime;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::{files, output};

/// Print a short-lived access token of the data directory's own issuer
///
/// Whoever can read the data directory may manage its service. The token is signed with `admin-key.pem` there, which
/// the service makes when it first starts, and the service accepts it as it accepts those of configured issuers.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Token {
    /// The data directory of the service [default: vouchsafe in the user's data directory]
    #[arg(long, value_name = "DIR", env = "VOUCHSAFE_DATA_DIR")]
    data_dir: Option<PathBuf>,

    /// What the bearer may do
    #[arg(long, value_enum, ignore_case = true, default_value = "contributor")]
    role: RoleName,

    /// The claim `scp`
    #[arg(long, value_name = "SCOPE")]
    scope: Option<String>,

    /// The provider that the token is for
    #[arg(long, value_name = "NAME", default_value = "default")]
    provider: String,

    /// How long it is valid
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    lifetime_minutes: u32,

    /// Print `{token, expires_at}` as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    /// Read and change policies and signers
    Contributor,
    /// Read them
    Reader,
}

const EXAMPLES: &str = "\
Examples:
  # Set a policy
  export VOUCHSAFE_BEARER_TOKEN=$(vouchsafe admin token --data-dir DATA)
  vouchsafe policy set SgxEnclave policy.txt --endpoint https://127.0.0.1:8443 --ca-file DATA/ca.pem

  # Look at one, for ten minutes
  vouchsafe admin token --data-dir DATA --role reader --lifetime-minutes 10";

impl Token {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let data_dir = self.data_dir.map_or_else(files::default_data_dir, Ok)?;
        let wanted = LocalToken {
            lifetime_minutes: self.lifetime_minutes,
            provider: &self.provider,
            role: match self.role {
                RoleName::Contributor => Role::Contributor,
                RoleName::Reader => Role::Reader,
            },
            scope: self.scope.as_deref(),
        };
        let now = OffsetDateTime::now_utc();
        let token = local::token(&data_dir, &wanted, now).map_err(|error| match error {
            LocalIssuerError::Lifetime { .. } | LocalIssuerError::UnknownProvider { .. } => {
                Failure::usage(error.to_string())
            }
            LocalIssuerError::NoKey => Failure::usage(format!("`{}`: {error}", data_dir.display())),
            error => Failure::failed(error.to_string()),
        })?;
        if self.json {
            let expires_at = now.unix_timestamp().saturating_add(i64::from(self.lifetime_minutes) * 60);
            output::json(&json!({ "token": token, "expires_at": expires_at }))?;
        } else {
            output::line(&token)?;
        }
        Ok(Exit::Yes)
    }
}
