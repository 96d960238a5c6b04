//! Endorsements behind an attestation: fetched once, kept, refreshed, refused.

use std::sync::Arc;
use std::time::Duration;

use server::store::{self, Store, StoredEndorsement};
use testkit::intel::{Forge, Minted};
use testkit::x509::{self, Extension};
use time::OffsetDateTime;

use crate::support::{Mood, Pcs, Service, forge, offline_config, write_endorsements};
use server::Config;

const ITEMS: [&str; 4] = ["pck_crl", "qe_identity", "root_ca_crl", "tcb"];

/// The names under which the items of the forged platform are kept.
fn kept_items(minted: &Minted) -> [String; 4] {
    let fmspc = hex::encode(minted.fmspc);
    [
        format!("tcb-info/sgx/{fmspc}"),
        "qe-identity/sgx".to_owned(),
        "root-ca-crl".to_owned(),
        "pck-crl/platform".to_owned(),
    ]
}

fn store(config: &Config) -> Store {
    Store::open(&config.data_dir.join(store::FILE)).unwrap()
}

fn numbered(forge: &mut Forge, evaluation: u32) -> Minted {
    forge.tcb_info.evaluation_data_number = evaluation;
    forge.qe_identity.evaluation_data_number = evaluation;
    forge.mint()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_first_requests_make_one_fetch_an_item() {
    let minted = Arc::new(forge(b"").mint());
    let pcs = Pcs::start(&minted).await;
    pcs.delay(Duration::from_millis(100));
    let config = pcs.config("endorsements_single_flight", &minted);
    let service = Arc::new(Service::start(config.clone()).await);
    let requests: Vec<_> = (0..100)
        .map(|_| {
            let (service, minted) = (Arc::clone(&service), Arc::clone(&minted));
            tokio::spawn(async move { service.attest_quote(&minted).await.claims() })
        })
        .collect();
    for request in requests {
        request.await.unwrap();
    }
    let counts = pcs.counts();
    let mut items: Vec<_> = counts.iter().map(|(item, count)| (item.as_str(), *count)).collect();
    items.sort_unstable();
    assert_eq!(items, ITEMS.map(|item| (item, 1)));

    // Nor does a restart fetch again what is kept.
    Arc::into_inner(service).unwrap().server.stop().await;
    pcs.be(Mood::Status(500, None));
    let service = Service::start(config).await;
    service.attest_quote(&minted).await.claims();
    assert_eq!(pcs.count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_survived_until_the_endorsements_expire() {
    let mut forge = forge(b"");
    let next_update = (OffsetDateTime::now_utc() + time::Duration::seconds(4)).replace_nanosecond(0).unwrap();
    forge.tcb_info.next_update = next_update;
    let minted = forge.mint();
    let pcs = Pcs::start(&minted).await;
    let mut config = pcs.config("endorsements_outage", &minted);
    config.endorsements.refresh_interval_secs = 1;
    let service = Service::start(config).await;
    service.attest_quote(&minted).await.claims();
    pcs.be(Mood::Status(503, None));
    let fetched = pcs.count();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(pcs.count() > fetched, "a refresh was tried before the end");
    service.attest_quote(&minted).await.claims();
    tokio::time::sleep((next_update - OffsetDateTime::now_utc() + time::Duration::seconds(1)).unsigned_abs())
        .await;
    let answer = service.attest_quote(&minted).await;
    let message = answer.refusal(503, "ServiceUnavailable");
    assert!(answer.headers["retry-after"].to_str().unwrap().parse::<u32>().unwrap() >= 1);
    for word in
        ["due to an error in the quote collateral", "TCB info", "503", &next_update.date().to_string()]
    {
        assert!(message.contains(word), "{word}: {message}");
    }
    // The end of the outage is noticed.
    pcs.be(Mood::Good);
    forge.tcb_info.next_update = OffsetDateTime::now_utc() + time::Duration::days(30);
    pcs.give(&forge.mint());
    tokio::time::sleep(Duration::from_secs(6)).await;
    service.attest_quote(&minted).await.claims();
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_refreshed_in_the_background() {
    let mut forge = forge(b"");
    let first = numbered(&mut forge, 17);
    let pcs = Pcs::start(&first).await;
    let mut config = pcs.config("endorsements_refresh", &first);
    config.endorsements.refresh_interval_secs = 1;
    let service = Service::start(config.clone()).await;
    service.attest_quote(&first).await.claims();
    pcs.give(&numbered(&mut forge, 18));
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(store(&config).watermark(&kept_items(&first)[0]).unwrap(), Some(18));
}

#[tokio::test(flavor = "multi_thread")]
async fn older_data_are_refused_also_after_a_restart() {
    let mut forge = forge(b"");
    let newer = numbered(&mut forge, 17);
    let older = numbered(&mut forge, 16);
    let pcs = Pcs::start(&newer).await;
    let config = pcs.config("endorsements_rollback", &newer);
    let service = Service::start(config.clone()).await;
    service.attest_quote(&newer).await.claims();
    service.server.stop().await;

    pcs.give(&older);
    forget(&config, &newer);
    let service = Service::start(config.clone()).await;
    let message = service.attest_quote(&newer).await.refusal(400, "InvalidParameter");
    for word in ["older endorsements are refused", "tcb-info/sgx/", "16", "17"] {
        assert!(message.contains(word), "{word}: {message}");
    }
    service.server.stop().await;

    // From a file neither.
    let mut offline = config.clone();
    offline.endorsements.pcs_urls.clear();
    offline.endorsements.offline = vec![write_endorsements(&config, &older)];
    let service = Service::start(offline).await;
    let message = service.attest_quote(&newer).await.refusal(400, "InvalidParameter");
    assert!(message.contains("older endorsements are refused"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_crl_is_refused() {
    for (which, item) in [("root", "root-ca-crl"), ("pck", "pck-crl/platform")] {
        let mut forge = forge(b"");
        let with_number = |forge: &mut Forge, number| {
            let crl = if which == "root" { &mut forge.root_crl } else { &mut forge.pck_crl };
            x509::put(&mut crl.extensions, Extension::crl_number(number));
            forge.mint()
        };
        let newer = with_number(&mut forge, 7);
        let older = with_number(&mut forge, 6);
        let pcs = Pcs::start(&newer).await;
        let config = pcs.config(&format!("endorsements_rollback_{which}"), &newer);
        let service = Service::start(config.clone()).await;
        service.attest_quote(&newer).await.claims();
        service.server.stop().await;
        pcs.give(&older);
        forget(&config, &newer);
        let service = Service::start(config).await;
        let message = service.attest_quote(&newer).await.refusal(400, "InvalidParameter");
        assert!(message.contains(item) && message.contains("older endorsements are refused"), "{message}");
    }
}

/// Damages what is kept, but for the highest numbers seen.
fn forget(config: &Config, minted: &Minted) {
    let store = store(config);
    for item in kept_items(minted) {
        let kept = store.endorsement(&item).unwrap().unwrap();
        store.save_endorsement(&item, &StoredEndorsement { body: b"damaged".to_vec(), ..kept }).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_survives_a_restart_during_an_outage() {
    let minted = forge(b"").mint();
    let pcs = Pcs::start(&minted).await;
    let mut config = pcs.config("endorsements_restart_in_outage", &minted);
    let service = Service::start(config.clone()).await;
    service.attest_quote(&minted).await.claims();
    service.server.stop().await;
    // Due for a refresh, which the service does not answer.
    config.endorsements.refresh_interval_secs = 1;
    tokio::time::sleep(Duration::from_millis(2100)).await;
    pcs.be(Mood::Status(503, Some(60)));
    let service = Service::start(config).await;
    service.attest_quote(&minted).await.claims();
    assert!(pcs.count() > 4, "a refresh was tried first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_behind_the_one_kept_does_not_harm() {
    let mut forge = forge(b"");
    x509::put(&mut forge.root_crl.extensions, Extension::crl_number(7));
    let newer = forge.mint();
    x509::put(&mut forge.root_crl.extensions, Extension::crl_number(6));
    let behind = forge.mint();
    let pcs = Pcs::start(&newer).await;
    let mut config = pcs.config("endorsements_behind", &newer);
    config.endorsements.refresh_interval_secs = 1;
    let service = Service::start(config.clone()).await;
    service.attest_quote(&newer).await.claims();
    pcs.give(&behind);
    tokio::time::sleep(Duration::from_secs(2)).await;
    service.attest_quote(&newer).await.claims();
    let store = store(&config);
    assert_eq!(store.watermark("root-ca-crl").unwrap(), Some(7));
    assert_eq!(store.endorsement("root-ca-crl").unwrap().unwrap().body, newer.root_ca_crl);
    let tcb_info = store.endorsement(&kept_items(&newer)[0]).unwrap().unwrap();
    assert_eq!(tcb_info.body, behind.tcb_info, "the rest was refreshed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_fails_is_our_failure_and_tells_nothing() {
    let minted = forge(b"").mint();
    let pcs = Pcs::start(&minted).await;
    let config = pcs.config("endorsements_database", &minted);
    let service = Service::start(config.clone()).await;
    let database = rusqlite::Connection::open(config.data_dir.join(store::FILE)).unwrap();
    database.execute_batch("DROP TABLE endorsement").unwrap();
    let message = service.attest_quote(&minted).await.refusal(500, "InternalServerError");
    assert!(!message.contains("endorsement") && message.contains("x-ms-request-id"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_verified_again() {
    let minted = forge(b"").mint();
    let pcs = Pcs::start(&minted).await;
    let config = pcs.config("endorsements_damaged", &minted);
    let service = Service::start(config.clone()).await;
    service.attest_quote(&minted).await.claims();
    service.server.stop().await;
    forget(&config, &minted);
    let service = Service::start(config).await;
    service.attest_quote(&minted).await.claims();
    assert_eq!(pcs.count(), 8, "the damaged ones were fetched again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_misbehaves() {
    let minted = forge(b"").mint();
    for (index, (mood, status, words)) in [
        (Mood::Status(500, None), 503, "answered status 500"),
        (Mood::Status(429, Some(77)), 503, "answered status 429"),
        (Mood::Status(302, None), 503, "answered status 302"),
        (Mood::Status(404, None), 400, "404"),
        (Mood::Hangs, 503, "took too long"),
        (Mood::Web, 503, "issuer-chain header is missing"),
        (Mood::HalfBody, 400, "PCK Cache Service was invalid"),
    ]
    .into_iter()
    .enumerate()
    {
        let pcs = Pcs::start(&minted).await;
        pcs.be(mood);
        let service = Service::start(pcs.config(&format!("endorsements_mood_{index}"), &minted)).await;
        let code = if status == 503 { "ServiceUnavailable" } else { "InvalidParameter" };
        let answer = service.attest_quote(&minted).await;
        let message = answer.refusal(status, code);
        assert!(message.contains(words), "{mood:?}: {message}");
        assert!(!message.contains(&pcs.url), "the address is the operator's: {message}");
        if mood == Mood::Status(429, Some(77)) {
            assert_eq!(answer.headers["retry-after"], "77");
            let asked = pcs.count();
            service.attest_quote(&minted).await.refusal(503, "ServiceUnavailable");
            assert_eq!(pcs.count(), asked, "nobody asks again before that");
        }
    }
}

/// The vendor's wishes are kept here, and not passed on to clients, who would sleep as long.
#[tokio::test(flavor = "multi_thread")]
async fn clients_are_not_told_to_wait_for_an_hour() {
    let minted = forge(b"").mint();
    let pcs = Pcs::start(&minted).await;
    pcs.be(Mood::Status(429, Some(3600)));
    let service = Service::start(pcs.config("endorsements_hour", &minted)).await;
    for _ in 0..2 {
        let answer = service.attest_quote(&minted).await;
        answer.refusal(503, "ServiceUnavailable");
        assert_eq!(answer.headers["retry-after"], "120");
    }
}

/// Only the one that is down may know the platform, so the failure is not for good.
#[tokio::test(flavor = "multi_thread")]
async fn what_one_does_not_know_another_may_that_is_down() {
    let minted = forge(b"").mint();
    let knows_nothing = Pcs::start(&minted).await;
    knows_nothing.be(Mood::Status(404, None));
    for urls in [["http://127.0.0.1:1", &knows_nothing.url], [&knows_nothing.url, "http://127.0.0.1:1"]] {
        let mut config = knows_nothing.config("endorsements_one_down", &minted);
        config.endorsements.pcs_urls = urls.map(str::to_owned).to_vec();
        let service = Service::start(config).await;
        service.attest_quote(&minted).await.refusal(503, "ServiceUnavailable");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_service_is_asked_where_one_is_down() {
    let minted = forge(b"").mint();
    let pcs = Pcs::start(&minted).await;
    let mut config = pcs.config("endorsements_second_service", &minted);
    // A base may be written with the path of the API too.
    let second = format!("{}/sgx/certification/v4/", pcs.url);
    config.endorsements.pcs_urls = vec!["http://127.0.0.1:1".to_owned(), second];
    Service::start(config).await.attest_quote(&minted).await.claims();
    assert_eq!(pcs.count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caching_service_may_have_a_private_certificate() {
    let minted = forge(b"").mint();
    // Any HTTPS server will do that knows no platform.
    let other = Service::start(crate::support::config("endorsements_tls_other", &minted)).await;
    let mut config = crate::support::config("endorsements_tls", &minted);
    config.endorsements.pcs_urls = vec![other.server.uri().to_owned()];
    let service = Service::start(config.clone()).await;
    let message = service.attest_quote(&minted).await.refusal(503, "ServiceUnavailable");
    assert!(message.contains("could not be reached") && message.contains("certificate"), "{message}");
    service.server.stop().await;
    config.endorsements.pcs_ca_file = Some(other.server.ca_pem().to_owned());
    let service = Service::start(config.clone()).await;
    let message = service.attest_quote(&minted).await.refusal(400, "InvalidParameter");
    assert!(message.contains("knows no SGX platform"), "{message}");
    service.server.stop().await;
    config.endorsements.pcs_ca_file = Some("/no/such/file".into());
    let error = server::Server::start(config).await.unwrap_err().to_string();
    assert!(error.contains("endorsements.pcs_ca_file") && error.contains("/no/such/file"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_verify_is_refused_and_not_kept() {
    let minted = forge(b"").mint();
    let pcs = Pcs::start(&forge(b"").mint()).await;
    let config = pcs.config("endorsements_forged", &minted);
    let service = Service::start(config.clone()).await;
    let message = service.attest_quote(&minted).await.refusal(400, "InvalidParameter");
    assert!(message.contains("TCBInfo or QEID provided by the PCK Cache Service was invalid"), "{message}");
    assert_eq!(store(&config).endorsements().unwrap(), []);
    assert_eq!(store(&config).watermark(&kept_items(&minted)[0]).unwrap(), None);
}

/// A draft may ask for a newer TCB recovery than the service's standard one; it gets it, and nobody else is
/// held to it afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_evaluation_number_is_asked_for_by_number() {
    let mut forge = forge(b"");
    let standard = numbered(&mut forge, 17);
    let early = numbered(&mut forge, 18);
    let pcs = Pcs::start(&standard).await;
    pcs.give_by_number(18, &early);
    let config = pcs.config("endorsements_by_number", &standard);
    let service = Service::start(config.clone()).await;
    let draft = |number: u32| {
        serde_json::json!({
            "quote": crate::support::b64(&standard.quote),
            "draftPolicyForAttestation": format!(
                "version=1.1; configurationrules{{=> issueproperty(type=\"x-ms-sgx-tcbidentifier\", \
                 value=\"{number}\");}}; authorizationrules{{=> permit();}};"
            ),
        })
    };
    service.attest(&draft(17)).await.claims();
    assert_eq!(pcs.count(), 4);
    let claims = service.attest(&draft(18)).await.claims();
    assert_eq!(claims["x-ms-sgx-collateral"]["tcbinfohash"], nul_terminated_hash(&early.tcb_info));
    let asked = pcs.count();
    service.attest(&draft(19)).await.refusal(400, "InvalidParameter");
    service.attest(&draft(5000)).await.refusal(400, "InvalidParameter");
    assert!(pcs.count() <= asked + 4, "absurd numbers are not passed on");
    let claims = service.attest_quote(&standard).await.claims();
    assert_eq!(claims["x-ms-sgx-collateral"]["tcbinfohash"], nul_terminated_hash(&standard.tcb_info));
    assert_eq!(store(&config).watermark(&kept_items(&standard)[0]).unwrap(), Some(17));
}

/// Else revocations would reach a provider whose minimum is above the standard number a month late.
#[tokio::test(flavor = "multi_thread")]
async fn endorsements_asked_for_by_number_are_refreshed_too() {
    let mut forge = forge(b"");
    let standard = numbered(&mut forge, 17);
    let early = numbered(&mut forge, 18);
    let pcs = Pcs::start(&standard).await;
    pcs.give_by_number(18, &early);
    let mut config = pcs.config("endorsements_by_number_refresh", &standard);
    config.provider.baseline.min_tcb_evaluation = Some(18);
    config.endorsements.refresh_interval_secs = 1;
    let service = Service::start(config.clone()).await;
    service.attest_quote(&standard).await.claims();
    pcs.give_by_number(18, &numbered(&mut forge, 19));
    let item = format!("{}@18", kept_items(&standard)[0]);
    assert_eq!(store(&config).watermark(&item).unwrap(), Some(18));
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(store(&config).watermark(&item).unwrap(), Some(19));
    // Once the standard number is as high, nobody asks by number any more.
    pcs.give(&numbered(&mut forge, 19));
    tokio::time::sleep(Duration::from_millis(2500)).await;
    pcs.give_by_number(18, &numbered(&mut forge, 20));
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(store(&config).watermark(&item).unwrap(), Some(19));
    service.attest_quote(&standard).await.claims();
}

fn nul_terminated_hash(document: &[u8]) -> String {
    hex::encode(crypto::sha256_of_parts(&[document, b"\0"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_fetched_for_platforms_that_are_not_genuine() {
    let minted = forge(b"").mint();
    let pcs = Pcs::start(&minted).await;
    let service = Service::start(pcs.config("endorsements_stranger", &minted)).await;
    service.attest_quote(&forge(b"").mint()).await.refusal(400, "InvalidParameter");
    assert_eq!(pcs.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_source_the_missing_items_are_named() {
    let minted = forge(b"").mint();
    let service = Service::start(crate::support::config("endorsements_none", &minted)).await;
    let message = service.attest_quote(&minted).await.refusal(400, "InvalidParameter");
    for item in ["TCB info", "QE identity", "root CA CRL", "PCK CRL"] {
        assert!(message.contains(item), "{item}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_none_stop_the_start() {
    let minted = forge(b"").mint();
    let mut config = offline_config("endorsements_files", &minted);
    let directory = config.data_dir.with_file_name("bundle");
    std::fs::create_dir_all(directory.join("empty")).unwrap();
    for (path, word) in [
        ("/no/such/place".into(), "/no/such/place"),
        (directory.join("empty"), "no file in it"),
        (config.trust_anchors.pck_root_files[0].with_file_name("data"), ""),
    ] {
        config.endorsements.offline = vec![path];
        let error = server::Server::start(config.clone()).await.unwrap_err().to_string();
        assert!(error.contains("endorsements.offline") && error.contains(word), "{error}");
    }
    // A directory may hold other files too.
    std::fs::write(directory.join("README"), "what this is").unwrap();
    std::fs::rename(write_endorsements(&config, &minted), directory.join("empty/a")).unwrap();
    config.endorsements.offline = vec![directory];
    Service::start(config).await.attest_quote(&minted).await.claims();
}
