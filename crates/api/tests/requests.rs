//! Request bodies as clients send them, and as nobody should.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use api::limits::{
    MAX_DRAFT_POLICY_BYTES, MAX_INIT_TIME_DATA_BYTES, MAX_NONCE_BYTES, MAX_RUNTIME_DATA_BYTES,
    MAX_SGX_BODY_BYTES, MAX_SGX_EVIDENCE_BYTES,
};
use api::transport::Base64Error;
use api::{ApiVersion, AttestOpenEnclave, AttestSgxEnclave, Data, Nonce, RequestError};
use serde_json::{Value, json};
use token::JsonError;

const V2018: ApiVersion = ApiVersion::V2018_09_01Preview;
const V2020: ApiVersion = ApiVersion::V2020_10_01;

fn sgx(body: &str) -> Result<AttestSgxEnclave, RequestError> {
    AttestSgxEnclave::parse(body.as_bytes(), V2020)
}

fn error(body: &str) -> RequestError {
    sgx(body).unwrap_err()
}

/// A request with `members` after its quote.
fn with(members: &str) -> String {
    format!(r#"{{"quote":"AwAC"{members}}}"#)
}

#[test]
fn the_bodies_of_the_published_sdks() {
    // Python writes spaces, JavaScript does not; C++ spells `inittimeData`.
    let binary = Some(Data::Binary(b" {}".to_vec()));
    let json = Some(Data::Json { bytes: b" {}".to_vec(), object: serde_json::Map::new() });
    let python =
        sgx(r#"{"quote": "AwACAA", "runtimeData": {"data": "IHt9", "dataType": "Binary"}}"#).unwrap();
    assert_eq!(python.quote, [3, 0, 2, 0]);
    assert_eq!(python.runtime_data, binary);
    assert_eq!((python.init_time_data, python.draft_policy, python.nonce), (None, None, None));

    let body = r#"{"report":"AQAAAAIA","runtimeData":{"data":"IHt9","dataType":"JSON"},"inittimeData":{"data":"IHt9","dataType":"Binary"},"draftPolicyForAttestation":"version=1.0; ..."}"#;
    let js = AttestOpenEnclave::parse(body.as_bytes(), V2020).unwrap();
    assert_eq!(js.report, [1, 0, 0, 0, 2, 0]);
    assert_eq!(js.runtime_data, json);
    assert_eq!(js.init_time_data, binary);
    assert_eq!(js.draft_policy.as_deref(), Some("version=1.0; ..."));
}

#[test]
fn property_names_match_whatever_their_case() {
    let body = r#"{"QUOTE":"AwAC","RuntimeData":{"Data":"IHt9","DataType":"binary"},"INITTIMEDATA":{"DATA":"IHt9","datatype":"json"},"Nonce":"n","DraftPolicyForAttestation":"p"}"#;
    let request = sgx(body).unwrap();
    assert_eq!(request.runtime_data.unwrap().bytes(), b" {}");
    assert!(matches!(request.init_time_data, Some(Data::Json { .. })));
    assert_eq!(request.nonce, Some(Nonce::String("n".into())));
    assert_eq!(request.draft_policy.as_deref(), Some("p"));
}

#[test]
fn unknown_properties_are_ignored_and_null_is_absent() {
    let request = sgx(&with(
        r#","zoo":[{"quote":1}],"report":5,"runtimeData":null,"initTimeData":null,"draftPolicyForAttestation":null,"nonce":null"#,
    ))
    .unwrap();
    assert_eq!(request, sgx(&with("")).unwrap());
}

#[test]
fn every_kind_of_base64_is_the_same_quote() {
    for text in ["-_8", "-_8=", "+/8", "+/8=", "-/8", r"+\/8"] {
        let request = sgx(&format!(r#"{{"quote":"{text}"}}"#)).unwrap();
        assert_eq!(request.quote, [0xfb, 0xff], "{text}");
    }
}

#[test]
fn broken_base64_is_refused_by_name_and_place() {
    let base64 = |property, error| RequestError::Base64 { property, error };
    for (body, error) in [
        (r#"{"quote":"AwAC AAAA"}"#.to_owned(), base64("quote", Base64Error::Character { at: 4 })),
        (r#"{"quote":"AwAC\r\nAAAA"}"#.to_owned(), base64("quote", Base64Error::Character { at: 4 })),
        (r#"{"quote":" AwAC"}"#.to_owned(), base64("quote", Base64Error::Character { at: 0 })),
        (r#"{"quote":"AwACA"}"#.to_owned(), base64("quote", Base64Error::Length { length: 5 })),
        (r#"{"quote":"AwB"}"#.to_owned(), base64("quote", Base64Error::SpareBits)),
        (
            with(r#","runtimeData":{"data":"{}"}"#),
            base64("runtimeData.data", Base64Error::Character { at: 0 }),
        ),
        (
            with(r#","initTimeData":{"data":"A"}"#),
            base64("initTimeData.data", Base64Error::Length { length: 1 }),
        ),
    ] {
        assert_eq!(sgx(&body), Err(error), "{body}");
    }
    let message = error(r#"{"quote":"AwAC\nAAAA"}"#).to_string();
    assert!(message.contains("`quote`") && message.contains("position 4"), "{message}");
}

#[test]
fn evidence_must_be_there() {
    for body in
        ["{}", r#"{"quote":null}"#, r#"{"quote":""}"#, r#"{"report":"AwAC"}"#, r#"{"evidence":"AwAC"}"#]
    {
        assert!(matches!(sgx(body), Err(RequestError::Missing { property: "quote", .. })), "{body}");
    }
    for body in ["{}", r#"{"report":""}"#, r#"{"quote":"AwAC"}"#] {
        let missing = AttestOpenEnclave::parse(body.as_bytes(), V2020);
        assert!(matches!(missing, Err(RequestError::Missing { property: "report", .. })), "{body}");
    }
    let message = error("{}").to_string();
    assert_eq!(message, "the property `quote` is missing or empty: send an SGX quote as base64url");
}

#[test]
fn values_of_the_wrong_type_are_refused_by_name() {
    for (body, property, found) in [
        (r#"{"quote":5}"#.to_owned(), "quote", "a number"),
        (r#"{"quote":["AwAC"]}"#.to_owned(), "quote", "an array"),
        (r#"{"quote":{}}"#.to_owned(), "quote", "an object"),
        (with(r#","runtimeData":"e30""#), "runtimeData", "a string"),
        (with(r#","runtimeData":[]"#), "runtimeData", "an array"),
        (with(r#","runtimeData":{"data":{}}"#), "runtimeData.data", "an object"),
        (with(r#","runtimeData":{"data":"e30","dataType":1}"#), "runtimeData.dataType", "a number"),
        (with(r#","initTimeData":false"#), "initTimeData", "a boolean"),
        (with(r#","initTimeData":{"data":"e30","dataType":{}}"#), "initTimeData.dataType", "an object"),
        (with(r#","draftPolicyForAttestation":{}"#), "draftPolicyForAttestation", "an object"),
        (with(r#","nonce":true"#), "nonce", "a boolean"),
        (with(r#","nonce":[1]"#), "nonce", "an array"),
    ] {
        match sgx(&body) {
            Err(RequestError::WrongType { property: p, found: f, .. }) => {
                assert_eq!((p, f), (property, found), "{body}");
            }
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[test]
fn a_body_is_one_strict_json_object() {
    assert_eq!(error(""), RequestError::EmptyBody);
    for body in ["null", "[]", "\"x\"", "7"] {
        assert_eq!(error(body), RequestError::Json(JsonError::NotObject), "{body}");
    }
    for body in ["quote=AwAC", "{", r#"{"quote":"AwAC"}}"#, "{'quote':'AwAC'}", "<xml/>"] {
        assert!(matches!(error(body), RequestError::Json(JsonError::Unexpected { .. })), "{body}");
    }
    assert!(matches!(
        AttestSgxEnclave::parse(b"{\"quote\":\"\xff\"}", V2020),
        Err(RequestError::Json(JsonError::InvalidUtf8 { offset: 10 }))
    ));
    let deep = format!(r#"{{"quote":"AwAC","x":{}}}"#, "[".repeat(100_000));
    assert!(matches!(error(&deep), RequestError::Json(JsonError::TooDeep { .. })));
}

#[test]
fn a_name_that_repeats_is_refused() {
    assert!(matches!(
        error(r#"{"quote":"AwAC","quote":"AwAC"}"#),
        RequestError::Json(JsonError::DuplicateName { .. })
    ));
    let repeated =
        |first: &str, second: &str| RequestError::Repeated { first: first.into(), second: second.into() };
    assert_eq!(error(r#"{"quote":"AwAC","Quote":"AwAD"}"#), repeated("Quote", "quote"));
    assert_eq!(error(r#"{"quote":"AwAC","QUOTE":null}"#), repeated("QUOTE", "quote"));
    assert_eq!(error(&with(r#","runtimeData":{"data":"e30","Data":"e30"}"#)), repeated("Data", "data"));
    assert_eq!(
        error(&with(r#","initTimeData":null,"inittimeData":null"#)),
        repeated("initTimeData", "inittimeData")
    );
}

#[test]
fn data_that_was_not_sent_is_absent() {
    for data in [
        r#"{}"#,
        r#"{"data":""}"#,
        r#"{"data":null}"#,
        r#"{"data":"","dataType":""}"#,
        r#"{"data":"","dataType":"JSON"}"#,
        r#"{"dataType":"JSON"}"#,
        r#"{"data":null,"dataType":"JSON"}"#,
        r#"{"data":"","dataType":null}"#,
        "null",
    ] {
        let request = sgx(&with(&format!(r#","runtimeData":{data},"initTimeData":{data}"#))).unwrap();
        assert_eq!((request.runtime_data, request.init_time_data), (None, None), "{data}");
    }
}

fn runtime(data: &[u8], data_type: &str) -> Result<Option<Data>, RequestError> {
    let data = token::base64url::encode(data);
    let body = with(&format!(r#","runtimeData":{{"data":"{data}","dataType":{data_type}}}"#));
    sgx(&body).map(|request| request.runtime_data)
}

#[test]
fn data_types_match_whatever_their_case() {
    for data_type in [r#""Binary""#, r#""binary""#, r#""BINARY""#, r#""""#, "null"] {
        assert_eq!(runtime(b"\xff", data_type), Ok(Some(Data::Binary(vec![0xff]))), "{data_type}");
    }
    for data_type in [r#""JSON""#, r#""json""#, r#""Json""#] {
        assert!(matches!(runtime(b"{}", data_type), Ok(Some(Data::Json { .. }))), "{data_type}");
    }
    let property = "runtimeData.dataType";
    for found in ["text", "JSON ", "Jsön"] {
        let error = RequestError::UnknownDataType { property, found: found.into() };
        assert_eq!(runtime(b"{}", &format!("\"{found}\"")), Err(error));
    }
    for found in [r#""SIGNED_COSESIGN1_JSON""#, r#""signed_cosesign1_json""#] {
        assert_eq!(runtime(b"{}", found), Err(RequestError::SignedCose { property }));
    }
}

#[test]
fn json_data_keeps_its_bytes_and_is_read_without_trailing_nuls() {
    let text = b" {\"b\" : 1E5,\"a\":12345678901234567890123}\n\0\0";
    let Ok(Some(Data::Json { bytes, object })) = runtime(text, r#""JSON""#) else {
        panic!("not read as JSON");
    };
    assert_eq!(bytes, text);
    assert_eq!(Value::Object(object).to_string(), r#"{"a":12345678901234567890123,"b":1E5}"#);
    // Binary data keeps its NULs and means nothing.
    assert_eq!(runtime(b"{}\0", r#""Binary""#), Ok(Some(Data::Binary(b"{}\0".to_vec()))));
}

#[test]
fn json_data_must_be_one_strict_object() {
    let property = "runtimeData.data";
    for data in [b"[]".as_slice(), b"7", b"null", b"\"x\""] {
        let error = RequestError::DataNotJson { property, error: JsonError::NotObject };
        assert_eq!(runtime(data, r#""JSON""#), Err(error));
    }
    let duplicate = JsonError::DuplicateName { name: "a".into(), offset: 7 };
    for (data, error) in [
        (br#"{"a":1,"a":2}"#.as_slice(), duplicate),
        (b"\0\0", JsonError::Unexpected { expected: "a value", offset: 0 }),
        (b"\0{}", JsonError::Unexpected { expected: "a value", offset: 0 }),
        (b"{}\0 ", JsonError::Unexpected { expected: "the end of the text", offset: 2 }),
        (b"{\"a\":\"\xff\"}", JsonError::InvalidUtf8 { offset: 6 }),
    ] {
        assert_eq!(runtime(data, r#""JSON""#), Err(RequestError::DataNotJson { property, error }));
    }
    let message = runtime(b"hello", r#""JSON""#).unwrap_err().to_string();
    assert!(message.contains("`runtimeData.data` is declared as JSON"), "{message}");
}

#[test]
fn a_nonce_keeps_its_type_and_spelling() {
    let nonce = |text: &str| sgx(&with(&format!(r#","nonce":{text}"#))).map(|request| request.nonce);
    for text in ["0", "18446744073709551615", r#""18446744073709551615""#, r#""""#, r#""é\n""#] {
        let claim = nonce(text).unwrap().unwrap().into_claim();
        assert_eq!(claim.to_string(), text);
    }
    for text in ["-1", "1.0", "1e3", "18446744073709551616", "0.5"] {
        assert_eq!(nonce(text), Err(RequestError::NonceNumber), "{text}");
    }
    let longest = "n".repeat(MAX_NONCE_BYTES);
    assert_eq!(nonce(&format!("\"{longest}\"")), Ok(Some(Nonce::String(longest.clone()))));
    assert_eq!(nonce(&format!("\"{longest}n\"")), Err(too_long("nonce", MAX_NONCE_BYTES)));
}

fn too_long(property: &'static str, limit: usize) -> RequestError {
    RequestError::TooLong { property, bytes: limit + 1, limit }
}

#[test]
fn the_longest_of_everything_is_accepted_and_fits_the_body_limit() {
    let data = |limit| json!({"data": base64_of(limit), "dataType": "Binary"});
    let full = json!({
        "quote": base64_of(MAX_SGX_EVIDENCE_BYTES),
        "runtimeData": data(MAX_RUNTIME_DATA_BYTES),
        "initTimeData": data(MAX_INIT_TIME_DATA_BYTES),
        "draftPolicyForAttestation": "p".repeat(MAX_DRAFT_POLICY_BYTES),
        "nonce": "n".repeat(MAX_NONCE_BYTES),
    });
    assert!(full.to_string().len() <= MAX_SGX_BODY_BYTES);
    assert!(sgx(&full.to_string()).is_ok());
    for (property, limit, value) in [
        ("quote", MAX_SGX_EVIDENCE_BYTES, json!(base64_of(MAX_SGX_EVIDENCE_BYTES + 1))),
        ("runtimeData.data", MAX_RUNTIME_DATA_BYTES, data(MAX_RUNTIME_DATA_BYTES + 1)),
        ("initTimeData.data", MAX_INIT_TIME_DATA_BYTES, data(MAX_INIT_TIME_DATA_BYTES + 1)),
        ("draftPolicyForAttestation", MAX_DRAFT_POLICY_BYTES, json!("p".repeat(MAX_DRAFT_POLICY_BYTES + 1))),
    ] {
        let mut body = full.clone();
        body[property.split('.').next().unwrap()] = value;
        assert_eq!(error(&body.to_string()), too_long(property, limit));
    }
    // Far too long is refused before it is decoded.
    let body = json!({"quote": "*".repeat(1_000_000)}).to_string();
    let refused = RequestError::TooLong { property: "quote", bytes: 750_000, limit: MAX_SGX_EVIDENCE_BYTES };
    assert_eq!(error(&body), refused);
}

fn base64_of(bytes: usize) -> String {
    token::base64url::encode(&vec![7; bytes])
}

#[test]
fn shapes_of_2018() {
    let body = br#"{"Quote":"AwAC","EnclaveHeldData":"IHt9"}"#;
    let request = AttestSgxEnclave::parse(body, V2018).unwrap();
    assert_eq!(request.quote, [3, 0, 2]);
    assert_eq!(request.runtime_data, Some(Data::Binary(b" {}".to_vec())));
    let report = AttestOpenEnclave::parse(body, V2018).unwrap();
    assert_eq!((report.report, report.runtime_data), (request.quote, request.runtime_data));
    let report = AttestOpenEnclave::parse(br#"{"Report":"AwAC"}"#, V2018).unwrap();
    assert_eq!((report.report.as_slice(), report.runtime_data), ([3, 0, 2].as_slice(), None));
    let empty = AttestSgxEnclave::parse(br#"{"Quote":"AwAC","EnclaveHeldData":""}"#, V2018).unwrap();
    assert_eq!(empty.runtime_data, None);

    let both = br#"{"Quote":"AwAC","EnclaveHeldData":"IHt9","runtimeData":{"data":"IHt9"}}"#;
    let error = RequestError::Conflicting { first: "runtimeData", second: "EnclaveHeldData" };
    assert_eq!(AttestSgxEnclave::parse(both, V2018), Err(error));
    let both = br#"{"Quote":"AwAC","Report":"AwAC"}"#;
    let error = RequestError::Conflicting { first: "report", second: "Quote" };
    assert_eq!(AttestOpenEnclave::parse(both, V2018), Err(error));
    // Later versions do not know these names.
    assert!(AttestOpenEnclave::parse(br#"{"Quote":"AwAC"}"#, V2020).is_err());
    assert_eq!(AttestSgxEnclave::parse(body, V2020).unwrap().runtime_data, None);
}
