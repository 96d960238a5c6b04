//! `/certificates` and its verbs.

use serde_json::json;

use crate::managed::{Managed, PERMIT, Signer, isolate, plain};
use crate::support::{config, forge};

#[tokio::test(flavor = "multi_thread")]
async fn certificates_come_and_go_in_every_shape_of_request() {
    let mut config = config("certificates_isolated", &forge(b"").mint());
    let (first, second) = (Signer::new("First"), Signer::new("Second"));
    isolate(&mut config, &[&first]);
    let managed = Managed::start(config).await;
    let list = managed.answer(&managed.get("/certificates").await);
    assert_eq!(list, json!({ "x-ms-policy-certificates": { "keys": [first.jwk()] } }));

    let present = json!({ "x-ms-certificate-thumbprint": second.thumbprint(), "x-ms-policycertificates-result": "IsPresent" });
    let absent = json!({ "x-ms-certificate-thumbprint": second.thumbprint(), "x-ms-policycertificates-result": "IsAbsent" });
    for claim in
        ["policyCertificate", "maa-policyCertificate", "aas-policyCertificate", "x-ms-policyCertificate"]
    {
        let jws = first.vouch_for(&second, claim);
        let shapes = [
            json!(jws).to_string(),
            json!({ "policyCertificateToAdd": jws }).to_string(),
            json!({ "certificate": jws }).to_string(),
            jws.clone(),
        ];
        for body in shapes {
            assert_eq!(managed.answer(&managed.post("/certificates:add", body).await), present, "{claim}");
        }
        let list = managed.answer(&managed.get("/certificates").await);
        assert_eq!(list["x-ms-policy-certificates"]["keys"], json!([first.jwk(), second.jwk()]));
        for body in [json!(jws).to_string(), json!({ "policyCertificateToRemove": jws }).to_string()] {
            assert_eq!(managed.answer(&managed.post("/certificates:remove", body).await), absent, "{claim}");
        }
    }

    let remove_last = json!(first.vouch_for(&first, "policyCertificate")).to_string();
    let message = managed.post("/certificates:remove", remove_last).await.refusal(400, "InvalidOperation");
    assert!(message.contains("last"), "{message}");
    let without_claim = json!(first.sign(b"{}")).to_string();
    let message = managed.post("/certificates:add", without_claim).await.refusal(400, "InvalidOperation");
    assert!(message.contains(r#"Could not find "maa-policyCertificate" claim in policy token"#), "{message}");
    let stranger = json!(second.vouch_for(&second, "policyCertificate")).to_string();
    let message = managed.post("/certificates:add", stranger).await.refusal(400, "InvalidParameter");
    assert!(message.contains("Unable to find issuer certificate CN=Second"), "{message}");
    // A self-signed certificate without CA:TRUE can be listed, as recorded, and signs nothing.
    let unfit = Signer::without_authority("Unfit");
    let body = json!(first.vouch_for(&unfit, "policyCertificate")).to_string();
    let listed = managed.answer(&managed.post("/certificates:add", body).await);
    assert_eq!(listed["x-ms-policycertificates-result"], "IsPresent");
    let signed = managed.put("/policies/SgxEnclave", unfit.sign_policy(PERMIT)).await;
    let message = signed.refusal(400, "InvalidParameter");
    assert!(message.contains("Unable to find issuer certificate CN=Unfit"), "{message}");
    let unsigned = json!(plain(PERMIT)).to_string();
    managed.post("/certificates:add", unsigned).await.refusal(400, "InvalidOperation");
    for body in ["", "{}", "\"", "7"] {
        let answer = managed.post("/certificates:add", body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_signer_signs_nothing_any_more() {
    let mut config = config("certificates_removed", &forge(b"").mint());
    let (first, second) = (Signer::new("First"), Signer::new("Second"));
    isolate(&mut config, &[&first, &second]);
    let managed = Managed::start(config.clone()).await;
    let remove = json!(second.vouch_for(&first, "policyCertificate")).to_string();
    managed.answer(&managed.post("/certificates:remove", remove).await);
    let by_first = first.sign_policy(PERMIT);
    managed.put("/policies/SgxEnclave", &by_first).await.refusal(400, "InvalidParameter");
    managed.service.server.stop().await;
    let managed = Managed::start(config).await;
    managed.put("/policies/SgxEnclave", by_first).await.refusal(400, "InvalidParameter");
    managed.answer(&managed.put("/policies/SgxEnclave", second.sign_policy(PERMIT)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_signers_the_operation_is_disallowed() {
    let managed = Managed::start(config("certificates_aad", &forge(b"").mint())).await;
    let list = managed.answer(&managed.get("/certificates").await);
    assert_eq!(list, json!({ "x-ms-policy-certificates": { "keys": [] } }));
    let signer = Signer::new("Anyone");
    for verb in ["add", "remove"] {
        let body = json!(signer.vouch_for(&signer, "policyCertificate")).to_string();
        let answer = managed.post(&format!("/certificates:{verb}"), body).await;
        let message = answer.refusal(400, "InvalidOperation");
        assert!(message.contains("The operation is disallowed"), "{message}");
    }
}
