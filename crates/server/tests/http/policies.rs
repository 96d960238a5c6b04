//! `/policies/{type}`, its verbs and its history.

use reqwest::Method;
use serde_json::{Value, json};
use server::config::TrustModel;
use token::policy_jws::token_hash;

use crate::managed::{DENY, Managed, PERMIT, RESET, Signer, isolate, plain};
use crate::support::{b64, config, forge, offline_config};

fn default_jws(text: &str) -> String {
    plain(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn get_set_and_reset_answer_what_is_recorded() {
    let managed = Managed::start(config("policies_aad", &forge(b"").mint())).await;
    for (kind, text) in [
        ("SgxEnclave", policy::defaults::SGX),
        ("OpenEnclave", policy::defaults::SGX),
        ("SevSnpVm", policy::defaults::SEV_SNP),
        ("TdxVm", policy::defaults::TDX),
        ("AzureGuest", policy::defaults::AZURE_GUEST),
    ] {
        let claims = managed.answer(&managed.get(&format!("/policies/{kind}")).await);
        assert_eq!(claims, json!({ "x-ms-policy": default_jws(text) }), "{kind}");
    }
    let claims = managed.answer(&managed.get("/policies/Tpm").await);
    assert_eq!(claims, json!({ "x-ms-policy": RESET }));

    for kind in ["SgxEnclave", "Tpm", "SevSnpVm"] {
        let body = plain(PERMIT);
        let path = format!("/policies/{kind}");
        for sent in [body.clone(), format!("\"{body}\"")] {
            let claims = managed.answer(&managed.put(&path, sent).await);
            let expected = json!({
                "x-ms-policy-result": "Updated",
                "x-ms-policy-token-hash": "c6sEJQItV50OeP9IrP_bzywAMOVvj5uDPbklA_bwdYQ",
            });
            assert_eq!(claims, expected);
        }
        assert_eq!(managed.answer(&managed.get(&path).await), json!({ "x-ms-policy": body }));
        let claims = managed.answer(&managed.post(&format!("{path}:reset"), RESET).await);
        assert_eq!(claims, json!({ "x-ms-policy-result": "Removed" }));
    }
    let claims = managed.answer(&managed.get("/POLICIES/sgxenclave").await);
    assert_eq!(claims, json!({ "x-ms-policy": default_jws(policy::defaults::SGX) }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_policy_is_echoed_with_its_signer() {
    let managed = Managed::start(config("policies_signed", &forge(b"").mint())).await;
    let signer = Signer::new("SomePolicySigner");
    let body = signer.sign_policy(PERMIT);
    let claims = managed.answer(&managed.put("/policies/SgxEnclave", &body).await);
    let expected = json!({
        "x-ms-policy-result": "Updated",
        "x-ms-policy-token-hash": token_hash(&body),
        "x-ms-policy-signer": signer.jwk(),
    });
    assert_eq!(claims, expected);
    assert_eq!(managed.answer(&managed.get("/policies/SgxEnclave").await), json!({ "x-ms-policy": body }));
    let reset = managed.post("/policies/SgxEnclave:reset", signer.sign(b"")).await;
    assert_eq!(managed.answer(&reset), json!({ "x-ms-policy-result": "Removed" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_the_documented_codes_and_phrases() {
    let managed = Managed::start(config("policies_refused", &forge(b"").mint())).await;
    let unfit = Signer::without_authority("MyPolicySigner").sign_policy(PERMIT);
    let good = Signer::new("signer").sign_policy(PERMIT);
    let cut = good.rsplit_once('.').unwrap().0;
    for (body, code, phrase) in [
        (PERMIT.to_owned(), "InvalidOperation", "Malformed JWT"),
        ("version=1".to_owned(), "InvalidOperation", "Could not find first period in the token"),
        ("e)0.e30.".to_owned(), "InvalidOperation", "Unknown base64 character"),
        (plain("version=1.0;\n["), "PolicyParsingError", "Invalid policy was specified"),
        (RESET.to_owned(), "InvalidOperation", "Malformed JWT"),
        (unfit, "InvalidParameter", "Unable to find issuer certificate CN=MyPolicySigner"),
        (format!("{cut}.AAAA"), "InvalidParameter", "signature does not verify"),
    ] {
        let answer = managed.put("/policies/SgxEnclave", &body).await;
        let message = answer.refusal(400, code);
        assert!(message.contains(phrase), "{message}");
    }
    let message = managed.put("/policies/Pluton", plain(PERMIT)).await.refusal(400, "InvalidParameter");
    assert!(message.contains("Pluton"), "{message}");
    managed.put("/policies/VbsEnclave", plain(PERMIT)).await.refusal(400, "InvalidParameter");
    let message =
        managed.post("/policies/SgxEnclave:reset", plain(PERMIT)).await.refusal(400, "InvalidOperation");
    assert!(message.contains("must be empty"), "{message}");
    for path in ["/policies/SgxEnclave", "/policies/SgxEnclave:rename", "/policies/SgxEnclave:"] {
        managed.post(path, RESET).await.refusal(404, "NotFound");
    }
    let claims = managed.answer(&managed.get("/policies/SgxEnclave").await);
    assert_eq!(claims["x-ms-policy"], default_jws(policy::defaults::SGX), "nothing changed");
    let old = managed.get("/policies/SgxEnclave?api-version=2018-09-01-preview").await;
    old.refusal(400, "UnsupportedApiVersion");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_read_changes_nothing() {
    let managed = Managed::start(config("policies_reader", &forge(b"").mint())).await;
    let as_reader = |method: Method, path: &'static str, body: String| {
        managed.send_as(&managed.reader, method, path, body)
    };
    managed.answer(&as_reader(Method::GET, "/policies/SgxEnclave", String::new()).await);
    for (method, path, body) in [
        (Method::PUT, "/policies/SgxEnclave", plain(PERMIT)),
        (Method::POST, "/policies/SgxEnclave:reset", RESET.to_owned()),
        (Method::POST, "/policies/SgxEnclave:rollback", r#"{"version":1}"#.to_owned()),
    ] {
        as_reader(method, path, body).await.refusal(401, "Unauthorized");
    }
    let history = as_reader(Method::GET, "/policies/SgxEnclave/history", String::new()).await;
    assert_eq!(history.json(), json!({ "versions": [], "nextBefore": null }));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_decides_at_once_and_after_a_restart() {
    let minted = forge(b"").mint();
    let mut config = offline_config("policies_decide", &minted);
    let managed = Managed::start(config.clone()).await;
    let attest = || managed.service.attest_quote(&minted);
    assert!(attest().await.claims().get("x-ms-policy-signer").is_none());
    managed.answer(&managed.put("/policies/SgxEnclave", plain(DENY)).await);
    attest().await.refusal(400, "PolicyEvaluationError");
    let signer = Signer::new("SomePolicySigner");
    managed.answer(&managed.put("/policies/SgxEnclave", signer.sign_policy(PERMIT)).await);
    let claims = attest().await.claims();
    assert_eq!(claims["x-ms-policy-hash"], "z0FRjKS0ssQTNur1V6BV8WIrh9M3fzgTo0EfHRvapWU");
    assert_eq!(claims["x-ms-policy-signer"], signer.jwk());
    let draft = json!({ "quote": b64(&minted.quote), "draftPolicyForAttestation": PERMIT });
    assert!(managed.service.attest(&draft).await.claims().get("x-ms-policy-signer").is_none());
    managed.answer(&managed.put("/policies/OpenEnclave", plain(DENY)).await);
    assert_eq!(attest().await.status, 200, "the policy of another type");
    managed.service.server.stop().await;

    config.listen = "127.0.0.1:0".parse().unwrap();
    let managed = Managed::start(config).await;
    assert_eq!(managed.service.attest_quote(&minted).await.claims()["x-ms-policy-signer"], signer.jwk());
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_listed_read_and_rolled_back_to() {
    let managed = Managed::start(config("policies_history", &forge(b"").mint())).await;
    let signer = Signer::new("SomePolicySigner");
    managed.answer(&managed.put("/policies/TdxVm", plain(PERMIT)).await);
    managed.answer(&managed.put("/policies/TdxVm", signer.sign_policy(DENY)).await);
    managed.answer(&managed.post("/policies/TdxVm:reset", RESET).await);
    let back = managed.post("/policies/TdxVm:rollback", r#"{"version": 1}"#).await;
    let hash = token_hash(&plain(PERMIT));
    assert_eq!(
        managed.answer(&back),
        json!({ "x-ms-policy-result": "Updated", "x-ms-policy-token-hash": hash })
    );
    let body = managed.get("/policies/TdxVm/history").await.json();
    let versions = body["versions"].as_array().unwrap();
    let facts: Vec<Value> = versions
        .iter()
        .map(|row| json!([row["version"], row["action"], row["restoredVersion"], row["signerThumbprint"]]))
        .collect();
    assert_eq!(
        json!(facts),
        json!([
            [4, "rollback", 1, null],
            [3, "reset", null, null],
            [2, "set", null, signer.thumbprint()],
            [1, "set", null, null],
        ])
    );
    assert_eq!(versions[0]["policyHash"], "z0FRjKS0ssQTNur1V6BV8WIrh9M3fzgTo0EfHRvapWU");
    assert_eq!(versions[0]["policyTokenHash"], hash);
    assert_eq!(versions[2]["signerSubject"], "SomePolicySigner");
    assert!(versions[0]["actor"].as_str().unwrap().contains("admin"), "{}", versions[0]);
    let page = managed.get("/policies/TdxVm/history?top=2&before=4").await.json();
    assert_eq!((page["versions"].as_array().unwrap().len(), &page["nextBefore"]), (2, &json!(2)));
    let former = managed.get("/policies/TdxVm/history/2").await;
    assert_eq!(managed.answer(&former), json!({ "x-ms-policy": signer.sign_policy(DENY) }));
    for path in ["/policies/TdxVm/history/5", "/policies/TdxVm/history/x", "/policies/TdxVm/history/-1"] {
        managed.get(path).await.refusal(404, "NotFound");
    }
    managed.post("/policies/TdxVm:rollback", r#"{"version": 9}"#).await.refusal(404, "NotFound");
    for body in ["", "{}", r#"{"version":"1"}"#, r#"{"version":-1}"#] {
        managed.post("/policies/TdxVm:rollback", body).await.refusal(400, "InvalidParameter");
    }
    for query in ["top=x", "before=-1", "top=1&top=2"] {
        let path = format!("/policies/TdxVm/history?{query}");
        managed.get(&path).await.refusal(400, "InvalidParameter");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_isolated_provider_needs_a_signature_and_a_role() {
    let mut config = config("policies_isolated", &forge(b"").mint());
    let (ours, theirs) = (Signer::new("Ours"), Signer::new("Theirs"));
    isolate(&mut config, &[&ours]);
    let managed = Managed::start(config).await;
    let message = managed.put("/policies/SgxEnclave", plain(PERMIT)).await.refusal(400, "InvalidOperation");
    assert!(message.contains("Unsigned JWS specified but enclave is configured with signing certificates"));
    managed.post("/policies/SgxEnclave:reset", RESET).await.refusal(400, "InvalidOperation");
    let foreign = managed.put("/policies/SgxEnclave", theirs.sign_policy(PERMIT)).await;
    let message = foreign.refusal(400, "InvalidParameter");
    assert!(message.contains("Unable to find issuer certificate CN=Theirs"), "{message}");
    let signed = ours.sign_policy(PERMIT);
    let reader = managed.send_as(&managed.reader, Method::PUT, "/policies/SgxEnclave", &signed).await;
    reader.refusal(401, "Unauthorized");
    assert_eq!(
        managed.answer(&managed.put("/policies/SgxEnclave", signed).await)["x-ms-policy-signer"],
        ours.jwk()
    );
    let reset = managed.post("/policies/SgxEnclave:reset", ours.sign(b"")).await;
    assert_eq!(managed.answer(&reset), json!({ "x-ms-policy-result": "Removed" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_provider_has_a_fixed_policy_that_can_be_read() {
    let mut config = config("policies_shared", &forge(b"").mint());
    config.provider.trust_model = TrustModel::Shared;
    let managed = Managed::start(config).await;
    for kind in ["SgxEnclave", "OpenEnclave", "Tpm"] {
        managed.answer(&managed.get(&format!("/policies/{kind}")).await);
    }
    let message = managed.put("/policies/SgxEnclave", plain(PERMIT)).await.refusal(400, "InvalidOperation");
    assert!(message.contains("fixed"), "{message}");
    managed.post("/policies/SgxEnclave:reset", RESET).await.refusal(400, "InvalidOperation");
    let certificates = managed.answer(&managed.get("/certificates").await);
    assert_eq!(certificates, json!({ "x-ms-policy-certificates": { "keys": [] } }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_caller_is_told_why_where_the_provider_allows_it() {
    let minted = forge(b"").mint();
    let policy = "version=1.0; authorizationrules{\n  [type==\"x-ms-sgx-svn\", value>1000] => permit();\n};";
    for explain in [false, true] {
        let mut config = offline_config("policies_explained", &minted);
        config.provider.explain_denials = explain;
        let managed = Managed::start(config).await;
        managed.answer(&managed.put("/policies/SgxEnclave", plain(policy)).await);
        let answer = managed.service.attest_quote(&minted).await;
        answer.refusal(400, "PolicyEvaluationError");
        let details = answer.json()["error"]["details"].clone();
        if explain {
            assert_eq!(
                (&details[0]["code"], &details[0]["message"]),
                (&json!("PolicyExplanation"), &json!("denied"))
            );
            let rule = &details[0]["explanation"]["rules"][0];
            assert_eq!(rule["state"], "not-fired");
            assert_eq!(rule["conditions"][0]["missed"]["first"][0]["claim"]["type"], "x-ms-sgx-svn");
            // Clients that know the contract only read two members of a detail.
            assert!(details[0]["message"].is_string());
        } else {
            assert_eq!(details, Value::Null);
        }
        managed.service.server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_has_an_end() {
    let minted = forge(b"").mint();
    let mut config = offline_config("policies_long_explanation", &minted);
    config.provider.explain_denials = true;
    let managed = Managed::start(config).await;
    let rule = "[type==\"x-ms-sgx-mrenclave\", value==\"0\"] => permit();\n";
    let policy = format!("version=1.0; authorizationrules{{{}}};", rule.repeat(4000));
    managed.answer(&managed.put("/policies/SgxEnclave", plain(&policy)).await);
    let answer = managed.service.attest_quote(&minted).await;
    answer.refusal(400, "PolicyEvaluationError");
    assert!(answer.body.len() < 256 * 1024, "{}", answer.body.len());
}
