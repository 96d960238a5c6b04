//! `vouchsafe version`.

use clap::Args;
use serde_json::json;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;

/// Print the version
#[derive(Debug, Args)]
pub(crate) struct Version {
    /// Print `{name, version}` as JSON
    #[arg(long)]
    json: bool,
}

impl Version {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let version = env!("CARGO_PKG_VERSION");
        if self.json {
            output::json(&json!({ "name": "vouchsafe", "version": version }))?;
        } else {
            output::line(&format!("vouchsafe {version}"))?;
        }
        Ok(Exit::Yes)
    }
}
