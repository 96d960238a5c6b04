//! Messages as they are sent, and each way to get one wrong.

use serde_json::{Value, json};
use token::base64url;

use super::*;

fn body(data: &str) -> Vec<u8> {
    json!({ "data": base64url::encode(data.as_bytes()) }).to_string().into_bytes()
}

#[test]
fn the_first_message_of_the_published_clients() {
    // What the Python, JavaScript and .NET clients were recorded to send.
    let recorded = br#"{"data":"eyJwYXlsb2FkIjp7InR5cGUiOiJhaWtjZXJ0In19"}"#;
    assert_eq!(Message::parse(recorded), Ok((Message::Init, Wrapping::Payload)));
    // As it is documented.
    assert_eq!(Message::parse(&body(r#"{"type":"aikcert"}"#)), Ok((Message::Init, Wrapping::Bare)));
    let request = Message::Request("a.b.c".to_owned());
    assert_eq!(Message::parse(&body(r#"{"request":"a.b.c"}"#)), Ok((request.clone(), Wrapping::Bare)));
    assert_eq!(Message::parse(&body(r#"{"payload":{"request":"a.b.c"}}"#)), Ok((request, Wrapping::Payload)));
}

#[test]
fn answers_are_wrapped_as_the_question_was() {
    let decoded = |text: String| {
        let outer: Value = serde_json::from_str(&text).unwrap();
        let data = base64url::decode(outer["data"].as_str().unwrap()).unwrap();
        serde_json::from_slice::<Value>(&data).unwrap()
    };
    let challenge = json!({ "challenge": "AQ", "service_context": "AgM" });
    assert_eq!(decoded(challenge_body(&[1], &[2, 3], Wrapping::Bare)), challenge);
    assert_eq!(decoded(challenge_body(&[1], &[2, 3], Wrapping::Payload)), json!({ "payload": challenge }));
    assert_eq!(decoded(report_body("t", Wrapping::Payload)), json!({ "payload": { "report": "t" } }));
}

#[test]
fn bodies_that_hold_no_message() {
    let error = |body: &[u8]| Message::parse(body).unwrap_err().to_string();
    for (sent, told) in [
        (&b"{}"[..], "`data` is missing"),
        (br#"{"data":7}"#, "`data` is missing"),
        (br#"{"data":"!"}"#, "`data` is not base64url"),
        (b"[]", "the body is not acceptable JSON"),
        (&body("7"), "the data is not acceptable JSON"),
        (&body(r#"{"payload":7}"#), "`payload` is missing"),
        (&body("{}"), "`data` holds no message"),
        (&body(r#"{"type":"aikcert","request":"a.b.c"}"#), "`data` holds no message"),
        (&body(r#"{"type":"ekcert"}"#), "`type` is `ekcert`; the only one is `aikcert`"),
    ] {
        let found = error(sent);
        assert!(found.contains(told), "{found}, not {told}");
    }
    let long = vec![b' '; MAX_TPM_BODY_BYTES + 1];
    assert_eq!(
        Message::parse(&long),
        Err(TpmMessageError::TooLong { what: "body", limit: MAX_TPM_BODY_BYTES })
    );
}

const JWK: &str = r#"{ "kty":"RSA",  "n":"AQAB", "e":"AQAB" }"#;

fn jws(header: &str, payload: &str) -> String {
    format!("{}.{}.c2ln", base64url::encode(header.as_bytes()), base64url::encode(payload.as_bytes()))
}

/// A request of the second version with everything in it.
fn v2() -> Value {
    let quoted = json!({
        "logs": [{ "type": "TCG", "log": "AQ" }, { "type": "TCG", "log": "Ag" }, { "type": "IMA", "log": "Aw" }],
        "aik_cert": "BA", "aik_pub": { "kty": "RSA", "n": "AQAB", "e": "AQAB" },
        "pcrs": [{ "algorithm": 11, "values": [{ "index": 2, "digest": "BQ" }, { "index": 1, "digest": "Bg" }] }],
        "quote": "Bw", "signature": "CA",
    });
    json!({ "att_type": "basic", "att_data": {
        "rp_id": "https://rp.example", "rp_data": "CQ", "challenge": "Cg", "service_context": "Cw",
        "tpm_att_data": { "current_attestation": quoted, "boot_attestation": quoted },
        "request_key": { "jwk": "JWK", "info": { "tpm_quote": { "hash_alg": "sha-256" } } },
        "other_keys": [
            { "jwk": "JWK", "info": { "tpm_certify": { "public": "DA", "certification": "DQ", "signature": "Dg" } } },
            { "jwk": "JWK" },
        ],
        "custom_claims": [{ "name": "n", "value": "v", "value_type": "string" }],
    } })
}

fn v1() -> Value {
    json!({ "att_type": "basic", "att_data": {
        "challenge": "Cg", "service_context": "Cw", "rp_data": "",
        "tpm_att_data": {
            "srtm_boot_log": "AQ", "drtm_boot_log": "Ag", "srtm_resume_log": "Aw",
            "aik_cert": "BA", "aik_pub": { "kty": "RSA", "n": "AQAB", "e": "AQAB" },
            "current_claim": "BQ", "boot_claim": "Bg",
        },
        "attest_key": "JWK",
    } })
}

fn request(kind: &str, payload: &Value) -> SignedRequest {
    let payload = payload.to_string().replace("\"JWK\"", JWK);
    SignedRequest::parse(&jws(&format!(r#"{{"alg":"PS256","typ":"{kind}"}}"#), &payload)).unwrap()
}

#[test]
fn a_request_of_the_second_version() {
    let request = request("attReqV2", &v2());
    assert_eq!((request.version, &request.signature[..]), (ProtocolVersion::V2, &b"sig"[..]));
    let content = request.content().unwrap();
    assert_eq!((&content.challenge[..], &content.service_context[..]), (&[10][..], &[11][..]));
    assert_eq!(content.rp_id.as_deref(), Some("https://rp.example"));
    assert_eq!(content.rp_data.as_deref(), Some("CQ"));
    let current = content.current.unwrap();
    assert_eq!((&current.tcg_logs, &current.ima_log), (&vec![vec![1], vec![2]], &Some(vec![3])));
    assert_eq!(current.aik_cert, Some(vec![4]));
    let pcrs = vec![Bank { algorithm: 11, values: vec![(2, vec![5]), (1, vec![6])] }];
    assert_eq!(current.quote, Quote::Tpm { quote: vec![7], signature: vec![8], pcrs });
    assert_eq!(content.boot, Some(current));
    // Hashes cover the text as it was sent, blanks included.
    assert_eq!(content.request_key.jwk.text, JWK);
    let numbers = JwkNumbers::Rsa { modulus: vec![1, 0, 1], exponent: vec![1, 0, 1] };
    assert_eq!(content.request_key.jwk.numbers, numbers);
    assert_eq!(content.request_key.info, KeyInfo::Quote);
    let certify = KeyInfo::Certify { public: vec![12], certification: vec![13], signature: vec![14] };
    let infos: Vec<_> = content.other_keys.iter().map(|key| &key.info).collect();
    assert_eq!(infos, [&certify, &KeyInfo::None]);
    assert_eq!(content.custom_claims[0].value_type, "string");
}

#[test]
fn a_request_of_the_first_version() {
    let request = request("attReq", &v1());
    let content = request.content().unwrap();
    assert_eq!(content.rp_data, None);
    assert_eq!(content.request_key.info, KeyInfo::Possession);
    let (current, boot) = (content.current.unwrap(), content.boot.unwrap());
    assert_eq!((current.tcg_logs, current.quote), (vec![vec![3]], Quote::PlatformClaim(vec![5])));
    assert_eq!((boot.tcg_logs, boot.quote), (vec![vec![1], vec![2]], Quote::PlatformClaim(vec![6])));
}

#[test]
fn an_enclave_signs_the_text_of_its_report() {
    for (kind, members, report) in
        [("attReq", v1(), json!("AQID")), ("attReqV2", v2(), json!({ "enclave": { "report": "AQID" } }))]
    {
        for name in ["vbs", "vsm"] {
            let signed = &members["att_data"];
            let sent =
                json!({ "att_type": name, "att_data": { "report_signed": signed, "vsm_report": report } });
            let request = request(kind, &sent);
            let content = request.content().unwrap();
            let enclave = content.enclave.unwrap();
            assert_eq!(enclave.report, [1, 2, 3]);
            assert_eq!(enclave.signed_text, signed.to_string().replace("\"JWK\"", JWK));
        }
    }
}

#[test]
fn requests_that_are_no_jws_of_the_protocol() {
    let error = |text: &str| SignedRequest::parse(text).unwrap_err();
    for text in ["", "a", "a.b", "a.b.c.d", "a.!.c", "!.b.c"] {
        assert_eq!(error(text), TpmMessageError::NotJws, "{text}");
    }
    assert!(matches!(error(&jws("7", "{}")), TpmMessageError::Json { .. }));
    let long = jws(&format!(r#"{{"x":"{}"}}"#, "x".repeat(4096)), "{}");
    assert!(matches!(error(&long), TpmMessageError::TooLong { .. }));
    for (header, expected) in [
        (r#"{"typ":"attReq"}"#, "alg"),
        (r#"{"alg":"none","typ":"attReq"}"#, "alg"),
        (r#"{"alg":"HS256","typ":"attReq"}"#, "alg"),
        (r#"{"alg":"PS256"}"#, "typ"),
        (r#"{"alg":"PS256","typ":"JWT"}"#, "typ"),
        (r#"{"alg":"PS256","typ":"attReq","crit":["exp"]}"#, "crit"),
    ] {
        let found = error(&jws(header, "{}"));
        assert!(
            matches!(found, TpmMessageError::Header { member, .. } if member == expected),
            "{header}: {found}"
        );
    }
}

/// The error for the request of the second version with the value at `pointer` replaced.
fn spoilt(pointer: &str, value: Value) -> TpmMessageError {
    let mut payload = v2();
    *payload.pointer_mut(pointer).unwrap() = value;
    request("attReqV2", &payload).content().unwrap_err()
}

#[test]
fn contents_that_are_not_of_the_protocol() {
    let data = |rest: &str| format!("/att_data/{rest}");
    let current = |rest: &str| data(&format!("tpm_att_data/current_attestation/{rest}"));
    let many = |value: Value, count: usize| Value::Array(vec![value; count]);
    let key = json!({ "jwk": "JWK" });
    for (pointer, value, told) in [
        ("/att_type".to_owned(), json!("sgx"), "`att_type` is `sgx`; send `basic` or `vbs`"),
        (data("challenge"), json!("!"), "`challenge` is not base64url"),
        (data("challenge"), json!(7), "the att_data is not acceptable JSON"),
        (data("rp_data"), json!("!"), "`rp_data` is not base64url"),
        (data("rp_data"), json!("A".repeat(4097)), "`rp_data` is longer than"),
        (data("rp_id"), json!("A".repeat(4097)), "`rp_id` is longer than"),
        (data("other_keys"), many(key.clone(), 3), "3 `other_keys`, more than the 2"),
        (
            data("custom_claims"),
            many(json!({ "name": "n", "value": "v", "value_type": "string" }), 65),
            "65 `custom_claims`, more than the 64",
        ),
        (current("logs"), many(json!({ "type": "TCG", "log": "" }), 9), "9 `logs`, more than the 8"),
        (current("logs"), many(json!({ "type": "IMA", "log": "" }), 2), "2 logs of type `IMA`"),
        (current("logs/0/type"), json!("CEL"), "`logs.type` is `CEL`; send `TCG` or `IMA`"),
        (current("pcrs"), many(json!({ "algorithm": 11, "values": [] }), 9), "9 `pcrs`, more than the 8"),
        (
            current("pcrs/0/values"),
            many(json!({ "index": 0, "digest": "" }), 33),
            "33 values of `pcrs`, more than the 32",
        ),
        (
            data("request_key/info"),
            json!({ "tpm_quote": { "hash_alg": "sha-1" } }),
            "`hash_alg` is `sha-1`; send `sha-256`",
        ),
        (
            data("request_key/info/tpm_certify"),
            json!({ "public": "", "certification": "", "signature": "" }),
            "both `tpm_quote` and `tpm_certify`",
        ),
        (data("request_key/info"), json!({ "vbs_ncrypt": {} }), "unknown field `vbs_ncrypt`"),
    ] {
        let mut payload = v2();
        match payload.pointer_mut(&pointer) {
            Some(place) => *place = value,
            None => {
                let (parent, name) = pointer.rsplit_once('/').unwrap();
                payload.pointer_mut(parent).unwrap()[name] = value;
            }
        }
        let found = request("attReqV2", &payload).content().unwrap_err().to_string();
        assert!(found.contains(told), "{pointer}: {found}, not {told}");
    }
}

#[test]
fn keys_that_cannot_be_used() {
    for (jwk, told) in [
        (json!({ "kty": "oct", "k": "AQ" }), "private members"),
        (json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB", "d": "AQ" }), "private members"),
        (json!({ "kty": "OKP", "crv": "Ed25519", "x": "AQ" }), "`kty` is not"),
        (json!({ "kty": "RSA", "n": "AQAB" }), "a number of it is missing"),
        (json!({ "kty": "RSA", "n": "!", "e": "AQAB" }), "a number of it is missing"),
        (json!({ "kty": "EC", "crv": "P-521", "x": "AQ", "y": "AQ" }), "its curve is not"),
        (json!({ "kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ" }), "length of the curve's field"),
    ] {
        let found = spoilt("/att_data/request_key/jwk", jwk).to_string();
        assert!(found.contains("`request_key` is not a key") && found.contains(told), "{found}, not {told}");
    }
    let long = json!({ "kty": "RSA", "n": "A".repeat(17_000), "e": "AQAB" });
    assert!(matches!(spoilt("/att_data/request_key/jwk", long), TpmMessageError::TooLong { .. }));
    assert!(matches!(spoilt("/att_data/request_key/jwk", json!([])), TpmMessageError::Json { .. }));
    let point = json!({ "kty": "EC", "crv": "P-384", "x": base64url::encode(&[1; 48]), "y": base64url::encode(&[2; 48]) });
    let mut payload = v2();
    payload["att_data"]["request_key"]["jwk"] = point;
    let request = request("attReqV2", &payload);
    let numbers = JwkNumbers::Ec { curve: EcCurve::P384, x: vec![1; 48], y: vec![2; 48] };
    assert_eq!(request.content().unwrap().request_key.jwk.numbers, numbers);
}
