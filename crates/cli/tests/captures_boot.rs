//! `evidence verify` on captured measured boots: every set of the lab is genuine with the claims of its manifest, none
//! of the tampered ones is, and every capture of a TPM gets the verdict of the manifest, as far as it holds what the
//! command needs. What does not is counted.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{Ran, captures, run, scratch};

/// When the lab's certificates are valid.
const LAB_TIME: &str = "2026-11-25";

fn manifest(root: &Path) -> Value {
    serde_json::from_slice(&fs::read(root.join("manifest.json")).unwrap()).unwrap()
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

struct Command {
    directory: PathBuf,
    endorsements: Vec<PathBuf>,
    nonce: PathBuf,
    more: Vec<String>,
}

impl Command {
    fn new(directory: &Path, endorsements: &[PathBuf], nonce: &Path) -> Self {
        let (directory, endorsements) = (directory.to_owned(), endorsements.to_vec());
        Self { directory, endorsements, nonce: nonce.to_owned(), more: Vec::new() }
    }

    fn with(mut self, arguments: &[&str]) -> Self {
        self.more.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    fn run(&self) -> (Ran, Value) {
        let mut arguments: Vec<String> =
            ["evidence", "verify", "--kind", "tpm-evidence", "--at", LAB_TIME, "--json"]
                .map(str::to_owned)
                .to_vec();
        for file in &self.endorsements {
            arguments.extend(["--endorsements".to_owned(), text(file)]);
        }
        arguments.extend(["--runtime-data".to_owned(), text(&self.nonce)]);
        arguments.extend(self.more.clone());
        arguments.push(text(&self.directory));
        let ran = run(&arguments, "");
        let document = serde_json::from_str(&ran.stdout).unwrap_or_default();
        (ran, document)
    }

    fn accepted(&self) -> Value {
        let (ran, document) = self.run();
        let place = self.directory.display();
        assert_eq!((ran.status, &document["verdict"]), (0, &"genuine".into()), "{place}: {ran:?}");
        document
    }

    /// The reason.
    fn refused(&self) -> String {
        let (ran, document) = self.run();
        let place = self.directory.display();
        assert_eq!((ran.status, &document["verdict"]), (1, &"not-genuine".into()), "{place}: {ran:?}");
        assert_eq!(document["claims"], serde_json::json!({}), "{place}");
        let failed = document["checks"].as_array().unwrap().last().unwrap();
        assert_eq!(failed["outcome"], "failed", "{place}");
        let reason = document["reason"].as_str().unwrap().to_owned();
        assert!(!reason.is_empty());
        reason
    }
}

#[test]
fn boots_of_the_lab() {
    let Some(captures) = captures() else { return };
    let lab = captures.join("vectors-lab");
    let manifest = manifest(&lab);
    let sets = manifest["sets"].as_object().unwrap();
    for (name, expected) in sets {
        let set = lab.join(name);
        let file = |name: &str| set.join(name);
        let command = |trusted: &[&str]| {
            let trusted: Vec<_> = trusted.iter().map(|name| file(name)).collect();
            Command::new(&set, &trusted, &file("nonce"))
        };
        let document = command(&["ca.pem"]).accepted();
        let claims = &document["claims"];
        assert_eq!(claims["secureBootEnabled"], expected["secure_boot"], "{name}");
        assert_eq!(claims["kernelCommandLine"], expected["kernel_cmdline"], "{name}");
        assert_eq!(claims["aikValidated"], true, "{name}");
        assert_eq!(document["pcrs"]["sha256"], expected["pcrs_sha256"], "{name}");
        assert_eq!(document["ima"]["records"], expected["ima"]["entries_covered_by_quote"], "{name}");
        assert_eq!(document["ima"]["bootAggregateMatches"], true, "{name}");
        assert!(document["events"]["Events"].as_array().unwrap().len() > 40, "{name}");
        assert_eq!(document["boot"]["bootPath"]["loaders"], serde_json::json!(["shim", "grub"]), "{name}");
        let known: Vec<_> = document["boot"]["secureBoot"]["db"]["certificates"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|certificate| certificate["wellKnown"].as_str())
            .collect();
        let both = ["Microsoft Windows Production PCA 2011", "Microsoft Corporation UEFI CA 2011"];
        assert_eq!(known, if expected["secure_boot"] == true { both.to_vec() } else { vec![] }, "{name}");

        // The key itself in each of its forms, and the set's directory as it is, in which the issuer lies.
        for key in ["ak.pub", "ak.tpm2b", "ak.pem"] {
            assert_eq!(command(&[key]).accepted()["claims"]["aikValidated"], false, "{name}: {key}");
        }
        assert_eq!(command(&[""]).accepted()["claims"]["aikValidated"], true, "{name}");
        // Its certificate vouches for nothing, nor does that of the endorsement key.
        for certificate in ["ak.crt", "ek.crt"] {
            let reason = command(&[certificate]).refused();
            assert!(reason.starts_with("attestation key certificate:"), "{name}: {reason}");
        }

        // The other attestations by the same key with the same nonce.
        let reason = command(&["ca.pem"]).with(&["--quote", "quote-pcr0-4"]).refused();
        assert!(reason.contains("does not cover PCR 1, 2, 3, 5, 6, 7"), "{name}: {reason}");
        let reason =
            command(&["ca.pem"]).with(&["--quote", "quote-pcr0-4", "--require-pcrs", "0,4"]).refused();
        assert!(reason.contains("was sent, but the quote does not cover it"), "{name}: {reason}");
        let reason = command(&["ca.pem"]).with(&["--quote", "quote-sha1"]).refused();
        assert!(reason.contains("SHA-256 or stronger"), "{name}: {reason}");
        let reason = command(&["ca.pem"]).with(&["--quote", "time", "--require-pcrs", "none"]).refused();
        assert!(reason.contains("type time instead of quote"), "{name}: {reason}");

        // The SHA-1 bank, whose values the set does not list, but its logs stand for.
        let sha1 = scratch(&format!("lab-sha1-{name}"));
        copy(&set, &sha1);
        fs::write(sha1.join("quote-sha1.pcrs"), sha1_values(&set, expected)).unwrap();
        let command = Command::new(&sha1, &[file("ca.pem")], &file("nonce")).with(&["--quote", "quote-sha1"]);
        assert!(command.refused().contains("SHA-256 or stronger"), "{name}");
        let document = command.with(&["--allow-sha1"]).accepted();
        assert_eq!(document["claims"]["secureBootEnabled"], expected["secure_boot"], "{name}");
        assert_eq!(document["ima"]["bank"], "sha1", "{name}");

        // With the values that the smaller quote is about. It says nothing of PCR 7 and of IMA.
        let fewer = scratch(&format!("lab-fewer-{name}"));
        copy(&set, &fewer);
        let pcrs = fs::read(file("pcrs")).unwrap();
        let values = [&pcrs[..32], &pcrs[4 * 32..5 * 32]].concat();
        fs::write(fewer.join("quote-pcr0-4.pcrs"), values).unwrap();
        let quote = ["--quote", "quote-pcr0-4", "--require-pcrs", "0,4"];
        let command = Command::new(&fewer, &[file("ca.pem")], &file("nonce")).with(&quote);
        assert!(command.refused().starts_with("IMA log: the quote does not cover PCR 10"), "{name}");
        fs::remove_file(fewer.join("ima.bin")).unwrap();
        assert_eq!(command.accepted()["claims"]["secureBootEnabled"], false, "{name}");
    }
    assert_eq!(sets.len(), 3);
}

/// PCRs 0 to 10 and 14 of the SHA-1 bank, which that quote is about.
fn sha1_values(set: &Path, expected: &Value) -> Vec<u8> {
    use evidence::eventlog::{EventLog, ImaLog, Replay};
    let (log, ima) = (fs::read(set.join("eventlog")).unwrap(), fs::read(set.join("ima.bin")).unwrap());
    let log = EventLog::parse(&log).unwrap();
    let replay = Replay::of(&[&log], crypto::HashAlgorithm::Sha1);
    let records = ImaLog::parse(&ima).unwrap();
    let covered = expected["ima"]["entries_covered_by_quote"].as_u64().unwrap();
    let records = records.unverified_records().iter().take(usize::try_from(covered).unwrap());
    let pcr_10 = records
        .fold([0; 20], |value, record| crypto::sha1(&[&value[..], &crypto::sha1(record.data)].concat()));
    let values = (0..11).chain([14]).map(|index| match index {
        10 => pcr_10.to_vec(),
        index => replay.value(index).unwrap().as_slice().to_vec(),
    });
    values.flatten().collect()
}

#[test]
fn tampered_boots_of_the_lab() {
    let Some(captures) = captures() else { return };
    let lab = captures.join("vectors-lab");
    let manifest = manifest(&lab);
    // Every issuer of the lab is trusted: that of the other key, too.
    let issuers: Vec<_> =
        manifest["sets"].as_object().unwrap().keys().map(|set| lab.join(set).join("ca.pem")).collect();
    let mut claims = 0;
    let cases = manifest["tampered"].as_array().unwrap();
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let directory = scratch(&format!("lab-{name}"));
        copy(&lab.join(case["base"].as_str().unwrap()), &directory);
        for (file, from) in case["replace"].as_object().unwrap() {
            fs::copy(lab.join(from.as_str().unwrap()), directory.join(file)).unwrap();
        }
        let command = Command::new(&directory, &issuers, &directory.join("nonce"));
        let reason = command.refused();
        let expected = match case["reference_reason"].as_str().unwrap() {
            "event data does not match its digest" => "do not match its digest".to_owned(),
            "event log does not parse" => "event log: ".to_owned(),
            "nonce" => "are not the nonce".to_owned(),
            "quote signature" => "signature of the quote does not verify".to_owned(),
            "PCR values do not match the quoted digest" => "digest over the PCR values".to_owned(),
            "quote does not cover PCRs 0-7" => "does not cover PCR".to_owned(),
            "not a quote (TPM_ST 8019)" => "instead of quote".to_owned(),
            "IMA: template-digest mismatch" => "template hash".to_owned(),
            "IMA: no prefix replays to PCR 10" => "no part of the IMA log".to_owned(),
            replay => {
                let pcr = replay.strip_prefix("event log replay differs in PCR ").unwrap();
                format!("does not replay to the quoted value of PCR {pcr} ")
            }
        };
        assert!(reason.contains(&expected), "{name}: {reason}");
        if case["secure_boot_claim"].is_string() {
            claims += 1;
            let (ran, _) = command.run();
            assert!(!ran.stdout.contains("\"secureBootEnabled\": true"), "{name}");
            // Nor does the log alone make it one.
            let log = text(&directory.join("eventlog"));
            if case["replace"]["eventlog"].as_str().is_some_and(|from| from.starts_with("tampered")) {
                let alone = run(["evidence", "verify", "--kind", "tcg-eventlog", "--json", &log], "");
                assert!(!alone.stdout.contains("\"secureBootEnabled\": true"), "{name}");
                assert!(!alone.stdout.contains("\"genuine\""), "{name}");
            }
        }
        println!("{name}: {reason}");
    }
    assert_eq!((cases.len(), claims), (16, 4));
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Quotes among the captures that have all that the command needs.
#[test]
fn captured_quotes() {
    let Some(captures) = captures() else { return };
    let root = captures.join("vectors");
    let read = |path: &str| fs::read(root.join(path)).unwrap();
    let json = |path: &str| -> Value { serde_json::from_slice(&read(path)).unwrap() };
    let entries = manifest(&root)["entries"].clone();
    let expected = |path: &str| {
        let entry = entries.as_array().unwrap().iter().find(|entry| entry["path"] == path);
        entry.unwrap()["expected"].clone()
    };
    let concatenated = |pcrs: &Value| -> Vec<u8> {
        let values = pcrs.as_object().unwrap();
        let mut values: Vec<(u8, Vec<u8>)> = values
            .iter()
            .map(|(index, value)| (index.parse().unwrap(), hex::decode(value.as_str().unwrap()).unwrap()))
            .collect();
        values.sort();
        values.into_iter().flat_map(|(_, value)| value).collect()
    };

    // A machine of Google with its log.
    let gce = "tpm/go-tpm-tools/gce-cos-85-nonce9009";
    let place = scratch("capture-gce");
    let write = |name: &str, bytes: &[u8]| fs::write(place.join(name), bytes).unwrap();
    write("quote.msg", &read(&format!("{gce}.quote-sha256.attest.bin")));
    write("quote.sig", &read(&format!("{gce}.quote-sha256.tpmt_signature.bin")));
    write("ak.pub", &read(&format!("{gce}.ak.tpmt_public.bin")));
    write("eventlog", &read(&format!("{gce}.eventlog.bin")));
    write("pcrs", &concatenated(&expected(&format!("{gce}.quote-sha256.attest.bin"))["pcrs"]));
    write("nonce", &[0x90, 0x09]);
    let document = Command::new(&place, &[place.join("ak.pub")], &place.join("nonce")).accepted();
    assert_eq!(document["claims"]["secureBootEnabled"], true);

    // Azure: the signature is the bytes of an RSA signature, the values lie in a C structure of tpm2-tools.
    let place = scratch("capture-azure");
    let azure = "tpm/azure-vtpm-2026-07";
    let write = |name: &str, bytes: &[u8]| fs::write(place.join(name), bytes).unwrap();
    for name in ["quote.msg", "quote.sig", "ak.pub"] {
        write(name, &read(&format!("{azure}/{name}")));
    }
    let dump = read(&format!("{azure}/pcrs.bin"));
    let values: Vec<u8> = (0..8).flat_map(|index| dump[0x8e + 66 * index..][..32].to_vec()).collect();
    write("pcrs", &values);
    write("nonce", &hex::decode(read(&format!("{azure}/nonce.hex")).trim_ascii()).unwrap());
    Command::new(&place, &[place.join("ak.pub")], &place.join("nonce")).accepted();
    // The certificate that the machine has is another key's.
    write("ak.crt", &read(&format!("{azure}/akcert_0x01C101D0.der")));
    let reason = Command::new(&place, &[place.join("ak.pub")], &place.join("nonce")).refused();
    assert!(reason.contains("hold different keys"), "{reason}");

    // Evidence of another service, whose manifest says that the values do not match. They do.
    let place = scratch("capture-trustee");
    let document = json("tpm/trustee/tpm_evidence.json");
    let quote = base64(&document["tpm_quote"]["message"]);
    let write = |name: &str, bytes: &[u8]| fs::write(place.join(name), bytes).unwrap();
    write("quote.msg", &quote);
    write("quote.sig", &base64(&document["tpm_quote"]["signature"]));
    write("ak.pub", &base64(&document["ak_public"]));
    let values = document["tpm_quote"]["pcrs"].as_array().unwrap().iter();
    let values: Vec<u8> = values.flat_map(|value| hex::decode(value.as_str().unwrap()).unwrap()).collect();
    write("pcrs", &values);
    let nonce = expected("tpm/trustee/tpm_evidence.json")["extra_data"].clone();
    write("nonce", &hex::decode(nonce.as_str().unwrap()).unwrap());
    let command = Command::new(&place, &[place.join("ak.pub")], &place.join("nonce"));
    command.accepted();
    let mut changed = values;
    changed[0] ^= 1;
    write("pcrs", &changed);
    assert!(command.refused().contains("digest over the PCR values"));

    // The reference simulator: two schemes, PCRs 0 to 2 as they start.
    for name in ["rsassa-sha256", "ecdsa-sha384"] {
        let place = scratch(&format!("capture-{name}"));
        let file = |part: &str| read(&format!("tpm/ms-tpm-20-ref/{name}-{part}"));
        let write = |name: &str, bytes: &[u8]| fs::write(place.join(name), bytes).unwrap();
        write("quote.msg", &file("attest.bin"));
        write("quote.sig", &file("tpmt-signature.bin"));
        write("pcrs", &[0; 96]);
        write("nonce", &hex::decode(read("tpm/ms-tpm-20-ref/nonce.hex").trim_ascii()).unwrap());
        let chain = file("ak-chain.pem");
        write("ak.crt", &chain);
        let command = Command::new(&place, &[place.join("ak.crt")], &place.join("nonce"));
        let reason = command.refused();
        // Its certificate does not say that it is an attestation key's.
        assert!(reason.starts_with("attestation key certificate:"), "{name}: {reason}");
        let der = pem(&chain);
        let key = evidence::tpm::AkCertificate::parse(&der).unwrap();
        write("ak.der", key.spki());
        let endorsements = [place.join("ak.der")];
        let command = Command::new(&place, &endorsements, &place.join("nonce"));
        assert!(command.refused().contains("does not cover PCR 3, 4, 5, 6, 7"), "{name}");
        command.with(&["--require-pcrs", "0-2"]).accepted();
    }
}

fn base64(value: &Value) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap()).unwrap()
}

/// The first certificate of a PEM text.
fn pem(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(text.to_vec()).unwrap();
    let body = text.split("-----").nth(2).unwrap().split_ascii_whitespace().collect::<String>();
    base64(&body.into())
}

/// Every log among the captures by itself; and a count of what this command has nothing to do with.
#[test]
fn captured_logs() {
    let Some(captures) = captures() else { return };
    let root = captures.join("vectors");
    let (mut compared, mut skipped) = (BTreeMap::new(), BTreeMap::new());
    for entry in manifest(&root)["entries"].as_array().unwrap() {
        let (path, kind) = (entry["path"].as_str().unwrap(), entry["kind"].as_str().unwrap());
        let is_log = ["tcg-eventlog", "cc-eventlog"].contains(&kind);
        if !is_log && !path.starts_with("tpm/") {
            continue;
        }
        let expected = &entry["expected"];
        // Some are the base64 text of another entry.
        if !is_log || expected.is_null() {
            *skipped.entry(kind.to_owned()).or_insert(0) += 1;
            continue;
        }
        let ran = run(["evidence", "verify", "--kind", kind, "--json", &text(&root.join(path))], "");
        assert_eq!(ran.status, 0, "{path}: {ran:?}");
        let document: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(document["verdict"], "unverified", "{path}");
        assert_eq!(document["eventCount"], expected["events"], "{path}");
        assert_eq!(document["logBytes"], expected["log_bytes"], "{path}");
        if kind == "cc-eventlog" {
            assert_eq!(document["rtmr"], expected["rtmr"], "{path}");
            assert_eq!(document["claims"].is_object(), document["boot"].is_object(), "{path}");
            if expected["verdict"].as_str().is_some_and(|verdict| verdict.starts_with("reject")) {
                assert!(document["claimsError"].is_string(), "{path}");
                assert!(document["claims"].is_null(), "{path}");
            }
        } else {
            for (bank, values) in expected["pcrs"].as_object().unwrap() {
                assert_eq!(document["pcrs"][bank], *values, "{path}");
            }
            let says = document["claims"]["secureBootEnabled"] == true;
            assert!(!says || expected["secure_boot"] == true, "{path}");
        }
        *compared.entry(kind.to_owned()).or_insert(0) += 1;
        let shown = run(["evidence", "show", "--kind", kind, &text(&root.join(path))], "");
        assert_eq!(shown.status, 0, "{path}: {shown:?}");
    }
    println!("compared {compared:?}");
    println!(
        "SKIPPED, no logs (keys, certificates, parts of quotes that other tests put together): {skipped:?}"
    );
    assert_eq!((compared["tcg-eventlog"], compared["cc-eventlog"]), (28, 6));
    assert!(!skipped.contains_key("cc-eventlog") && skipped["tcg-eventlog"] == 2);
}
