//! The list of routes. Paths are in lower case here: [`super::front`] folds the case of what arrives and
//! takes the provider's prefix away.

use std::sync::Arc;

use axum::Router;
use axum::http::Method;
use axum::routing::{get, post};
use tower_http::cors::{AllowHeaders, Any, CorsLayer};

use super::{attest, error, health, metadata};
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
        .route("/attest/{attestation_type}", post(attest::attest))
        .route("/attest/tee/{attestation_type}", post(attest::attest_2018))
        .route("/healthz/live", get(health::live))
        .route("/healthz/ready", get(health::ready))
        .route("/servicehealth", get(health::service_health))
        .method_not_allowed_fallback(error::method_not_allowed)
        .fallback(error::not_found)
        .with_state(app)
}
