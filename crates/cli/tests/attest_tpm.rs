//! A machine with a TPM, attested end to end by the program alone: a software TPM, its logs, a real service.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;
#[path = "support/swtpm.rs"]
mod swtpm;

use std::fs;
use std::path::{Path, PathBuf};

use evidence::eventlog::{EventLog, ImaLog};
use serde_json::Value;
use support::{Ran, Service, captures, run, scratch};
use swtpm::Swtpm;

const POLICY: &str = "version=1.2;
authorizationrules { [type==\"aikValidated\", value==true] => permit(); };
issuancerules {
    c:[type==\"aikValidated\"] => issue(type=\"aikValidated\", value=c.value);
    c:[type==\"secureBootEnabled\"] => issue(type=\"secureBootEnabled\", value=c.value);
    c:[type==\"fleet\"] => issue(type=\"machineFleet\", value=c.value);
    c:[type==\"x-ms-tpm-request-key\"] => issue(type=\"x-ms-tpm-request-key\", value=c.value);
};
";

/// A machine with a TPM and logs, and a service that trusts the TPM's maker.
struct World {
    files: PathBuf,
    tpm: Swtpm,
    service: Service,
}

impl World {
    /// `None` without swtpm. `boot` measures a boot into the TPM and writes `eventlog` and `ima.bin`.
    fn start(name: &str, boot: impl FnOnce(&Swtpm, &Path)) -> Option<Self> {
        let files = scratch(name);
        let tpm = Swtpm::start(&files.join("tpm"))?;
        fs::write(files.join("tpm.policy"), POLICY).unwrap();
        boot(&tpm, &files);
        let roots = files.join("roots").to_str().unwrap().to_owned();
        let import = ["tpm", "roots", "import", "--role", "ek", "--to", &roots, tpm.ca.to_str().unwrap()];
        let imported = run(import, "");
        assert_eq!(imported.status, 0, "{imported:?}");
        let service = Service::start(&files.join("data"), 0, ["--tpm-roots", &roots]);
        let world = Self { files, tpm, service };
        for role in ["reader", "contributor"] {
            let token = run(["admin", "token", "--role", role, "--data-dir", &world.path("data")], "");
            assert_eq!(token.status, 0, "{token:?}");
            fs::write(world.path(role), token.stdout).unwrap();
        }
        let set = world.ask("contributor", &["policy", "set", "Tpm", &world.path("tpm.policy")]);
        assert_eq!(set.status, 0, "{set:?}");
        Some(world)
    }

    fn path(&self, name: &str) -> String {
        self.files.join(name).to_str().unwrap().to_owned()
    }

    /// Runs a command that talks to the service.
    fn ask(&self, role: &str, command: &[&str]) -> Ran {
        let (ca, token) = (self.service.ca.to_str().unwrap(), self.path(role));
        let service = ["--endpoint", &self.service.uri, "--ca-file", ca, "--bearer-token-file", &token];
        run(command.iter().chain(&service), "")
    }

    /// Attests with the machine's logs; `arguments` come after them.
    fn attest(&self, arguments: &[&str]) -> Ran {
        self.attest_with("eventlog", arguments)
    }

    fn attest_with(&self, event_log: &str, arguments: &[&str]) -> Ran {
        let (tcti, state) = (self.tpm.tcti(), self.path("state"));
        let (event_log, ima) = (self.path(event_log), self.path("ima.bin"));
        let command = ["attest", "tpm", "--tcti", &tcti, "--event-log", &event_log, "--ima-log", &ima];
        let ran = self.ask("reader", &[&command[..], &["--state-dir", &state], arguments].concat());
        assert_eq!(self.tpm.loaded(), 0, "something stays loaded: {ran:?}");
        ran
    }

    fn claims(&self, token: &str) -> Value {
        let ca = self.service.ca.to_str().unwrap();
        let verified =
            run(["token", "verify", "-", "--issuer", &self.service.uri, "--ca-file", ca, "--json"], token);
        assert_eq!(verified.status, 0, "{verified:?}");
        serde_json::from_str(&verified.stdout).unwrap()
    }

    fn refused(&self, ran: &Ran, says: &str) {
        assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{ran:?}");
        assert!(ran.stderr.contains(says), "{says}: {ran:?}");
    }
}

#[test]
fn a_machine_is_enrolled_once_and_attested_again_and_again() {
    let Some(world) = World::start("attest-tpm", nothing_but_separators) else { return };
    let first = world.attest(&["--rp-data", "AQID", "--claim", "fleet=lab", "--save", &world.path("saved")]);
    assert_eq!(first.status, 0, "{first:?}");
    assert!(first.stderr.contains("enrolled as machine "), "{first:?}");
    let claims = world.claims(&first.stdout);
    assert_eq!(claims["iss"], world.service.uri.as_str());
    assert_eq!(claims["aikValidated"], true);
    assert_eq!(claims["rp_data"], "AQID");
    assert_eq!(claims["machineFleet"], "lab");
    assert_eq!(claims["x-ms-tpm-request-key"]["info"]["tpm_quote"]["hash_alg"], "sha-256");

    let second = world.attest(&["--json"]);
    assert_eq!((second.status, second.stderr.as_str()), (0, ""), "not enrolled again: {second:?}");
    let answer: Value = serde_json::from_str(&second.stdout).unwrap();
    assert_eq!(answer["claims"]["aikValidated"], true);
    assert_ne!(answer["claims"]["cnf"], claims["cnf"], "each attestation has its own request key");

    let machine = first.stderr.split("machine ").nth(1).unwrap().split(';').next().unwrap().to_owned();
    fs::remove_dir_all(world.path("state")).unwrap();
    let lost = world.attest(&[]);
    assert_eq!(lost.status, 0, "{lost:?}");
    assert!(lost.stderr.contains(&machine), "a new key, the same machine: {lost:?}");

    let ecc = world.attest(&["--key-algorithm", "ecc"]);
    assert_eq!(ecc.status, 0, "{ecc:?}");
    assert!(ecc.stderr.contains(&machine), "{ecc:?}");
    let enrolled = world.attest(&["--enroll"]);
    assert!(enrolled.status == 0 && enrolled.stderr.contains(&machine), "{enrolled:?}");
}

#[test]
fn a_revoked_machine_is_refused_until_it_is_restored() {
    let Some(world) = World::start("attest-tpm-revoked", nothing_but_separators) else { return };
    let none = world.ask("reader", &["tpm", "machines", "list"]);
    assert_eq!((none.status, none.stdout.as_str()), (0, "0 machines are enrolled\n"), "{none:?}");
    assert_eq!(world.attest(&[]).status, 0);
    let listed = world.ask("reader", &["tpm", "machines", "list", "--json"]);
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    let machine = listed["machines"][0]["machine"].as_str().unwrap().to_owned();
    let shown = world.ask("reader", &["tpm", "machines", "show", &machine]);
    assert!(shown.stdout.starts_with(&format!("machine {machine}\n  enrolled")), "{shown:?}");
    assert_eq!(shown.stdout.matches("  certificate  ").count(), 1, "{shown:?}");

    let revoke = ["tpm", "machines", "revoke", &machine, "--reason", "stolen"];
    let reader = world.ask("reader", &revoke);
    assert_eq!((reader.status, reader.stdout.as_str()), (3, ""), "{reader:?}");
    let revoked = world.ask("contributor", &revoke);
    assert!(revoked.status == 0 && revoked.stdout.contains(": stolen"), "{revoked:?}");
    let listed = world.ask("reader", &["tpm", "machines", "list"]);
    assert!(listed.stdout.starts_with("1 machine is enrolled\n"), "{listed:?}");
    assert!(listed.stdout.contains(&format!("{machine}  revoked since ")), "{listed:?}");
    world.refused(&world.attest(&[]), &format!("the machine `{machine}` is revoked"));
    world.refused(&world.attest(&["--enroll"]), &format!("the machine `{machine}` is revoked since"));
    world.refused(&world.attest(&["--key-algorithm", "ecc"]), "is revoked since");

    let restored = world.ask("contributor", &["tpm", "machines", "restore", &machine]);
    assert!(restored.status == 0 && !restored.stdout.contains("revoked"), "{restored:?}");
    let again = world.attest(&[]);
    assert_eq!((again.status, again.stderr.as_str()), (0, ""), "with the certificate it had: {again:?}");
    let unknown = world.ask("reader", &["tpm", "machines", "show", &"0".repeat(64)]);
    assert!(unknown.status == 3 && unknown.stderr.contains("is enrolled"), "{unknown:?}");
}

#[test]
fn what_the_service_refuses_is_said_and_nothing_stays_loaded() {
    let Some(world) = World::start("attest-tpm-refused", nothing_but_separators) else { return };
    let mut log = fs::read(world.path("eventlog")).unwrap();
    // The digest of the last separator, of PCR 7.
    let digest = log.len() - 4 - 4 - 1;
    log[digest] ^= 1;
    fs::write(world.path("altered"), log).unwrap();
    let altered = world.attest_with("altered", &[]);
    world.refused(&altered, "PCR 7");
    let few = world.attest(&["--pcrs", "0-7,10"]);
    world.refused(&few, "PCR");

    let inactive = world.attest(&["--bank", "sha384"]);
    assert_eq!(inactive.status, 3, "{inactive:?}");
    assert!(inactive.stderr.contains("hint: the firmware's settings say which banks are active"));

    // No access token.
    let (tcti, state) = (world.tpm.tcti(), world.path("other-state"));
    let command = ["attest", "tpm", "--tcti", &tcti, "--no-event-log", "--no-ima", "--state-dir", &state];
    let ca = world.service.ca.to_str().unwrap();
    let nobody = run(command.iter().chain(&["--endpoint", &world.service.uri, "--ca-file", ca]), "");
    assert_eq!((nobody.status, nobody.stdout.as_str()), (3, ""), "{nobody:?}");
    assert!(nobody.stderr.contains("Unauthorized"), "{nobody:?}");
}

/// The boots of a real PC happen again in the software TPM.
#[test]
fn real_boots_are_attested_with_what_they_say() {
    let Some(captures) = captures() else { return };
    let lab = captures.join("vectors-lab");
    for (set, secure_boot) in [("secure-boot-on", true), ("secure-boot-off", false)] {
        let boot = |tpm: &Swtpm, files: &Path| captured(tpm, files, &lab.join(set));
        let Some(world) = World::start(&format!("attest-tpm-{set}"), boot) else { return };
        let attested = world.attest(&[]);
        assert_eq!(attested.status, 0, "{attested:?}");
        assert_eq!(world.claims(&attested.stdout)["secureBootEnabled"], secure_boot);
        if !secure_boot {
            let flipped = lab.join("tampered/secureboot-data-flipped.eventlog");
            fs::copy(flipped, world.path("flipped")).unwrap();
            let flipped = world.attest_with("flipped", &[]);
            assert_eq!((flipped.status, flipped.stdout.as_str()), (1, ""), "{flipped:?}");
            fs::copy(lab.join("secure-boot-on/eventlog"), world.path("of-another-boot")).unwrap();
            let other = world.attest_with("of-another-boot", &[]);
            world.refused(&other, "PCR 0");
        }
    }
}

/// The commands of `docs/tpm.md`, with the sample policy of Linux machines.
#[test]
fn from_a_bare_machine_to_a_token() {
    let Some(captures) = captures() else { return };
    let lab = captures.join("vectors-lab");
    for (set, status) in [("secure-boot-on", 0), ("secure-boot-off", 1)] {
        let files = scratch(&format!("attest-tpm-bare-{set}"));
        let Some(tpm) = Swtpm::start(&files.join("tpm")) else { return };
        captured(&tpm, &files, &lab.join(set));
        let path = |name: &str| files.join(name).to_str().unwrap().to_owned();
        fs::write(path("linux-fleet.policy"), include_str!("../../../docs/policies/linux-fleet.policy"))
            .unwrap();
        let configuration = "[provider.tpm]\nroots = \"tpm-roots\"\n\
                             [provider.policies]\nTpm = \"linux-fleet.policy\"\n";
        fs::write(path("vouchsafe.toml"), configuration).unwrap();
        let answer = |command: &[&str], input: &str| {
            let ran = run(command, input);
            assert_eq!(ran.status, 0, "{command:?}: {ran:?}");
            ran.stdout
        };
        let maker = tpm.ca.to_str().unwrap();
        answer(&["tpm", "roots", "import", "--role", "ek", "--to", &path("tpm-roots"), maker], "");
        let service = Service::start(&files.join("data"), 0, ["--config", &path("vouchsafe.toml")]);
        let token = answer(&["admin", "token", "--role", "reader", "--data-dir", &path("data")], "");
        fs::write(path("reader-token"), token).unwrap();
        let (tcti, ca) = (tpm.tcti(), service.ca.to_str().unwrap());
        let attest = ["attest", "tpm", "--endpoint", &service.uri, "--ca-file", ca, "--tcti", &tcti];
        let caller = ["--bearer-token-file", &path("reader-token"), "--state-dir", &path("state")];
        let logs = ["--event-log", &path("eventlog"), "--ima-log", &path("ima.bin")];
        let attested = run([&attest[..], &caller, &logs].concat(), "");
        assert_eq!(attested.status, status, "{set}: {attested:?}");
        if status == 0 {
            let verify = ["token", "verify", "-", "--issuer", &service.uri, "--ca-file", ca, "--json"];
            let claims: Value = serde_json::from_str(&answer(&verify, &attested.stdout)).unwrap();
            assert_eq!(claims["secureBootEnabled"], true);
        } else {
            assert!(attested.stderr.contains("PolicyEvaluationError"), "{attested:?}");
        }
    }
}

/// Extends what the logs of a captured boot say was measured.
fn captured(tpm: &Swtpm, files: &Path, set: &Path) {
    let log = fs::read(set.join("eventlog")).unwrap();
    for event in EventLog::parse(&log).unwrap().events() {
        if event.is_extended() {
            let digest = |bank| event.digest(bank).unwrap();
            let sha1 = digest(crypto::HashAlgorithm::Sha1).try_into().unwrap();
            let sha256 = digest(crypto::HashAlgorithm::Sha256).try_into().unwrap();
            tpm.extend(event.pcr.try_into().unwrap(), &sha1, &sha256);
        }
    }
    let ima = fs::read(set.join("ima.bin")).unwrap();
    for record in ImaLog::parse(&ima).unwrap().unverified_records() {
        tpm.extend(10, &crypto::sha1(record.data), &crypto::sha256(record.data));
    }
    fs::write(files.join("eventlog"), log).unwrap();
    fs::write(files.join("ima.bin"), ima).unwrap();
}

/// Measures a boot of nothing but separators into PCRs 0 to 7, and what IMA adds to PCR 10.
fn nothing_but_separators(tpm: &Swtpm, files: &Path) {
    let mut log = Vec::new();
    let mut spec_id = b"Spec ID Event03\0\0\0\0\0\0\x02\0\x02\x02\0\0\0".to_vec();
    for (algorithm, size) in [(4_u16, 20_u16), (0x0b, 32)] {
        spec_id.extend(algorithm.to_le_bytes());
        spec_id.extend(size.to_le_bytes());
    }
    spec_id.push(0);
    log.extend(0_u32.to_le_bytes());
    log.extend(3_u32.to_le_bytes());
    log.extend([0; 20]);
    log.extend(u32::try_from(spec_id.len()).unwrap().to_le_bytes());
    log.extend(spec_id);
    let separator = [0; 4];
    let (sha1, sha256) = (crypto::sha1(&separator), crypto::sha256(&separator));
    for pcr in 0..8_u8 {
        log.extend(u32::from(pcr).to_le_bytes());
        log.extend(4_u32.to_le_bytes());
        log.extend(2_u32.to_le_bytes());
        log.extend(4_u16.to_le_bytes());
        log.extend(sha1);
        log.extend(0x0b_u16.to_le_bytes());
        log.extend(sha256);
        log.extend(4_u32.to_le_bytes());
        log.extend(separator);
        tpm.extend(pcr, &sha1, &sha256);
    }
    fs::write(files.join("eventlog"), log).unwrap();

    let measured = crypto::sha256_of_parts(&[&[0; 32], &sha256]);
    let aggregate = crypto::sha256(&[measured.repeat(8), vec![0; 64]].concat());
    let mut data = Vec::new();
    data.extend(40_u32.to_le_bytes());
    data.extend(b"sha256:\0");
    data.extend(aggregate);
    data.extend(15_u32.to_le_bytes());
    data.extend(b"boot_aggregate\0");
    let template = crypto::sha1(&data);
    let mut ima = 10_u32.to_le_bytes().to_vec();
    ima.extend(template);
    ima.extend(6_u32.to_le_bytes());
    ima.extend(b"ima-ng");
    ima.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
    ima.extend(&data);
    tpm.extend(10, &template, &crypto::sha256(&data));
    // Nothing measured after the quote is an obstacle: the log may be longer.
    ima.extend(ima.clone());
    fs::write(files.join("ima.bin"), ima).unwrap();
}
