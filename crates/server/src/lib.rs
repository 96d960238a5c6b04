//! The attestation service: HTTP, endorsement fetching, storage, configuration.
//!
//! - what an operator sets, and the one schema of it: [`config`]; what the service says: [`logging`].
//! - what a running service is, and how it is started: [`Server`].
//! - endorsements, fetched, kept and refreshed: [`endorsements`].
//! - who calls, and what they may do: [`auth`]; what they did: [`audit`].
//! - which policies are in force, and how they change: `management`.
//! - files and rows that outlive the process: `data_dir`, `identity`, [`store`].
//! - the wire: `http`, whose `router` is the list of routes and whose `attest` is one attestation.
//!
//! The service appraises nothing itself: it hands bytes, endorsements and the time to the stage crates.

mod app;
pub mod audit;
pub mod auth;
pub mod config;
mod data_dir;
pub mod endorsements;
mod http;
mod identity;
pub mod logging;
mod management;
mod proof_cache;
mod provider;
mod server;
mod single_flight;
pub mod store;
#[cfg(test)]
mod test_support;
mod tpm;

pub use config::{Config, ConfigError};
pub use data_dir::DataDirError;
pub use identity::IdentityError;
pub use management::OpenPoliciesError;
pub use server::{Server, StartError};
pub use tpm::{AuthorityError, RootFile, RootsError, SealerError, TpmError, root_files};
