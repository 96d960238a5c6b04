use super::*;

const BEFORE: &str = r#"version=1.1;
configurationrules { => issueproperty(type="x-ms-sgx-tcbidentifier", value="16"); };
authorizationrules
{
    [type=="debug", value==true] => deny();
    [type=="svn", value>=2] => permit();
};
issuancerules
{
    c:[type=="svn"] => issue(type="svn", value=c.value);
    => issue(type="level", value=1);
};"#;

const AFTER: &str = r#"version=1.1;
configurationrules { => issueproperty(type="x-ms-sgx-tcbidentifier", value="17"); };
authorizationrules
{
    // Stricter
    [type=="svn",   value>=3] => permit();
    [type=="vendor", value=="contoso"] => add(type="trusted", value=true);
    [type=="debug", value==true] => deny();
};
issuancerules
{
    c:[type=="trusted"] => issue(claim=c);
    c:[type=="svn"] => issue(type="svn", value=c.value);
};"#;

fn set(name: &str, claims: Vec<Claim>) -> ClaimSet {
    ClaimSet { name: name.to_owned(), claims }
}

fn corpus() -> Vec<ClaimSet> {
    vec![
        set("old", vec![Claim::service("svn", 2_i64)]),
        set("new", vec![Claim::service("svn", 3_i64), Claim::service("vendor", "contoso")]),
        set("debug", vec![Claim::service("svn", 3_i64), Claim::service("debug", true)]),
        set("none", Vec::new()),
    ]
}

#[test]
fn rules_decisions_and_claims() {
    let difference = diff(&Policy::analyze(BEFORE).unwrap(), &Policy::analyze(AFTER).unwrap(), &corpus());
    let expected = "\
configuration x-ms-sgx-tcbidentifier: \"16\" becomes \"17\"
- rule 1 of configurationrules (line 2), fired 4 times: => issueproperty(type=\"x-ms-sgx-tcbidentifier\", value=\"16\");
+ rule 1 of configurationrules (line 2), fired 4 times: => issueproperty(type=\"x-ms-sgx-tcbidentifier\", value=\"17\");
+ rule 1 of authorizationrules (line 6), fired 2 times: [type==\"svn\", value>=3] => permit();
    differs in new, debug
+ rule 2 of authorizationrules (line 7), fired once: [type==\"vendor\", value==\"contoso\"] => add(type=\"trusted\", value=true);
    differs in new
- rule 2 of authorizationrules (line 6), fired 2 times: [type==\"svn\", value>=2] => permit();
    differs in old, new
+ rule 1 of issuancerules (line 12), fired once: c:[type==\"trusted\"] => issue(claim=c);
    differs in new
  rule 2 of issuancerules (line 13), fired once: c:[type==\"svn\"] => issue(type=\"svn\", value=c.value);
    in the earlier policy it fired 2 times
    differs in old
- rule 2 of issuancerules (line 11), fired 2 times: => issue(type=\"level\", value=1);
    differs in old, new
old: denied
  before: permitted by rule 2 of authorizationrules (line 6)
  after:  denied: No Permit claim was issued in the authorizationrules section, authorization failed.
  claim level: 1 goes
  claim svn: 2 goes
new: permitted by both
  claim level: 1 goes
  claim trusted: true comes
2 of 4 claim sets come out differently
";
    assert_eq!(difference.to_string(), expected);
    assert!(!difference.decides_alike());
    let json = serde_json::to_value(&difference).unwrap();
    assert_eq!(json["changed"][0]["after"]["decision"], "denied");
    assert_eq!(json["rules"][0]["change"], "changed");
    assert_eq!(json["rules"][1]["differs_in"]["total"], 2);
}

#[test]
fn a_policy_laid_out_anew_decides_alike() {
    let policy = Policy::analyze(BEFORE).unwrap();
    let formatted = Policy::analyze(&crate::format(BEFORE).unwrap()).unwrap();
    let difference = diff(&policy, &formatted, &corpus());
    assert!(difference.decides_alike() && difference.rules.is_empty(), "{difference}");
    assert_eq!(difference.sets, 4);
}

#[test]
fn sections_of_thousands_of_rules_are_aligned_within_bounds() {
    let text = |skip: usize| {
        let rules: String =
            (0..4000).filter(|n| n % 1000 != skip).map(|n| format!("[type==\"t{n}\"]=>permit();")).collect();
        Policy::analyze(&format!("version=1.0;authorizationrules{{{rules}}};")).unwrap()
    };
    let difference = diff(&text(1), &text(998), &[]);
    // Between the first and the last difference there is too much to compare; pairing keeps the order.
    assert!(difference.decides_alike());
    assert!(!difference.rules.is_empty());
}
