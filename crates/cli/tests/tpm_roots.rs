//! Directories of roots, filled and listed by the program alone.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::fs;
use std::io::Write;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, SerialNumber,
};
use serde_json::Value;
use support::{Ran, run, scratch};
use time::macros::datetime;

fn params(name: &str, is_ca: IsCa) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = is_ca;
    params.not_before = datetime!(2020-01-01 0:00 UTC);
    params.not_after = datetime!(2040-01-01 0:00 UTC);
    params
}

fn ca(name: &str) -> CertificateParams {
    let mut params = params(name, IsCa::Ca(BasicConstraints::Unconstrained));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Writes what a maker may publish: a cabinet with a root, an intermediate and something else; a bundle in PEM with
/// another root, one that has ended and a list; a certificate that is no authority's; a key.
fn files(directory: &Path) {
    let (key, middle_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let root = ca("A maker's root").self_signed(&key).unwrap();
    let issuer = Issuer::new(ca("A maker's root"), key);
    let middle = ca("middle").signed_by(&middle_key, &issuer).unwrap();
    let mut builder = cab::CabinetBuilder::new();
    let folder = builder.add_folder(cab::CompressionType::MsZip);
    for name in ["Maker\\RootCA\\root.crt", "Maker\\IntermediateCA\\middle.cer", "setup.cmd"] {
        folder.add_file(name);
    }
    let file = fs::File::create(directory.join("TrustedTpm.cab")).unwrap();
    let mut cabinet = builder.build(file).unwrap();
    let contents = [root.der().to_vec(), middle.der().to_vec(), b"echo".to_vec()];
    for content in contents {
        cabinet.next_file().unwrap().unwrap().write_all(&content).unwrap();
    }
    cabinet.finish().unwrap();

    let other = ca("Other").self_signed(&KeyPair::generate().unwrap()).unwrap();
    let mut ended = ca("Ended");
    ended.not_after = datetime!(2021-01-01 0:00 UTC);
    let ended = ended.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let list = CertificateRevocationListParams {
        this_update: datetime!(2026-01-01 0:00 UTC),
        next_update: datetime!(2036-01-01 0:00 UTC),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = list.signed_by(&issuer).unwrap();
    let bundle = format!("# makers\n{}\r\n{}words{}", other.pem(), ended.pem(), list.pem().unwrap());
    fs::create_dir_all(directory.join("published/makers")).unwrap();
    fs::write(directory.join("published/makers/bundle.pem"), bundle).unwrap();
    let leaf = params("leaf", IsCa::ExplicitNoCa).self_signed(&KeyPair::generate().unwrap()).unwrap();
    fs::write(directory.join("published/leaf.der"), leaf.der()).unwrap();
    fs::write(directory.join("published/cut.pem"), other.pem().split_at(300).0).unwrap();
    fs::write(directory.join("key.pem"), KeyPair::generate().unwrap().public_key_pem()).unwrap();
}

#[test]
fn bundles_of_makers_become_a_directory_that_a_service_takes() {
    let directory = scratch("tpm-roots");
    files(&directory);
    let path = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    let import = |role: &str, files: &[&str], more: &[&str]| -> Ran {
        let files: Vec<_> = files.iter().map(|name| path(name)).collect();
        let command = ["tpm", "roots", "import", "--role", role, "--to", &path("roots")];
        let command = command.iter().chain(more).map(|word| (*word).to_owned());
        run(command.chain(files).collect::<Vec<_>>(), "")
    };
    let first = import("ek", &["TrustedTpm.cab"], &[]);
    assert_eq!((first.status, first.stderr.as_str()), (0, ""), "{first:?}");
    assert!(first.stdout.contains("2 new (intermediate 1, root 1), 0 known, 1 skipped"), "{first:?}");
    assert!(
        first.stdout.contains("new root          `CN=A maker's root`, until 2040-01-01T00:00:00Z"),
        "{first:?}"
    );
    assert!(first.stdout.contains("TrustedTpm.cab: setup.cmd: neither a certificate nor"), "{first:?}");

    let second = import("ek", &["TrustedTpm.cab", "published", "key.pem"], &["--json"]);
    let report: Value = serde_json::from_str(&second.stdout).unwrap();
    assert_eq!((&report["known"], &report["role"]), (&2.into(), &"ek".into()));
    let kinds: Vec<_> = report["taken"].as_array().unwrap().iter().map(|taken| &taken["kind"]).collect();
    assert_eq!(kinds, ["root", "root", "crl"]);
    let skipped: Vec<_> = report["skipped"]
        .as_array()
        .unwrap()
        .iter()
        .map(|skipped| skipped["reason"].as_str().unwrap())
        .collect();
    assert_eq!(skipped.len(), 4, "{report:#}");
    assert!(skipped.contains(&"`CN=leaf` is not an authority that signs certificates"), "{report:#}");
    assert!(skipped.contains(&"a PEM block without end"), "{report:#}");
    assert!(skipped.iter().any(|reason| reason.contains("`--role aik`")), "{report:#}");

    let key = import("aik", &["key.pem"], &[]);
    assert!(key.status == 0 && key.stdout.contains("1 new (key 1)"), "{key:?}");
    let list = run(["tpm", "roots", "list", &path("roots")], "");
    assert_eq!(list.status, 0, "{list:?}");
    assert!(list.stdout.starts_with("ek: 3 of 5 are trusted by themselves\n"), "{list:?}");
    assert!(list.stdout.contains("`CN=Ended`, until 2021-01-01T00:00:00Z (has ended)"), "{list:?}");
    assert!(
        list.stdout.contains("aik: 1 of 1 are trusted by themselves\n  key  attestation key"),
        "{list:?}"
    );
    let list = run(["tpm", "roots", "list", &path("roots"), "--json"], "");
    let list: Value = serde_json::from_str(&list.stdout).unwrap();
    let roots = list["roots"].as_array().unwrap();
    assert_eq!((roots.len(), roots.iter().filter(|root| root["issuerIsThere"] == true).count()), (6, 6));

    let root = roots.iter().find(|root| root["subject"] == "CN=A maker's root").unwrap();
    fs::remove_file(root["file"].as_str().unwrap()).unwrap();
    let list = run(["tpm", "roots", "list", &path("roots")], "");
    assert!(list.stdout.contains("(its issuer `CN=A maker's root` is not there)"), "{list:?}");
    let middle = roots.iter().find(|root| root["subject"] == "CN=middle").unwrap();
    let anchor = import("ek", &["key.pem"], &["--anchor", middle["file"].as_str().unwrap()]);
    assert!(anchor.status == 0 && anchor.stdout.contains("1 new (intermediate 1)"), "{anchor:?}");
    fs::remove_file(middle["file"].as_str().unwrap()).unwrap();
    let list = run(["tpm", "roots", "list", &path("roots")], "");
    assert!(list.stdout.contains("\n  anchor  `CN=middle`"), "{list:?}");
    assert!(!list.stdout.contains("is not there"), "{list:?}");
}

#[test]
fn what_cannot_be_used_is_said() {
    let directory = scratch("tpm-roots-unusable");
    let path = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    let import =
        |file: &str| run(["tpm", "roots", "import", "--role", "ek", "--to", &path("roots"), &path(file)], "");
    fs::write(path("words"), "no certificate").unwrap();
    let nothing = import("words");
    assert_eq!(nothing.status, 2, "{nothing:?}");
    assert!(nothing.stderr.contains("nothing in these files can be trusted"), "{nothing:?}");
    assert!(!Path::new(&path("roots")).exists());
    fs::write(path("cut.cab"), b"MSCF\0\0").unwrap();
    let cut = import("cut.cab");
    assert!(cut.status == 2 && cut.stderr.contains("no cabinet that can be read"), "{cut:?}");
    let missing = import("nowhere");
    assert!(missing.status == 2 && missing.stderr.contains("cannot be read"), "{missing:?}");
    let list = run(["tpm", "roots", "list", &path("roots")], "");
    assert!(list.status == 2 && list.stderr.contains("mkdir -p"), "{list:?}");
    fs::create_dir_all(path("roots/ek")).unwrap();
    fs::write(path("roots/ek/odd.pem"), "no certificate").unwrap();
    let list = run(["tpm", "roots", "list", &path("roots")], "");
    assert!(list.status == 2 && list.stderr.contains("odd.pem` cannot be used"), "{list:?}");
}
