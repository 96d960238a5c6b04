//! Hostile policies and claims: every one is answered in bounded time, in debug builds too, and none panics.
#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

use std::time::{Duration, Instant};

use policy::{Claim, Diagnostics, EvalError, Fault, Outcome, Policy, Problem, defaults};

/// Well under a second, although debug builds are some ten times slower than the service.
const LONGEST: Duration = Duration::from_millis(900);

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    let elapsed = start.elapsed();
    println!("{what}: {elapsed:?}");
    assert!(elapsed < LONGEST, "{what} took {elapsed:?}");
    result
}

fn problem(text: &str) -> Problem {
    Policy::analyze(text).map(|_| ()).unwrap_err().iter().next().unwrap().problem.clone()
}

fn fault(policy: &str, incoming: &[Claim]) -> Fault {
    let policy = Policy::analyze(policy).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    match policy.evaluate(incoming) {
        Err(EvalError { fault, .. }) => fault,
        Ok(outcome) => panic!("{outcome:?}"),
    }
}

#[test]
fn megabytes_of_text() {
    let huge = "[".repeat(5_000_000);
    assert!(matches!(timed("huge text", || problem(&huge)), Problem::TextTooLarge { .. }));
    for part in [
        "=> permit();",
        "[",
        "(",
        "!",
        "\"",
        "\\",
        "//",
        "// x\n",
        "a",
        "1",
        "&&",
        "\u{e9}",
        "x:[type==\"",
        "{",
    ] {
        let text = format!("version=1.2;authorizationrules{{{}", part.repeat(260_000 / part.len()));
        timed(part, || problem(&text));
    }
}

#[test]
fn many_rules_conditions_names_and_errors() {
    let rules = "=> permit();".repeat(4096);
    let policy =
        timed("4096 rules", || Policy::analyze(&format!("version=1.0;authorizationrules{{{rules}}};")));
    assert!(matches!(policy.unwrap().evaluate(&[]), Ok(Outcome::Permitted(_))));
    let rules = "=> permit();".repeat(4097);
    let found = timed("4097 rules", || problem(&format!("version=1.0;authorizationrules{{{rules}}};")));
    assert_eq!(found, Problem::TooManyRules { limit: 4096 });

    let conditions: Vec<String> = (0..13_000).map(|n| format!("c{n}:[type==\"\"]")).collect();
    let text = format!("version=1.0;authorizationrules{{{} => permit();}};", conditions.join("&&"));
    assert!(timed("13000 conditions", || Policy::analyze(&text)).is_ok());

    let conditions: Vec<String> = (0..9_000).map(|n| format!("c{n}:[value==abcde.value]")).collect();
    let text = format!("version=1.0;authorizationrules{{{} => permit();}};", conditions.join("&&"));
    let found = timed("9000 errors", || Policy::analyze(&text)).unwrap_err();
    assert_eq!(found.iter().count(), 50);
    assert!(timed("their text", || found.to_string()).len() < 50_000);
}

#[test]
fn calls_and_json_and_queries_nest_to_their_limits_only() {
    let calls = |levels: usize| {
        let (open, close) = ("NegateBool(".repeat(levels), ")".repeat(levels));
        format!("version=1.2;authorizationrules{{=> add(type=\"a\", value={open}true{close});=> permit();}};")
    };
    assert!(Policy::analyze(&calls(32)).unwrap().evaluate(&[]).is_ok());
    assert_eq!(problem(&calls(33)), Problem::CallsTooDeep { limit: 32 });
    assert_eq!(timed("20000 calls", || problem(&calls(20_000))), Problem::CallsTooDeep { limit: 32 });

    let policy = "version=1.2;authorizationrules{c:[type==\"c\"] => add(type=\"a\", value=JmesPath(c.value, \"a\"));};";
    for deep in ["[", "{\"a\":"] {
        let claims = [Claim::custom("c", deep.repeat(1_000_000))];
        assert!(matches!(timed("deep JSON", || fault(policy, &claims)), Fault::Json { .. }));
    }
    let policy = "version=1.2;authorizationrules{c:[type==\"c\"] => add(type=\"a\", value=JmesPath(\"{}\", c.value));};";
    for deep in ["(", "[", "!", "&", "a.", "a[*].", "[?", "a||", "{a:", "`", "'", "f(", "a[0]", "@|"] {
        let claims = [Claim::custom("c", deep.repeat(60_000))];
        assert!(matches!(timed(deep, || fault(policy, &claims)), Fault::Query(_)));
    }
}

#[test]
fn floods_of_claims() {
    let flood: Vec<Claim> = (0..65_536).map(|n: u32| Claim::custom("c", n)).collect();
    let rules = "[value==-1] => permit();".repeat(4096);
    let text = format!("version=1.0;authorizationrules{{{rules}}};");
    let found = timed("4096 rules over 65536 claims", || fault(&text, &flood));
    assert!(matches!(found, Fault::OutOfSteps { .. }));

    let more: Vec<Claim> = flood.iter().cloned().chain([Claim::custom("c", 1_u32)]).collect();
    let policy = Policy::analyze(defaults::SGX).unwrap();
    let error = timed("65537 claims", || policy.evaluate(&more)).unwrap_err();
    assert_eq!(error, EvalError { rule: None, fault: Fault::TooManyClaims { limit: 65_536 } });

    let doubling = "c:[type==\"c\"] => add(claim=c);".repeat(40);
    let text = format!("version=1.0;authorizationrules{{{doubling}}};");
    let found = timed("claims doubling", || fault(&text, &[Claim::custom("c", 1_u32)]));
    assert_eq!(found, Fault::TooManyClaims { limit: 65_536 });

    let pairs =
        "a:[type==\"c\"] && b:[type==\"c\", value==a.value] && [type==\"d\", value==b.value] => permit();";
    let text = format!("version=1.0;authorizationrules{{{pairs}}};");
    let found = timed("pairs of claims", || fault(&text, &flood));
    assert!(matches!(found, Fault::OutOfSteps { .. }));

    let array = format!("[{}]", vec!["1"; 100_000].join(","));
    let text = "version=1.2;authorizationrules{c:[type==\"c\"] => add(type=\"x\", value=JsonToClaimValue(c.value));};";
    let found = timed("an array of claims", || fault(text, &[Claim::custom("c", array)]));
    assert_eq!(found, Fault::TooManyClaims { limit: 65_536 });

    let issue =
        "=> issue(type=\"x\", value=1);".repeat(4000) + &"c:[type==\"x\"] => issue(claim=c);".repeat(4);
    let text = format!("version=1.0;authorizationrules{{=> permit();}};issuancerules{{{issue}}};");
    let found = timed("claims for the token", || fault(&text, &[]));
    assert_eq!(found, Fault::TooManyIssuedClaims { limit: 4096 });
}

#[test]
fn floods_of_text() {
    let doubling: String = (0..64)
        .map(|n| {
            format!("c:[type==\"{n}\"] => add(type=\"{}\", value=AppendString(c.value, c.value));", n + 1)
        })
        .collect();
    let text = format!("version=1.2;authorizationrules{{{doubling}}};");
    let found = timed("text doubling", || fault(&text, &[Claim::custom("0", "x")]));
    assert!(matches!(found, Fault::ResultTooLarge { .. }));

    let long = Claim::custom("c", "x".repeat(4_000_000));
    let properties: String = (0..4000)
        .map(|n| format!("c:[type==\"c\"] => issueproperty(type=\"{n}\", value=c.value);"))
        .collect();
    let text = format!("version=1.0;authorizationrules{{=> permit();}};issuancerules{{{properties}}};");
    let found = timed("properties of 4 MB", || fault(&text, std::slice::from_ref(&long)));
    assert!(matches!(found, Fault::OutOfSteps { .. }));

    let other = Claim::custom("d", "x".repeat(3_999_999) + "y");
    let compare = "a:[type==\"c\"] && [type==\"d\", value==a.value] => permit();".repeat(4000);
    let text = format!("version=1.0;authorizationrules{{{compare}}};");
    let found = timed("comparing 4 MB", || fault(&text, &[long.clone(), other]));
    assert!(matches!(found, Fault::OutOfSteps { .. }));

    // A name that long is shortened where it is told.
    let text = "version=1.2;authorizationrules{=> permit();};issuancerules{c:[type==\"c\"] && p:[type==\"pcrs\"] => issue(type=c.value, value=p.value);};";
    let found = fault(text, &[long, Claim::service("pcrs", "{}")]);
    assert!(found.to_string().len() < 500);
}

#[test]
fn json_is_read_once_per_text() {
    let events: Vec<String> =
        (0..5000).map(|n| format!("{{\"EventSeq\":{n},\"PcrIndex\":{}}}", n % 24)).collect();
    let claims = [Claim::service("events", format!("{{\"Events\":[{}]}}", events.join(",")))];
    let rules: String = (0..12)
        .map(|n| format!("c:[type==\"events\"] => issue(type=\"r{n}\", value=JmesPath(c.value, \"length(Events[?PcrIndex == `{n}`])\"));"))
        .collect();
    let text = format!("version=1.2;authorizationrules{{=> permit();}};issuancerules{{{rules}}};");
    let policy = Policy::analyze(&text).unwrap();
    let Outcome::Permitted(permit) = timed("a long log", || policy.evaluate(&claims)).unwrap() else {
        panic!()
    };
    assert_eq!(permit.issued.len(), 12);
    assert_eq!(permit.issued[0].value.to_string(), "\"209\"");
}

#[test]
fn bytes_that_are_no_text() {
    let diagnostics = Policy::analyze_bytes(b"version=1.0;\xff").unwrap_err();
    assert_eq!(diagnostics.iter().next().unwrap().problem, Problem::NotUtf8 { at: 12 });
    assert!(Policy::analyze_bytes(defaults::SGX.as_bytes()).is_ok());
}

#[test]
fn the_forms_of_diagnostics() {
    let diagnostics: Diagnostics = Policy::analyze("version= 1.0\n[").unwrap_err();
    assert_eq!(
        diagnostics.to_string(),
        "Policy Parser Exception Thrown: Offending symbol: '['\n\
         Line: '2', Column: '0'\n\
         Failure message: 'mismatched input '[' expecting ';''\n\
         Failing rule: 'policy > versionInfo'"
    );
    assert_eq!(
        serde_json::to_value(&diagnostics).unwrap(),
        serde_json::json!([{
            "code": "unexpected-token", "severity": "error",
            "message": "mismatched input '[' expecting ';'",
            "span": {"line": 2, "column": 0, "start": 13, "end": 14},
            "symbol": "[", "grammarRule": "policy > versionInfo", "expected": ["';'"], "hint": null,
        }])
    );
}

/// Texts with pieces removed, repeated and moved: some are still policies, none panics.
#[test]
fn mutilated_policies() {
    let everything = "version=1.2;configurationrules{=> issueproperty(type=\"p\", value=1);};authorizationrules{!c:[type==\"a\", value!=-1] && d:[issuer==\"CustomClaim\", value>=2] => permit(); => add(claim=d);};issuancerules{c:[type==\"j\"] => issue(type=AppendString(\"a\\\"\\\\\", \"b\"), value=JsonToClaimValue(JmesPath(c.value, \"a[?b == `1`].{x: y} | [0:2:-1]\")));};// end";
    let claims = [Claim::custom("j", "{\"a\":[{\"b\":1,\"y\":2}]}"), Claim::service("a", 3_u32)];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below
    };
    let mut accepted = 0;
    for source in [everything, defaults::SGX, defaults::AZURE_GUEST] {
        let characters: Vec<char> = source.chars().collect();
        for _ in 0..1500 {
            let mut mutant = characters.clone();
            for _ in 0..=random(3) {
                let (from, length, to) = (random(mutant.len()), random(6), random(mutant.len()));
                let piece: Vec<char> = mutant[from..(from + length).min(mutant.len())].to_vec();
                match random(3) {
                    0 => drop(mutant.drain(from..from + piece.len())),
                    1 => drop(mutant.splice(to..to, piece)),
                    _ => mutant[to] = char::from(u8::try_from(random(127)).unwrap()),
                }
                if mutant.is_empty() {
                    mutant.push(' ');
                }
            }
            let text: String = mutant.into_iter().collect();
            match Policy::analyze(&text) {
                Ok(policy) => {
                    accepted += 1;
                    assert_eq!(policy.text(), text);
                    let _ = policy.configure();
                    let _ = policy.evaluate(&claims);
                }
                Err(diagnostics) => assert!(!diagnostics.to_string().is_empty()),
            }
        }
    }
    assert!(accepted > 100, "{accepted} accepted");
}

#[test]
fn policies_are_shared_between_threads() {
    const fn shared<T: Send + Sync>() {}
    shared::<Policy>();
    shared::<Diagnostics>();
    shared::<Outcome>();
}
