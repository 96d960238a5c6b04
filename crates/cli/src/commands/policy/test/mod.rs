//! `vouchsafe policy test`: cases kept in files beside a policy.

pub(super) mod cases;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use policy::explanation::RuleState;
use policy::{Explanation, Outcome, Policy, Properties, RuleRef, to_json_map};
use serde_json::{Map, Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use cases::{Case, Expect};

/// Run the test cases kept beside policies
///
/// The cases of `production.policy` are the files `production.tests/*.toml`. Each says which claims or which evidence
/// come in, and what is expected: the decision, the rule that makes it, the claims issued, the properties.
///
/// Exit code 0 means that all cases passed, 1 that one did not.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Test {
    /// Files with policy texts
    #[arg(required = true)]
    files: Vec<PathBuf>,

    /// Files or directories with the cases instead of those beside the policy (repeatable)
    #[arg(long, value_name = "PATH")]
    cases: Vec<PathBuf>,

    /// Explain each failed case, rule by rule
    #[arg(long)]
    explain: bool,

    /// Print `{passed, failed, policies}` as JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
A case, in production.tests/outdated.toml:
  [claims]
  x-ms-sgx-is-debuggable = false
  x-ms-sgx-svn = 2

  [expect]
  decision = \"denied\"

Another, with real evidence:
  [evidence]
  file = \"quote.bin\"
  endorsements = [\"collateral.json\"]
  at = \"2025-07-04T00:00:00Z\"

  [expect]
  decision = \"permitted\"
  claims = { svn = 3 }";

impl Test {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let tested = self.files.iter().map(|file| self.test(file)).collect::<Result<Vec<_>, _>>()?;
        let results = || tested.iter().flat_map(|tested| &tested.results);
        let passed = results().filter(|result| result.differences.is_empty()).count();
        let failed = results().count() - passed;
        if self.json {
            let policies: Vec<Value> = tested.iter().map(Tested::document).collect();
            output::json(&json!({ "passed": passed, "failed": failed, "policies": policies }))?;
        } else {
            tested.iter().try_for_each(|tested| tested.print(self.explain))?;
            output::line(&format!("{passed} passed, {failed} failed"))?;
        }
        Ok(if failed == 0 { Exit::Yes } else { Exit::Denied })
    }

    fn test(&self, file: &Path) -> Result<Tested, Failure> {
        let policy = super::analyzed(file)?;
        let directory = cases::directory(file);
        let paths = if self.cases.is_empty() { std::slice::from_ref(&directory) } else { &self.cases };
        let cases = cases::all(paths)?;
        if cases.is_empty() {
            let hint = format!("keep them in `{}`, or name them with `--cases`", directory.display());
            return Err(Failure::usage(format!("there are no cases for `{}`", file.display())).hint(hint));
        }
        let results =
            cases.iter().map(|case| CaseResult::of(&policy, case)).collect::<Result<Vec<_>, _>>()?;
        let explanations = || results.iter().filter_map(|result| result.explanation.as_ref());
        let reports = || explanations().flat_map(|explanation| &explanation.rules);
        let fired: BTreeSet<usize> = reports()
            .filter(|report| matches!(report.state, RuleState::Fired | RuleState::Failed))
            .map(|report| report.rule.span.start)
            .collect();
        let rules = explanations().next().map(|explanation| explanation.rules.as_slice()).unwrap_or_default();
        let rules = rules.iter().map(|report| report.rule);
        let silent = rules.filter(|rule| !fired.contains(&rule.span.start)).collect();
        Ok(Tested { policy: file.display().to_string(), hash: policy.hash().to_owned(), silent, results })
    }
}

/// What came of the cases of one policy.
struct Tested {
    policy: String,
    hash: String,
    /// Rules that fire in no case.
    silent: Vec<RuleRef>,
    results: Vec<CaseResult>,
}

impl Tested {
    fn print(&self, explain: bool) -> Result<(), Failure> {
        let line = |text: String| output::line(&output::printable(&text));
        for CaseResult { name, differences, explanation } in &self.results {
            line(format!(
                "{} {}: {name}",
                if differences.is_empty() { "ok    " } else { "FAILED" },
                self.policy
            ))?;
            differences.iter().try_for_each(|difference| line(format!("       {difference}")))?;
            if let (true, false, Some(explanation)) = (explain, differences.is_empty(), explanation) {
                explanation.to_string().lines().try_for_each(|told| line(format!("       {told}")))?;
            }
        }
        for rule in &self.silent {
            output::note(&output::printable(&format!("note: {rule} of {} fires in no case", self.policy)));
        }
        Ok(())
    }

    fn document(&self) -> Value {
        let results = self.results.iter().map(|result| {
            let passed = result.differences.is_empty();
            let explanation = result.explanation.as_ref().filter(|_| !passed);
            json!({
                "name": result.name, "passed": passed, "differences": result.differences, "explanation": explanation,
            })
        });
        json!({
            "policy": self.policy, "hash": self.hash, "cases": results.collect::<Vec<_>>(),
            "rules_that_never_fire": self.silent,
        })
    }
}

/// What came of one case.
struct CaseResult {
    name: String,
    /// How it came out otherwise than expected.
    differences: Vec<String>,
    /// None if there were no claims to evaluate the policy on.
    explanation: Option<Explanation>,
}

impl CaseResult {
    fn of(policy: &Policy, case: &Case) -> Result<Self, Failure> {
        let name = case.name.clone();
        match case.incoming() {
            Ok(incoming) => {
                let explanation = policy.explain(&incoming);
                let differences = differences(&explanation, &case.expect);
                Ok(Self { name, differences, explanation: Some(explanation) })
            }
            // Evidence that is not genuine reaches no policy.
            Err(failure) if failure.exit == Exit::Denied => {
                Ok(Self { name, differences: vec![failure.message], explanation: None })
            }
            Err(failure) => Err(failure),
        }
    }
}

/// How a decision differs from what is expected; what is not mentioned there is not compared.
fn differences(explanation: &Explanation, expect: &Expect) -> Vec<String> {
    let mut differences = Vec::new();
    let found = decision(explanation);
    if expect.decision.as_str() != explanation.decision() {
        differences.push(format!("expected {}, {found}", expect.decision.as_str()));
        return differences;
    }
    if let Some(rule) = expect.rule
        && explanation.deciding_rule().map(|rule| rule.index) != Some(rule)
    {
        differences.push(format!("expected rule {rule} to decide, {found}"));
    }
    if let (Some(code), Err(error)) = (&expect.code, &explanation.outcome)
        && code != error.fault.code()
    {
        differences.push(format!("expected the error {code}, found {}: {error}", error.fault.code()));
    }
    let (claims, properties) = match &explanation.outcome {
        Ok(Outcome::Permitted(permit)) => (to_json_map(&permit.issued), members(&permit.properties)),
        Ok(Outcome::Denied(_)) | Err(_) => (Map::new(), Map::new()),
    };
    let configuration = match &explanation.configuration {
        Ok(properties) => members(properties),
        Err(error) => {
            differences.push(format!("the configuration rules failed: {error}"));
            Map::new()
        }
    };
    for (what, expected, found) in [
        ("claim", &expect.claims, claims),
        ("property", &expect.properties, properties),
        ("configuration", &expect.configuration, configuration),
    ] {
        let Some(expected) = expected else { continue };
        let names: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
        for name in names {
            let shown = |value: Option<&Value>| value.map_or_else(|| "none".to_owned(), Value::to_string);
            let (expected, found) = (expected.get(name), found.get(name));
            if expected != found {
                differences.push(format!(
                    "{what} {name}: expected {}, found {}",
                    shown(expected),
                    shown(found)
                ));
            }
        }
    }
    differences
}

fn decision(explanation: &Explanation) -> String {
    match &explanation.outcome {
        Ok(Outcome::Permitted(permit)) => format!("permitted by {}", permit.rule),
        Ok(Outcome::Denied(denial)) => match denial.rule() {
            Some(rule) => format!("denied by {rule}"),
            None => format!("denied: {denial}"),
        },
        Err(error) => format!("failed: {error}"),
    }
}

fn members(properties: &Properties) -> Map<String, Value> {
    properties.iter().map(|(name, value)| (name.to_owned(), value.to_json())).collect()
}
