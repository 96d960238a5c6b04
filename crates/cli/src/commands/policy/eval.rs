//! `vouchsafe policy eval` and `explain`: what a policy decides about claims, and why.

use std::path::PathBuf;

use clap::Args;
use policy::{Explanation, Outcome, Properties, to_json_map};
use serde_json::{Map, Value, json};

use super::claims::Incoming;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;

/// Evaluate a policy on claims or evidence, and print decision and claims
///
/// Exit code 0 means permitted, 1 denied or failed in evaluation, as the service would refuse both.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Eval {
    /// File with the policy text; `-` is standard input
    file: PathBuf,

    #[command(flatten)]
    incoming: Incoming,

    /// Print `{decision, rule, claims, properties, configuration}` as JSON
    #[arg(long)]
    json: bool,
}

/// Evaluate a policy as `eval` does, and tell why: rules that fired, conditions unmet, where claims come from
///
/// For every rule: whether it fired; the claims that its conditions hold for; of the first condition that does not
/// hold, the claims that come nearest with their values; and for each claim it makes, what that was made of.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Explain {
    /// File with the policy text; `-` is standard input
    file: PathBuf,

    #[command(flatten)]
    incoming: Incoming,

    /// Print the explanation as JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  vouchsafe policy eval production.policy --claims claims.json
  vouchsafe policy explain production.policy --evidence quote.bin --endorsements pcs/ --at 2025-07-04
  vouchsafe policy explain production.policy --claims token.jwt --json";

impl Eval {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let policy = super::analyzed(&self.file)?;
        let explanation = policy.explain(&self.incoming.read()?);
        if self.json {
            let mut document = json!(explanation);
            if let Some(members) = document.as_object_mut() {
                members.remove("rules");
            }
            output::json(&document)?;
        } else {
            print(&explanation)?;
        }
        Ok(exit(&explanation))
    }
}

impl Explain {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let policy = super::analyzed(&self.file)?;
        let explanation = policy.explain(&self.incoming.read()?);
        if self.json {
            output::json(&explanation)?;
        } else {
            output::line(output::printable(&explanation.to_string()).trim_end())?;
        }
        Ok(exit(&explanation))
    }
}

/// In the form of the reference's examples.
fn print(explanation: &Explanation) -> Result<(), Failure> {
    let line = |text: String| output::line(&output::printable(&text));
    let said = |what: &str, properties: &Properties| {
        properties.iter().try_for_each(|(name, value)| line(format!("{what} {name} = {value}")))
    };
    match &explanation.configuration {
        Ok(properties) => said("configure", properties)?,
        Err(error) => line(format!("error {}: {error}", error.fault.code()))?,
    }
    match &explanation.outcome {
        Ok(Outcome::Permitted(permit)) => {
            line(format!("permitted by {}", permit.rule))?;
            for claim in &permit.issued {
                line(format!("issue {} = {}", claim.claim_type, claim.value))?;
            }
            said("property", &permit.properties)?;
            let token: Map<String, Value> = to_json_map(&permit.issued);
            if !token.is_empty() {
                line(format!("token {}", Value::from(token)))?;
            }
        }
        Ok(Outcome::Denied(denial)) => match denial.rule() {
            Some(rule) => line(format!("denied by {rule}: {denial}"))?,
            None => line(format!("denied: {denial}"))?,
        },
        Err(error) => line(format!("error {}: {error}", error.fault.code()))?,
    }
    Ok(())
}

fn exit(explanation: &Explanation) -> Exit {
    match (&explanation.configuration, &explanation.outcome) {
        (Ok(_), Ok(Outcome::Permitted(_))) => Exit::Yes,
        _ => Exit::Denied,
    }
}
