//! `/healthz/...`, `/servicehealth`, and what is no route.

use crate::support::{Service, VERSION, config, forge, send};

#[tokio::test(flavor = "multi_thread")]
async fn live_ready_and_service_health() {
    let mut config = config("health", &forge(b"").mint());
    config.provider.path_prefix = Some("team1".to_owned());
    let service = Service::start(config).await;
    for path in ["/healthz/live", "/healthz/ready", "/servicehealth", "/ServiceHealth?api-version=x"] {
        let answer = service.get(path).await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{path}");
        assert!(answer.headers.contains_key("x-ms-request-id"));
    }
    // The process's health has no provider, so no prefix.
    let url = format!("https://{}/healthz/live", service.server.local_addr());
    assert_eq!(send(service.client.get(url)).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_route() {
    let service = Service::start(config("no_route", &forge(b"").mint())).await;
    for path in ["/", "/nonsense", "/attest", "/attest/", "/attest/SgxEnclave/more", "/healthz"] {
        let message = service.post(&format!("{path}?{VERSION}"), "{}").await.refusal(404, "NotFound");
        assert!(message.contains("/attest/SgxEnclave"), "{message}");
    }
    let answer = service.get(&format!("/attest/SgxEnclave?{VERSION}")).await;
    assert!(answer.refusal(405, "MethodNotAllowed").contains("POST"));
    assert_eq!(answer.headers["allow"], "POST");
    service.post("/certs", "{}").await.refusal(405, "MethodNotAllowed");
}
