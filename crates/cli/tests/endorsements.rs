//! `endorsements fetch`, `import` and `status`, and a service that lives on what was imported.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{Ran, Service, run, scratch};
use testkit::Minted;
use testkit::intel::{Ca, Forge};
use testkit::pcs::Answers;
use testkit::x509::{Extension, put};
use time::OffsetDateTime;

#[test]
fn from_a_pcs_over_files_into_a_service_without_network() {
    let place = Place::new("endorsements");
    let forge = with_crl_number(&Forge::new(Ca::Platform, OffsetDateTime::now_utc()), 7);
    let minted = forge.mint();
    place.write("root.pem", &minted.root);
    place.write("quote.bin", &minted.quote);
    let pcs = stand_in(&minted);

    let fetched = place.fetch(&pcs, &["--from-quote", &place.file("quote.bin")], "bundle");
    assert_eq!(fetched.status, 0, "{fetched:?}");
    assert!(fetched.stdout.contains("tcbEvaluationDataNumber"), "{fetched:?}");
    let mut names: Vec<_> = fs::read_dir(place.file("bundle"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let fmspc = hex::encode(minted.fmspc);
    assert_eq!(
        names,
        [
            "pck-crl-platform-chain.pem".to_owned(),
            "pck-crl-platform.der".to_owned(),
            "qe-identity-sgx-chain.pem".to_owned(),
            "qe-identity-sgx.json".to_owned(),
            "root-ca-crl.der".to_owned(),
            format!("tcb-info-sgx-{fmspc}-chain.pem"),
            format!("tcb-info-sgx-{fmspc}.json"),
        ]
    );

    // What was fetched verifies evidence offline.
    let roots = place.roots();
    let (bundle, quote) = (place.file("bundle"), place.file("quote.bin"));
    let mut arguments = vec!["evidence", "verify", "--kind", "sgx-quote-v3", "--endorsements", &bundle];
    arguments.extend(roots.iter().map(String::as_str));
    arguments.push(&quote);
    assert_eq!(run(&arguments, "").status, 0);

    // It goes into the database of a service, which then needs no network.
    let data_dir = place.file("data");
    let imported = place.import("bundle");
    assert_eq!(imported.status, 0, "{imported:?}");
    let status = run(["endorsements", "status", "--data-dir", &data_dir, "--json"], "");
    let document: Value = serde_json::from_str(&status.stdout).unwrap();
    let items = document["endorsements"].as_array().unwrap();
    assert_eq!(items.len(), 4, "{document}");
    assert!(
        items.iter().all(|item| item["days_left"].as_i64().unwrap() > 0 && item["number"].is_u64()),
        "{document}"
    );
    let crl = items.iter().find(|item| item["item"] == "root-ca-crl").unwrap();
    assert_eq!((&crl["number"], &crl["highest_number_seen"]), (&Value::from(7), &Value::from(7)));

    let nowhere = format!("http://127.0.0.1:{}", unused_port());
    let mut arguments = vec!["--pcs-url", &nowhere];
    arguments.extend(roots.iter().map(String::as_str));
    let service = Service::start(Path::new(&data_dir), 0, &arguments);
    let ca = service.ca.to_str().unwrap();
    let attested =
        run(["attest", "sgx", "--endpoint", &service.uri, "--ca-file", ca, "--evidence", &quote], "");
    assert_eq!(attested.status, 0, "{attested:?}");
    assert_eq!(service.terminate().0, Some(0));

    // Older ones are refused from now on.
    let older = with_crl_number(&forge, 6).mint();
    let fetched = place.fetch(&stand_in(&older), &["--from-quote", &quote], "older");
    assert_eq!(fetched.status, 0, "{fetched:?}");
    let refused = place.import("older");
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(refused.stderr.contains("older endorsements are refused"), "{refused:?}");
}

#[test]
fn what_cannot_be_fetched_or_imported() {
    let place = Place::new("endorsements-failures");
    let minted = Forge::new(Ca::Platform, OffsetDateTime::now_utc()).mint();
    place.write("root.pem", &minted.root);
    let pcs = stand_in(&minted);
    let fmspc = hex::encode(minted.fmspc);

    let unknown = place.fetch(&pcs, &["--fmspc", "00906ed50000", "--ca", "platform"], "out");
    assert_eq!(unknown.status, 3, "{unknown:?}");
    assert!(unknown.stderr.contains("hint: check the FMSPC `00906ed50000`"), "{unknown:?}");
    let nobody = format!("http://127.0.0.1:{}", unused_port());
    let nobody = place.fetch(&nobody, &["--fmspc", &fmspc, "--ca", "platform"], "out");
    assert_eq!(nobody.status, 3, "{nobody:?}");
    let wrong = place.fetch(&pcs, &["--fmspc", "00", "--ca", "platform"], "out");
    assert_eq!(wrong.status, 2, "{wrong:?}");

    // Nothing that does not verify is written: here the root is not trusted.
    let out = place.file("out");
    let untrusted =
        ["endorsements", "fetch", "--fmspc", &fmspc, "--ca", "platform", "--pcs-url", &pcs, "--out", &out];
    let untrusted = run(untrusted, "");
    assert_eq!(untrusted.status, 3, "{untrusted:?}");
    assert!(!Path::new(&out).exists());

    let status = run(["endorsements", "status", "--data-dir", &place.file("nothing")], "");
    assert_eq!(status.status, 2, "{status:?}");
    assert!(!Path::new(&place.file("nothing")).exists());
    place.write("no-endorsement", b"hello");
    assert_eq!(place.import("no-endorsement").status, 2);

    // Expired ones are refused.
    let expired = Forge::new(Ca::Platform, OffsetDateTime::now_utc() - time::Duration::days(60)).mint();
    place.write("expired.json", &testkit::formats::dcap_qvl(&expired));
    place.write("root.pem", &expired.root);
    let refused = place.import("expired.json");
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(refused.stderr.contains("is not valid at"), "{refused:?}");
}

fn with_crl_number(forge: &Forge, number: u64) -> Forge {
    let mut forge = forge.clone();
    put(&mut forge.root_crl.extensions, Extension::crl_number(number));
    forge
}

/// A directory of files, and the commands on them.
struct Place {
    directory: PathBuf,
}

impl Place {
    fn new(name: &str) -> Self {
        Self { directory: scratch(name) }
    }

    fn file(&self, name: &str) -> String {
        self.directory.join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.directory.join(name), bytes).unwrap();
    }

    fn roots(&self) -> [String; 4] {
        let root = self.file("root.pem");
        ["--trust-pck-root".to_owned(), root.clone(), "--trust-tcb-root".to_owned(), root]
    }

    fn fetch(&self, pcs: &str, arguments: &[&str], out: &str) -> Ran {
        let (roots, out) = (self.roots(), self.file(out));
        let mut all = vec!["endorsements", "fetch", "--pcs-url", pcs, "--out", &out];
        all.extend(arguments);
        all.extend(roots.iter().map(String::as_str));
        run(&all, "")
    }

    fn import(&self, path: &str) -> Ran {
        let (roots, path, data_dir) = (self.roots(), self.file(path), self.file("data"));
        let mut all = vec!["endorsements", "import", "--data-dir", &data_dir, &path];
        all.extend(roots.iter().map(String::as_str));
        run(&all, "")
    }
}

/// A PCS on loopback that answers for one platform; gives its base URL. It lives as long as the test process.
fn stand_in(minted: &Minted) -> String {
    let answers = Answers::new(minted);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(&answers, stream.unwrap());
        }
    });
    url
}

fn answer(answers: &Answers, mut stream: TcpStream) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let request = lines.next().unwrap().unwrap();
    while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
    let target = request.split(' ').nth(1).unwrap();
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let Some(answer) = answers.get(path, query) else {
        stream
            .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .unwrap();
        return;
    };
    let mut head = format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: {}\r\nContent-Length: {}\r\n",
        answer.content_type,
        answer.body.len()
    );
    if let Some((name, value)) = &answer.issuer_chain {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
    stream.write_all(&answer.body).unwrap();
}

/// A port that nobody listens on: one that was free a moment ago.
fn unused_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
