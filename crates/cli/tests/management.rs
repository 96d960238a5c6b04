//! Policies and signers of a real service, by the program alone.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use crypto::SigningAlgorithm;
use serde_json::Value;
use support::{Ran, Service, policy_signer, run, scratch};

const POLICY: &str =
    "version=1.0;\r\nauthorizationrules { [type==\"x-ms-sgx-svn\", value>=3] => permit(); };";

/// A service, its files, and a caller with a token.
struct World {
    files: PathBuf,
    service: Service,
}

impl World {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let files = scratch(name);
        fs::write(files.join("p.policy"), POLICY).unwrap();
        let rs256 = policy_signer(SigningAlgorithm::Rs256, "first");
        let es256 = policy_signer(SigningAlgorithm::Es256, "second");
        for (signer, (key, certificate)) in [("first", rs256), ("second", es256)] {
            fs::write(files.join(format!("{signer}-key.pem")), key).unwrap();
            fs::write(files.join(format!("{signer}.pem")), certificate).unwrap();
        }
        let arguments: Vec<String> =
            arguments.iter().map(|argument| argument.replace("DIR", files.to_str().unwrap())).collect();
        let service = Service::start(&files.join("data"), 0, &arguments);
        let world = Self { files, service };
        let wrong = run(
            ["admin", "token", "--provider", "nosuch", "--data-dir", world.path("data").to_str().unwrap()],
            "",
        );
        assert_eq!(wrong.status, 2, "{wrong:?}");
        assert!(wrong.stderr.contains("no provider `nosuch`; it has `default`"), "{wrong:?}");
        let token = run(["admin", "token", "--data-dir", world.path("data").to_str().unwrap()], "");
        assert_eq!(token.status, 0, "{token:?}");
        fs::write(world.path("token"), token.stdout).unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.join(name)
    }

    /// Runs a command; words of the form `@name` are files of this world.
    fn run(&self, command: &str) -> Ran {
        let words = command.split(' ').map(|word| match word.strip_prefix('@') {
            Some(name) => self.path(name).to_str().unwrap().to_owned(),
            None => word.to_owned(),
        });
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let service = [
            "--endpoint".to_owned(),
            self.service.uri.clone(),
            "--ca-file".to_owned(),
            path(&self.service.ca),
            "--bearer-token-file".to_owned(),
            path(&self.path("token")),
        ];
        run(words.chain(service), "")
    }

    fn yes(&self, command: &str) -> String {
        let ran = self.run(command);
        assert_eq!(ran.status, 0, "{command}: {ran:?}");
        ran.stdout
    }

    fn json(&self, command: &str) -> Value {
        serde_json::from_str(&self.yes(&format!("{command} --json"))).unwrap()
    }

    fn no(&self, command: &str, status: i32, says: &str) {
        let ran = self.run(command);
        assert_eq!((ran.status, ran.stdout.as_str()), (status, ""), "{command}: {ran:?}");
        assert!(ran.stderr.contains(says), "{command}: {ran:?}");
    }
}

#[test]
fn policies_of_a_service() {
    let world = World::start("management", &[]);
    assert_eq!(world.json("policy get SgxEnclave")["hash"], "ViVGS4BYl70X8eUrgryHg0TtbEk9WtIc6DtTBEFxaWc");
    assert_eq!(world.yes("policy get SgxEnclave"), policy::defaults::SGX);

    // An unsigned text, back to the last byte.
    let hash = policy::Policy::analyze(POLICY).unwrap().hash().to_owned();
    let updated = world.yes("policy set SgxEnclave @p.policy");
    assert_eq!(updated, format!("SgxEnclave: updated; x-ms-policy-hash is {hash}\n"));
    assert_eq!(world.yes("policy get sgx"), POLICY);
    assert_eq!(world.json("policy get sgx")["signer"], Value::Null);

    // Signed here, and signed before.
    let answer =
        world.json("policy set SgxEnclave @p.policy --signer-key @first-key.pem --signer-cert @first.pem");
    assert_eq!(answer["x-ms-policy-signer"]["alg"], "RS256");
    let (key, certificate) = (world.path("second-key.pem"), world.path("second.pem"));
    let signed = run(
        [
            "policy".as_ref(),
            "sign".as_ref(),
            world.path("p.policy").as_os_str(),
            "--signer-key".as_ref(),
            key.as_os_str(),
            "--signer-cert".as_ref(),
            certificate.as_os_str(),
        ],
        "",
    );
    assert_eq!(signed.status, 0, "{signed:?}");
    fs::write(world.path("p.jws"), &signed.stdout).unwrap();
    world.yes("policy set SgxEnclave @p.jws");
    assert_eq!(world.yes("policy get SgxEnclave --jws"), signed.stdout);
    assert_eq!(world.json("policy get SgxEnclave")["signer"]["subject"], "second");

    world.yes("policy reset SgxEnclave");
    assert_eq!(world.yes("policy get SgxEnclave"), policy::defaults::SGX);
    world.yes("policy rollback SgxEnclave 1");
    assert_eq!(world.yes("policy get SgxEnclave"), POLICY);
    world.yes("policy rollback SgxEnclave 4");
    assert_eq!(world.yes("policy get SgxEnclave"), policy::defaults::SGX);
    assert_eq!(world.yes("policy get SgxEnclave --version 3 --jws"), signed.stdout);
    let history = world.json("policy history SgxEnclave");
    let actions: Vec<_> = history["versions"].as_array().unwrap().iter().map(|row| &row["action"]).collect();
    assert_eq!(actions, ["rollback", "rollback", "reset", "set", "set", "set"]);
    let listed = world.yes("policy history SgxEnclave --limit 4");
    assert_eq!(listed.lines().count(), 4, "{listed}");
    assert!(listed.contains("rollback to 1") && listed.contains("signed by second"), "{listed}");

    // Without a policy, without certificates.
    assert_eq!(world.yes("policy get Tpm"), "");
    assert_eq!(world.yes("signers list"), "0 certificates may sign policies\n");
    let change = "@first.pem --signer-key @first-key.pem --signer-cert @first.pem";
    world.no(&format!("signers add {change}"), 1, "InvalidOperation");
    world.no("policy rollback SgxEnclave 99", 3, "no version 99");
}

#[test]
fn what_is_wrong_is_told_and_nothing_is_sent() {
    let world = World::start("management-wrong", &[]);
    fs::write(world.path("wrong.policy"), "version=1.0;").unwrap();
    world.no("policy set SgxEnclave @wrong.policy", 1, "is not a policy");
    world.no("policy set SgxEnclave @wrong.policy --no-check", 1, "PolicyParsingError");
    world.no("policy set SgxEnclave @absent", 2, "cannot be read");
    world.no(
        "policy set SgxEnclave @p.policy --signer-key @first.pem --signer-cert @first.pem",
        2,
        "`CERTIFICATE`",
    );
    world.no(
        "policy set SgxEnclave @p.policy --signer-key @p.policy --signer-cert @first.pem",
        2,
        "no private key",
    );
    world.no(
        "policy set SgxEnclave @p.policy --signer-key @first-key.pem --signer-cert @p.policy",
        2,
        "no certificate",
    );
    world.no(
        "policy set SgxEnclave @p.policy --signer-key @first-key.pem --signer-cert @second.pem",
        2,
        "the certificate is not that of the key",
    );
    world.no("policy reset SgxEnclave --signed @p.policy", 2, "is no signed reset");
    world.no("signers add @first.pem", 2, "signed by one of them");
    world.no("policy get SgxEnclave --issuer https://other.example", 3, "does not verify");
    fs::write(world.path("token"), "not.a.token").unwrap();
    world.no("policy get SgxEnclave", 3, "Unauthorized");
    assert_eq!(run(["policy", "get", "SgxEnclave"], "").status, 2, "no endpoint");
}

#[test]
fn signers_of_the_isolated_model() {
    let world = World::start(
        "management-isolated",
        &[
            "--set",
            "provider.trust_model=isolated",
            "--set",
            "provider.policy_signer_certificates=DIR/first.pem",
        ],
    );
    let by = |name: &str| format!("--signer-key @{name}-key.pem --signer-cert @{name}.pem");
    let listed = world.yes("signers list");
    assert!(
        listed.starts_with("1 certificates may sign policies\n") && listed.contains("RS256 first"),
        "{listed}"
    );

    world.no("policy set SgxEnclave @p.policy", 1, "InvalidOperation");
    world.no(&format!("policy set SgxEnclave @p.policy {}", by("second")), 1, "the service refused");
    world.no("policy reset SgxEnclave", 1, "InvalidOperation");
    world.yes(&format!("policy set SgxEnclave @p.policy {}", by("first")));

    let added = world.yes(&format!("signers add @second.pem {}", by("first")));
    assert!(added.contains("(second) may sign policies"), "{added}");
    assert_eq!(world.json("signers list")["keys"].as_array().unwrap().len(), 2);
    world.yes(&format!("policy set SgxEnclave @p.policy {}", by("second")));
    let removed = world.yes(&format!("signers remove @first.pem {}", by("second")));
    assert!(removed.contains("(first) may no longer sign policies"), "{removed}");
    world.no(&format!("signers remove @second.pem {}", by("second")), 1, "the service refused");
    world.no(&format!("policy set SgxEnclave @p.policy {}", by("first")), 1, "the service refused");
    world.yes(&format!("policy reset SgxEnclave {}", by("second")));
    assert_eq!(world.yes("policy get SgxEnclave"), policy::defaults::SGX);
}
