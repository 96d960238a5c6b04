//! The pieces of evidence that the published SDKs carry, with the claims they must yield.

use serde_json::Value;
use testkit::captures::Captures;

use crate::quotes::of_azure;

#[test]
fn every_piece_of_the_sdks_yields_its_claims() {
    let Some(captures) = Captures::find() else {
        return;
    };
    let pieces = captures.sdk_evidence();
    assert_eq!(pieces.len(), 10);
    for (piece, entry) in &pieces {
        let quote = piece.parse().unwrap_or_else(|error| panic!("{}: {error}", piece.name));
        let report = of_azure(&captures, &quote);
        let body = report.body();
        let found = serde_json::json!({
            "x-ms-sgx-is-debuggable": body.is_debuggable(),
            "x-ms-sgx-mrenclave": hex::encode(body.mr_enclave),
            "x-ms-sgx-mrsigner": hex::encode(body.mr_signer),
            "x-ms-sgx-product-id": body.isv_prod_id,
            "x-ms-sgx-report-data": hex::encode(body.report_data),
            "x-ms-sgx-svn": body.isv_svn,
        });
        let claims = entry["claims"].as_object().expect("claims");
        for (claim, value) in claims {
            assert_eq!(found.get(claim), Some(value), "{}: {claim}", piece.name);
        }
        let data = entry["runtimeData"].as_str().map(|text| text.trim_end_matches('='));
        let data = token::base64url::decode(data.expect("runtime data")).expect("base64url");
        if entry["runtimeIsJson"] == true {
            assert!(serde_json::from_slice::<Value>(&data).is_ok_and(|json| json.is_object()));
        }
        let bound = report.bind(Some(&data), None);
        assert!(bound.is_ok(), "{}: runtime data are not bound", piece.name);
    }
    println!("{} pieces of evidence of the SDKs", pieces.len());
}
