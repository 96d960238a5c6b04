//! A service that is killed while policies are written loses no write that it answered, and starts again with
//! a whole state.
//!
//! Each run starts the service in a process of its own, lets several writers set and reset policies over HTTPS,
//! and sends SIGKILL at a random moment. The next start is then compared with what was answered. 20 runs by
//! default; `VOUCHSAFE_KILL_RUNS` asks for more (`docs/reliability.md` has the output of 200).
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed, and it tells what it did"
)]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use server::audit::verify::verify;
use server::auth::Role;
use server::auth::local::{self, LocalToken};
use server::{Config, Server};
use time::OffsetDateTime;
use token::base64url;
use token::policy_jws::token_hash;

const RUNS: &str = "VOUCHSAFE_KILL_RUNS";
const DATA_DIR: &str = "VOUCHSAFE_KILL_DATA_DIR";
const DEFAULT_RUNS: usize = 20;
const VERSION: &str = "api-version=2020-10-01";

/// Types with one writer each, so that the order of its writes is known.
const ALONE: [&str; 3] = ["OpenEnclave", "Tpm", "TdxVm"];
/// A type with several writers.
const CONTENDED: &str = "SgxEnclave";
const CONTENDING_WRITERS: usize = 3;

/// The longest that a service is left alive after its first answer.
const LONGEST_LIFE_MILLIS: u64 = 400;

#[test]
fn killed_services_lose_nothing_they_answered() {
    let runs = std::env::var(RUNS).map_or(DEFAULT_RUNS, |text| text.parse().expect("a number of runs"));
    let scratch = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("server-kill");
    let _ = std::fs::remove_dir_all(&scratch);
    std::fs::create_dir_all(&scratch).unwrap();
    // A build that goes on meanwhile may replace this program's file, and the one in use has no name then.
    let program = scratch.join("service");
    std::fs::hard_link(std::env::current_exe().unwrap(), &program).unwrap();
    let data_dir = scratch.join("data");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let started = Instant::now();
    let mut expected: Vec<Written> = Vec::new();
    let (mut answered, mut uncertain_kept) = (0, 0);
    for run in 0..=runs {
        let service = Service::start(&program, &data_dir);
        let found = runtime.block_on(read_all(&service));
        uncertain_kept += compare(&expected, &found, run);
        expected.clear();
        if run == runs {
            break;
        }
        let counter = Arc::new(AtomicUsize::new(0));
        let writers = ALONE.iter().chain(std::iter::repeat_n(&CONTENDED, CONTENDING_WRITERS));
        let writers: Vec<_> = writers
            .enumerate()
            .map(|(writer, kind)| {
                runtime.spawn(write(service.clone_client(), kind, (run, writer), Arc::clone(&counter)))
            })
            .collect();
        let deadline = Instant::now() + Duration::from_secs(60);
        while counter.load(Ordering::Relaxed) == 0 {
            assert!(Instant::now() < deadline, "the service answered nothing");
            std::thread::sleep(Duration::from_millis(1));
        }
        let life = random() % LONGEST_LIFE_MILLIS;
        std::thread::sleep(Duration::from_millis(life));
        service.kill();
        for writer in writers {
            expected.push(runtime.block_on(writer).unwrap());
        }
        answered += expected.iter().map(|written| written.answered.len()).sum::<usize>();
        check_database(&data_dir);
        assert_eq!(verify(&data_dir, &[]).unwrap().problems, [], "the audit log after kill {run}");
    }
    let recorded = recorded_changes(&data_dir);
    assert!(recorded >= answered, "{answered} writes were answered, {recorded} recorded");
    assert!(answered > runs, "{answered} writes in {runs} runs are no test");
    println!(
        "{runs} kills: {answered} answered writes, all kept; {uncertain_kept} more were kept whose answer the \
         kill cut off; {:.0} s",
        started.elapsed().as_secs_f64()
    );
}

/// Changes that the audit log has as done.
fn recorded_changes(data_dir: &Path) -> usize {
    let files = std::fs::read_dir(data_dir.join("audit")).unwrap().map(|file| file.unwrap().path());
    let logs = files.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    let text: String = logs.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events
        .filter(|event| event["outcome"] == "succeeded")
        .filter(|event| !event["operation"].as_str().unwrap().starts_with("GET"))
        .count()
}

/// What one writer did in one run.
struct Written {
    kind: &'static str,
    /// Token hashes of what was answered, in order.
    answered: Vec<String>,
    /// Of what was sent last, and not answered.
    uncertain: Option<String>,
}

/// Sets and resets until the service is gone.
async fn write(
    client: Client,
    kind: &'static str,
    (run, writer): (usize, usize),
    counter: Arc<AtomicUsize>,
) -> Written {
    let mut written = Written { kind, answered: Vec::new(), uncertain: None };
    for number in 0.. {
        // A member of the header that nobody reads makes every text one of a kind.
        let header = json!({ "alg": "none", "number": format!("{run}-{writer}-{number}") });
        let text = format!("version=1.0; authorizationrules{{[type==\"n\", value=={number}] => permit();}};");
        let is_reset = number % 5 == 4;
        let payload = json!({ "AttestationPolicy": base64url::encode(text.as_bytes()) }).to_string();
        let payload = if is_reset { String::new() } else { base64url::encode(payload.as_bytes()) };
        let jws = format!("{}.{payload}.", base64url::encode(header.to_string().as_bytes()));
        let hash = token_hash(&jws);
        let sent = match is_reset {
            true => client.post(&format!("/policies/{kind}:reset"), jws).await,
            false => client.put(&format!("/policies/{kind}"), jws).await,
        };
        let Some(answer) = sent else {
            written.uncertain = Some(hash);
            break;
        };
        let claims = base64url::decode(answer["token"].as_str().unwrap().split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        if !is_reset {
            assert_eq!(claims["x-ms-policy-token-hash"], hash);
        }
        written.answered.push(hash);
        counter.fetch_add(1, Ordering::Relaxed);
    }
    written
}

/// The whole history of a type, oldest first, and the policy in force.
struct Found {
    kind: &'static str,
    /// Version, action and token hash.
    history: Vec<(u64, String, String)>,
    current: String,
}

async fn read_all(service: &Service) -> Vec<Found> {
    let mut all = Vec::new();
    for kind in ALONE.iter().chain([&CONTENDED]) {
        let mut history = Vec::new();
        let mut before = String::new();
        loop {
            let path = format!("/policies/{kind}/history?top=1000{before}");
            let page = service.client.get(&path).await.expect("a history");
            for row in page["versions"].as_array().unwrap() {
                let text = |name: &str| row[name].as_str().unwrap().to_owned();
                history.push((row["version"].as_u64().unwrap(), text("action"), text("policyTokenHash")));
            }
            match page["nextBefore"].as_u64() {
                Some(next) => before = format!("&before={next}"),
                None => break,
            }
        }
        history.reverse();
        let answer = service.client.get(&format!("/policies/{kind}")).await.expect("a policy");
        let claims = base64url::decode(answer["token"].as_str().unwrap().split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        all.push(Found { kind, history, current: claims["x-ms-policy"].as_str().unwrap().to_owned() });
    }
    all
}

/// Compares what a start found with what was answered before, and returns how many writes were kept without
/// an answer.
fn compare(expected: &[Written], found: &[Found], run: usize) -> usize {
    let mut uncertain_kept = 0;
    for Found { kind, history, current } in found {
        for (index, (version, ..)) in history.iter().enumerate() {
            assert_eq!(*version, u64::try_from(index).unwrap() + 1, "run {run}: {kind} has a gap");
        }
        match history.last() {
            Some((_, action, hash)) if action == "set" => {
                assert_eq!(token_hash(current), *hash, "run {run}: {kind} is not what its last row says");
            }
            _ => assert!(!current.contains("number"), "run {run}: {kind} is not the default after a reset"),
        }
        let hashes: Vec<&str> = history.iter().map(|(_, _, hash)| hash.as_str()).collect();
        for written in expected.iter().filter(|written| written.kind == *kind) {
            let places: Vec<_> =
                written.answered.iter().map(|hash| hashes.iter().position(|kept| kept == hash)).collect();
            assert!(places.iter().all(Option::is_some), "run {run}: {kind} lost an answered write");
            assert!(places.is_sorted(), "run {run}: {kind} kept writes of one writer in another order");
            let kept = |hash: &String| hashes.contains(&hash.as_str());
            let uncertain = usize::from(written.uncertain.as_ref().is_some_and(kept));
            uncertain_kept += uncertain;
            if ALONE.contains(kind) {
                // Old or new: the last answered write is in force, or the one that was on its way.
                let last = hashes.len() - uncertain;
                let newest = written.answered.last().map(String::as_str);
                if newest.is_some() {
                    assert_eq!(last.checked_sub(1).map(|place| hashes[place]), newest, "run {run}: {kind}");
                }
            }
        }
    }
    uncertain_kept
}

fn check_database(data_dir: &Path) {
    let connection = rusqlite::Connection::open(data_dir.join(server::store::FILE)).unwrap();
    let verdict: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
}

fn random() -> u64 {
    u64::from_le_bytes(crypto::random_bytes().unwrap())
}

/// A service in a process of its own.
struct Service {
    child: Child,
    client: Client,
}

#[derive(Clone)]
struct Client {
    http: reqwest::Client,
    token: String,
    uri: String,
}

impl Service {
    fn start(program: &Path, data_dir: &Path) -> Self {
        let log = std::fs::File::create(program.with_file_name("log")).unwrap();
        let mut child = Command::new(program)
            .args(["--exact", "the_service_that_is_killed", "--ignored", "--nocapture"])
            .env(DATA_DIR, data_dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let uri = lines
            .map_while(Result::ok)
            .find_map(|line| line.split_once("serving at ").map(|(_, uri)| uri.to_owned()))
            .expect("the service starts");
        let ca = reqwest::Certificate::from_pem(&std::fs::read(data_dir.join("ca.pem")).unwrap()).unwrap();
        let http = reqwest::Client::builder().tls_certs_only([ca]).no_proxy().build().unwrap();
        let wanted =
            LocalToken { lifetime_minutes: 60, provider: "default", role: Role::Contributor, scope: None };
        let token = local::token(data_dir, &wanted, OffsetDateTime::now_utc()).unwrap();
        Self { child, client: Client { http, token, uri } }
    }

    fn clone_client(&self) -> Client {
        self.client.clone()
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Client {
    async fn get(&self, path: &str) -> Option<Value> {
        self.send(self.http.get(self.url(path))).await
    }

    async fn put(&self, path: &str, body: String) -> Option<Value> {
        self.send(self.http.put(self.url(path)).body(body)).await
    }

    async fn post(&self, path: &str, body: String) -> Option<Value> {
        self.send(self.http.post(self.url(path)).body(body)).await
    }

    fn url(&self, path: &str) -> String {
        let separator = if path.contains('?') { '&' } else { '?' };
        format!("{}{path}{separator}{VERSION}", self.uri)
    }

    /// A good answer, or none if the connection ended before it was there.
    async fn send(&self, request: reqwest::RequestBuilder) -> Option<Value> {
        let response = request.bearer_auth(&self.token).send().await.ok()?;
        let status = response.status().as_u16();
        let body = response.text().await.ok()?;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).ok()
    }
}

/// Not a test: the process that the other one starts. It ends when its standard input does.
#[test]
#[ignore = "the process that the other test starts and kills"]
fn the_service_that_is_killed() {
    let Some(data_dir) = std::env::var_os(DATA_DIR) else { return };
    let mut config =
        Config { data_dir: data_dir.into(), listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
    config.endorsements.pcs_urls.clear();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let server = runtime.block_on(Server::start(config)).unwrap();
    println!("\nserving at {}", server.uri());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
