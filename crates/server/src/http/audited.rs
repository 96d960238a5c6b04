//! Records what is asked and what came of it. A change is recorded before it is made, too, so that there is
//! none without a record.

use std::sync::{Arc, Mutex, PoisonError};

use api::{ApiVersion, AttestationType};
use axum::body::Body;
use axum::extract::{FromRequestParts, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::{Failure, LoggedFailure};
use super::request_id::RequestId;
use super::tenancy::ProviderIndex;
use crate::app::App;
use crate::audit::{AuditUnavailable, Event};
use crate::auth::Caller;

/// Longest path in a record. Those of our routes are short, a stranger's need not be kept.
const MAX_PATH_CHARS: usize = 128;

/// What a change led to, beside its answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Changed {
    /// Thumbprint of the certificate that was added or removed.
    pub(super) certificate: Option<String>,
    /// Hash of the policy that is in force now.
    pub(super) policy_hash: Option<String>,
    pub(super) policy_version: Option<u64>,
}

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
        let path: String = request.uri().path().chars().take(MAX_PATH_CHARS).collect();
        let event = Event {
            api_version: ApiVersion::from_query(request.uri().query()).ok().map(ApiVersion::as_str),
            attestation_type: attestation_type(request.uri()),
            operation: format!("{} {path}", request.method()),
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
    pub(super) fn actor(&self, caller: &Caller) {
        self.with(|event| {
            event.actor = Some(caller.to_string());
            event.actor_name.clone_from(&caller.name);
        });
    }

    /// Names the machine that the request is about.
    pub(super) fn machine(&self, machine: &str) {
        self.with(|event| event.machine = Some(machine.to_owned()));
    }

    /// Names the TPM of this machine as the caller, if nobody else is: it has shown who it is.
    pub(super) fn is_tpm(&self, machine: &str) {
        self.with(|event| {
            event.actor.get_or_insert_with(|| format!("TPM {machine}"));
        });
    }

    /// Names the evidence and the policy it is appraised under, by their digests. Under a draft, the token is
    /// not signed.
    pub(super) fn appraisal(&self, evidence_sha256: &[u8; 32], policy_hash: &str, is_draft: bool) {
        self.with(|event| {
            event.draft = is_draft;
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
        let changed = response.extensions().get::<Changed>().cloned().unwrap_or_default();
        let event = self.event();
        Event {
            certificate: changed.certificate,
            error_code: failure.code,
            failed_check: failure.failed_check,
            outcome,
            policy_hash: changed.policy_hash.or_else(|| event.policy_hash.clone()),
            policy_version: changed.policy_version,
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
    let is_change = request.method() != Method::GET;
    let (record, response) = run(&app, request, next, Kind::Management).await;
    let event = record.finished(&response);
    if event.actor.is_none() || response.status() == StatusCode::UNAUTHORIZED {
        app.audit.note(event);
        return response;
    }
    match app.audit.record(event).await {
        Ok(()) => response,
        Err(unavailable) if is_change && response.status().is_success() => {
            Failure::unrecorded(unavailable).into_response()
        }
        // Whoever reads learns nothing without a record. A change that failed has one, of its beginning.
        Err(unavailable) => Failure::from(unavailable).into_response(),
    }
}

/// Records every verdict, as the configuration asks. What was not evidence has none.
pub(super) async fn attestation(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (record, response) = run(&app, request, next, Kind::Attestation).await;
    let event = record.finished(&response);
    if !is_verdict(&event) {
        return response;
    }
    match app.audit.attestation(event).await {
        Ok(()) => response,
        Err(unavailable) => Failure::from(unavailable).into_response(),
    }
}

/// The attestation type that a request is about, which stands in its path or, in 2018, in `tee`.
fn attestation_type(uri: &Uri) -> Option<&'static str> {
    let known = |name: &str| name.parse().ok().map(AttestationType::as_str);
    let in_query = || {
        let Query(parameters) = Query::<Vec<(String, String)>>::try_from_uri(uri).ok()?;
        let tee = parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case("tee"));
        tee.and_then(|(_, value)| known(value))
    };
    uri.path().split(['/', ':']).find_map(known).or_else(in_query)
}

/// Whether evidence was looked at, or a caller was not let in who must be known.
fn is_verdict(event: &Event) -> bool {
    event.evidence_sha256.is_some() || event.status == Some(StatusCode::UNAUTHORIZED.as_u16())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Attestation,
    Management,
}

async fn run(app: &Arc<App>, mut request: Request, next: Next, kind: Kind) -> (Record, Response) {
    let record = Record::of(app, &request);
    request.extensions_mut().insert(record.clone());
    let mut unfinished = Unfinished { kind, record: Some(record.clone()) };
    let response = next.run(request).await;
    unfinished.record = None;
    (record, response)
}

/// A request that may end early: its caller goes away, its time runs out, or it panics. That is recorded too, for
/// what was begun may have been done.
struct Unfinished {
    kind: Kind,
    record: Option<Record>,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(record) = self.record.take() else { return };
        let event = Event { outcome: "abandoned", ..record.event() };
        let audit = &record.0.app.audit;
        match self.kind {
            Kind::Attestation if is_verdict(&event) => audit.note_attestation(event),
            Kind::Attestation => {}
            Kind::Management => audit.note(event),
        }
    }
}
