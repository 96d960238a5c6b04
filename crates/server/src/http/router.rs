//! The list of routes. Paths are in lower case here: [`super::front`] folds the case of what arrives and
//! takes the provider's prefix away.

use std::sync::Arc;

use axum::Router;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tower_http::cors::{AllowHeaders, Any, CorsLayer};

use super::{
    attest, attest_tpm, audited, error, health, management, management_2018, metadata, tpm_enrolment,
};
use crate::app::App;

pub(crate) fn router(app: Arc<App>) -> Router {
    // Browsers of any origin may read the metadata; the other operations are not for them.
    let any_origin = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET])
        .allow_headers(AllowHeaders::mirror_request());
    let public = Router::new()
        .route(
            "/.well-known/openid-configuration",
            get(metadata::openid_configuration).options(metadata::options),
        )
        .route("/certs", get(metadata::certs).options(metadata::options))
        .layer(any_origin);
    Router::new()
        .merge(public)
        .merge(attest_routes().route_layer(from_fn_with_state(Arc::clone(&app), audited::attestation)))
        .merge(management_routes().route_layer(from_fn_with_state(Arc::clone(&app), audited::management)))
        .route("/healthz/live", get(health::live))
        .route("/healthz/ready", get(health::ready))
        .route("/servicehealth", get(health::service_health))
        .route("/tpm/ca", get(tpm_enrolment::authority))
        .route("/tpm/ca.crl", get(tpm_enrolment::crl))
        .method_not_allowed_fallback(error::method_not_allowed)
        .fallback(error::not_found)
        .with_state(app)
}

fn attest_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/attest/tpm", post(attest_tpm::attest))
        .route("/attest/{attestation_type}", post(attest::attest))
        .route("/attest/tee/{attestation_type}", post(attest::attest_2018))
}

/// Each handler asks for the caller's role first.
fn management_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/certificates", get(management::get_certificates))
        .route("/certificates:add", post(management::add_certificate))
        .route("/certificates:remove", post(management::remove_certificate))
        // `:reset` and `:rollback` are part of the last segment.
        .route(
            "/policies/{attestation_type}",
            get(management::get_policy).put(management::set_policy).post(management::policy_verb),
        )
        .route("/policies/{attestation_type}/history", get(management::history))
        .route("/policies/{attestation_type}/history/{version}", get(management::history_version))
        .route("/tcbbaselines/{attestation_type}", get(management::tcb_baselines))
        .route("/tpm/enrollments", post(tpm_enrolment::enroll))
        .route("/tpm/enrollments:activate", post(tpm_enrolment::activate))
        .route("/tpm/machines", get(tpm_enrolment::machines))
        // `:revoke` and `:restore` are part of the last segment.
        .route("/tpm/machines/{machine}", get(tpm_enrolment::machine).post(tpm_enrolment::machine_verb))
        .route(
            "/operations/policy/certificates",
            get(management_2018::get_certificates)
                .put(management_2018::add_certificate)
                .post(management_2018::remove_certificate),
        )
        .route(
            "/operations/policy/current",
            get(management_2018::get_policy)
                .put(management_2018::set_policy)
                .post(management_2018::reset_policy)
                .delete(management_2018::reset_policy),
        )
        .route("/operations/policy/update", post(management_2018::prepare_policy))
        .route("/operations/policy/updatepolicy", post(management_2018::prepare_policy))
}
