//! A software TPM for tests: manufactured with an endorsement certificate of its own authority, started on loopback.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running `swtpm socket`, stopped when the test ends.
pub struct Swtpm {
    child: Child,
    port: u16,
    /// Certificates of the authority that issued the endorsement certificate, PEM.
    pub ca: PathBuf,
}

impl Swtpm {
    /// Manufactures one in `directory`, which is new, and starts it. `None` without swtpm, which is a failure where
    /// `CI` is `true`.
    pub fn start(directory: &Path) -> Option<Self> {
        let present = |tool: &str| {
            let found =
                Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            found.is_ok()
        };
        if !["swtpm", "swtpm_setup", "swtpm_localca"].into_iter().all(present) {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "swtpm is not installed");
            eprintln!("SKIPPED: swtpm is not installed; nothing of the TPM client was tested");
            return None;
        }
        let file = |name: &str| directory.join(name);
        let shown = |name: &str| file(name).to_str().unwrap().to_owned();
        for name in ["state", "ca", "config"] {
            fs::create_dir_all(file(name)).unwrap();
        }
        let ca = shown("ca");
        fs::write(
            file("config/ca.conf"),
            format!(
                "statedir = {ca}\nsigningkey = {ca}/signkey.pem\nissuercert = {ca}/issuercert.pem\n\
                 certserial = {ca}/certserial\n"
            ),
        )
        .unwrap();
        fs::write(
            file("config/ca.options"),
            "--platform-manufacturer Test\n--platform-version 1\n--platform-model swtpm\n",
        )
        .unwrap();
        let localca = Command::new("sh").args(["-c", "command -v swtpm_localca"]).output().unwrap().stdout;
        fs::write(
            file("config/setup.conf"),
            format!(
                "create_certs_tool = {}\ncreate_certs_tool_config = {}\ncreate_certs_tool_options = {}\n\
                 active_pcr_banks = sha1,sha256\n",
                String::from_utf8(localca).unwrap().trim(),
                shown("config/ca.conf"),
                shown("config/ca.options")
            ),
        )
        .unwrap();
        let setup = Command::new("swtpm_setup")
            .args(["--tpm2", "--create-ek-cert", "--pcr-banks", "sha1,sha256"])
            .args(["--tpmstate", &format!("dir://{}", shown("state"))])
            .args(["--config", &shown("config/setup.conf")])
            .args(["--logfile", &shown("config/setup.log")])
            .env("XDG_CONFIG_HOME", file("config"))
            .output()
            .unwrap();
        assert!(
            setup.status.success(),
            "swtpm_setup: {}",
            fs::read_to_string(file("config/setup.log")).unwrap_or_default()
        );
        let bundle = ["issuercert.pem", "swtpm-localca-rootca-cert.pem"]
            .map(|name| fs::read_to_string(file("ca").join(name)).unwrap());
        fs::write(file("ca.pem"), bundle.concat()).unwrap();
        let (child, port) = power_on(&shown("state"));
        Some(Self { child, port, ca: file("ca.pem") })
    }

    /// The `--tcti` argument.
    pub fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    /// Sends one command and gives the answer. No other connection may be open.
    pub fn exchange(&self, command: &[u8]) -> Vec<u8> {
        let mut socket = connect(self.port).unwrap();
        socket.write_all(command).unwrap();
        let mut header = [0; 10];
        socket.read_exact(&mut header).unwrap();
        let size = u32::from_be_bytes(header[2..6].try_into().unwrap());
        let mut answer = header.to_vec();
        answer.resize(usize::try_from(size).unwrap(), 0);
        socket.read_exact(&mut answer[10..]).unwrap();
        answer
    }

    /// `TPM2_PCR_Extend` of the SHA-1 and SHA-256 banks.
    pub fn extend(&self, pcr: u8, sha1: &[u8; 20], sha256: &[u8; 32]) {
        let mut command = vec![0x80, 2, 0, 0, 0, 0, 0, 0, 1, 0x82, 0, 0, 0, pcr, 0, 0, 0, 9, 0x40, 0, 0, 9];
        command.extend([0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 4]);
        command.extend(sha1);
        command.extend([0, 0x0b]);
        command.extend(sha256);
        let length = u32::try_from(command.len()).unwrap();
        command[2..6].copy_from_slice(&length.to_be_bytes());
        assert_eq!(self.exchange(&command)[6..10], [0; 4]);
    }

    /// How many transient objects and sessions are loaded (`TPM2_GetCapability` of their handles).
    pub fn loaded(&self) -> u32 {
        let count = |first: u32| {
            let mut command = vec![0x80, 1, 0, 0, 0, 22, 0, 0, 1, 0x7a, 0, 0, 0, 1];
            command.extend(first.to_be_bytes());
            command.extend(100_u32.to_be_bytes());
            let answer = self.exchange(&command);
            u32::from_be_bytes(answer[15..19].try_into().unwrap())
        };
        count(0x8000_0000) + count(0x0200_0000) + count(0x0300_0000)
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn power_on(state: &str) -> (Child, u16) {
    for _ in 0..10 {
        // Free now; somebody may be faster, then another one is tried.
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let mut child = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .args(["--tpmstate", &format!("dir={state}")])
            .args(["--server", &format!("type=tcp,bindaddr=127.0.0.1,port={port}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
            if connect(port).is_ok() {
                return (child, port);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = child.kill();
        let _ = child.wait();
    }
    panic!("swtpm does not start");
}

fn connect(port: u16) -> std::io::Result<TcpStream> {
    let socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_read_timeout(Some(Duration::from_secs(60)))?;
    Ok(socket)
}
