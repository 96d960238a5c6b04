//! Evaluation of policies beside `regorus`, a Rego engine, in the same run.
//!
//!     cargo bench --manifest-path bench/Cargo.toml --bench policy
//!
//! The Rego policies are compiled beforehand, too, and get their claims as one object by name, the form that suits
//! Rego best. Both of the peer's engines are asked: its interpreter of prepared policies, and its virtual machine,
//! which knows a part of the language. Times are medians in microseconds on one core; what counts are the ratios.

use std::fmt::Write as _;

use bench::rounds::{Subject, measure};
use policy::{Claim, Outcome, Policy, defaults, to_json_map};
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::RegoVM;
use regorus::{Engine, Rc, Value};

/// Rules of the policies whose cost is to be linear.
const SIZES: [usize; 6] = [1, 10, 50, 100, 150, 200];

/// The default SGX policy as people would write it in Rego: a claim that is absent is not issued.
const SGX_REGO: &str = r#"package vouchsafe
import rego.v1
result := {"permit": permit, "issued": issued}
default permit := false
permit := true
issued["is-debuggable"] := input["x-ms-sgx-is-debuggable"]
issued["sgx-mrsigner"] := input["x-ms-sgx-mrsigner"]
issued["sgx-mrenclave"] := input["x-ms-sgx-mrenclave"]
issued["product-id"] := input["x-ms-sgx-product-id"]
issued["svn"] := input["x-ms-sgx-svn"]
issued["tee"] := input["x-ms-attestation-type"]
"#;

/// The same for evidence that has all these claims, as all of SGX has: less work, and the virtual machine of the peer
/// does not know the rules above.
const SGX_REGO_LITERAL: &str = r#"package vouchsafe
import rego.v1
default permit := false
permit := true
result := {"permit": permit, "issued": {
    "is-debuggable": input["x-ms-sgx-is-debuggable"],
    "sgx-mrsigner": input["x-ms-sgx-mrsigner"],
    "sgx-mrenclave": input["x-ms-sgx-mrenclave"],
    "product-id": input["x-ms-sgx-product-id"],
    "svn": input["x-ms-sgx-svn"],
    "tee": input["x-ms-attestation-type"],
}}
"#;

fn main() {
    let claims = claims();
    let input = input(&claims);
    let sgx = Pair::new(defaults::SGX, SGX_REGO_LITERAL, &claims, &input);
    let idiomatic = compiled(SGX_REGO);
    let sizes: Vec<Pair> = SIZES.iter().map(|rules| Pair::sized(*rules, &claims, &input)).collect();

    println!(
        "{:<24} {:>9} {:>10} {:>10} {:>7} {:>11} {:>7}",
        "policy", "µs", "with JSON", "regorus", "ratio", "regorus VM", "ratio"
    );
    let (prepared, machine) = sgx.row("default SGX", &claims, &input);
    let rules =
        measure(vec![Subject::new("rules", || idiomatic.eval_with_input(input.clone()).expect("a result"))]);
    println!("{:<24} {:>9} {:>10} {:>10.3}", "  as partial rules", "", "", rules.first().expect("a time").1);
    println!(
        "The default SGX policy is evaluated {prepared:.1} times faster than by regorus (target: 5), and {machine:.1} \
         times faster than by its virtual machine.\n"
    );

    for (rules, pair) in SIZES.iter().zip(&sizes) {
        pair.row(&format!("{rules} rules"), &claims, &input);
    }
    // In the same rounds, so that all see the same machine.
    let subjects =
        sizes.iter().map(|pair| Subject::new("", || pair.policy.evaluate(&claims).expect("a decision")));
    let times = measure(subjects.collect());
    let times: Vec<_> = SIZES.iter().zip(times).map(|(rules, (_, time))| (*rules as f64, time)).collect();
    let (slope, fixed, worst) = line(&times);
    println!(
        "A rule costs {slope:.3} µs and the rest {fixed:.3} µs; the largest distance from this line is {:.0} %.",
        worst * 100.0
    );
}

/// A policy in both languages.
struct Pair {
    policy: Policy,
    rego: regorus::CompiledPolicy,
    program: std::sync::Arc<regorus::rvm::Program>,
}

impl Pair {
    fn new(text: &str, rego: &str, claims: &[Claim], input: &Value) -> Self {
        let policy = Policy::analyze(text).expect("a policy");
        let compiled = compiled(rego);
        let program =
            Compiler::compile_from_policy(&compiled, &["data.vouchsafe.result"]).expect("a program");
        let pair = Self { policy, rego: compiled, program };
        pair.agree(claims, input);
        pair
    }

    /// `rules` rules, of which the last permits: each but that one has to be tried and refused.
    fn sized(rules: usize, claims: &[Claim], input: &Value) -> Self {
        let mut text = String::from("version=1.0;\nauthorizationrules\n{\n");
        let mut rego = String::from(
            "package vouchsafe\nimport rego.v1\nresult := {\"permit\": permit, \"issued\": {}}\ndefault permit := false\n",
        );
        for number in 1..=rules {
            let signer = if number == rules { hex('4') } else { format!("{number:064x}") };
            writeln!(
                text,
                "[type==\"x-ms-sgx-svn\", value>=2] && [type==\"x-ms-sgx-mrsigner\", value==\"{signer}\"] => permit();"
            )
            .expect("a string");
            writeln!(
                rego,
                "permit if {{\n input[\"x-ms-sgx-svn\"] >= 2\n input[\"x-ms-sgx-mrsigner\"] == \"{signer}\"\n}}"
            )
            .expect("a string");
        }
        text.push_str("};\n");
        Self::new(&text, &rego, claims, input)
    }

    /// Both permit, and issue the same.
    fn agree(&self, claims: &[Claim], input: &Value) {
        let Ok(Outcome::Permitted(permit)) = self.policy.evaluate(claims) else { panic!("a permit") };
        let ours = serde_json::json!({ "permit": true, "issued": to_json_map(&permit.issued) });
        for theirs in [self.rego(input), self.virtual_machine(input)()] {
            let theirs: serde_json::Value =
                serde_json::from_str(&theirs.to_json_str().expect("JSON")).expect("JSON");
            assert_eq!(theirs, ours);
        }
    }

    fn rego(&self, input: &Value) -> Value {
        self.rego.eval_with_input(input.clone()).expect("a result")
    }

    fn virtual_machine(&self, input: &Value) -> impl FnMut() -> Value {
        let mut machine = RegoVM::new();
        machine.load_program(std::sync::Arc::clone(&self.program));
        let input = input.clone();
        move || {
            machine.set_input(input.clone());
            machine.execute().expect("a result")
        }
    }

    /// Prints the times of all; returns how many times faster ours is than each of theirs.
    fn row(&self, name: &str, claims: &[Claim], input: &Value) -> (f64, f64) {
        let times = measure(vec![
            Subject::new("ours", || self.policy.evaluate(claims).expect("a decision")),
            Subject::new("json", || match self.policy.evaluate(claims).expect("a decision") {
                Outcome::Permitted(permit) => to_json_map(&permit.issued),
                Outcome::Denied(_) => panic!("a permit"),
            }),
            Subject::new("rego", || self.rego(input)),
            Subject::new("machine", self.virtual_machine(input)),
        ]);
        let [ours, json, rego, machine] = times.as_slice() else { panic!("four times") };
        let (prepared, virtual_machine) = (rego.1 / ours.1, machine.1 / ours.1);
        println!(
            "{name:<24} {:>9.3} {:>10.3} {:>10.3} {prepared:>7.1} {:>11.3} {virtual_machine:>7.1}",
            ours.1, json.1, rego.1, machine.1
        );
        (prepared, virtual_machine)
    }
}

fn compiled(rego: &str) -> regorus::CompiledPolicy {
    let mut engine = Engine::new();
    engine.add_policy("policy.rego".to_owned(), rego.to_owned()).expect("a Rego policy");
    engine.compile_with_entrypoint(&Rc::from("data.vouchsafe.result")).expect("a compiled policy")
}

/// What the service gives the policy of an SGX enclave.
fn claims() -> Vec<Claim> {
    let named = [
        ("x-ms-sgx-mrenclave", "$sgx-mrenclave", hex('e')),
        ("x-ms-sgx-mrsigner", "$sgx-mrsigner", hex('4')),
    ];
    let mut claims = vec![
        Claim::service("x-ms-attestation-type", "sgx"),
        Claim::service("$tee", "sgx"),
        Claim::service("x-ms-sgx-is-debuggable", false),
        Claim::service("$is-debuggable", false),
        Claim::service("x-ms-sgx-product-id", 1_i64),
        Claim::service("$product-id", 1_i64),
        Claim::service("x-ms-sgx-svn", 3_i64),
        Claim::service("$svn", 3_i64),
        Claim::service("x-ms-sgx-report-data", format!("{}{}", hex('a'), hex('0'))),
    ];
    for (modern, old, value) in named {
        claims.push(Claim::service(modern, value.as_str()));
        claims.push(Claim::service(old, value));
    }
    claims
}

/// The same as one object.
fn input(claims: &[Claim]) -> Value {
    let object: serde_json::Map<String, serde_json::Value> =
        claims.iter().map(|claim| (claim.claim_type.to_string(), claim.value.to_json())).collect();
    Value::from_json_str(&serde_json::Value::Object(object).to_string()).expect("a value")
}

fn hex(digit: char) -> String {
    std::iter::repeat_n(digit, 64).collect()
}

/// The straight line through points by least squares: slope, height, and the largest relative distance.
fn line(points: &[(f64, f64)]) -> (f64, f64, f64) {
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let covariance: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let variance: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let slope = covariance / variance;
    let fixed = y - slope * x;
    let distance = |point: &(f64, f64)| ((fixed + slope * point.0) / point.1 - 1.0).abs();
    (slope, fixed, points.iter().map(distance).fold(0.0, f64::max))
}
