//! `vouchsafe config`: the schema of the service's configuration, and whether a file follows it.

use std::path::PathBuf;

use clap::Subcommand;
use server::config::{self, Sources};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;

/// Show or check the configuration of `vouchsafe serve`
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Print a configuration file that documents every key with its default
    Example,
    /// Say whether a configuration file can be used
    Check {
        /// The configuration file
        file: PathBuf,
    },
}

impl Config {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Example => output::line(config::EXAMPLE.trim_end())?,
            Self::Check { file } => {
                let shown = file.display().to_string();
                Sources::new().file(Some(file)).load().map_err(|error| Failure::usage(error.to_string()))?;
                output::line(&format!("{shown}: every key is known and every value can be used"))?;
            }
        }
        Ok(Exit::Yes)
    }
}
