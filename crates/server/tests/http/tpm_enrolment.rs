//! `/tpm`: machines that enrol, the list of them, and what verifiers elsewhere need of the attestation CA.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use evidence::tpm::{AkCertificate, CertificateError, KeyRole, TpmTrust};
use reqwest::Method;
use serde_json::{Value, json};
use server::Config;
use server::auth::Role;
use server::config::ProviderConfig;
use testkit::endorsed_tpm::{Maker, SoftwareTpm};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::managed::{Managed, access_token};
use crate::support::{Answer, Service, b64, config, forge};

const ENROLL: &str = "/tpm/enrollments";
const ACTIVATE: &str = "/tpm/enrollments:activate";

/// A configuration that trusts the maker of TPMs.
fn trusting(name: &str, maker: &Maker) -> Config {
    let mut config = config(name, &forge(b"").mint());
    let roots = config.data_dir.with_file_name("roots");
    std::fs::create_dir_all(roots.join("ek")).unwrap();
    std::fs::write(roots.join("ek/maker.pem"), maker.root_pem()).unwrap();
    config.provider.tpm.roots = Some(roots);
    config
}

fn offer(maker: &Maker, tpm: &SoftwareTpm) -> Value {
    json!({
        "ekCertificates": [b64(&maker.certify(tpm))],
        "ekPublic": b64(&tpm.ek_public()),
        "aikPublic": b64(&tpm.ak_public()),
    })
}

fn bytes(answer: &Value, name: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(answer[name].as_str().unwrap()).unwrap()
}

/// What the client sends back for an answer.
fn proof(tpm: &SoftwareTpm, answer: &Value) -> Value {
    let secret = tpm.activate(&bytes(answer, "credentialBlob"), &bytes(answer, "encryptedSecret")).unwrap();
    json!({ "enrollmentContext": answer["enrollmentContext"], "secret": b64(&secret) })
}

impl Managed {
    async fn read(&self, path: &str) -> Answer {
        self.send_as(&self.reader, Method::GET, path, "").await
    }

    async fn as_reader(&self, path: &str, body: &Value) -> Answer {
        self.send_as(&self.reader, Method::POST, path, body.to_string()).await
    }

    async fn enrol(&self, maker: &Maker, tpm: &SoftwareTpm) -> Value {
        let offered = self.as_reader(ENROLL, &offer(maker, tpm)).await;
        assert_eq!(offered.status, 200, "{}", offered.body);
        let enrolled = self.as_reader(ACTIVATE, &proof(tpm, &offered.json())).await;
        assert_eq!(enrolled.status, 200, "{}", enrolled.body);
        enrolled.json()
    }

    /// What the CA publishes, and whether it vouches for a certificate.
    async fn vouches(&self, certificate: &[u8]) -> Result<(), CertificateError> {
        let ca = self.service.get("/tpm/ca").await;
        assert_eq!(
            (ca.status, &ca.headers["content-type"]),
            (200, &"application/pem-certificate-chain".parse().unwrap())
        );
        let crl = self.service.client.get(self.service.url("/tpm/ca.crl")).send().await.unwrap();
        assert_eq!(crl.headers()["content-type"], "application/pkix-crl");
        let mut trust = TpmTrust::new();
        trust.add_issuers(ca.body.as_bytes()).unwrap();
        trust.add_crl(&crl.bytes().await.unwrap()).unwrap();
        let certificate = AkCertificate::parse(certificate).unwrap();
        certificate.verify_as(KeyRole::Attestation, &trust, OffsetDateTime::now_utc()).map(|_| ())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_enrols_is_listed_revoked_and_restored() {
    let maker = Maker::new("a maker");
    let config = trusting("tpm_enrolment", &maker);
    let audit = config.data_dir.join("audit");
    let managed = Managed::start(config).await;
    let tpm = SoftwareTpm::new();
    assert_eq!(managed.read("/tpm/machines").await.json(), json!({ "machines": [], "nextAfter": null }));
    let enrolled = managed.enrol(&maker, &tpm).await;
    let id = hex::encode(crypto::sha256(&tpm.ek_spki()));
    assert_eq!(enrolled["machine"], id);
    let certificate = bytes(&enrolled, "aikCertificate");
    assert_eq!(managed.vouches(&certificate).await, Ok(()));
    let chain: Vec<_> = enrolled["aikCertificateChain"].as_array().unwrap().iter().collect();
    assert_eq!(chain.len(), 1);
    let not_after = OffsetDateTime::parse(enrolled["notAfter"].as_str().unwrap(), &Rfc3339).unwrap();
    let parsed = AkCertificate::parse(&certificate).unwrap();
    assert_eq!(not_after, parsed.validity().not_after);

    let list = managed.read("/tpm/machines").await.json();
    assert_eq!(list["machines"][0]["machine"], id);
    assert_eq!(list["machines"][0]["revoked"], false);
    let machine = format!("/tpm/machines/{id}");
    let shown = managed.read(&machine).await.json();
    assert_eq!(AkCertificate::parse(&bytes(&shown, "ekCertificate")).unwrap().spki(), tpm.ek_spki());
    assert_eq!(shown["aikCertificates"][0]["serial"], hex::encode(parsed.serial()));
    assert_eq!(shown["aikCertificates"][0]["notAfter"], enrolled["notAfter"]);

    let begun = managed.as_reader(ENROLL, &offer(&maker, &tpm)).await.json();
    let revoked = managed.post(&format!("{machine}:revoke"), r#"{"reason":"stolen"}"#).await.json();
    assert_eq!((&revoked["revoked"], &revoked["reason"]), (&json!(true), &json!("stolen")));
    assert!(matches!(managed.vouches(&certificate).await, Err(CertificateError::Revoked { .. })));
    let refused = managed.as_reader(ENROLL, &offer(&maker, &tpm)).await;
    assert!(refused.refusal(400, "InvalidOperation").contains(&format!("machine `{id}` is revoked")));
    let refused = managed.as_reader(ACTIVATE, &proof(&tpm, &begun)).await;
    assert!(refused.refusal(400, "InvalidOperation").contains("is revoked"));

    let restored = managed.post(&format!("{machine}:restore"), "").await.json();
    assert_eq!((&restored["revoked"], &restored["reason"]), (&json!(false), &Value::Null));
    assert_eq!(managed.vouches(&certificate).await, Ok(()));
    managed.service.server.stop().await;

    let log = std::fs::read_dir(audit).unwrap().next().unwrap().unwrap().path();
    let events: Vec<Value> = std::fs::read_to_string(log)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told = |operation: &str| {
        let of = events.iter().filter(|event| event["operation"] == operation);
        of.map(|event| event["outcome"].as_str().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(told("POST /tpm/enrollments"), ["succeeded", "succeeded", "refused"]);
    assert_eq!(told("POST /tpm/enrollments:activate"), ["begun", "succeeded", "begun", "refused"]);
    assert_eq!(told(&format!("POST {machine}:revoke")), ["begun", "succeeded"]);
    let activated: Vec<_> =
        events.iter().filter(|event| event["operation"] == "POST /tpm/enrollments:activate").collect();
    assert_eq!(activated[1]["machine"], id);
    assert_eq!(activated[1]["certificate"], hex::encode_upper(crypto::sha1(&certificate)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_says_why() {
    let maker = Maker::new("a maker");
    let managed = Managed::start(trusting("tpm_enrolment_refused", &maker)).await;
    let (tpm, other) = (SoftwareTpm::new(), SoftwareTpm::new());
    let good = offer(&maker, &tpm);
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    let invalid = [
        (json!({}), "ekCertificates"),
        (with("ekCertificates", json!([b64(b"none")])), "not a DER"),
        (with("ekCertificates", json!([b64(&Maker::new("other").certify(&tpm))])), "to a trusted issuer"),
        (with("ekPublic", json!(b64(b"none"))), "`ekPublic` is no TPMT_PUBLIC"),
        (with("ekPublic", json!(b64(&other.ek_public()))), "hold different keys"),
        (with("aikPublic", json!(b64(b"none"))), "`aikPublic` is no TPMT_PUBLIC"),
        (with("aikPublic", json!(b64(&tpm.ak_public_with(0x0004_0472)))), "lacks the attribute `restricted`"),
    ];
    for (body, says) in invalid {
        let message = managed.as_reader(ENROLL, &body).await.refusal(400, "InvalidParameter");
        assert!(message.contains(says), "{says}: {message}");
    }
    let offered = managed.as_reader(ENROLL, &good).await.json();
    let proof = proof(&tpm, &offered);
    let wrong = json!({ "enrollmentContext": proof["enrollmentContext"], "secret": b64(&[0; 32]) });
    let message = managed.as_reader(ACTIVATE, &wrong).await.refusal(400, "InvalidParameter");
    assert!(message.contains("`secret` is not the one"), "{message}");
    let foreign = json!({ "enrollmentContext": b64(&[0; 64]), "secret": proof["secret"] });
    let message = managed.as_reader(ACTIVATE, &foreign).await.refusal(400, "InvalidParameter");
    assert!(message.contains("was not issued by this provider"), "{message}");
    assert_eq!(managed.as_reader(ACTIVATE, &proof).await.status, 200);
    let message = managed.as_reader(ACTIVATE, &proof).await.refusal(400, "InvalidOperation");
    assert!(message.contains("was used already"), "{message}");

    let nobody = "0".repeat(64);
    for path in [format!("/tpm/machines/{nobody}"), "/tpm/machines/x".to_owned()] {
        assert!(managed.read(&path).await.refusal(404, "NotFound").contains("is enrolled"));
    }
    let post =
        async |path: &str, body: &str| managed.post(&format!("/tpm/machines/{nobody}{path}"), body).await;
    post(":revoke", r#"{"reason":"stolen"}"#).await.refusal(404, "NotFound");
    post(":restore", "").await.refusal(404, "NotFound");
    post(":remove", "").await.refusal(404, "NotFound");
    post("", "").await.refusal(404, "NotFound");
    assert!(post(":revoke", "{}").await.refusal(400, "InvalidParameter").contains("`reason`"));
    managed.read("/tpm/machines?top=x").await.refusal(400, "InvalidParameter");
    let old = "/tpm/machines?api-version=2018-09-01-preview";
    let old = managed.service.client.get(managed.service.url(old)).bearer_auth(&managed.reader);
    crate::support::send(old).await.refusal(404, "NotFound");
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_are_listed_in_pages() {
    let maker = Maker::new("a maker");
    let managed = Managed::start(trusting("tpm_enrolment_pages", &maker)).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(managed.enrol(&maker, &SoftwareTpm::new()).await["machine"].as_str().unwrap().to_owned());
    }
    ids.sort();
    let page = async |query: &str| {
        let page = managed.read(&format!("/tpm/machines?{query}")).await.json();
        let machines = page["machines"].as_array().unwrap();
        let found: Vec<_> =
            machines.iter().map(|machine| machine["machine"].as_str().unwrap().to_owned()).collect();
        (found, page["nextAfter"].as_str().map(str::to_owned))
    };
    assert_eq!(page("top=2").await, (ids[..2].to_vec(), Some(ids[1].clone())));
    assert_eq!(page(&format!("top=2&after={}", ids[1])).await, (ids[2..].to_vec(), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn providers_keep_their_machines_apart() {
    let maker = Maker::new("a maker");
    let mut config = trusting("tpm_enrolment_tenants", &maker);
    let team = ProviderConfig {
        name: Some("team".to_owned()),
        path_prefix: Some("team".to_owned()),
        tpm: config.provider.tpm.clone(),
        ..ProviderConfig::default()
    };
    config.providers = vec![team];
    let data_dir = config.data_dir.clone();
    let managed = Managed::start(config).await;
    let tpm = SoftwareTpm::new();
    let enrolled = managed.enrol(&maker, &tpm).await;
    let reader = access_token(&data_dir, "team", Role::Reader);
    let list = managed.send_as(&reader, Method::GET, "/team/tpm/machines", "").await;
    assert_eq!(list.json()["machines"], json!([]));
    let (own, team) =
        (managed.service.get("/tpm/ca").await.body, managed.service.get("/team/tpm/ca").await.body);
    assert_ne!(own, team);
    // What the one began the other does not finish.
    let begun = managed.as_reader(ENROLL, &offer(&maker, &tpm)).await.json();
    let proof = proof(&tpm, &begun).to_string();
    let message = managed.send_as(&reader, Method::POST, "/team/tpm/enrollments:activate", proof).await;
    assert!(message.refusal(400, "InvalidParameter").contains("was not issued by this provider"));
    assert_eq!(managed.vouches(&bytes(&enrolled, "aikCertificate")).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_enrol_where_the_operator_lets_them_and_nobody_without_roots() {
    let maker = Maker::new("a maker");
    let mut config = trusting("tpm_enrolment_anonymous", &maker);
    config.provider.tpm.anonymous_attestation = true;
    let audit = config.data_dir.join("audit");
    let service = Service::start(config).await;
    let tpm = SoftwareTpm::new();
    let post = async |path: &str, body: &Value| {
        service.post(&format!("{path}?api-version=2020-10-01"), body.to_string()).await
    };
    let offered = post(ENROLL, &offer(&maker, &tpm)).await.json();
    let enrolled = post(ACTIVATE, &proof(&tpm, &offered)).await;
    assert_eq!(enrolled.status, 200, "{}", enrolled.body);
    service.server.stop().await;
    let log = std::fs::read_dir(audit).unwrap().next().unwrap().unwrap().path();
    let log = std::fs::read_to_string(log).unwrap();
    let actor = format!("\"actor\":\"TPM {}\"", hex::encode(crypto::sha256(&tpm.ek_spki())));
    assert_eq!(log.matches(&actor).count(), 2, "{log}");

    let managed = Managed::start(config_without_roots()).await;
    let message = managed.as_reader(ENROLL, &offer(&maker, &tpm)).await.refusal(400, "InvalidOperation");
    assert!(message.contains("provider.tpm.roots"), "{message}");
}

fn config_without_roots() -> Config {
    config("tpm_enrolment_no_roots", &forge(b"").mint())
}
