//! The stages of one attestation, their floors and a peer, measured in turn in one run.
//!
//!     cargo bench --manifest-path bench/Cargo.toml
//!
//! Times are medians in microseconds on one core; what counts are the ratios.

use std::path::Path;

use appraisal::{Baseline, DataType, Issuer, RequestData, Settings, appraise};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bench::floor;
use bench::process::Process;
use bench::rounds::{Subject, measure, median};
use crypto::{P256PublicKey, SigningAlgorithm, SigningKey};
use dcap_qvl::QuoteCollateralV3;
use dcap_qvl::verify::QuoteVerifier;
use evidence::dcap::Endorsements;
use evidence::sgx::Quote;
use policy::{Policy, defaults};
use serde_json::Value;
use testkit::intel::{Ca, Forge};
use testkit::{Minted, formats};
use time::OffsetDateTime;

const RUNTIME_DATA: &[u8] = br#"{"keys":[{"kty":"EC","crv":"P-256","kid":"enclave-key","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

/// Requests over HTTPS in one round.
const REQUESTS: usize = 400;

/// Rounds of requests over HTTPS.
const HTTPS_ROUNDS: usize = 7;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    match arguments.get(1).map(String::as_str) {
        Some("--serve") => runtime.block_on(serve(Path::new(&arguments[2]))),
        Some("--floor") => {
            let bytes = arguments[3].parse().expect("a size");
            runtime.block_on(floor::serve(Path::new(&arguments[2]), bytes));
        }
        _ => report(&runtime),
    }
}

fn report(runtime: &tokio::runtime::Runtime) {
    let now = OffsetDateTime::now_utc();
    let minted = forge(now);
    let stages = stages(&minted, now);
    let time = |name: &str| stages.iter().find(|(stage, _)| *stage == name).expect("a stage").1;
    println!("{:<28} {:>10}  ratio", "stage", "µs");
    let row = |name: &str, floor: Option<(&str, f64)>| {
        let ratio =
            floor.map_or(String::new(), |(what, floor)| format!("{:.2} × {what}", time(name) / floor));
        println!("{name:<28} {:>10.1}  {ratio}", time(name));
    };
    let two = time("floor: two P-256");
    let crypto_floor = two + time("floor: RS256 signature");
    row("floor: two P-256", None);
    row("floor: RS256 signature", None);
    row("parse", None);
    row("verify_cold", Some(("two P-256", two)));
    row("verify_warm", Some(("two P-256", two)));
    row("bind", None);
    row("appraise", None);
    row("issue", Some(("one RS256 signature", time("floor: RS256 signature"))));
    row("request_in_process", Some(("two P-256 and one RS256 signature", crypto_floor)));
    row("peer: dcap-qvl", Some(("verify_cold", time("verify_cold"))));
    println!(
        "verify_warm is {:.2} times faster than dcap-qvl on the same quote.\n",
        time("peer: dcap-qvl") / time("verify_warm")
    );
    https(runtime, &minted, crypto_floor);
}

/// Everything that runs inside one process.
fn stages(minted: &Minted, now: OffsetDateTime) -> Vec<(&'static str, f64)> {
    let raw = minted.endorsements();
    let anchors = minted.anchors();
    let endorsements = Endorsements::verify(&raw, &anchors, now).expect("genuine endorsements");
    let quote = Quote::parse(&minted.quote).expect("a quote");
    let pck = quote.pck_chain().expect("a chain").verify(&anchors).expect("a genuine chain");
    let verified = quote.verify(&pck, &endorsements, now).expect("a genuine quote");
    let bound = verified.clone().bind(Some(RUNTIME_DATA), None).expect("its data");
    let policy = Policy::analyze(defaults::SGX).expect("a policy");
    let settings = Settings::of(&policy).expect("settings");
    let baseline = Baseline::default();
    let issuer = issuer();
    let request = || RequestData { runtime_type: DataType::Json, ..RequestData::default() };
    let appraised =
        || appraise(&bound, request(), &baseline, &policy, None, &settings, now).expect("a result");
    let body = body(minted).to_string();

    let key = SigningKey::generate(SigningAlgorithm::Es256).expect("a key");
    let public = key.public_key_der().expect("its public half");
    let public = P256PublicKey::from_point(&public[public.len() - 65..]).expect("a point");
    let message = [7; 432];
    let signature: [u8; 64] = key.sign(&message).expect("a signature").try_into().expect("64 bytes");
    let token_key = SigningKey::generate(SigningAlgorithm::Rs256).expect("a key");

    let collateral = collateral(minted);
    let root = pem_body(&minted.root);
    let at = u64::try_from(now.unix_timestamp()).expect("after 1970");

    measure(vec![
        Subject::new("floor: two P-256", || {
            (public.verify_fixed(&message, &signature), public.verify_fixed(&message, &signature))
        }),
        Subject::new("floor: RS256 signature", || token_key.sign(&[7; 2000])),
        Subject::new("parse", || Quote::parse(&minted.quote).map(|quote| quote.padding_bytes())),
        Subject::new("verify_cold", || {
            let endorsements = Endorsements::verify(&raw, &anchors, now).expect("genuine endorsements");
            let quote = Quote::parse(&minted.quote).expect("a quote");
            let pck = quote.pck_chain().expect("a chain").verify(&anchors).expect("a genuine chain");
            quote.verify(&pck, &endorsements, now).expect("a genuine quote")
        }),
        Subject::new("verify_warm", || quote.verify(&pck, &endorsements, now).expect("a genuine quote")),
        Subject::new("bind", || verified.clone().bind(Some(RUNTIME_DATA), None).expect("its data")),
        Subject::new("appraise", appraised),
        Subject::new("issue", || issuer.issue(appraised(), now).expect("a token")),
        Subject::new("request_in_process", || {
            let request = api::AttestSgxEnclave::parse(body.as_bytes(), api::ApiVersion::V2025_06_01);
            let request = request.expect("a request");
            let data = request.runtime_data.expect("runtime data");
            let quote = Quote::parse(&request.quote).expect("a quote");
            let verified = quote.verify(&pck, &endorsements, now).expect("a genuine quote");
            let bound = verified.bind(Some(data.bytes()), None).expect("its data");
            let request = RequestData { runtime_type: DataType::Json, ..RequestData::default() };
            let result =
                appraise(&bound, request, &baseline, &policy, None, &settings, now).expect("a result");
            issuer.issue(result, now).expect("a token")
        }),
        Subject::new("peer: dcap-qvl", || {
            QuoteVerifier::new(root.clone()).verify(&minted.quote, &collateral, at).expect("genuine")
        }),
    ])
}

/// The whole request over HTTPS with keep-alive, and the same bytes through the stack alone.
fn https(runtime: &tokio::runtime::Runtime, minted: &Minted, crypto_floor: f64) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_str().expect("a path");
    std::fs::write(directory.path().join("endorsements.json"), formats::dcap_qvl(minted)).expect("a file");
    std::fs::write(directory.path().join("root.pem"), &minted.root).expect("a file");
    let service = Process::start(&["--serve", path]);
    let body = body(minted);
    let ca = std::fs::read(directory.path().join("data/ca.pem")).expect("the local authority");
    let attest = format!("{}/attest/SgxEnclave?api-version=2025-06-01", service.uri);
    let client = client(&ca);
    let answer = runtime.block_on(send(&client, &attest, &body));
    let floor = Process::start(&["--floor", path, &answer.to_string()]);
    let floor_client = self::client(&std::fs::read(directory.path().join("floor.pem")).expect("a file"));
    let floor_uri = format!("{}/attest", floor.uri);
    runtime.block_on(send(&floor_client, &floor_uri, &body));

    let mut samples: [Vec<f64>; 4] = Default::default();
    for _ in 0..HTTPS_ROUNDS {
        let subjects = [(&service, &client, &attest), (&floor, &floor_client, &floor_uri)];
        for (index, (process, client, uri)) in subjects.into_iter().enumerate() {
            let (cpu, started) = (process.cpu_secs(), std::time::Instant::now());
            for _ in 0..REQUESTS {
                runtime.block_on(send(client, uri, &body));
            }
            let each = 1e6 / REQUESTS as f64;
            samples[index * 2].push(started.elapsed().as_secs_f64() * each);
            samples[index * 2 + 1].push((process.cpu_secs() - cpu) * each);
        }
    }
    let [wall, cpu, floor_wall, floor_cpu] = samples.map(|mut samples| median(&mut samples));
    println!("{:<28} {:>10} {:>14}", "over HTTPS, keep-alive", "µs", "server CPU µs");
    println!("{:<28} {floor_wall:>10.1} {floor_cpu:>14.1}", "floor: empty handler");
    println!("{:<28} {wall:>10.1} {cpu:>14.1}", "request_https");
    println!(
        "server CPU per request is {:.2} × (empty handler + two P-256 + one RS256 signature).",
        cpu / (floor_cpu + crypto_floor)
    );
}

async fn serve(directory: &Path) {
    let mut config = server::Config {
        data_dir: directory.join("data"),
        listen: ([127, 0, 0, 1], 0).into(),
        ..server::Config::default()
    };
    config.endorsements.offline = vec![directory.join("endorsements.json")];
    config.endorsements.pcs_urls = Vec::new();
    config.trust_anchors.pck_root_files = vec![directory.join("root.pem")];
    config.trust_anchors.tcb_signing_root_files = vec![directory.join("root.pem")];
    let server = server::Server::start(config).await.expect("a service");
    println!("ready {}", server.uri());
    server.run_until_signal().await.expect("signals");
}

fn client(ca: &[u8]) -> reqwest::Client {
    let certificates = reqwest::Certificate::from_pem_bundle(ca).expect("a certificate");
    reqwest::Client::builder().tls_certs_only(certificates).build().expect("a client")
}

/// Sends one request and returns the size of its answer.
async fn send(client: &reqwest::Client, uri: &str, body: &Value) -> usize {
    let answer = client.post(uri).json(body).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.text().await.expect("a text"));
    answer.bytes().await.expect("a body").len()
}

fn body(minted: &Minted) -> Value {
    serde_json::json!({
        "quote": URL_SAFE_NO_PAD.encode(&minted.quote),
        "runtimeData": { "data": URL_SAFE_NO_PAD.encode(RUNTIME_DATA), "dataType": "JSON" },
    })
}

fn forge(now: OffsetDateTime) -> Minted {
    let mut forge = Forge::new(Ca::Platform, now);
    forge.quote.body.report_data = [0; 64];
    forge.quote.body.report_data[..32].copy_from_slice(&crypto::sha256(RUNTIME_DATA));
    forge.mint()
}

fn issuer() -> Issuer {
    let key = SigningKey::generate(SigningAlgorithm::Rs256).expect("a key");
    let pair = rcgen::KeyPair::try_from(key.to_pkcs8().expect("its bytes").as_slice()).expect("a pair");
    let certificate = rcgen::CertificateParams::default().self_signed(&pair).expect("a certificate");
    let signer = token::Signer::new(key, vec![certificate.der().to_vec()]).expect("a signer");
    Issuer::new("https://127.0.0.1:8443".to_owned(), signer)
}

fn collateral(minted: &Minted) -> QuoteCollateralV3 {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let signed = |document: &[u8], name: &str| {
        let document = text(document);
        let start = document.find(&format!("\"{name}\":")).expect("the value") + name.len() + 3;
        let end = document.rfind(",\"signature\"").expect("the signature");
        let value: Value = serde_json::from_str(&document).expect("JSON");
        (document[start..end].to_owned(), decode_hex(value["signature"].as_str().expect("hexadecimal")))
    };
    let (tcb_info, tcb_info_signature) = signed(&minted.tcb_info, "tcbInfo");
    let (qe_identity, qe_identity_signature) = signed(&minted.qe_identity, "enclaveIdentity");
    QuoteCollateralV3 {
        pck_crl_issuer_chain: text(&minted.pck_crl_issuer_chain),
        root_ca_crl: minted.root_ca_crl.clone(),
        pck_crl: minted.pck_crl.clone(),
        tcb_info_issuer_chain: text(&minted.tcb_info_issuer_chain),
        tcb_info,
        tcb_info_signature,
        qe_identity_issuer_chain: text(&minted.qe_identity_issuer_chain),
        qe_identity,
        qe_identity_signature,
        pck_certificate_chain: None,
    }
}

fn decode_hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hexadecimal"))
        .collect()
}

fn pem_body(pem: &[u8]) -> Vec<u8> {
    let text: String =
        std::str::from_utf8(pem).expect("text").lines().filter(|line| !line.starts_with('-')).collect();
    base64::engine::general_purpose::STANDARD.decode(text).expect("base64")
}
