//! The worked examples of the language, kept outside the repository.
//!
//! `VOUCHSAFE_VECTORS` names the directory that holds `spec/policy-cases.json`; by default it lies beside
//! the repository. Absent cases are skipped, loudly, and fail under `CI=true`.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use std::path::PathBuf;

use policy::{Claim, Issuer, Outcome, Policy, Properties, Value};
use serde_json::Value as Json;

const CASES: usize = 97;

#[test]
fn published_policy_cases() {
    let directory = std::env::var_os("VOUCHSAFE_VECTORS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let path = directory.join("spec/policy-cases.json");
    let Ok(text) = std::fs::read(&path) else {
        println!("policy cases: SKIPPED, no file {}", path.display());
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "the policy cases are absent");
        return;
    };
    let cases: Vec<Json> = serde_json::from_slice(&text).unwrap();
    let mut differences = Vec::new();
    for case in &cases {
        if let Err(difference) = compare(case) {
            differences.push(format!("{}: {difference}", case["name"]));
        }
    }
    println!("policy cases: {} of {} as expected", cases.len() - differences.len(), cases.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert_eq!(cases.len(), CASES, "the number of cases has changed");
}

fn compare(case: &Json) -> Result<(), String> {
    let expect = &case["expect"];
    let code = expect["error"]["code"].as_str();
    let policy = match (Policy::analyze(case["policy"].as_str().unwrap()), code) {
        (Ok(_), Some("PolicyParsingError")) => return Err("accepted".to_owned()),
        (Err(_), Some("PolicyParsingError")) => return Ok(()),
        (Err(diagnostics), _) => return Err(diagnostics.to_string()),
        (Ok(policy), _) => policy,
    };
    if policy.version().to_string() != case["version"] {
        return Err(format!("version {}", policy.version()));
    }
    if let Some(expected) = expect.get("configuration") {
        let found = properties(&policy.configure().map_err(|error| error.to_string())?);
        if found != *expected {
            return Err(format!("configuration {found}"));
        }
    }
    let incoming: Vec<Claim> = case["input_claims"].as_array().unwrap().iter().map(claim).collect();
    if policy.explain(&incoming).outcome != policy.evaluate(&incoming) {
        return Err("explained otherwise than decided".to_owned());
    }
    match (policy.evaluate(&incoming), expect["outcome"].as_str().unwrap()) {
        (Ok(Outcome::Permitted(permit)), "permit") => {
            let issued =
                permit.issued.iter().map(|claim| (claim.claim_type.to_string(), claim.value.to_json()));
            let issued: Vec<_> = issued.collect();
            let expected = expect["issued"].as_array().unwrap().iter();
            let expected: Vec<_> = expected
                .map(|claim| (claim["type"].as_str().unwrap().to_owned(), claim["value"].clone()))
                .collect();
            if issued != expected {
                return Err(format!("issued {issued:?}"));
            }
            let found = properties(&permit.properties);
            let expected = expect.get("properties").cloned().unwrap_or_else(|| serde_json::json!([]));
            if found == expected { Ok(()) } else { Err(format!("properties {found}")) }
        }
        (Ok(Outcome::Denied(denial)), "deny") => {
            let expected = expect["error"]["message_contains"].as_str().unwrap();
            if denial.to_string().contains(expected) { Ok(()) } else { Err(denial.to_string()) }
        }
        (Err(_), "error") => Ok(()),
        (other, _) => Err(format!("{other:?}")),
    }
}

fn claim(json: &Json) -> Claim {
    let value = match &json["value"] {
        Json::Bool(value) => Value::Boolean(*value),
        Json::Number(value) => Value::Integer(value.to_string().parse().unwrap()),
        Json::String(value) => Value::String(value.clone()),
        other => panic!("{other}"),
    };
    let issuer = match json["issuer"].as_str().unwrap() {
        "AttestationService" => Issuer::AttestationService,
        "AttestationPolicy" => Issuer::AttestationPolicy,
        "CustomClaim" => Issuer::CustomClaim,
        other => panic!("{other}"),
    };
    Claim { claim_type: json["type"].as_str().unwrap().to_owned().into(), value, issuer }
}

/// As the cases write them.
fn properties(properties: &Properties) -> Json {
    properties.iter().map(|(name, value)| serde_json::json!({"type": name, "value": value})).collect()
}
