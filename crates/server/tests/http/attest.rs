//! `POST /attest/SgxEnclave` and `/attest/OpenEnclave`.

use serde_json::{Value, json};
use testkit::intel::report::DEBUG;

use crate::support::{Service, VERSION, b64, client, config, forge, offline_config, part, send};
use server::Server;

const RUNTIME: &[u8] = br#"{"keys":[{"kty":"RSA"}], "a":1.50}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_becomes_a_token_of_the_configured_issuer() {
    let minted = forge(RUNTIME).mint();
    let service = Service::offline("attest_token", &minted).await;
    let body = json!({
        "quote": b64(&minted.quote),
        "runtimeData": { "data": b64(RUNTIME), "dataType": "JSON" },
        "nonce": 18_446_744_073_709_551_615_u64,
    });
    let before = time::OffsetDateTime::now_utc().unix_timestamp();
    let request = service.client.post(service.url(&format!("/attest/SgxEnclave?{VERSION}")));
    let answer = send(request.header("host", "attacker.example").body(body.to_string())).await;
    let claims = answer.claims();
    let uri = service.server.uri();
    let header = part(answer.json()["token"].as_str().unwrap(), 0);
    assert_eq!(header["jku"], format!("{uri}/certs"));
    assert_eq!(header["alg"], "RS256");
    assert_eq!(claims["iss"], uri);
    assert_eq!(claims["nonce"], 18_446_744_073_709_551_615_u64);
    assert_eq!(claims["x-ms-runtime"].to_string(), r#"{"a":1.50,"keys":[{"kty":"RSA"}]}"#);
    assert_eq!(claims["x-ms-sgx-tcbidentifier"], "azuredefault");
    assert_eq!(claims["x-ms-policy-hash"], "ViVGS4BYl70X8eUrgryHg0TtbEk9WtIc6DtTBEFxaWc");
    assert_eq!(claims["x-ms-sgx-collateral"]["quotehash"], hex::encode(crypto::sha256(&minted.quote)));
    assert!(
        claims["iat"].as_i64().unwrap() >= before
            && claims["exp"].as_i64() == Some(claims["iat"].as_i64().unwrap() + 28_800)
    );

    let keys = token::Jwks::parse(service.get("/certs").await.body.as_bytes()).unwrap();
    let text = answer.json()["token"].as_str().unwrap().to_owned();
    let expectations = token::Expectations {
        issuer: uri,
        audience: None,
        algorithms: &[token::Algorithm::Rs256],
        leeway_secs: 0,
    };
    let token = token::UnverifiedToken::parse(&text).unwrap();
    token.verify(&keys, &expectations, time::OffsetDateTime::now_utc()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_enclave_report_differs_in_its_hash_only() {
    let minted = forge(b"").mint();
    let service = Service::offline("attest_open_enclave", &minted).await;
    let report = testkit::open_enclave::report(&minted.quote);
    let body = json!({ "report": b64(&report) }).to_string();
    let answer = service.post(&format!("/attest/openenclave?{VERSION}"), body).await;
    let (mut by_report, mut by_quote) = (answer.claims(), service.attest_quote(&minted).await.claims());
    assert_eq!(by_report["x-ms-sgx-collateral"]["quotehash"], hex::encode(crypto::sha256(&report)));
    for claims in [&mut by_report, &mut by_quote] {
        let claims = claims.as_object_mut().unwrap();
        for differs in ["jti", "iat", "nbf", "exp"] {
            claims.remove(differs).unwrap();
        }
        for collateral in ["x-ms-sgx-collateral", "maa-attestationcollateral"] {
            claims.get_mut(collateral).unwrap().as_object_mut().unwrap().remove("quotehash").unwrap();
        }
    }
    assert_eq!(by_report, by_quote);

    for (path, body) in [
        ("OpenEnclave", json!({ "report": b64(&minted.quote) })),
        ("SgxEnclave", json!({ "quote": b64(&report) })),
    ] {
        let answer = service.post(&format!("/attest/{path}?{VERSION}"), body.to_string()).await;
        let message = answer.refusal(400, "InvalidParameter");
        assert!(message.starts_with("The specified quote was invalid"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_api_version_from_2020_on() {
    let minted = forge(b"").mint();
    let service = Service::offline("attest_versions", &minted).await;
    let body = json!({ "Quote": b64(&minted.quote) }).to_string();
    for version in [
        "2020-10-01",
        "2022-08-01",
        "2022-09-01-preview",
        "2023-04-01-preview",
        "2025-06-01",
        "2026-03-11-preview",
    ] {
        for path in ["/attest/SgxEnclave", "/ATTEST/SGXENCLAVE", "/attest/sgxenclave"] {
            service.post(&format!("{path}?API-Version={version}"), body.clone()).await.claims();
        }
    }
    for query in
        ["?api-version=2019-01-01", "?api-version=", "", "?api-version=2020-10-01&api-version=2020-10-01"]
    {
        let message = service.post(&format!("/attest/SgxEnclave{query}"), body.clone()).await;
        assert!(message.refusal(400, "UnsupportedApiVersion").contains("api-version"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_bodies_are_told_what_is_wrong() {
    let minted = forge(RUNTIME).mint();
    let service = Service::offline("attest_bodies", &minted).await;
    let path = format!("/attest/SgxEnclave?{VERSION}");
    let quote = b64(&minted.quote);
    let nested = format!("{{\"quote\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let with_runtime = |runtime: Value| json!({ "quote": quote, "runtimeData": runtime }).to_string();
    for (body, words) in [
        (String::new(), "empty"),
        ("quote=AAAA".to_owned(), "JSON"),
        (r#"{"quote":"AAAA"#.to_owned(), "JSON"),
        ("[]".to_owned(), "JSON"),
        ("{}".to_owned(), "`quote`"),
        (r#"{"quote":null}"#.to_owned(), "`quote`"),
        (r#"{"quote":7}"#.to_owned(), "`quote`"),
        (r#"{"quote":"AAAA","Quote":"BBBB"}"#.to_owned(), "`Quote`"),
        (r#"{"quote":"%%%"}"#.to_owned(), "base64"),
        (r#"{"quote":"AAAA"}"#.to_owned(), "quote"),
        (nested, ""),
        (with_runtime(json!("AAAA")), "runtimeData"),
        (with_runtime(json!({ "data": "AAAA", "dataType": "XML" })), "XML"),
        (with_runtime(json!({ "data": b64(b"not json"), "dataType": "JSON" })), "JSON"),
        (
            with_runtime(json!({ "data": b64(b"something else") })),
            "runtime data is not the first half of the report data",
        ),
        (json!({ "quote": quote, "initTimeData": { "data": "AAAA" } }).to_string(), "init-time data"),
    ] {
        let message = service.post(&path, body.clone()).await.refusal(400, "InvalidParameter");
        assert!(message.contains(words), "{}: {message}", body.chars().take(80).collect::<String>());
    }
    for length in [1, 47, 48, 431, 432, 1000, minted.quote.len() - 1] {
        let body = json!({ "quote": b64(&minted.quote[..length]) });
        let message = service.attest(&body).await.refusal(400, "InvalidParameter");
        assert!(message.starts_with("The specified quote was invalid: "), "{message}");
    }
    service.attest_quote(&minted).await.claims();
}

#[tokio::test(flavor = "multi_thread")]
async fn other_attestation_types_are_refused_by_name() {
    let service = Service::start(config("attest_types", &forge(b"").mint())).await;
    for kind in ["SevSnpVm", "TdxVm", "AzureGuest", "Pluton", "KeyGuard", "MdepTz", "AiHsm"] {
        let answer = service.post(&format!("/attest/{kind}?{VERSION}"), "{}").await;
        let message = answer.refusal(400, "InvalidOperation");
        assert!(message.contains(kind) && message.contains("SgxEnclave"), "{message}");
    }
    let answer = service.post(&format!("/attest/Nonsense?{VERSION}"), "{}").await;
    assert!(answer.refusal(400, "InvalidParameter").contains("`nonsense`"));
    let answer = service.post(&format!("/attest/Tee/SgxEnclave?{VERSION}"), "{}").await;
    assert!(answer.refusal(404, "NotFound").contains("2018-09-01-preview"));
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_that_is_not_genuine() {
    let minted = forge(b"").mint();
    let service = Service::offline("attest_not_genuine", &minted).await;
    let mut tampered = minted.quote.clone();
    tampered[48 + 64] ^= 1;
    let message = service.attest(&json!({ "quote": b64(&tampered) })).await.refusal(400, "InvalidParameter");
    assert_eq!(message, "The specified quote was invalid: the quote is not signed by its attestation key");

    // Another throw-away root, which this service does not trust; and it asks nobody for endorsements.
    let stranger = forge(b"").mint();
    let message = service.attest_quote(&stranger).await.refusal(400, "InvalidParameter");
    assert!(message.starts_with("The specified quote was invalid: PCK chain"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_policy_decides_and_its_token_is_unsigned() {
    let minted = forge(b"").mint();
    let service = Service::offline("attest_draft", &minted).await;
    let with_draft =
        |policy: &str| json!({ "quote": b64(&minted.quote), "draftPolicyForAttestation": policy });
    let policy =
        "version=1.0; authorizationrules{=> permit();}; issuancerules{=> issue(type=\"x\", value=7);};";
    let answer = service.attest(&with_draft(policy)).await;
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    assert!(token.ends_with('.'), "{token}");
    assert_eq!(part(&token, 0)["alg"], "none");
    assert_eq!(answer.claims()["x"], 7);

    let denying =
        "version=1.0; authorizationrules{[type==\"x-ms-sgx-is-debuggable\", value==false] => deny();};";
    let message = service.attest(&with_draft(denying)).await.refusal(400, "PolicyEvaluationError");
    assert!(
        message.contains("Msg:[Policy Engine Exception: A Deny claim was issued, authorization failed.]"),
        "{message}"
    );
    let message = service.attest(&with_draft("version=1.0; authorizationrules{};")).await;
    let message = message.refusal(400, "PolicyEvaluationError");
    assert!(message.contains("No Permit claim was issued in the authorizationrules section"), "{message}");
    let message = service.attest(&with_draft("version=1.0; [")).await.refusal(400, "PolicyParsingError");
    assert!(message.contains("Policy Parser Exception Thrown"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn debug_enclaves_are_a_claim() {
    let mut forge = forge(b"");
    forge.quote.body.flags |= DEBUG;
    let minted = forge.mint();
    let service = Service::offline("attest_debug", &minted).await;
    assert_eq!(service.attest_quote(&minted).await.claims()["x-ms-sgx-is-debuggable"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_baseline_decides_about_the_tcb() {
    let mut forge = forge(b"");
    forge.platform_status("OutOfDate");
    let minted = forge.mint();
    let mut config = offline_config("attest_baseline", &minted);
    let service = Service::start(config.clone()).await;
    let message = service.attest_quote(&minted).await.refusal(400, "InvalidParameter");
    assert!(
        message.contains("does not meet the Azure baseline requirements") && message.contains("`OutOfDate`"),
        "{message}"
    );
    service.server.stop().await;

    config.provider.baseline.accept_tcb_status = vec!["OutOfDate".parse().unwrap()];
    let service = Service::start(config).await;
    service.attest_quote(&minted).await.claims();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policys_tcb_identifier_changes_the_verdict() {
    let mut forge = forge(b"");
    forge.tcb_info.evaluation_data_number = 17;
    forge.qe_identity.evaluation_data_number = 17;
    let minted = forge.mint();
    let mut config = offline_config("attest_tcbidentifier", &minted);
    config.provider.baseline.min_tcb_evaluation = Some(17);
    let service = Service::start(config.clone()).await;
    let draft = |identifier: &str| {
        json!({
            "quote": b64(&minted.quote),
            "draftPolicyForAttestation": format!(
                "version=1.1; configurationrules{{=> issueproperty(type=\"x-ms-sgx-tcbidentifier\", \
                 value=\"{identifier}\");}}; authorizationrules{{=> permit();}};"
            ),
        })
    };
    for identifier in ["azuredefault", "16", "17"] {
        let claims = service.attest(&draft(identifier)).await.claims();
        assert_eq!(claims["x-ms-sgx-tcbidentifier"], identifier);
    }
    for identifier in ["18", "1000", "4294967295"] {
        let message = service.attest(&draft(identifier)).await.refusal(400, "InvalidParameter");
        assert!(
            message.contains("baseline") && message.contains(identifier) && message.contains("17"),
            "{message}"
        );
    }
    service.attest(&draft("newest")).await.refusal(400, "PolicyEvaluationError");
    service.server.stop().await;

    config.provider.baseline.min_tcb_evaluation = Some(18);
    let service = Service::start(config).await;
    let message = service.attest_quote(&minted).await.refusal(400, "InvalidParameter");
    assert!(message.contains("18") && message.contains("17"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_evidence_can_be_replayed_and_its_token_is_of_now() {
    let now = time::OffsetDateTime::now_utc();
    let then = now - time::Duration::days(1000);
    let minted = testkit::Forge::new(testkit::intel::Ca::Processor, then).mint();
    let mut config = offline_config("attest_replay", &minted);
    let service = Service::start(config.clone()).await;
    let message = service.attest_quote(&minted).await.refusal(400, "InvalidParameter");
    assert!(
        message.contains("due to an error in the quote collateral") && message.contains("not valid at"),
        "{message}"
    );
    service.server.stop().await;

    config.danger_appraise_at = Some(then);
    let service = Service::start(config.clone()).await;
    let claims = service.attest_quote(&minted).await.claims();
    assert!((claims["iat"].as_i64().unwrap() - now.unix_timestamp()).abs() < 60);
    service.server.stop().await;

    config.production = true;
    let refused = Server::start(config).await.unwrap_err();
    assert!(refused.to_string().contains("danger_appraise_at"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_a_directory_and_one_a_port() {
    let minted = forge(b"").mint();
    let mut config = config("attest_exclusive", &minted);
    let service = Service::start(config.clone()).await;
    let refused = Server::start(config.clone()).await.unwrap_err().to_string();
    assert!(refused.contains("another server uses the data directory"), "{refused}");
    config.listen = service.server.local_addr();
    config.data_dir = config.data_dir.with_file_name("other");
    let refused = Server::start(config).await.unwrap_err().to_string();
    assert!(refused.contains(&service.server.local_addr().port().to_string()), "{refused}");
    assert_eq!(send(client(service.server.ca_pem()).get(service.url("/certs"))).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn request_ids_continue_the_callers_trace() {
    let service = Service::start(config("attest_trace", &forge(b"").mint())).await;
    let request = service
        .client
        .get(service.url("/certs"))
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .header("x-ms-client-request-id", "11111111-2222-3333-4444-555555555555")
        .header("x-ms-return-client-request-id", "true");
    let answer = send(request).await;
    let id = answer.headers["x-ms-request-id"].to_str().unwrap();
    assert!(id.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{id}");
    assert_eq!(answer.headers["x-ms-client-request-id"], "11111111-2222-3333-4444-555555555555");
    assert!(answer.headers.contains_key("date"));
}
