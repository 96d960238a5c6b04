//! Records what is asked and what came of it. A change is recorded before it is made, too, so that there is
//! none without a record.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::{Failure, LoggedFailure};
use super::request_id::RequestId;
use super::tenancy::ProviderIndex;
use crate::app::App;
use crate::audit::{AuditUnavailable, Event};

/// The hash of the policy that a change put in force, beside its answer.
#[derive(Debug, Clone)]
pub(super) struct PolicyInForce(pub(super) Option<String>);

/// What the record of a request says, gathered while it is worked on.
#[derive(Debug, Clone)]
pub(super) struct Record(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    app: Arc<App>,
    event: Mutex<Event>,
}

impl Record {
    fn of(app: &Arc<App>, request: &Request<Body>) -> Self {
        let provider = request.extensions().get::<ProviderIndex>();
        let provider = provider.and_then(|ProviderIndex(index)| app.providers.get(*index));
        let event = Event {
            operation: format!("{} {}", request.method(), request.uri().path()),
            provider: provider.map(|provider| provider.management.provider_id().to_owned()),
            request_id: request.extensions().get::<RequestId>().map(|id| id.as_str().to_owned()),
            ..Event::default()
        };
        Self(Arc::new(Inner { app: Arc::clone(app), event: Mutex::new(event) }))
    }

    fn event(&self) -> Event {
        self.0.event.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn with(&self, change: impl FnOnce(&mut Event)) {
        change(&mut self.0.event.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Names the caller.
    pub(super) fn actor(&self, actor: &str) {
        self.with(|event| event.actor = Some(actor.to_owned()));
    }

    /// Names the evidence and the policy it is appraised under, by their digests.
    pub(super) fn appraisal(&self, evidence_sha256: &[u8; 32], policy_hash: &str) {
        self.with(|event| {
            event.evidence_sha256 = Some(hex::encode(evidence_sha256));
            event.policy_hash = Some(policy_hash.to_owned());
        });
    }

    /// Records that a change is about to be made.
    ///
    /// # Errors
    /// [`AuditUnavailable`]; the change must not be made.
    pub(super) async fn begin(&self) -> Result<(), AuditUnavailable> {
        self.0.app.audit.record(Event { outcome: "begun", ..self.event() }).await
    }

    fn finished(&self, response: &Response) -> Event {
        let failure = response.extensions().get::<LoggedFailure>().cloned().unwrap_or_default();
        let outcome = match response.status() {
            status if status.is_success() => "succeeded",
            status if status.is_server_error() => "failed",
            _ => "refused",
        };
        let in_force = response.extensions().get::<PolicyInForce>().and_then(|policy| policy.0.clone());
        let event = self.event();
        Event {
            policy_hash: in_force.or_else(|| event.policy_hash.clone()),
            error_code: failure.code,
            failed_check: failure.failed_check,
            outcome,
            status: Some(response.status().as_u16()),
            ..event
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Record {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        // Routes without record have none to gather for; the router decides which have.
        parts.extensions.get::<Self>().cloned().ok_or_else(Failure::not_found)
    }
}

/// Records every request to policy management. Of a caller who was not let in, as far as the disk keeps up:
/// strangers must not make the service wait for it.
pub(super) async fn management(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (record, response) = run(&app, request, next).await;
    let event = record.finished(&response);
    if response.status() == StatusCode::UNAUTHORIZED {
        app.audit.note(event);
        return response;
    }
    match app.audit.record(event).await {
        Ok(()) => response,
        // Whoever reads learns nothing without a record. A change has one, of its beginning.
        Err(unavailable) => Failure::from(unavailable).into_response(),
    }
}

/// Records every verdict, as the configuration asks.
pub(super) async fn attestation(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (record, response) = run(&app, request, next).await;
    match app.audit.attestation(record.finished(&response)).await {
        Ok(()) => response,
        Err(unavailable) => Failure::from(unavailable).into_response(),
    }
}

async fn run(app: &Arc<App>, mut request: Request, next: Next) -> (Record, Response) {
    let record = Record::of(app, &request);
    request.extensions_mut().insert(record.clone());
    (record, next.run(request).await)
}
