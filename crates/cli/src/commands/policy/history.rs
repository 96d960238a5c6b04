//! `vouchsafe policy history` and `rollback`: the policies that a service had. Azure Attestation keeps none; these
//! requests are of Vouchsafe alone.

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::remote::listed;
use super::service::{AttestationType, Body, ServiceArgs, expect};
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
        let claims = self.service.ask(Method::GET, &format!("policies/{name}/history"), Body::Nothing)?;
        let versions = claims
            .get("x-ms-policy-history")
            .and_then(Value::as_array)
            .ok_or_else(|| Failure::failed("the service's answer has no claim `x-ms-policy-history`"))?;
        if self.json {
            output::json(&listed(self.attestation_type, &json!(versions)))?;
            return Ok(Exit::Yes);
        }
        for version in versions {
            output::line(&output::printable(&row(version)))?;
        }
        if versions.is_empty() {
            output::note(&format!("note: {name} has always had the default policy"));
        }
        Ok(Exit::Yes)
    }
}

/// One version in a line.
fn row(version: &Value) -> String {
    let text = |name: &str| match version.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    };
    let mut row = format!("{:>5}", text("version").unwrap_or_default());
    for name in ["at", "action", "actor", "policyHash", "signer"] {
        row.push_str(&format!("  {}", text(name).unwrap_or_else(|| "-".to_owned())));
    }
    row
}

impl Rollback {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let name = self.attestation_type.as_str();
        let body = Body::Json(json!({ "version": self.version }));
        let claims = self.service.ask(Method::POST, &format!("policies/{name}:rollback"), body)?;
        expect(&claims, "x-ms-policy-result", "Updated")?;
        if self.json {
            output::json(&claims)?;
        } else {
            output::line(&format!("{name}: version {} is in force again", self.version))?;
        }
        Ok(Exit::Yes)
    }
}
