//! `vouchsafe policy get`, `set` and `reset`: the policies of a service.

use std::path::PathBuf;

use clap::Args;
use policy::Policy;
use reqwest::Method;
use token::policy_jws;

use super::jws::{self, StoredPolicy};
use super::service::{AttestationType, Body, ServiceArgs, expect, text};
use super::signer::SignerArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::input;
use crate::output;

/// Print the policy that a service uses
#[derive(Debug, Args)]
pub(crate) struct Get {
    /// Attestation type
    #[arg(value_enum, ignore_case = true, value_name = "TYPE")]
    attestation_type: AttestationType,

    #[command(flatten)]
    service: ServiceArgs,

    /// Print an earlier policy instead, by its version as `policy history` lists it
    #[arg(long, value_name = "NUMBER")]
    version: Option<u64>,

    /// Print the JWS that it was sent as, signature and all
    #[arg(long, conflicts_with = "json")]
    jws: bool,

    /// Print `{attestation_type, text, hash, signer, jws}` as JSON
    #[arg(long)]
    json: bool,
}

/// Make a service use a policy
///
/// The file holds a policy text, or what `policy sign` made of one. A text is signed with `--signer-key`, and sent
/// unsigned without. It is analyzed first, and not sent if it is wrong.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Set {
    /// Attestation type
    #[arg(value_enum, ignore_case = true, value_name = "TYPE")]
    attestation_type: AttestationType,

    /// File with the policy text, or with a signed policy; `-` is standard input
    file: PathBuf,

    #[command(flatten)]
    service: ServiceArgs,

    #[command(flatten)]
    signer: SignerArgs,

    /// Send the text unanalyzed, for services that know other constructs
    #[arg(long)]
    no_check: bool,

    /// Print the service's answer, verified, as JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  vouchsafe policy set SgxEnclave production.policy --endpoint $URI --bearer-token-file token
  vouchsafe policy sign production.policy --signer-key key.pem --signer-cert cert.pem --out production.jws
  vouchsafe policy set SgxEnclave production.jws --endpoint $URI";

/// Make a service go back to the default policy
#[derive(Debug, Args)]
pub(crate) struct Reset {
    /// Attestation type
    #[arg(value_enum, ignore_case = true, value_name = "TYPE")]
    attestation_type: AttestationType,

    #[command(flatten)]
    service: ServiceArgs,

    #[command(flatten)]
    signer: SignerArgs,

    /// File that `policy sign --reset` made
    #[arg(long, value_name = "FILE", conflicts_with = "signer_key")]
    signed: Option<PathBuf>,

    /// Print the service's answer, verified, as JSON
    #[arg(long)]
    json: bool,
}

impl Get {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let name = self.attestation_type.as_str();
        let path = match self.version {
            None => format!("policies/{name}"),
            Some(version) => format!("policies/{name}/history/{version}"),
        };
        let claims = self.service.ask(Method::GET, &path, Body::Nothing)?;
        let jws = text(&claims, "x-ms-policy")?;
        if self.jws {
            output::line(&output::printable(jws))?;
            return Ok(Exit::Yes);
        }
        let stored = StoredPolicy::parse(jws).map_err(|reason| {
            Failure::failed(format!("the policy of the service cannot be read: {reason}"))
        })?;
        if self.json {
            output::json(&stored.document(name, jws))?;
            return Ok(Exit::Yes);
        }
        output::note(&output::printable(&format!("note: {name}: {}", stored.signature())));
        match &stored.text {
            // Its hash is taken of every byte.
            Some(text) => output::text(text)?,
            None => output::note("note: there is no policy"),
        }
        Ok(Exit::Yes)
    }
}

impl Set {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let name = self.attestation_type.as_str();
        let file = input::read_text(&self.file)?;
        let (jws, policy_text) = match jws::signed_file(&file) {
            Some(jws) => (jws.to_owned(), jws::text_of(jws)?),
            None => (self.signer.wrap(&api::management::policy_payload(&file))?, file.clone()),
        };
        if !self.no_check {
            super::analyzed_text(&self.file.display().to_string(), policy_text.as_bytes())?;
        }
        let claims = self.service.ask(Method::PUT, &format!("policies/{name}"), Body::Text(jws.clone()))?;
        expect(&claims, "x-ms-policy-result", "Updated")?;
        // Nothing else ties the answer to what was sent.
        expect(&claims, "x-ms-policy-token-hash", &policy_jws::token_hash(&jws))?;
        if self.json {
            output::json(&claims)?;
        } else {
            let hash = Policy::analyze(&policy_text).map(|policy| policy.hash().to_owned());
            let hash = hash.map(|hash| format!("; x-ms-policy-hash is {hash}")).unwrap_or_default();
            output::line(&format!("{name}: updated{hash}"))?;
        }
        Ok(Exit::Yes)
    }
}

impl Reset {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let name = self.attestation_type.as_str();
        let jws = match &self.signed {
            Some(file) => {
                let text = input::read_text(file)?;
                let jws = jws::signed_file(&text)
                    .filter(|jws| StoredPolicy::parse(jws).is_ok_and(|stored| stored.text.is_none()));
                jws.map(str::to_owned).ok_or_else(|| {
                    Failure::usage(format!("`{}` is no signed reset", file.display()))
                        .hint("`vouchsafe policy sign --reset` makes one")
                })?
            }
            None => self.signer.wrap(b"")?,
        };
        let claims = self.service.ask(Method::POST, &format!("policies/{name}:reset"), Body::Text(jws))?;
        expect(&claims, "x-ms-policy-result", "Removed")?;
        if self.json {
            output::json(&claims)?;
        } else {
            output::line(&format!("{name}: back to the default policy"))?;
        }
        Ok(Exit::Yes)
    }
}
