//! The main job, whole, in one process: a service on its embedded default, one enclave attested through
//! its HTTPS front door, and the token checked by a relying party that knows only the public metadata.
//!
//! The enclave is forged under a throw-away root. This process makes that root, names it as a trust
//! anchor as an operator would name one, and forgets it; nothing else trusts it.
#![expect(clippy::print_stdout, reason = "an example talks to a person")]

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use relying_party::{Metadata, Verifier, metadata_url};
use serde_json::{Value, json};
use server::{Config, Server};
use testkit::intel::{Ca, Forge};
use testkit::{Minted, formats};
use time::OffsetDateTime;

/// What the enclave wants its relying party to believe: a public key that only it can use.
const RUNTIME_DATA: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","use":"enc","kid":"enclave-key","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    println!("Vouchsafe quickstart: evidence in, verified, appraised, a signed token out, checked.\n");

    let mut step =
        Step::start(1, "attester", "forge an SGX quote and its endorsements under a throw-away root");
    let minted = forge();
    std::fs::write(directory.path().join("endorsements.json"), formats::dcap_qvl(&minted))?;
    std::fs::write(directory.path().join("root.pem"), &minted.root)?;
    step.done(&format!(
        "quote of {} bytes, FMSPC {}, report data = SHA-256 of the enclave's public key",
        minted.quote.len(),
        hex::encode(minted.fmspc)
    ));

    step = Step::start(2, "service", "start on its embedded default");
    let server = Server::start(configuration(directory.path())).await?;
    step.done(&format!("listening on {} with a certificate of its own local authority", server.uri()));

    let client = reqwest::Client::builder()
        .tls_certs_only(reqwest::Certificate::from_pem_bundle(&std::fs::read(server.ca_pem())?)?)
        .build()?;
    let request = json!({
        "quote": URL_SAFE_NO_PAD.encode(&minted.quote),
        "runtimeData": { "data": URL_SAFE_NO_PAD.encode(RUNTIME_DATA), "dataType": "JSON" },
    });
    step = Step::start(
        3,
        "attester",
        "POST /attest/SgxEnclave: the endorsements are verified for the first time",
    );
    attest(&client, server.uri(), &request).await?;
    step.done("token received");
    step = Step::start(4, "attester", "the same again: what was proved is kept, the quote is verified anew");
    let token = attest(&client, server.uri(), &request).await?;
    step.done(&format!("token of {} characters", token.len()));

    step = Step::start(
        5,
        "relying party",
        "fetch discovery document and keys from the issuer it trusts, verify",
    );
    let document = get(&client, &metadata_url(server.uri())?).await?;
    let metadata = Metadata::parse(server.uri(), &document)?;
    let keys = get(&client, metadata.jwks_uri()).await?;
    let claims = Verifier::new(&metadata, &keys)?.verify(&token, OffsetDateTime::now_utc())?;
    step.done(&format!(
        "genuine: mrenclave {}, debuggable {}",
        hex::encode(claims.mrenclave()?),
        claims.is_debuggable()?
    ));

    step = Step::start(6, "attester", "send runtime data that the enclave did not vouch for");
    let other = json!({
        "quote": URL_SAFE_NO_PAD.encode(&minted.quote),
        "runtimeData": { "data": URL_SAFE_NO_PAD.encode("{}"), "dataType": "JSON" },
    });
    let refusal = attest(&client, server.uri(), &other).await.err().ok_or("the wrong data were accepted")?;
    step.done(&format!("refused: {refusal}"));

    println!("\nThe token:\n{}\n", serde_json::to_string_pretty(claims.as_json())?);
    println!("serving {} until Ctrl-C. Try:", server.uri());
    println!("  curl --cacert {} {}/certs", server.ca_pem().display(), server.uri());
    println!(
        "  curl --cacert {} {}/.well-known/openid-configuration",
        server.ca_pem().display(),
        server.uri()
    );
    server.run_until_signal().await?;
    println!("stopped; the throw-away root is gone.");
    Ok(())
}

/// A production enclave on an up-to-date platform, as of now.
fn forge() -> Minted {
    let mut forge = Forge::new(Ca::Platform, OffsetDateTime::now_utc());
    forge.quote.body.report_data = [0; 64];
    let digest = crypto::sha256(RUNTIME_DATA.as_bytes());
    for (to, from) in forge.quote.body.report_data.iter_mut().zip(digest) {
        *to = from;
    }
    forge.mint()
}

/// The defaults, and what an operator who signs the endorsements would set.
fn configuration(directory: &Path) -> Config {
    let mut config = Config {
        data_dir: directory.join("data"),
        listen: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
        ..Config::default()
    };
    config.endorsements.offline = vec![directory.join("endorsements.json")];
    config.endorsements.pcs_urls = Vec::new();
    config.trust_anchors.pck_root_files = vec![directory.join("root.pem")];
    config.trust_anchors.tcb_signing_root_files = vec![directory.join("root.pem")];
    config
}

/// The token, or the service's own words on why there is none.
async fn attest(client: &reqwest::Client, uri: &str, request: &Value) -> Result<String, Box<dyn Error>> {
    let url = format!("{uri}/attest/SgxEnclave?api-version=2025-06-01");
    let answer: Value = client.post(url).json(request).send().await?.json().await?;
    match answer.get("token").and_then(Value::as_str) {
        Some(token) => Ok(token.to_owned()),
        None => Err(answer.pointer("/error/message").and_then(Value::as_str).unwrap_or("no answer").into()),
    }
}

async fn get(client: &reqwest::Client, url: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    Ok(client.get(url).send().await?.error_for_status()?.bytes().await?.to_vec())
}

struct Step {
    started: Instant,
}

impl Step {
    fn start(number: u32, actor: &str, what: &str) -> Self {
        println!("{number}. {actor}: {what}");
        Self { started: Instant::now() }
    }

    fn done(&self, outcome: &str) {
        let took: Duration = self.started.elapsed();
        println!("   {:>8.2} ms  {outcome}", took.as_secs_f64() * 1000.0);
    }
}
