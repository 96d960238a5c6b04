//! Whether the process lives, and whether it takes requests.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;

use crate::app::App;

/// `GET /healthz/live`: the process answers.
pub(super) async fn live() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// `GET /healthz/ready`: it takes requests; 503 once it is stopping.
pub(super) async fn ready(State(app): State<Arc<App>>) -> StatusCode {
    if app.is_stopping() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NO_CONTENT }
}

/// `GET /servicehealth` of the contract: 204 without a body.
pub(super) async fn service_health() -> StatusCode {
    StatusCode::NO_CONTENT
}
