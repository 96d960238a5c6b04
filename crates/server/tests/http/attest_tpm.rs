//! `POST /attest/Tpm`: the exchange with minted machines, and each way to get it wrong.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use server::config::ProviderConfig;
use testkit::tpm::{Binding, BootLog, Machine, Makers, Request, Version, tag, vbs};
use time::OffsetDateTime;

use crate::support::{Answer, Service, b64, claims, config, forge, part, send};

const V22: &str = "api-version=2022-08-01";
const STRICT: &str = r#"version=1.2;
authorizationrules {
    c:[type=="pcrs"] => add(type="pcr16", value=JsonToClaimValue(JmesPath(c.value, "PCRs[? Index == `16`].Digests.SHA256 | @[0] == '0000000000000000000000000000000000000000000000000000000000000000'")));
    [type=="aikValidated", value==true, issuer=="AttestationService"] && [type=="pcr16", value==true] => permit();
};
issuancerules {
    c:[type=="secureBootEnabled"] => issue(claim=c);
    c:[type=="vbsReportPresent"] => issue(claim=c);
    c:[type=="enclaveSvn"] => issue(claim=c);
    c:[type=="x-ms-tpm-request-key"] => issue(claim=c);
    c:[type=="x-ms-tpm-other-keys"] => issue(claim=c);
    c:[type=="bootEvents"] => issue(type="hibernated", value=true);
    c:[type=="rack", issuer=="CustomClaim"] => issue(claim=c);
    => issue(type="iss", value="somebody else");
};"#;
const LENIENT: &str = r#"version=1.2;
configurationrules {
    => issueproperty(type="require_valid_aik_cert", value=false);
    => issueproperty(type="required_pcr_mask", value=1);
};
authorizationrules { => permit(); };
issuancerules {
    c:[type=="aikValidated"] => issue(claim=c);
    => issueproperty(type="report_validity_in_minutes", value=5);
    => issueproperty(type="omit_x5c", value=true);
};"#;

/// A service with a strict provider, and a lenient one below `/lenient`; both let anybody attest.
struct World {
    makers: Makers,
    service: Service,
}

impl World {
    async fn start(name: &str) -> Self {
        Self::with(name, |_| {}).await
    }

    async fn with(name: &str, change: impl Fn(&mut ProviderConfig)) -> Self {
        let mut config = config(name, &forge(b"").mint());
        let directory = config.data_dir.parent().unwrap().to_owned();
        let makers = Makers::new(OffsetDateTime::now_utc());
        let roots = directory.join("roots");
        std::fs::create_dir_all(roots.join("aik")).unwrap();
        std::fs::write(roots.join("aik/makers.der"), makers.certificate()).unwrap();
        let provider = |name: &str, policy: &str| {
            let file = directory.join(format!("{name}.policy"));
            std::fs::write(&file, policy).unwrap();
            let mut provider = ProviderConfig::default();
            provider.policies.insert("Tpm".to_owned(), file);
            provider.tpm.anonymous_attestation = true;
            provider.tpm.roots = Some(roots.clone());
            change(&mut provider);
            provider
        };
        config.provider = provider("strict", STRICT);
        let mut lenient = provider("lenient", LENIENT);
        lenient.name = Some("lenient".to_owned());
        lenient.path_prefix = Some("lenient".to_owned());
        config.providers = vec![lenient];
        Self { makers, service: Service::start(config).await }
    }

    fn machine(&self, log: BootLog) -> Machine {
        Machine::booted(log, &self.makers)
    }

    async fn send(&self, prefix: &str, message: &Value) -> Answer {
        let body = json!({ "data": b64(json!({ "payload": message }).to_string().as_bytes()) });
        self.service.post(&format!("{prefix}/attest/Tpm?{V22}"), body.to_string()).await
    }

    /// A request that answers a fresh challenge.
    async fn request(&self, prefix: &str, machine: Machine) -> Request {
        let answer = self.send(prefix, &json!({ "type": "aikcert" })).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let challenge = data(&answer);
        let member = |name: &str| URL_SAFE_NO_PAD.decode(challenge[name].as_str().unwrap()).unwrap();
        Request::new(machine, &member("challenge"), &member("service_context"))
    }

    async fn answer(&self, prefix: &str, request: &Request) -> Answer {
        self.send(prefix, &json!({ "request": request.jws() })).await
    }

    /// The token for a request.
    async fn token(&self, prefix: &str, request: &Request) -> String {
        let answer = self.answer(prefix, request).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        data(&answer)["report"].as_str().unwrap().to_owned()
    }

    /// The message of a refusal of a Linux machine's request that `spoil` has spoilt.
    async fn refusal(&self, spoil: impl FnOnce(&mut Request)) -> String {
        let mut request = self.request("", self.machine(BootLog::linux(true))).await;
        spoil(&mut request);
        self.answer("", &request).await.refusal(400, "InvalidParameter")
    }
}

/// The message in an answer.
fn data(answer: &Answer) -> Value {
    let data = answer.json()["data"].as_str().unwrap().to_owned();
    serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(data).unwrap()).unwrap()["payload"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_gets_a_token() {
    let world = World::start("tpm").await;
    let mut request = world.request("", world.machine(BootLog::linux(true))).await;
    let (certified, bare) = (testkit::key::Key::generate_rsa(), testkit::key::Key::generate_rsa());
    request.other_keys = vec![(certified, Binding::Certify), (bare, Binding::None)];
    request.members.insert("rp_data".to_owned(), json!("AQIDBA"));
    let claim = json!([{ "name": "rack", "value": "7", "value_type": "Integer" }]);
    request.members.insert("custom_claims".to_owned(), claim);
    let token = world.token("", &request).await;
    let (header, claims) = (part(&token, 0), claims(&token));
    assert_eq!(claims["secureBootEnabled"], true);
    assert_eq!(claims["vbsReportPresent"], false);
    assert_eq!(claims["rack"], 7);
    assert_eq!((&claims["rp_data"], &claims["nonce"]), (&json!("AQIDBA"), &json!("AQIDBA")));
    assert_eq!((&claims["ver"], &claims["x-ms-ver"]), (&json!("1.0"), &json!("1.0")));
    assert_eq!(claims["iss"], world.service.server.uri());
    assert_eq!(claims["jti"].as_str().unwrap().len(), 40);
    let [iat, nbf, exp] = ["iat", "nbf", "exp"].map(|name| claims[name].as_i64().unwrap());
    assert_eq!((iat - nbf, exp - iat), (300, 24 * 60 * 60));
    for absent in ["hibernated", "x-ms-attestation-type", "x-ms-policy", "enclaveSvn"] {
        assert_eq!(claims.get(absent), None, "{absent}");
    }
    let key = &claims["x-ms-tpm-request-key"];
    assert_eq!(key["info"], json!({ "tpm_quote": { "hash_alg": "sha-256" } }));
    assert_eq!(claims["cnf"], json!({ "jwk": key["jwk"] }));
    let others = claims["x-ms-tpm-other-keys"].as_array().unwrap();
    assert_eq!(others[0]["info"], json!({ "tpm_certify": { "name_alg": 11, "obj_attr": 0x0004_0072 } }));
    assert_eq!(others[1].get("info"), None);
    // The certificate names the key among those published.
    assert_eq!(header["x5c"].as_array().unwrap().len(), 1);
    let published = world.service.get("/certs").await.json();
    let named = published["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]).unwrap();
    assert_eq!(named["x5c"], header["x5c"]);
    relying_party(&token, &published.to_string(), world.service.server.uri());
}

fn relying_party(token: &str, keys: &str, issuer: &str) {
    let keys = token::Jwks::parse(keys.as_bytes()).unwrap();
    let unverified = token::UnverifiedToken::parse(token).unwrap();
    let expectations = token::Expectations {
        issuer,
        audience: None,
        algorithms: &[token::Algorithm::Rs256],
        leeway_secs: 0,
    };
    unverified.verify(&keys, &expectations, OffsetDateTime::now_utc()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bare_messages_are_answered_bare_and_the_first_version_is_spoken() {
    let world = World::start("tpm_v1").await;
    let post = async |message: Value| {
        let body = json!({ "data": b64(message.to_string().as_bytes()) }).to_string();
        let answer = world.service.post(&format!("/attest/tpm?{V22}"), body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let data = URL_SAFE_NO_PAD.decode(answer.json()["data"].as_str().unwrap()).unwrap();
        serde_json::from_slice::<Value>(&data).unwrap()
    };
    let challenge = post(json!({ "type": "aikcert" })).await;
    let member = |name: &str| URL_SAFE_NO_PAD.decode(challenge[name].as_str().unwrap()).unwrap();
    let machine = world.machine(BootLog::linux(false));
    let mut request = Request::new(machine, &member("challenge"), &member("service_context"));
    request.version = Version::V1;
    let report = post(json!({ "request": request.jws() })).await["report"].clone();
    let claims = claims(report.as_str().unwrap());
    assert_eq!(claims["secureBootEnabled"], false);
    assert_eq!(claims["x-ms-tpm-request-key"].get("info"), None);
    let old = world.service.post("/attest/Tpm?api-version=2018-09-01-preview", "{}").await;
    old.refusal(404, "NotFound");
    let old = world.service.post("/attest/Tee/Tpm?api-version=2018-09-01-preview", "{}").await;
    assert_eq!(old.status, 401, "{}", old.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_earlier_boot_of_a_machine_that_hibernated() {
    let world = World::start("tpm_history").await;
    for version in [Version::V1, Version::V2] {
        let before = world.machine(BootLog::linux(true));
        let mut now = before.clone();
        (now.counters.restart, now.counters.clock) = (2, 90_000);
        let request = async |before: Machine| {
            let request = world.request("", now.clone()).await;
            Request { history: Some(before), version, ..request }
        };
        let genuine = request(before.clone()).await;
        assert_eq!(claims(&world.token("", &genuine).await)["hibernated"], true);
        let mut other = world.machine(BootLog::linux(true));
        other.counters = before.counters;
        let mut reset = before.clone();
        reset.counters.reset = 2;
        let mut later = before.clone();
        later.counters.restart = 3;
        let mut changed = before.clone();
        changed.pcrs[7] = [1; 32];
        for (before, told) in [
            (other, "by another attestation key"),
            (reset, "was reset between the two quotes (2 resets, then 3)"),
            (later, "`restartCount` went back from 3 to 2"),
            (changed, "before hibernation: event log: the log does not replay to the quoted value of PCR 7"),
        ] {
            // In the first version one key stands for both.
            if version == Version::V1 && told.contains("another attestation key") {
                continue;
            }
            let spoilt = request(before).await;
            let message = world.answer("", &spoilt).await.refusal(400, "InvalidParameter");
            assert!(message.contains(told), "{message}, not {told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_of_windows() {
    let world = World::start("tpm_vbs").await;
    let identity = testkit::key::Key::generate_rsa();
    let request = async |version| {
        let machine = world.machine(BootLog::windows(&vbs::measured(&identity)));
        let request = world.request("", machine).await;
        Request { version, enclave: Some(identity.clone()), ..request }
    };
    for version in [Version::V1, Version::V2] {
        let claims = claims(&world.token("", &request(version).await).await);
        assert_eq!((&claims["vbsReportPresent"], &claims["enclaveSvn"]), (&json!(true), &json!(7)));
        let mut stranger = request(version).await;
        stranger.enclave = Some(testkit::key::Key::generate_rsa());
        let mut other_data = request(version).await;
        other_data.enclave_data = Some([7; 64]);
        let mut unmeasured = request(version).await;
        unmeasured.machine = world.machine(BootLog::windows(&tag(0x000a_0001, &[1])));
        for (spoilt, told) in [
            (stranger, "not signed by the identity key measured at boot"),
            (other_data, "does not cover the text of `report_signed`"),
            (unmeasured, "no identity key of virtualisation-based security was measured"),
        ] {
            let message = world.answer("", &spoilt).await.refusal(400, "InvalidParameter");
            assert!(message.contains(told), "{message}, not {told}");
        }
    }
    let cut = request(Version::V1).await;
    let jws = cut.jws();
    let payload = URL_SAFE_NO_PAD.decode(jws.split('.').nth(1).unwrap()).unwrap();
    let mut payload: Value = serde_json::from_slice(&payload).unwrap();
    payload["att_data"]["vsm_report"] = json!("AQID");
    let answer = world.send("", &json!({ "request": resign(&cut, &jws, &payload) })).await;
    let message = answer.refusal(400, "InvalidParameter");
    assert!(message.contains("enclave report: ") && message.contains("PackageSize"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_answered_by_a_replica_and_after_a_restart() {
    let mut config = config("tpm_replicas", &forge(b"").mint());
    let directory = config.data_dir.parent().unwrap().to_owned();
    let key = directory.join("context-key");
    std::fs::write(&key, [7; 32]).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(directory.join("policy"), LENIENT).unwrap();
    config.context_key_file = Some(key);
    config.provider.uri = Some("https://attest.example".to_owned());
    config.provider.tpm.anonymous_attestation = true;
    config.provider.policies.insert("Tpm".to_owned(), directory.join("policy"));
    let machine = Machine::booted(BootLog::linux(true), &Makers::new(OffsetDateTime::now_utc()));
    let start = async |name: &str| {
        let mut config = config.clone();
        config.data_dir = directory.join(name);
        Service::start(config).await
    };
    let post = async |service: &Service, message: Value| {
        let body = json!({ "data": b64(json!({ "payload": message }).to_string().as_bytes()) }).to_string();
        let url = format!("https://{}/attest/Tpm?{V22}", service.server.local_addr());
        send(service.client.post(url).header("content-type", "application/json").body(body)).await
    };
    let first = start("first").await;
    let challenge = async |service: &Service| {
        let challenge = data(&post(service, json!({ "type": "aikcert" })).await);
        let member = |name: &str| URL_SAFE_NO_PAD.decode(challenge[name].as_str().unwrap()).unwrap();
        Request::new(machine.clone(), &member("challenge"), &member("service_context"))
    };
    let (one, two, three) = (challenge(&first).await, challenge(&first).await, challenge(&first).await);
    let answer = async |service: &Service, request: &Request| {
        post(service, json!({ "request": request.jws() })).await.status
    };
    assert_eq!(answer(&first, &one).await, 200);
    let second = start("second").await;
    assert_eq!(answer(&second, &two).await, 200);
    first.server.stop().await;
    let restarted = start("first").await;
    assert_eq!(answer(&restarted, &one).await, 400, "it was answered before");
    assert_eq!(answer(&restarted, &three).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_is_explained_to_programs_where_the_provider_wants_it() {
    let mut config = config("tpm_explained", &forge(b"").mint());
    let directory = config.data_dir.parent().unwrap().to_owned();
    let policy = r#"version=1.0; authorizationrules { [type=="secureBootEnabled", value==true] => permit(); };
        issuancerules {};"#;
    std::fs::write(directory.join("policy"), policy).unwrap();
    std::fs::create_dir_all(directory.join("roots/aik")).unwrap();
    let makers = Makers::new(OffsetDateTime::now_utc());
    std::fs::write(directory.join("roots/aik/makers.der"), makers.certificate()).unwrap();
    config.provider.explain_denials = true;
    config.provider.tpm.anonymous_attestation = true;
    config.provider.tpm.roots = Some(directory.join("roots"));
    config.provider.policies.insert("Tpm".to_owned(), directory.join("policy"));
    let world = World { makers, service: Service::start(config).await };
    let request = world.request("", world.machine(BootLog::linux(false))).await;
    let answer = world.answer("", &request).await;
    assert!(answer.refusal(400, "PolicyEvaluationError").contains("No Permit claim"));
    assert!(answer.body.contains("PolicyExplanation") && answer.body.contains("secureBootEnabled"));
}

/// The JWS with another payload, signed by the request's key.
fn resign(request: &Request, jws: &str, payload: &Value) -> String {
    let header = jws.split('.').next().unwrap();
    let signed = format!("{header}.{}", b64(payload.to_string().as_bytes()));
    let signature = request.request_key.sign_pss(signed.as_bytes());
    format!("{signed}.{}", b64(&signature))
}

#[tokio::test(flavor = "multi_thread")]
async fn challenges() {
    let world = World::start("tpm_challenges").await;
    let machine = world.machine(BootLog::linux(true));
    let request = world.request("", machine.clone()).await;
    world.token("", &request).await;
    for again in
        [request.clone(), Request { request_key: testkit::key::Key::generate_rsa(), ..request.clone() }]
    {
        let message = world.answer("", &again).await.refusal(400, "InvalidParameter");
        assert!(message.contains("has been answered already"), "{message}");
    }
    let other = world.request("", machine.clone()).await;
    let message = world.refusal(|request| request.challenge = other.challenge).await;
    assert!(message.contains("not the one that was issued with this `service_context`"), "{message}");
    for context in [b"{}".to_vec(), b"".to_vec(), b"x".to_vec(), other.service_context[..40].to_vec()] {
        let message = world.refusal(|request| request.service_context = context).await;
        assert!(message.contains("`service_context`: it was not issued by this provider"), "{message}");
    }
    // Of another provider of the instance, whose context is sealed with the same key.
    let foreign = world.request("/lenient", machine).await;
    let message = world.answer("", &foreign).await.refusal(400, "InvalidParameter");
    assert!(message.contains("`service_context`: it was not issued by this provider"), "{message}");
    world.token("/lenient", &foreign).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_that_is_not_genuine() {
    let world = World::start("tpm_refusals").await;
    let key = testkit::key::Key::generate_rsa;
    let refused = async |told: &str, spoil: &dyn Fn(&mut Request)| {
        let message = world.refusal(spoil).await;
        assert!(message.contains(told), "{message}, not {told}");
        assert!(message.starts_with("The TPM evidence was invalid: "), "{message}");
    };
    refused("signature of the request does not verify", &|request| request.signer = Some(key())).await;
    refused("the qualifying data are not the nonce expected", &|request| {
        request.nonce = Some(b"another".to_vec());
    })
    .await;
    // Made for the challenge, but for another request key.
    refused("the qualifying data are not the nonce expected", &|request| {
        request.nonce = Some(request.challenge.clone());
    })
    .await;
    refused("`request_key` is not bound to the TPM", &|request| request.binding = Binding::None).await;
    refused("does not cover PCR 23", &|request| request.pcrs = (0..23).collect()).await;
    refused("the log does not replay to the quoted value of PCR 8", &|request| {
        request.machine.log.events.retain(|event| event.pcr != 8);
    })
    .await;
    refused("the log does not replay to the quoted value of PCR 7", &|request| {
        request.machine.log = BootLog::linux(false)
    })
    .await;
    refused("hold different keys", &|request| request.machine.key = key()).await;
    refused("neither trusted by the operator nor certified", &|request| request.machine.certificate = None)
        .await;
    let strangers = Makers::new(OffsetDateTime::now_utc());
    refused("attestation key certificate: ", &|request| {
        request.machine.certificate = Some(strangers.certify(&request.machine.key).der());
    })
    .await;
    refused("attestation key certificate: ", &|request| request.machine.certificate = Some(vec![0x30, 0]))
        .await;
    refused("only `request_key` can be bound by the quote", &|request| {
        request.other_keys = vec![(key(), Binding::Quote)];
    })
    .await;
    refused("`other_keys`: the signature of the certification does not verify", &|request| {
        request.other_keys = vec![(key(), Binding::Certify)];
        request.certifier = Some(key());
    })
    .await;
    refused("`request_key`: the key must not have the attribute `restricted`", &|request| {
        request.binding = Binding::Certify;
        request.certified_attributes = testkit::tpm::structures::RESTRICTED_SIGNING;
    })
    .await;
    // A certified key is one, the key in the request another.
    let mut request = world.request("", world.machine(BootLog::linux(true))).await;
    request.binding = Binding::Certify;
    let jws = request.jws();
    let payload = URL_SAFE_NO_PAD.decode(jws.split('.').nth(1).unwrap()).unwrap();
    let mut payload: Value = serde_json::from_slice(&payload).unwrap();
    request.request_key = key();
    let modulus = b64(&testkit::tpm::structures::modulus(&request.request_key));
    payload["att_data"]["request_key"]["jwk"]["n"] = modulus.into();
    let answer = world.send("", &json!({ "request": resign(&request, &jws, &payload) })).await;
    let message = answer.refusal(400, "InvalidParameter");
    assert!(message.contains("`request_key`: the certified public area holds another key"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_and_claims_that_are_none() {
    let world = World::start("tpm_messages").await;
    let post = async |body: &str| world.service.post(&format!("/attest/Tpm?{V22}"), body.to_owned()).await;
    let message = post("{}").await.refusal(400, "InvalidParameter");
    assert!(message.contains("`data` is missing"), "{message}");
    let answer = world.send("", &json!({ "request": "a.b" })).await;
    assert!(answer.refusal(400, "InvalidParameter").contains("not a compact JWS"));
    let without =
        world.refusal(|request| drop(request.members.insert("tpm_att_data".to_owned(), Value::Null))).await;
    assert!(without.contains("`tpm_att_data` is missing"), "{without}");
    let claim = async |name: &str, value: &str, kind: &str| {
        let claim = json!([{ "name": name, "value": value, "value_type": kind }]);
        world.refusal(|request| drop(request.members.insert("custom_claims".to_owned(), claim))).await
    };
    for name in ["aikValidated", "events", "iss", "secureBootEnabled", "pcr16"] {
        let message = claim(name, "true", "boolean").await;
        assert!(
            message.contains("has the name of a claim that the service makes or the policy adds"),
            "{message}"
        );
    }
    for (name, value, kind) in
        [("", "v", "string"), ("n", "v", "float"), ("n", "1.5", "integer"), ("n", "yes", "boolean")]
    {
        assert!(claim(name, value, kind).await.contains("is not a claim"), "{kind}");
    }
    let small = json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" });
    let quoted = world.request("", world.machine(BootLog::linux(true))).await;
    let payload = URL_SAFE_NO_PAD.decode(quoted.jws().split('.').nth(1).unwrap()).unwrap();
    let mut payload: Value = serde_json::from_slice(&payload).unwrap();
    payload["att_data"]["request_key"]["jwk"] = small;
    let answer = world.send("", &json!({ "request": resign(&quoted, &quoted.jws(), &payload) })).await;
    assert!(answer.refusal(400, "InvalidParameter").contains("its numbers are no key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_can_ask_for_less_and_shape_the_token() {
    let world = World::start("tpm_lenient").await;
    let mut machine = world.machine(BootLog::linux(true));
    machine.certificate = None;
    let mut request = world.request("/lenient", machine.clone()).await;
    request.pcrs = vec![0, 1, 7];
    let token = world.token("/lenient", &request).await;
    let (header, found) = (part(&token, 0), claims(&token));
    assert_eq!(found["aikValidated"], false);
    assert_eq!(found["exp"].as_i64().unwrap() - found["iat"].as_i64().unwrap(), 300);
    assert_eq!((header.get("x5c"), &header["x5t"]), (None, &header["kid"]));
    // What vouches for the key is reported even so; a certificate of another key is never taken.
    let certified = world.machine(BootLog::linux(true));
    let request = world.request("/lenient", certified).await;
    assert_eq!(claims(&world.token("/lenient", &request).await)["aikValidated"], true);
    machine.certificate = Some(world.makers.certify(&testkit::key::Key::generate_rsa()).der());
    let request = world.request("/lenient", machine).await;
    let message = world.answer("/lenient", &request).await.refusal(400, "InvalidParameter");
    assert!(message.contains("hold different keys"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_without_a_usage_count_where_the_provider_says_so() {
    for (name, require, status) in [("tpm_usage", true, 400), ("tpm_no_usage", false, 200)] {
        let world = World::with(name, |provider| provider.tpm.require_key_usage = require).await;
        let mut machine = world.machine(BootLog::linux(true));
        let mut certificate = world.makers.certify(&machine.key);
        testkit::x509::take(&mut certificate.extensions, "2.5.29.37");
        machine.certificate = Some(certificate.der());
        let request = world.request("", machine).await;
        let answer = world.answer("", &request).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(status == 200 || answer.body.contains("extended key usage"), "{}", answer.body);
    }
}

/// Long logs go to the pool: other requests are answered meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn an_ima_log_of_many_records() {
    let world = World::start("tpm_ima").await;
    let mut machine = world.machine(BootLog::linux(true));
    let mut log = Vec::new();
    for record in 0..30_000_u32 {
        let digest = [&b"sha256:\0"[..], &crypto::sha256(&record.to_le_bytes())].concat();
        let path = format!("/usr/lib/modules/{record:06}.ko\0").into_bytes();
        let field = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_le_bytes()[..], bytes].concat();
        let template = [field(&digest), field(&path)].concat();
        machine.pcrs[10] = crypto::sha256_of_parts(&[&machine.pcrs[10], &crypto::sha256(&template)]);
        log.extend(10_u32.to_le_bytes());
        log.extend(crypto::sha1(&template));
        log.extend(field(b"ima-ng"));
        log.extend(field(&template));
    }
    let request = world.request("", machine).await;
    let jws = request.jws();
    let payload = URL_SAFE_NO_PAD.decode(jws.split('.').nth(1).unwrap()).unwrap();
    let mut payload: Value = serde_json::from_slice(&payload).unwrap();
    let logs = payload.pointer_mut("/att_data/tpm_att_data/current_attestation/logs").unwrap();
    logs.as_array_mut().unwrap().push(json!({ "type": "IMA", "log": b64(&log) }));
    let message = json!({ "request": resign(&request, &jws, &payload) });
    let attesting = world.send("", &message);
    let others = async {
        let mut longest = std::time::Duration::ZERO;
        for _ in 0..50 {
            let started = std::time::Instant::now();
            assert_eq!(world.service.get("/healthz/live").await.status, 204);
            longest = longest.max(started.elapsed());
        }
        longest
    };
    let (answer, longest) = tokio::join!(attesting, others);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(longest < std::time::Duration::from_millis(500), "others waited for {longest:?}");
}
