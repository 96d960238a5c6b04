//! `vouchsafe audit verify` on the log of a real service: whole, tampered with, and written anew.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::{Service, VOUCHSAFE, scratch};

/// Exit status and standard output.
fn verify(data: &Path, more: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(VOUCHSAFE)
        .args(["audit", "verify", "--data-dir"])
        .arg(data)
        .args(more)
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

fn log(data: &Path) -> PathBuf {
    let mut files = fs::read_dir(data.join("audit")).unwrap().map(|file| file.unwrap().path());
    let (file, None) = (files.next().unwrap(), files.next()) else { panic!("one file") };
    file
}

/// Sets the policy `times` times, which are two lines each.
fn managed(data: &Path, policy: &Path, times: usize) {
    let service = Service::start(data, 0, ["--pcs-url", "https://127.0.0.1:1"]);
    let token = Command::new(VOUCHSAFE).args(["admin", "token", "--data-dir"]).arg(data).output().unwrap();
    let token = String::from_utf8(token.stdout).unwrap();
    for _ in 0..times {
        let mut set = Command::new(VOUCHSAFE);
        set.args(["policy", "set", "--endpoint", &service.uri]).arg("--ca-file").arg(&service.ca);
        set.arg("SgxEnclave").arg(policy).env("VOUCHSAFE_BEARER_TOKEN", token.trim());
        let output = set.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(service.terminate().0, Some(0));
}

#[test]
fn what_was_changed_is_said_with_its_place() {
    let directory = scratch("audit");
    let (data, policy) = (directory.join("data"), directory.join("policy.txt"));
    fs::write(&policy, "version= 1.0;\nauthorizationrules { => permit(); };\nissuancerules {};\n").unwrap();
    managed(&data, &policy, 2);
    let (status, told) = verify(&data, &[]);
    assert_eq!(status, Some(0), "{told}");
    let lines = fs::read_to_string(log(&data)).unwrap().lines().count();
    assert!(lines >= 4 && told.starts_with(&format!("whole: {lines} lines, head ")), "{told}");
    let head = told.trim_end().rsplit(' ').next().unwrap().to_owned();

    // The chain goes on through the head that was noted.
    managed(&data, &policy, 1);
    assert_eq!(verify(&data, &["--head", &head]).0, Some(0));

    let whole = fs::read_to_string(log(&data)).unwrap();
    fs::write(log(&data), whole.replacen("succeeded", "abandoned", 1)).unwrap();
    let changed = whole.lines().position(|line| line.contains("succeeded")).unwrap();
    let (status, told) = verify(&data, &[]);
    assert_eq!(status, Some(1), "{told}");
    // The line after the changed one no longer follows.
    let place =
        format!("NOT WHOLE: `{}` line {}: the line before this one", log(&data).display(), changed + 2);
    assert!(told.starts_with(&place), "{told}");
    let (status, told) = verify(&data, &["--json"]);
    let report: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((status, &report["problems"][0]["line"]), (Some(1), &Value::from(changed + 2)), "{told}");
    assert_eq!(report["problems"][0]["file"], log(&data).to_str().unwrap());

    let cut: Vec<_> = whole.lines().collect();
    fs::write(log(&data), format!("{}\n", cut[..cut.len() - 1].join("\n"))).unwrap();
    let (status, told) = verify(&data, &[]);
    assert!(status == Some(1) && told.contains("lines are missing at the end of the log"), "{told}");

    // Another log with another database is whole, and not the one that was noted.
    fs::write(log(&data), whole).unwrap();
    let other = directory.join("other");
    managed(&other, &policy, 2);
    assert_eq!(verify(&other, &[]).0, Some(0));
    let (status, told) = verify(&other, &["--head", &head]);
    assert!(status == Some(1) && told.contains("the log is another one"), "{told}");
}
