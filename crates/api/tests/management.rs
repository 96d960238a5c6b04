//! Bodies and payloads of policy management, as every client writes them, and the claims of answers.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
#![expect(clippy::indexing_slicing, reason = "helpers of tests fail a test where they fail")]

use api::management::{
    CertificateModification, MAX_POLICY_BYTES, TcbBaseline, TcbBaselines, certificate_claim, certificate_jws,
    certificate_modified_claims, certificates_claims, policy_claims, policy_payload, policy_removed_claims,
    policy_updated_claims, stored_policy,
};
use api::{ApiVersion, ManagementError, RequestError};
use serde_json::{Value, json};
use token::{JsonError, JwkError};

const V2020: ApiVersion = ApiVersion::V2020_10_01;
const V2018: ApiVersion = ApiVersion::V2018_09_01Preview;
const POLICY: &str = "version=1.0; authorizationrules{=> permit();}; issuancerules{};";

#[test]
fn a_stored_policy_is_base64url_and_was_text_in_2018() {
    let encoded = token::base64url::encode(POLICY.as_bytes());
    for payload in [
        format!(r#"{{"AttestationPolicy":"{encoded}"}}"#),
        format!(r#"{{"AttestationPolicy": "{encoded}"}}"#),
        format!(r#"{{"attestationPolicy": "{encoded}", "other": 1}}"#),
    ] {
        assert_eq!(stored_policy(payload.as_bytes(), V2020).unwrap(), POLICY.as_bytes(), "{payload}");
    }
    assert_eq!(stored_policy(&policy_payload(POLICY), V2020).unwrap(), POLICY.as_bytes());
    let text = json!({ "AttestationPolicy": POLICY }).to_string();
    assert_eq!(stored_policy(text.as_bytes(), V2018).unwrap(), POLICY.as_bytes());
    assert!(matches!(stored_policy(text.as_bytes(), V2020), Err(ManagementError::PolicyBase64(_))));
}

#[test]
fn a_payload_that_is_no_policy_is_told_why() {
    for (payload, expected) in [
        ("", ManagementError::Payload(JsonError::Unexpected { expected: "a value", offset: 0 })),
        ("{}", ManagementError::NoPolicyClaim),
        (r#"{"AttestationPolicy":null}"#, ManagementError::NoPolicyClaim),
        (r#"{"AttestationPolicy":7}"#, ManagementError::NoPolicyClaim),
    ] {
        let error = stored_policy(payload.as_bytes(), V2020).unwrap_err();
        match expected {
            ManagementError::Payload(_) => assert!(matches!(error, ManagementError::Payload(_)), "{error}"),
            expected => assert_eq!(error, expected, "{payload}"),
        }
    }
    let twice = r#"{"AttestationPolicy":"","attestationpolicy":""}"#;
    assert!(matches!(
        stored_policy(twice.as_bytes(), V2020),
        Err(ManagementError::Body(RequestError::Repeated { .. }))
    ));
    let long = "A".repeat(MAX_POLICY_BYTES / 3 * 4 + 8);
    let payload = json!({ "AttestationPolicy": long }).to_string();
    for version in [V2020, V2018] {
        assert!(matches!(
            stored_policy(payload.as_bytes(), version),
            Err(ManagementError::PolicyTooLong { .. })
        ));
    }
}

#[test]
fn the_body_around_a_certificate_has_four_shapes() {
    for body in [
        r#""a.b.c""#.to_owned(),
        " \"a.b.c\"\n".to_owned(),
        r#"{"policyCertificateToAdd":"a.b.c"}"#.to_owned(),
        r#"{"PolicyCertificateToRemove": "a.b.c"}"#.to_owned(),
        r#"{"certificate":"a.b.c","policyCertificateToAdd":null}"#.to_owned(),
        "a.b.c".to_owned(),
    ] {
        assert_eq!(certificate_jws(body.as_bytes()).unwrap(), "a.b.c", "{body}");
    }
    let refused = |body: &[u8]| match certificate_jws(body).unwrap_err() {
        ManagementError::Body(error) => error,
        other => panic!("{other}"),
    };
    assert_eq!(refused(b"  "), RequestError::EmptyBody);
    assert!(matches!(refused(b"{}"), RequestError::Missing { .. }));
    assert!(matches!(refused(br#"{"certificate":1}"#), RequestError::WrongType { .. }));
    assert!(matches!(refused(br#"{"certificate":"#), RequestError::Json(_)));
    assert!(matches!(refused(b"\"a"), RequestError::Json(_)));
    assert!(matches!(refused(b"a\xff"), RequestError::Json(JsonError::InvalidUtf8 { offset: 1 })));
    let two = br#"{"certificate":"a","policyCertificateToAdd":"b"}"#;
    assert!(matches!(refused(two), RequestError::Conflicting { .. }));
}

fn certificate() -> Vec<u8> {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let params = rcgen::CertificateParams::new(vec!["signer.example".to_owned()]).unwrap();
    params.self_signed(&pair).unwrap().der().to_vec()
}

#[test]
fn the_certificate_stands_under_one_of_four_names() {
    let der = certificate();
    let key = json!({ "kty": "EC", "x5c": [token::base64url::encode_standard(&der)] });
    for claim in
        ["policyCertificate", "maa-policyCertificate", "aas-policyCertificate", "x-ms-policyCertificate"]
    {
        let payload = json!({ claim: key }).to_string();
        assert_eq!(certificate_claim(payload.as_bytes()).unwrap(), std::slice::from_ref(&der), "{claim}");
    }
    let refused = |payload: Value| certificate_claim(payload.to_string().as_bytes()).unwrap_err();
    let missing = refused(json!({ "PolicyCertificate": key }));
    assert_eq!(missing, ManagementError::NoCertificateClaim);
    assert!(missing.to_string().contains(r#"Could not find "maa-policyCertificate" claim in policy token"#));
    assert!(matches!(
        refused(json!({ "policyCertificate": key, "maa-policyCertificate": key })),
        ManagementError::RepeatedCertificateClaim { .. }
    ));
    for wrong in [
        json!({ "policyCertificate": "MII" }),
        json!({ "policyCertificate": null }),
        json!({ "policyCertificate": { "kty": "EC" } }),
        json!({ "policyCertificate": { "kty": "EC", "x5c": [] } }),
        json!({ "policyCertificate": { "kty": "RSA", "x5c": key["x5c"] } }),
    ] {
        let error = refused(wrong.clone());
        assert!(matches!(error, ManagementError::Certificate { claim: "policyCertificate", .. }), "{wrong}");
    }
    // A key without a certificate is no signer.
    let spki = x509_spki_coordinates();
    let bare = json!({ "policyCertificate": { "kty": "EC", "crv": "P-256", "x": spki.0, "y": spki.1 } });
    let error = JwkError::Member { member: "x5c" };
    assert_eq!(refused(bare), ManagementError::Certificate { claim: "policyCertificate", error });
    assert!(matches!(certificate_claim(b"[]"), Err(ManagementError::Payload(JsonError::NotObject))));
}

fn x509_spki_coordinates() -> (String, String) {
    let key = crypto::SigningKey::generate(crypto::SigningAlgorithm::Es256).unwrap();
    let spki = key.public_key_der().unwrap();
    let (x, y) = spki[spki.len() - 64..].split_at(32);
    (token::base64url::encode(x), token::base64url::encode(y))
}

#[test]
fn answers_hold_exactly_the_claims_of_the_contract() {
    let plain = |claims: serde_json::Map<String, Value>| Value::Object(claims);
    assert_eq!(plain(policy_claims("a.b.c")), json!({ "x-ms-policy": "a.b.c" }));
    assert_eq!(
        plain(policy_updated_claims("hash", None)),
        json!({ "x-ms-policy-result": "Updated", "x-ms-policy-token-hash": "hash" })
    );
    assert_eq!(
        plain(policy_updated_claims("hash", Some(json!({ "kty": "RSA" }))))["x-ms-policy-signer"],
        json!({ "kty": "RSA" })
    );
    assert_eq!(plain(policy_removed_claims()), json!({ "x-ms-policy-result": "Removed" }));
    assert_eq!(
        plain(certificates_claims(Vec::new(), V2020)),
        json!({ "x-ms-policy-certificates": { "keys": [] } })
    );
    assert_eq!(
        plain(certificates_claims(Vec::new(), V2018)),
        json!({ "aas-policyCertificates": { "keys": [] }, "maa-policyCertificates": { "keys": [] } })
    );
    for (result, word) in
        [(CertificateModification::IsPresent, "IsPresent"), (CertificateModification::IsAbsent, "IsAbsent")]
    {
        assert_eq!(
            plain(certificate_modified_claims("AB", result)),
            json!({ "x-ms-certificate-thumbprint": "AB", "x-ms-policycertificates-result": word })
        );
    }
}

#[test]
fn baselines_leave_out_what_is_unknown() {
    let known = TcbBaseline {
        tcb_identifier: "11".to_owned(),
        tcb_evaluation_data_number: Some(11),
        tcb_release_date: Some("2021-06-08T00:00:00"),
        minimum_psw_linux_version: Some("2.13.3"),
        minimum_psw_windows_version: Some("2.13.100.2"),
        is_selected_tcb: false,
    };
    let unknown = TcbBaseline {
        tcb_identifier: "azuredefault".to_owned(),
        tcb_evaluation_data_number: None,
        tcb_release_date: None,
        minimum_psw_linux_version: None,
        minimum_psw_windows_version: None,
        is_selected_tcb: true,
    };
    assert_eq!(
        serde_json::to_value(TcbBaselines { tcb_baselines: vec![known, unknown] }).unwrap(),
        json!({ "tcbBaselines": [
            { "tcbIdentifier": "11", "tcbEvaluationDataNumber": 11, "tcbReleaseDate": "2021-06-08T00:00:00",
              "minimumPswLinuxVersion": "2.13.3", "minimumPswWindowsVersion": "2.13.100.2",
              "isSelectedTcb": false },
            { "tcbIdentifier": "azuredefault", "isSelectedTcb": true },
        ] })
    );
}
