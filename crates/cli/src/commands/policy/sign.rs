//! `vouchsafe policy sign`: the JWS that `policy set` sends to a service that asks for signed policies.

use std::path::PathBuf;

use clap::Args;
use policy::Policy;

use super::signer::Signer;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;

/// Sign a policy for upload
///
/// Prints the policy as a compact JWS with the certificates in its header, RS256 or ES256 by the kind of the key.
/// The signing key can stay on a machine without network: `policy set` sends the file as it is.
#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// File with the policy text; `-` is standard input
    #[arg(required_unless_present = "reset", conflicts_with = "reset")]
    file: Option<PathBuf>,

    /// Sign an order to go back to the default policy instead, for `policy reset --signed`
    #[arg(long)]
    reset: bool,

    /// Private key to sign with: PKCS #8 in PEM form, RSA or EC P-256
    #[arg(long, value_name = "PEM")]
    signer_key: PathBuf,

    /// Certificate of the key, followed by those that lead to a root, if any
    #[arg(long, value_name = "PEM")]
    signer_cert: PathBuf,

    /// File to write to instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Sign {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let policy: Option<Policy> = self.file.as_deref().map(super::analyzed).transpose()?;
        let payload = policy.as_ref().map(|policy| api::management::policy_payload(policy.text()));
        let signer = Signer::read(&self.signer_key, &self.signer_cert)?;
        let jws = signer.sign(&payload.unwrap_or_default())?;
        match &self.out {
            None => output::line(&jws)?,
            Some(path) => std::fs::write(path, format!("{jws}\n")).map_err(|error| {
                Failure::failed(format!("`{}` cannot be written: {error}", path.display()))
            })?,
        }
        if let Some(policy) = &policy {
            output::note(&format!("note: x-ms-policy-hash is {}", policy.hash()));
        }
        Ok(Exit::Yes)
    }
}
