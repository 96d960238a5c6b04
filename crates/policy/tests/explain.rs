//! What explanations tell, and that looking changes nothing.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod common;

use policy::explanation::{MAX_LISTED, MAX_TEXT_CHARACTERS, RuleState};
use policy::{Claim, Limits, Outcome, Policy};

const POLICY: &str = r#"version=1.2;
configurationrules { => issueproperty(type="required_pcr_mask", value=15); };
authorizationrules
{
    ok:[type=="accepted-signer"] && [type=="signer", value==ok.value] => add(type="trusted", value=true);
    [type=="svn", value>=3] && ![type=="debug", value==true] => permit();
    [type=="x-ms-sgx-svn"] => permit();
    [type=="trusted", issuer=="AttestationPolicy"] => permit();
};
issuancerules
{
    c:[type=="trusted"] && d:[type=="signer"] => issue(type="who", value=AppendString("by ", d.value));
    c:[type=="trusted"] => issue(claim=c);
    c:[type=="svn"] => issue(type="svn", value=c.value);
    => issue(type="level", value=1);
};
"#;

const CLAIMS: &str =
    "accepted-signer = \"a\"\naccepted-signer = \"b\"\nsigner = \"b\"\nsvn = 2\nx-ms-sgx-svm = 2";

#[test]
fn for_people() {
    let explanation = Policy::analyze(POLICY).unwrap().explain(&common::claims(CLAIMS));
    let expected = "\
permitted by rule 4 of authorizationrules (line 8)
configurationrules
  rule 1 (line 2) fired: issueproperty
    makes required_pcr_mask = 15
authorizationrules
  rule 1 (line 5) fired: add
    ok:[type==\"accepted-signer\"] holds for
      accepted-signer = \"a\" (AttestationService)
      accepted-signer = \"b\" (AttestationService)
    [type==\"signer\", value==ok.value] holds for
      signer = \"b\" (AttestationService)
    makes trusted = true
  rule 2 (line 6) did not fire
    [type==\"svn\", value>=3] does not hold
      svn = 2 (AttestationService)
        value is 2, and >= 3 was asked for
  rule 3 (line 7) did not fire
    [type==\"x-ms-sgx-svn\"] does not hold
      there is no such claim
      hint: did you mean `x-ms-sgx-svm`?
  rule 4 (line 8) fired: permit
    [type==\"trusted\", issuer==\"AttestationPolicy\"] holds for
      trusted = true (made by rule 1 of authorizationrules (line 5))
issuancerules
  rule 1 (line 12) fired: issue
    c:[type==\"trusted\"] holds for
      trusted = true (made by rule 1 of authorizationrules (line 5))
    d:[type==\"signer\"] holds for
      signer = \"b\" (AttestationService)
    makes who = \"by b\", from signer = \"b\" (AttestationService)
  rule 2 (line 13) fired: issue
    c:[type==\"trusted\"] holds for
      trusted = true (made by rule 1 of authorizationrules (line 5))
    makes trusted = true, from trusted = true (made by rule 1 of authorizationrules (line 5))
  rule 3 (line 14) fired: issue
    c:[type==\"svn\"] holds for
      svn = 2 (AttestationService)
    makes svn = 2, from svn = 2 (AttestationService)
  rule 4 (line 15) fired: issue
    makes level = 1
";
    assert_eq!(explanation.to_string(), expected);
}

#[test]
fn for_programs() {
    let explanation = Policy::analyze(POLICY).unwrap().explain(&common::claims("svn = 3\ndebug = true"));
    let json = serde_json::to_value(&explanation).unwrap();
    assert_eq!(json["decision"], "denied");
    assert_eq!(json["rule"], serde_json::Value::Null);
    assert_eq!(json["configuration"]["required_pcr_mask"], 15);
    let rule = &json["rules"][2];
    assert_eq!((&rule["section"], &rule["index"]), (&"authorizationrules".into(), &2.into()));
    assert_eq!(rule["state"], "not-fired");
    assert_eq!(rule["conditions"][0]["holds"], true);
    let unmet = &rule["conditions"][1];
    assert_eq!(unmet["text"], "![type==\"debug\", value==true]");
    assert_eq!(unmet["span"]["column"], 31);
    assert_eq!(unmet["claims"]["first"][0]["value"], true);
    assert_eq!(json["rules"][5]["state"], "not-reached");
}

/// With any number of steps the decision is the same, be it that there were too few.
#[test]
fn looking_costs_the_evaluation_nothing() {
    let claims = common::claims(CLAIMS);
    for steps in 0..200 {
        let policy = Policy::analyze_within(POLICY, Limits { steps, ..Limits::DEFAULT }).unwrap();
        common::explained(&policy, &claims);
    }
    let json = r#"version=1.2;
        authorizationrules
        {
            a:[type=="a"] && [type=="b", value==JmesPath(a.value, "x")] => permit();
            a:[type=="a"] && [type=="b", value!=JmesPath(a.value, "x")] => deny();
            a:[type=="a"] => add(type="x", value=JsonToClaimValue(JmesPath(a.value, "y")));
            => permit();
        };"#;
    let claims = common::claims("a = \"{\\\"x\\\": 1, \\\"y\\\": [1, 2]}\"\nb = \"1\"\nb = \"\"");
    let mut decided = 0;
    for steps in 0..400 {
        let policy = Policy::analyze_within(json, Limits { steps, ..Limits::DEFAULT }).unwrap();
        common::explained(&policy, &claims);
        decided += usize::from(policy.evaluate(&claims).is_ok());
    }
    assert!(decided > 10 && decided < 390, "{decided}");
}

#[test]
fn explanations_stay_small() {
    let text = r#"version=1.0;
        authorizationrules
        {
            c:[type=="a"] => add(type="b", value=c.value);
            [type=="a", value=="x"] => permit();
        };"#;
    let value = "y".repeat(100_000);
    let claims: Vec<_> = (0..1000).map(|number| Claim::service("a", format!("{value}{number}"))).collect();
    let policy = Policy::analyze_within(text, Limits { steps: 100_000_000, ..Limits::DEFAULT }).unwrap();
    let explanation = policy.explain(&claims);
    assert_eq!(explanation.outcome, policy.evaluate(&claims));
    let [first, second] = explanation.rules.as_slice() else { panic!("two rules") };
    assert_eq!((first.claims.total, first.claims.first.len()), (1000, MAX_LISTED));
    assert_eq!(first.claims.first[0].sources.total, 1000);
    assert_eq!((second.state, second.conditions[0].missed.total), (RuleState::NotFired, 1000));
    let text = explanation.to_string();
    assert!(text.contains("and 992 more"), "{text}");
    let most = (MAX_LISTED * MAX_LISTED + 4 * MAX_LISTED) * (MAX_TEXT_CHARACTERS + 100);
    assert!(serde_json::to_string(&explanation).unwrap().len() < 4 * most);
}

/// A policy that uses up the steps for looking is still decided, and says that it tells less.
#[test]
fn looking_has_a_budget() {
    let mut text = String::from("version=1.0; authorizationrules {");
    for _ in 0..1000 {
        text.push_str("[type==\"a\", value==1] => deny();\n");
    }
    text.push_str("=> permit(); };");
    let claims = vec![Claim::service("a", 2_i64); 900];
    let policy = Policy::analyze(&text).unwrap();
    let explanation = policy.explain(&claims);
    assert!(matches!(explanation.outcome, Ok(Outcome::Permitted(_))), "{:?}", explanation.outcome);
    let truncated = |rule: &policy::explanation::RuleReport| rule.conditions.iter().any(|c| c.truncated);
    assert!(!truncated(&explanation.rules[0]));
    assert!(truncated(&explanation.rules[999]));
    assert!(explanation.to_string().contains("used up its steps"));
}
