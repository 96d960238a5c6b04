//! Reading claims and telling outcomes as text, for the case files and the examples of the reference.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::fmt::Write as _;

use policy::explanation::RuleState;
use policy::{
    Claim, Diagnostic, Diagnostics, EvalError, Issuer, Outcome, Policy, Properties, Value, to_json_map,
};

/// Claims, one a line: `name = value`, with ` (Issuer)` behind it unless the service made it.
pub(crate) fn claims(text: &str) -> Vec<Claim> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.flat_map(claim).collect()
}

/// One claim, or as many as ` × n` behind it says.
fn claim(line: &str) -> Vec<Claim> {
    let (line, times) = match line.rsplit_once(" × ") {
        Some((line, times)) => (line, times.parse().unwrap()),
        None => (line, 1),
    };
    let (line, issuer) = match line.strip_suffix(')').and_then(|line| line.rsplit_once(" (")) {
        Some((line, "CustomClaim")) => (line, Issuer::CustomClaim),
        Some((line, "AttestationPolicy")) => (line, Issuer::AttestationPolicy),
        _ => (line, Issuer::AttestationService),
    };
    let (name, value) = line.split_once(" = ").unwrap();
    let value = match serde_json::from_str(value).unwrap() {
        serde_json::Value::Bool(value) => Value::Boolean(value),
        serde_json::Value::Number(value) => Value::Integer(value.to_string().parse().unwrap()),
        serde_json::Value::String(value) => Value::String(value),
        other => panic!("{other}"),
    };
    vec![Claim { claim_type: name.to_owned().into(), value, issuer }; times]
}

/// What happens when `policy` runs: its configuration, the decision, and all it says about the token.
pub(crate) fn run(policy: &Policy, incoming: &[Claim]) -> (String, Option<EvalError>) {
    let mut out = String::new();
    for warning in policy.warnings() {
        out += &finding(warning);
    }
    match policy.configure() {
        Ok(properties) => out += &said("configure", &properties),
        Err(error) => {
            writeln!(out, "error {}: {error}", error.fault.code()).unwrap();
            return (out, Some(error));
        }
    }
    explained(policy, incoming);
    match policy.evaluate(incoming) {
        Ok(Outcome::Permitted(permit)) => {
            writeln!(out, "permitted by {}", permit.rule).unwrap();
            for claim in &permit.issued {
                writeln!(out, "issue {} = {}", claim.claim_type, claim.value).unwrap();
            }
            out += &said("property", &permit.properties);
            let token = serde_json::Value::Object(to_json_map(&permit.issued));
            if !permit.issued.is_empty() {
                writeln!(out, "token {token}").unwrap();
            }
        }
        Ok(Outcome::Denied(denial)) => match denial.rule() {
            Some(rule) => writeln!(out, "denied by {rule}: {denial}").unwrap(),
            None => writeln!(out, "denied: {denial}").unwrap(),
        },
        Err(error) => {
            writeln!(out, "error {}: {error}", error.fault.code()).unwrap();
            return (out, Some(error));
        }
    }
    (out, None)
}

fn said(what: &str, properties: &Properties) -> String {
    properties.iter().map(|(name, value)| format!("{what} {name} = {value}\n")).collect()
}

/// All findings of a refused text.
pub(crate) fn findings(diagnostics: &Diagnostics) -> String {
    diagnostics.iter().map(finding).collect()
}

/// One finding.
pub(crate) fn finding(diagnostic: &Diagnostic) -> String {
    let Diagnostic { problem, span, symbol, grammar_rule, hint, .. } = diagnostic;
    let severity = if diagnostic.is_warning() { "warning" } else { "refused" };
    let mut out = format!(
        "{severity} {} at {}:{} `{symbol}` in {grammar_rule}\n",
        problem.code(),
        span.line,
        span.column
    );
    writeln!(out, "  {problem}").unwrap();
    if let Some(hint) = hint {
        writeln!(out, "  hint: {hint}").unwrap();
    }
    out
}

/// Explaining tells what evaluation decides, and the same claims, and which rules made them.
pub(crate) fn explained(policy: &Policy, incoming: &[Claim]) {
    let explanation = policy.explain(incoming);
    assert_eq!(explanation.outcome, policy.evaluate(incoming), "{}", policy.text());
    assert_eq!(explanation.configuration, policy.configure(), "{}", policy.text());
    for report in &explanation.rules {
        assert!(
            policy
                .text()
                .get(report.rule.span.start..)
                .unwrap()
                .starts_with(report.text.trim_end_matches('…'))
        );
        let last = report.conditions.last();
        match report.state {
            RuleState::NotFired => assert!(!last.unwrap().holds, "{report:?}"),
            RuleState::Fired => assert!(last.is_none_or(|condition| condition.holds), "{report:?}"),
            RuleState::NotReached => assert!(last.is_none() && report.claims.total == 0, "{report:?}"),
            RuleState::Failed => {
                let errors = [explanation.configuration.as_ref().err(), explanation.outcome.as_ref().err()];
                assert!(
                    errors.into_iter().flatten().any(|error| error.rule == Some(report.rule)),
                    "{report:?}"
                );
            }
        }
        for condition in report.conditions.iter().filter(|condition| !condition.truncated) {
            assert_eq!(condition.holds, (condition.claims.total > 0) != condition.negated, "{condition:?}");
        }
    }
    if let Ok(Outcome::Permitted(permit)) = &explanation.outcome {
        let issued: usize = explanation.issuing_rules().map(|rule| rule.claims.total).sum();
        assert_eq!(issued, permit.issued.len(), "{}", policy.text());
    }
    // Both forms are there for every case.
    let json = serde_json::to_value(&explanation).unwrap();
    assert_eq!(json.get("decision").unwrap(), explanation.decision());
    assert!(explanation.to_string().starts_with(explanation.decision()));
}
