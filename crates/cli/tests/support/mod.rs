//! What the tests of the program share: the program, and files to run it on.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod boot;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use testkit::intel::{Ca, Forge};
use time::macros::datetime;

/// The program under test.
pub const VOUCHSAFE: &str = env!("CARGO_BIN_EXE_vouchsafe");

/// Fills `directory` with evidence and endorsements of a forged platform, current on 2026-01-01, whose root is in
/// `root.pem`:
///
/// - `quote.bin`, `report.bin` (the same as an Open Enclave report), bound to `runtime.txt`;
/// - `endorsements.json` for both, `pcs/` the same as raw answers of a PCS;
/// - `damaged.bin` (one bit of the enclave's measurement flipped), `short.bin` (its first 100 bytes);
/// - `revoked.bin` and `revoked.json`: a platform whose TCB level is revoked;
/// - `outdated.bin` and `outdated.json`: one that is out of date;
/// - `policy.txt`, `broken-policy.txt`;
/// - `failing.policy`, and test cases of policies in `cases/`;
/// - `boot`, `boot-changed`, `boot-longer`, `boot-certified`: TPM evidence, whose nonce is in `nonce`; `ak-ca.pem`,
///   `ak-ca.crl`, `ak-ca.crl.pem`: the authority of its key;
/// - `signer-key.pem` and `signer.pem`: a key that signs policies, and its certificate.
pub fn world(directory: &Path) {
    let _ = fs::remove_dir_all(directory);
    fs::create_dir_all(directory.join("pcs")).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(directory.join(name), bytes).unwrap();

    write("runtime.txt", RUNTIME_DATA);
    write("other.txt", b"something else");
    let mut forge = Forge::new(Ca::Platform, datetime!(2026-01-01 0:00 UTC));
    forge.quote.body.report_data[..32].copy_from_slice(&crypto::sha256(RUNTIME_DATA));
    let minted = forge.mint();
    write("root.pem", &minted.root);
    write("quote.bin", &minted.quote);
    write("report.bin", &testkit::open_enclave::report(&minted.quote));
    write("endorsements.json", &testkit::formats::dcap_qvl(&minted));
    write("pcs/tcb.json", &minted.tcb_info);
    write("pcs/tcb-chain.pem", &minted.tcb_info_issuer_chain);
    write("pcs/identity.json", &minted.qe_identity);
    write("pcs/root.crl", &minted.root_ca_crl);
    write("pcs/pck.crl", &minted.pck_crl);

    let mut damaged = minted.quote.clone();
    damaged[112] ^= 1;
    write("damaged.bin", &damaged);
    write("short.bin", &minted.quote[..100]);

    for (name, status) in [("revoked", "Revoked"), ("outdated", "OutOfDate")] {
        let minted = forge.clone().platform_status(status).mint();
        write(&format!("{name}.bin"), &minted.quote);
        write(&format!("{name}.json"), &testkit::formats::dcap_qvl(&minted));
    }
    write("policy.txt", b"version= 1.0;\nauthorizationrules { => permit(); };\nissuancerules {};\n");
    let failing =
        "version=1.2; authorizationrules { => add(type=\"n\", value=JsonToClaimValue(\"1.5\")); };\n";
    write("failing.policy", failing.as_bytes());
    fs::create_dir_all(directory.join("cases")).unwrap();
    for (name, case) in CASES {
        write(&format!("cases/{name}.toml"), case.as_bytes());
    }
    boot::boot(directory);
    let (key, certificate) = policy_signer(crypto::SigningAlgorithm::Es256, "signer");
    write("signer-key.pem", key.as_bytes());
    write("signer.pem", certificate.as_bytes());
    write("broken-policy.txt", b"version= 1.0;\nauthorizationrules { => allow(); };\nissuancerules {};\n");
}

/// Test cases of policies, most of them wrong.
const CASES: [(&str, &str); 5] = [
    ("damaged", DAMAGED),
    ("failing", "[expect]\ndecision = \"failed\"\ncode = \"not-a-claim-value\"\n"),
    ("no-claim", "claims = { x = { y = 1 } }\nexpect = { decision = \"denied\" }\n"),
    ("otherwise", OTHERWISE),
    ("unknown-key", "[claim]\nx = 1\n\n[expect]\ndecision = \"denied\"\n"),
];

const DAMAGED: &str = "[evidence]
file = \"../damaged.bin\"
kind = \"sgx-quote-v3\"
endorsements = [\"../endorsements.json\"]
at = \"2026-01-01\"
trust-pck-roots = [\"../root.pem\"]
trust-tcb-roots = [\"../root.pem\"]

[expect]
decision = \"denied\"
";

const OTHERWISE: &str = "[[case]]
expect = { decision = \"permitted\", rule = 2, claims = { x = 1 }, properties = { omit_x5c = true } }

[[case]]
name = \"named\"
expect = { decision = \"failed\" }
";

/// A key that signs policies, and its certificate, which is an authority of its own as services ask; both in PEM form.
pub fn policy_signer(algorithm: crypto::SigningAlgorithm, name: &str) -> (String, String) {
    let key = crypto::SigningKey::generate(algorithm).unwrap();
    let pair = rcgen::KeyPair::try_from(key.to_pkcs8().unwrap().as_slice()).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    (pair.serialize_pem(), params.self_signed(&pair).unwrap().pem())
}

const RUNTIME_DATA: &[u8] = b"a public key, say";

/// Where the captured vectors are: `VOUCHSAFE_VECTORS`, or `shared` beside the checkout. `None` if they are not
/// there, which is a failure where `CI` is `true`.
pub fn captures() -> Option<PathBuf> {
    let given = std::env::var_os("VOUCHSAFE_VECTORS").map(PathBuf::from);
    let root = given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"));
    let present = root.join("vectors/manifest.json").is_file();
    assert!(present || std::env::var("CI").as_deref() != Ok("true"), "no vectors in {}", root.display());
    present.then_some(root)
}

/// A directory of this test alone.
pub fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// What one run of the program did.
#[derive(Debug)]
pub struct Ran {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the program to its end.
pub fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>, input: &str) -> Ran {
    let mut command = Command::new(VOUCHSAFE);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that does not read its input may be gone by now.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ran {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A running `vouchsafe serve`, killed when the test ends early.
pub struct Service {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub uri: String,
    pub ca: PathBuf,
}

impl Service {
    /// Starts it on `port` (0 picks one) and waits for its ready line.
    pub fn start<A: AsRef<OsStr>>(
        data_dir: &Path,
        port: u16,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let log =
            fs::OpenOptions::new().create(true).append(true).open(data_dir.with_extension("log")).unwrap();
        let mut command = Command::new(VOUCHSAFE);
        command.arg("serve").arg("--data-dir").arg(data_dir).args(["--listen", &format!("127.0.0.1:{port}")]);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        stdout.read_line(&mut ready).unwrap();
        let uri = ready.strip_prefix("ready ").unwrap_or_else(|| {
            panic!(
                "no ready line but `{ready}`: {}",
                fs::read_to_string(data_dir.with_extension("log")).unwrap()
            )
        });
        Self { child, stdout, uri: uri.trim_end().to_owned(), ca: data_dir.join("ca.pem") }
    }

    pub fn port(&self) -> u16 {
        self.uri.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Stops it as an init system does; gives its exit status and what else it wrote to standard output.
    pub fn terminate(mut self) -> (Option<i32>, String) {
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
