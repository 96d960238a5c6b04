//! `vouchsafe endorsements`: get them, give them to a service, see what it has.

mod fetch;
mod import;
mod status;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use server::store::{self, Store};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;

/// Fetch endorsements, give them to a service that has no network, or see what it has
#[derive(Debug, Subcommand)]
pub(crate) enum Endorsements {
    Fetch(fetch::Fetch),
    Import(import::Import),
    Status(status::Status),
}

impl Endorsements {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Fetch(command) => command.run(),
            Self::Import(command) => command.run(),
            Self::Status(command) => command.run(),
        }
    }
}

/// The data directory named, or the user's own.
fn data_dir(named: Option<PathBuf>) -> Result<PathBuf, Failure> {
    named.map_or_else(files::default_data_dir, Ok)
}

fn open(data_dir: &Path) -> Result<Store, Failure> {
    Store::open(&data_dir.join(store::FILE)).map_err(|error| Failure::failed(error.to_string()))
}
