//! `vouchsafe signers`: the certificates whose holders may sign policies, on a service of the isolated model.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};
use token::policy_jws::PolicySigner;

use super::policy::service::{Body, ServiceArgs, expect, text};
use super::policy::signer::{self, SignerArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Table};

/// List and change the certificates that may sign a service's policies
#[derive(Debug, Subcommand)]
pub(crate) enum Signers {
    /// List the certificates
    List(Box<List>),
    /// Add a certificate
    ///
    /// The request is signed with a key whose certificate the service knows already.
    Add(Box<Change>),
    /// Remove a certificate
    ///
    /// The request is signed with a key whose certificate the service knows. The last one cannot be removed.
    Remove(Box<Change>),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    service: ServiceArgs,

    /// Print the service's key set as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Change {
    /// PEM file with the certificate, followed by those that lead to a root, if any
    certificate: PathBuf,

    #[command(flatten)]
    service: ServiceArgs,

    #[command(flatten)]
    signer: SignerArgs,

    /// Print the service's answer, verified, as JSON
    #[arg(long)]
    json: bool,
}

impl Signers {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::List(command) => command.run(),
            Self::Add(command) => command.run("add", "IsPresent"),
            Self::Remove(command) => command.run("remove", "IsAbsent"),
        }
    }
}

impl List {
    fn run(self) -> Result<Exit, Failure> {
        let claims = self.service.ask(Method::GET, "certificates", Body::Nothing)?;
        let keys = claims.get("x-ms-policy-certificates").and_then(|set| set.get("keys"));
        let keys = keys.and_then(Value::as_array).ok_or_else(|| {
            Failure::failed("the service's answer has no claim `x-ms-policy-certificates` with keys")
        })?;
        if self.json {
            output::json(&json!({ "keys": keys }))?;
            return Ok(Exit::Yes);
        }
        let mut table = Table::default();
        for key in keys {
            let jwk = token::Jwk::parse(key);
            let signer = jwk.ok().and_then(|jwk| {
                let signer = PolicySigner::stored(jwk.certificates().to_vec()).ok()?;
                Some((signer, jwk.algorithm()))
            });
            match signer {
                Some((signer, algorithm)) => {
                    table.row(signer.thumbprint(), format!("{} {}", algorithm.as_str(), signer.subject()))
                }
                None => table.row("?", "a key without a certificate that can be read"),
            };
        }
        output::line(&format!("{} certificates may sign policies", keys.len()))?;
        table.print()?;
        Ok(Exit::Yes)
    }
}

impl Change {
    fn run(self, action: &str, result: &str) -> Result<Exit, Failure> {
        let Some(by) = self.signer.signer()? else {
            return Err(Failure::usage("changes of the signers are signed by one of them")
                .hint("name its key and certificate with `--signer-key` and `--signer-cert`"));
        };
        let certificate = signer::policy_signer(&self.certificate)?;
        let Value::Object(mut jwk) = certificate.to_jwk() else {
            return Err(Failure::failed("the certificate has no form as a key"));
        };
        // The clients of Azure Attestation send these two.
        jwk.retain(|name, _| matches!(name.as_str(), "kty" | "x5c"));
        let payload = json!({ "policyCertificate": jwk }).to_string();
        let jws = by.sign(payload.as_bytes())?;
        let claims =
            self.service.ask(Method::POST, &format!("certificates:{action}"), Body::Json(jws.into()))?;
        expect(&claims, "x-ms-policycertificates-result", result)?;
        expect(&claims, "x-ms-certificate-thumbprint", &certificate.thumbprint())?;
        if self.json {
            output::json(&claims)?;
        } else {
            let thumbprint = text(&claims, "x-ms-certificate-thumbprint")?;
            let now = if action == "add" { "may sign" } else { "may no longer sign" };
            let line = format!("{thumbprint} ({}) {now} policies", certificate.subject());
            output::line(&output::printable(&line))?;
        }
        Ok(Exit::Yes)
    }
}
