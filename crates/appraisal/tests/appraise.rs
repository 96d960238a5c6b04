//! From a forged but genuine-looking quote to the claims of its token, as the service goes.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use appraisal::{
    AppraisalError, AttestationResult, Baseline, BaselineError, DataType, Issuer, RequestData, Settings,
    SettingsError, appraise,
};
use evidence::dcap::{Endorsements, TcbStatus};
use evidence::sgx::{BoundReport, Quote};
use policy::{Policy, defaults};
use serde_json::{Value as Json, json};
use testkit::intel::{Ca, Forge};
use time::{Duration, OffsetDateTime, macros::datetime};

const NOW: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);
const PERMIT: &str = "version=1.0; authorizationrules{=> permit();};";
const RUNTIME_DATA: &[u8] = br#"{"b":1E5,"a":{"z":[1.0]}}"#;

/// An enclave whose report data is the digest of `runtime_data`.
fn forge(runtime_data: &[u8]) -> Forge {
    let mut forge = Forge::new(Ca::Platform, NOW);
    forge.quote.body.report_data = [0; 64];
    forge.quote.body.report_data[..32].copy_from_slice(&crypto::sha256(runtime_data));
    forge
}

fn bound(forge: &Forge, runtime_data: Option<&[u8]>, init_time_data: Option<&[u8]>) -> BoundReport {
    let minted = forge.mint();
    let endorsements = Endorsements::verify(&minted.endorsements(), &minted.anchors(), NOW).unwrap();
    let quote = Quote::parse(&minted.quote).unwrap();
    let pck = quote.pck_chain().unwrap().verify(&minted.anchors()).unwrap();
    quote.verify(&pck, &endorsements, NOW).unwrap().bind(runtime_data, init_time_data).unwrap()
}

fn appraised(
    report: &BoundReport,
    request: RequestData,
    baseline: &Baseline,
    policy: &str,
) -> Result<AttestationResult, AppraisalError> {
    let policy = Policy::analyze(policy).unwrap();
    let settings = Settings::of(&policy).unwrap();
    appraise(report, request, baseline, &policy, None, &settings, NOW)
}

fn claims(report: &BoundReport, request: RequestData, policy: &str) -> Json {
    Json::Object(appraised(report, request, &Baseline::default(), policy).unwrap().claims().clone())
}

#[test]
fn the_default_policy_issues_the_deprecated_names() {
    let report = bound(&forge(b"held"), Some(b"held"), None);
    let claims = claims(&report, RequestData::default(), defaults::SGX);
    let body = report.body();
    assert_eq!(claims["x-ms-sgx-mrenclave"], json!(hex::encode(body.mr_enclave)));
    assert_eq!(claims["x-ms-sgx-mrsigner"], json!(hex::encode(body.mr_signer)));
    assert_eq!(claims["x-ms-sgx-report-data"], json!(hex::encode(body.report_data)));
    assert_eq!(claims["x-ms-attestation-type"], "sgx");
    assert_eq!(claims["x-ms-ver"], "1.0");
    assert_eq!(claims["x-ms-sgx-tcbidentifier"], "azuredefault");
    assert_eq!(claims["x-ms-policy-hash"], "ViVGS4BYl70X8eUrgryHg0TtbEk9WtIc6DtTBEFxaWc");
    for (old, modern) in [
        ("is-debuggable", "x-ms-sgx-is-debuggable"),
        ("product-id", "x-ms-sgx-product-id"),
        ("sgx-mrenclave", "x-ms-sgx-mrenclave"),
        ("sgx-mrsigner", "x-ms-sgx-mrsigner"),
        ("svn", "x-ms-sgx-svn"),
        ("tee", "x-ms-attestation-type"),
    ] {
        assert_eq!(claims[old], claims[modern], "{old}");
        assert_eq!(claims["x-ms-policy"][old], claims[modern], "{old}");
    }
    let held = "aGVsZA";
    for name in ["aas-ehd", "maa-ehd", "x-ms-sgx-ehd"] {
        assert_eq!(claims[name], held, "{name}");
    }
    assert_eq!(claims["x-ms-sgx-collateral"], claims["maa-attestationcollateral"]);
    assert_eq!(claims["x-ms-sgx-collateral"].as_object().unwrap().len(), 7);
    assert!(claims.get("x-ms-runtime").is_none());
}

#[test]
fn json_runtime_data_keep_the_form_of_their_numbers() {
    let mut with_nul = RUNTIME_DATA.to_vec();
    with_nul.push(0);
    for sent in [RUNTIME_DATA, &with_nul] {
        let report = bound(&forge(sent), Some(sent), None);
        let request = RequestData { runtime_type: DataType::Json, ..RequestData::default() };
        let claims = claims(&report, request, PERMIT);
        assert_eq!(claims["x-ms-runtime"].to_string(), r#"{"a":{"z":[1.0]},"b":1E5}"#);
        assert!(claims.get("x-ms-sgx-ehd").is_none());
        assert!(claims.get("x-ms-policy").is_none(), "a policy that issues nothing leaves no claim");
    }
}

#[test]
fn data_sent_as_json_must_be_an_object() {
    for sent in [&b"[1]"[..], b"\0", b"{\"a\":1,\"a\":2}"] {
        let report = bound(&forge(sent), Some(sent), None);
        let request = RequestData { runtime_type: DataType::Json, ..RequestData::default() };
        let error = appraised(&report, request, &Baseline::default(), PERMIT).unwrap_err();
        assert!(matches!(error, AppraisalError::InvalidJson { property: "runtimeData", .. }), "{error}");
    }
}

#[test]
fn key_separation_and_sharing_adds_its_claims() {
    let mut forge = forge(b"");
    forge.quote.body.flags |= 0x80;
    forge.quote.body.config_id[..32].copy_from_slice(&crypto::sha256(RUNTIME_DATA));
    forge.quote.body.config_svn = 7;
    let report = bound(&forge, None, Some(RUNTIME_DATA));
    let request = RequestData { init_time_type: DataType::Json, ..RequestData::default() };
    let claims = claims(&report, request, PERMIT);
    assert_eq!(claims["x-ms-sgx-config-svn"], 7);
    assert_eq!(claims["x-ms-sgx-config-id"].as_str().unwrap().len(), 128);
    assert_eq!(claims["x-ms-sgx-isv-family-id"].as_str().unwrap().len(), 32);
    assert_eq!(claims["x-ms-sgx-isv-extended-product-id"].as_str().unwrap().len(), 32);
    assert_eq!(claims["x-ms-inittime"]["b"].to_string(), "1E5");
}

#[test]
fn a_nonce_is_echoed_with_its_type() {
    let report = bound(&forge(b""), None, None);
    for nonce in [json!("12"), json!(18_446_744_073_709_551_615_u64)] {
        let request = RequestData { nonce: Some(nonce.clone()), ..RequestData::default() };
        assert_eq!(claims(&report, request, PERMIT)["nonce"], nonce);
    }
}

#[test]
fn a_policy_cannot_speak_for_the_service() {
    let policy = r#"version=1.0; authorizationrules{=> permit();}; issuancerules{
        => issue(type="x-ms-sgx-mrsigner", value="forged");
        => issue(type="iss", value="https://elsewhere.example");
        => issue(type="x-ms-runtime", value="forged");
        => issue(type="mine", value=1);
    };"#;
    let report = bound(&forge(b""), None, None);
    let claims = claims(&report, RequestData::default(), policy);
    assert_eq!(claims["x-ms-sgx-mrsigner"], json!(hex::encode(report.body().mr_signer)));
    assert_eq!(claims["x-ms-policy"]["x-ms-sgx-mrsigner"], "forged");
    assert_eq!(claims["mine"], 1);
    assert!(claims.get("iss").is_none() && claims.get("x-ms-runtime").is_none());
}

#[test]
fn a_denial_names_its_rule_and_ends_the_verdict() {
    let report = bound(&forge(b""), None, None);
    for (policy, message) in [
        ("version=1.0; authorizationrules{=> deny(); => permit();};", "A Deny claim was issued"),
        (r#"version=1.0; authorizationrules{[type=="absent"] => permit();};"#, "No Permit claim was issued"),
    ] {
        let error = appraised(&report, RequestData::default(), &Baseline::default(), policy).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        let AppraisalError::Denied { verdict, .. } = error else { panic!("{error}") };
        assert_eq!(verdict.first_failure().unwrap().id, "policy.decision");
    }
}

#[test]
fn a_failing_function_is_no_denial() {
    let policy = r#"version=1.2; authorizationrules{
        => add(type="r", value=JsonToClaimValue("1.5")); => permit();
    };"#;
    let report = bound(&forge(b""), None, None);
    let error = appraised(&report, RequestData::default(), &Baseline::default(), policy).unwrap_err();
    assert!(matches!(error, AppraisalError::Evaluation(_)), "{error}");
}

#[test]
fn the_baseline_decides_before_the_policy() {
    let mut forge = forge(b"");
    forge.platform_status("OutOfDate");
    let report = bound(&forge, None, None);
    let deny = "version=1.0; authorizationrules{=> deny();};";
    let error = appraised(&report, RequestData::default(), &Baseline::default(), deny).unwrap_err();
    let AppraisalError::Baseline(rejection) = error else { panic!("{error}") };
    assert!(matches!(
        rejection.error,
        BaselineError::TcbStatusNotAccepted { found: TcbStatus::OutOfDate, .. }
    ));
    assert_eq!(rejection.verdict.first_failure().unwrap().id, "baseline.tcb.status");

    let mut accepting = Baseline::default();
    accepting.accepted_tcb_statuses.push(TcbStatus::OutOfDate);
    assert!(appraised(&report, RequestData::default(), &accepting, PERMIT).is_ok());
}

#[test]
fn old_endorsements_are_refused_by_age() {
    let report = bound(&forge(b""), None, None);
    let age = NOW - report.tcb().issued_at;
    assert_eq!(age, Duration::days(age.whole_days()), "forged to the day");
    let age = age.whole_days();
    let limit = |days: i64| Baseline {
        max_endorsement_age_days: Some(u32::try_from(days).unwrap()),
        ..Baseline::default()
    };
    assert!(age > 0 && report.tcb().issued_at > NOW - Duration::days(31));
    assert!(appraised(&report, RequestData::default(), &limit(age), PERMIT).is_ok());
    let error = appraised(&report, RequestData::default(), &limit(age - 1), PERMIT).unwrap_err();
    let AppraisalError::Baseline(rejection) = error else { panic!("{error}") };
    assert!(matches!(rejection.error, BaselineError::EndorsementsTooOld { .. }));
}

/// The identifier decides which evaluation data number is enough, and the token says which it was.
#[test]
fn the_tcb_identifier_changes_the_verdict() {
    let report = bound(&forge(b""), None, None);
    let number = report.tcb().evaluation_data_number;
    let policy = |identifier: &str| {
        format!(
            "version=1.1; configurationrules{{=> issueproperty(type=\"x-ms-sgx-tcbidentifier\", \
             value=\"{identifier}\");}}; authorizationrules{{=> permit();}};"
        )
    };
    let provider = |minimum| Baseline { min_tcb_evaluation: minimum, ..Baseline::default() };
    let cases = [
        ("azuredefault".to_owned(), None, true),
        ("azuredefault".to_owned(), Some(number), true),
        ("azuredefault".to_owned(), Some(number + 1), false),
        (number.to_string(), None, true),
        ((number + 1).to_string(), None, false),
        (number.to_string(), Some(number + 1), true),
    ];
    for (identifier, minimum, accepted) in cases {
        let outcome = appraised(&report, RequestData::default(), &provider(minimum), &policy(&identifier));
        assert_eq!(outcome.is_ok(), accepted, "{identifier} under {minimum:?}");
        match outcome {
            Ok(result) => assert_eq!(result.claims()["x-ms-sgx-tcbidentifier"], identifier.as_str()),
            Err(AppraisalError::Baseline(rejection)) => {
                assert!(matches!(rejection.error, BaselineError::EvaluationNumberTooLow { .. }));
                assert_eq!(rejection.verdict.first_failure().unwrap().id, "baseline.tcb.evaluation");
            }
            Err(other) => panic!("{other}"),
        }
    }
    for unknown in ["newest", "", "+1", "-1", "99999999999"] {
        let policy = Policy::analyze(&policy(unknown)).unwrap();
        let error = Settings::of(&policy).unwrap_err();
        assert!(matches!(&error, SettingsError::UnknownTcbIdentifier { .. }), "{unknown}: {error}");
    }
}

#[test]
fn the_issuer_signs_with_whole_seconds_and_a_fresh_id() {
    let key = crypto::SigningKey::generate(crypto::SigningAlgorithm::Es256).unwrap();
    let pair = rcgen::KeyPair::try_from(key.to_pkcs8().unwrap().as_slice()).unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&pair).unwrap();
    let signer = token::Signer::new(key, vec![certificate.der().to_vec()]).unwrap();
    let issuer = Issuer::new("https://attest.example".to_owned(), signer);
    let report = bound(&forge(b""), None, None);
    let result = || appraised(&report, RequestData::default(), &Baseline::default(), PERMIT).unwrap();
    let at = NOW + Duration::milliseconds(1999);

    let token = issuer.issue(result(), at).unwrap();
    let keys = token::Jwks::from_keys(vec![issuer.signer().jwk().clone()]);
    let expectations = token::Expectations {
        issuer: "https://attest.example",
        audience: None,
        algorithms: &[token::Algorithm::Es256],
        leeway_secs: 0,
    };
    let verify = |token: &str| {
        token::UnverifiedToken::parse(token)
            .unwrap()
            .verify(&keys, &expectations, at)
            .map(|verified| Json::Object(verified.claims().clone()))
    };
    let first = verify(token.as_str()).unwrap();
    assert_eq!(first["iat"], NOW.unix_timestamp() + 1);
    assert_eq!(first["nbf"], first["iat"]);
    assert_eq!(first["exp"], NOW.unix_timestamp() + 1 + 28_800);
    assert_eq!(first["jti"].as_str().unwrap().len(), 64);
    let second = verify(issuer.issue(result(), at).unwrap().as_str()).unwrap();
    assert_ne!(first["jti"], second["jti"]);

    let draft = issuer.issue_draft(result(), at).unwrap();
    assert!(draft.as_str().ends_with('.'));
    assert!(verify(draft.as_str()).is_err(), "a draft is never accepted");
}

#[test]
fn the_signer_of_the_policy_is_named_and_the_policy_cannot_name_another() {
    let report = bound(&forge(b""), Some(b""), None);
    let text = "version=1.0; authorizationrules{=> permit();}; \
                issuancerules{=> issue(type=\"x-ms-policy-signer\", value=\"me\");};";
    let policy = Policy::analyze(text).unwrap();
    let settings = Settings::of(&policy).unwrap();
    let signer = json!({ "alg": "RS256", "kty": "RSA", "use": "sig", "x5c": ["MII"] });
    for expected in [Some(signer), None] {
        let request = RequestData::default();
        let baseline = Baseline::default();
        let result =
            appraise(&report, request, &baseline, &policy, expected.clone(), &settings, NOW).unwrap();
        assert_eq!(result.claims().get("x-ms-policy-signer"), expected.as_ref());
        assert_eq!(result.claims()["x-ms-policy"]["x-ms-policy-signer"], "me");
    }
}
