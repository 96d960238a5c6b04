//! `vouchsafe policy history` and `rollback`: the policies that a service had. Azure Attestation keeps none; these
//! requests are of Vouchsafe alone.

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::service::{AttestationType, Body, ServiceArgs, text};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;

/// List every policy that a service had, the newest first: when, by whom, which hash, which signer
#[derive(Debug, Args)]
pub(crate) struct History {
    /// Attestation type
    #[arg(value_enum, ignore_case = true, value_name = "TYPE")]
    attestation_type: AttestationType,

    #[command(flatten)]
    service: ServiceArgs,

    /// Most versions to list
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    limit: usize,

    /// Print `{attestation_type, versions}` as JSON
    #[arg(long)]
    json: bool,
}

/// Make a service use an earlier policy again
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// Attestation type
    #[arg(value_enum, ignore_case = true, value_name = "TYPE")]
    attestation_type: AttestationType,

    /// Version to go back to, as `policy history` lists it
    version: u64,

    #[command(flatten)]
    service: ServiceArgs,

    /// Print the service's answer, verified, as JSON
    #[arg(long)]
    json: bool,
}

impl History {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let name = self.attestation_type.as_str();
        let mut versions: Vec<Value> = Vec::new();
        let mut before: Option<u64> = None;
        while versions.len() < self.limit {
            let before_text = before.map(|before| before.to_string());
            let parameter = before_text.as_deref().map(|before| ("before", before));
            let page = self.service.read(&format!("policies/{name}/history"), parameter)?;
            let entries = page.get("versions").and_then(Value::as_array).ok_or_else(|| {
                Failure::failed("the service's answer is no history; perhaps it keeps none")
            })?;
            versions.extend(entries.iter().cloned());
            let next = page.get("nextBefore").and_then(Value::as_u64);
            // A service that does not go on has no more to tell.
            match next.filter(|next| !entries.is_empty() && before.is_none_or(|before| *next < before)) {
                Some(next) => before = Some(next),
                None => break,
            }
        }
        versions.truncate(self.limit);
        if self.json {
            output::json(&json!({ "attestation_type": name, "versions": versions }))?;
            return Ok(Exit::Yes);
        }
        for version in &versions {
            output::line(&output::printable(&row(version)))?;
        }
        if versions.is_empty() {
            output::note(&format!("note: {name} has always had the default policy"));
        }
        Ok(Exit::Yes)
    }
}

/// One version in a line: number, time, what was done by whom, hash, signer.
fn row(version: &Value) -> String {
    let text = |name: &str| match version.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    };
    let or_dash = |name: &str| text(name).unwrap_or_else(|| "-".to_owned());
    let action = match text("restoredVersion") {
        Some(restored) => format!("{} to {restored}", or_dash("action")),
        None => or_dash("action"),
    };
    let signer = match (text("signerSubject"), text("signerThumbprint")) {
        (Some(subject), Some(thumbprint)) => format!("signed by {subject} ({thumbprint})"),
        _ => "unsigned".to_owned(),
    };
    let (number, at, actor, hash) =
        (or_dash("version"), or_dash("at"), or_dash("actor"), or_dash("policyHash"));
    format!("{number:>4}  {at}  {action:<12}  by {actor}  {hash}  {signer}")
}

impl Rollback {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let name = self.attestation_type.as_str();
        let body = Body::Json(json!({ "version": self.version }));
        let claims = self.service.ask(Method::POST, &format!("policies/{name}:rollback"), body)?;
        // A version that was a reset brings the default policy back.
        let result = text(&claims, "x-ms-policy-result")?;
        if !matches!(result, "Removed" | "Updated") {
            return Err(Failure::failed(format!("the service says `{result}` in `x-ms-policy-result`")));
        }
        if self.json {
            output::json(&claims)?;
        } else {
            output::line(&format!("{name}: version {} is in force again", self.version))?;
        }
        Ok(Exit::Yes)
    }
}
