//! Policy management: `/policies`, `/certificates`, `/tcbbaselines`, for callers with a role.
//!
//! Our own additions, which Azure Attestation has not: `GET /policies/{type}/history`,
//! `GET /policies/{type}/history/{version}` and `POST /policies/{type}:rollback` with `{"version": n}`.

use std::sync::Arc;

use api::management::{
    certificate_jws, certificate_modified_claims, certificates_claims, policy_claims, policy_removed_claims,
    policy_updated_claims,
};
use api::{ApiVersion, AttestationType};
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Request};
use axum::response::Response;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use token::PolicySigner;

use super::admission::Admission;
use super::audited::{Changed, Record};
use super::body;
use super::error::Failure;
use super::metadata::json as answer_json;
use super::tenancy::Tenant;
use crate::app::App;
use crate::audit::AuditUnavailable;
use crate::auth::Permission;
use crate::management::{HistoryPage, ManagementFailure, Outcome, SignerOutcome, answer, baselines};
use crate::provider::Provider;
use crate::store::management::PolicyVersion;

/// Versions in one page of a history, unless `top` asks for fewer or more.
const DEFAULT_PAGE: u32 = 100;
const MAX_PAGE: u32 = 1000;

/// Query parameters other than `api-version`; names match without regard to case.
pub(super) type Parameters = Query<Vec<(String, String)>>;

/// `GET /policies/{type}`.
pub(super) async fn get_policy(
    Tenant(provider): Tenant,
    Path(attestation_type): Path<String>,
    request: Request<Body>,
) -> Result<Response, Failure> {
    let now = OffsetDateTime::now_utc();
    authorize(&provider, asked(&request), Permission::Read, now).await?;
    let version = modern(&request)?;
    let active = provider.management.active(attestation_type.parse()?)?;
    token(&provider, policy_claims(&active.jws), version, now)
}

/// `PUT /policies/{type}`.
pub(super) async fn set_policy(
    State(app): State<Arc<App>>,
    Tenant(provider): Tenant,
    Path(attestation_type): Path<String>,
    request: Request<Body>,
) -> Result<Response, Failure> {
    let now = OffsetDateTime::now_utc();
    let caller = authorize(&provider, asked(&request), Permission::Write, now).await?;
    let version = modern(&request)?;
    let attestation_type: AttestationType = attestation_type.parse()?;
    let body = text(&app, request).await?;
    let outcome = change(&app, &provider, move |provider| {
        provider.management.set(attestation_type, &body, version, &caller, now)
    })
    .await?;
    changed(&provider, outcome, version, now)
}

/// `POST /policies/{type}:reset` and `:rollback`.
pub(super) async fn policy_verb(
    State(app): State<Arc<App>>,
    Tenant(provider): Tenant,
    Path(attestation_type): Path<String>,
    request: Request<Body>,
) -> Result<Response, Failure> {
    let now = OffsetDateTime::now_utc();
    let caller = authorize(&provider, asked(&request), Permission::Write, now).await?;
    let version = modern(&request)?;
    let (attestation_type, verb) = attestation_type.split_once(':').ok_or_else(Failure::not_found)?;
    let attestation_type: AttestationType = attestation_type.parse()?;
    let outcome = match verb {
        "reset" => {
            let body = text(&app, request).await?;
            let reset =
                move |provider: &Provider| provider.management.reset(attestation_type, &body, &caller, now);
            change(&app, &provider, reset).await?
        }
        "rollback" => {
            let former = rollback_version(&text(&app, request).await?)?;
            let roll_back = move |provider: &Provider| {
                provider.management.roll_back(attestation_type, former, &caller, now)
            };
            change(&app, &provider, roll_back).await?
        }
        _ => return Err(Failure::not_found()),
    };
    changed(&provider, outcome, version, now)
}

/// `GET /policies/{type}/history`: what changed, when, by whom, the newest first.
pub(super) async fn history(
    State(app): State<Arc<App>>,
    Tenant(provider): Tenant,
    Path(attestation_type): Path<String>,
    Query(parameters): Parameters,
    request: Request<Body>,
) -> Result<Response, Failure> {
    authorize(&provider, asked(&request), Permission::Read, OffsetDateTime::now_utc()).await?;
    modern(&request)?;
    let attestation_type: AttestationType = attestation_type.parse()?;
    let before = number(&parameters, "before")?;
    let top = number(&parameters, "top")?.unwrap_or(u64::from(DEFAULT_PAGE));
    let top = u32::try_from(top).unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    let page =
        in_pool(&app, &provider, move |provider| provider.management.history(attestation_type, before, top))
            .await?;
    Ok(answer_json(history_body(&page).to_string()))
}

/// `GET /policies/{type}/history/{version}`: a former policy, as `GET /policies/{type}` answers the present.
pub(super) async fn history_version(
    State(app): State<Arc<App>>,
    Tenant(provider): Tenant,
    Path((attestation_type, former)): Path<(String, String)>,
    request: Request<Body>,
) -> Result<Response, Failure> {
    let now = OffsetDateTime::now_utc();
    authorize(&provider, asked(&request), Permission::Read, now).await?;
    let version = modern(&request)?;
    let attestation_type: AttestationType = attestation_type.parse()?;
    let former = former.parse().map_err(|_| Failure::not_found())?;
    let row = in_pool(&app, &provider, move |provider| provider.management.version(attestation_type, former))
        .await?;
    token(&provider, policy_claims(&row.change.jws), version, now)
}

/// `GET /certificates`.
pub(super) async fn get_certificates(
    Tenant(provider): Tenant,
    request: Request<Body>,
) -> Result<Response, Failure> {
    let now = OffsetDateTime::now_utc();
    authorize(&provider, asked(&request), Permission::Read, now).await?;
    let version = modern(&request)?;
    token(&provider, certificates_claims(signer_keys(&provider), version), version, now)
}

/// `POST /certificates:add`.
pub(super) async fn add_certificate(
    State(app): State<Arc<App>>,
    Tenant(provider): Tenant,
    request: Request<Body>,
) -> Result<Response, Failure> {
    change_signers(&app, &provider, request, SignerVerb::Add, modern).await
}

/// `POST /certificates:remove`.
pub(super) async fn remove_certificate(
    State(app): State<Arc<App>>,
    Tenant(provider): Tenant,
    request: Request<Body>,
) -> Result<Response, Failure> {
    change_signers(&app, &provider, request, SignerVerb::Remove, modern).await
}

/// `GET /tcbbaselines/{type}`.
pub(super) async fn tcb_baselines(
    Tenant(provider): Tenant,
    Path(attestation_type): Path<String>,
    request: Request<Body>,
) -> Result<Response, Failure> {
    authorize(&provider, asked(&request), Permission::Read, OffsetDateTime::now_utc()).await?;
    modern(&request)?;
    let attestation_type: AttestationType = attestation_type.parse()?;
    let active = provider.management.active(attestation_type)?;
    let list = baselines::list(attestation_type, &active, &provider.baseline);
    Ok(answer_json(serde_json::to_string(&list).unwrap_or_default()))
}

/// What of a request says who asks, and where that is recorded.
pub(super) fn asked(request: &Request<Body>) -> (&HeaderMap, Option<&Record>) {
    (request.headers(), request.extensions().get::<Record>())
}

/// Lets in who may do that here, and says who it is. Of a change it is recorded first that it begins.
pub(super) async fn authorize(
    provider: &Provider,
    (headers, record): (&HeaderMap, Option<&Record>),
    permission: Permission,
    now: OffsetDateTime,
) -> Result<String, Failure> {
    let record = record.ok_or(AuditUnavailable)?;
    let caller = match provider.authorizer.authorize(headers, permission, now).await {
        Ok(caller) => caller,
        Err(refusal) => {
            // Who may not do it is named, too: then it matters who it was.
            refusal.caller.iter().for_each(|caller| record.actor(caller));
            return Err(refusal.into());
        }
    };
    record.actor(&caller);
    if permission != Permission::Read {
        record.begin().await?;
    }
    Ok(caller.to_string())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignerVerb {
    Add,
    Remove,
}

pub(super) async fn change_signers(
    app: &Arc<App>,
    provider: &Arc<Provider>,
    request: Request<Body>,
    verb: SignerVerb,
    version: impl Fn(&Request<Body>) -> Result<ApiVersion, Failure>,
) -> Result<Response, Failure> {
    let now = OffsetDateTime::now_utc();
    let permission = match verb {
        SignerVerb::Add => Permission::Write,
        SignerVerb::Remove => Permission::Delete,
    };
    let caller = authorize(provider, asked(&request), permission, now).await?;
    let version = version(&request)?;
    let body = body::read(request, &app.long_bodies, app.limits.body_bytes, app.body_timeout()).await?;
    let jws = certificate_jws(&body).map_err(ManagementFailure::from)?;
    let SignerOutcome { result, thumbprint, .. } = change(app, provider, move |provider| match verb {
        SignerVerb::Add => provider.management.add_signer(&jws, &caller, now),
        SignerVerb::Remove => provider.management.remove_signer(&jws, &caller, now),
    })
    .await?;
    let mut response = token(provider, certificate_modified_claims(&thumbprint, result), version, now)?;
    response.extensions_mut().insert(Changed { certificate: Some(thumbprint), ..Changed::default() });
    Ok(response)
}

/// Makes a change: off the threads that answer others, and to its end also when the caller is gone.
pub(super) async fn change<T: Send + 'static>(
    app: &Arc<App>,
    provider: &Arc<Provider>,
    work: impl FnOnce(&Provider) -> Result<T, ManagementFailure> + Send + 'static,
) -> Result<T, Failure> {
    in_pool(app, provider, work).await
}

/// Does work that blocks on the disk, among the places for callers with a role.
pub(super) async fn in_pool<T: Send + 'static>(
    app: &Arc<App>,
    provider: &Arc<Provider>,
    work: impl FnOnce(&Provider) -> Result<T, ManagementFailure> + Send + 'static,
) -> Result<T, Failure> {
    in_place(&app.management_pool, provider, work).await
}

/// Does work that blocks, once there is a place for it, and to its end also when the caller is gone.
pub(super) async fn in_place<T, E>(
    places: &Admission,
    provider: &Arc<Provider>,
    work: impl FnOnce(&Provider) -> Result<T, E> + Send + 'static,
) -> Result<T, Failure>
where
    T: Send + 'static,
    E: Into<Failure> + Send + 'static,
{
    let place = places.enter().await?;
    let provider = Arc::clone(provider);
    let done = tokio::task::spawn_blocking(move || {
        let _place = place;
        work(&provider)
    });
    match done.await {
        Ok(done) => done.map_err(Into::into),
        Err(error) => Err(Failure::panicked(&error.to_string())),
    }
}

/// The body as text. What is not UTF-8 is no JWS.
pub(super) async fn text(app: &App, request: Request<Body>) -> Result<String, Failure> {
    let body = body::read(request, &app.long_bodies, app.limits.body_bytes, app.body_timeout()).await?;
    String::from_utf8(body.into_bytes()).map_err(|_| Failure::not_utf8())
}

/// The answer to a change of a policy.
pub(super) fn changed(
    provider: &Provider,
    outcome: Outcome,
    version: ApiVersion,
    now: OffsetDateTime,
) -> Result<Response, Failure> {
    let in_force = log_change(provider, &outcome);
    let claims = match outcome.removed {
        true => policy_removed_claims(),
        false => policy_updated_claims(&outcome.token_hash, outcome.signer),
    };
    let mut response = token(provider, claims, version, now)?;
    response.extensions_mut().insert(in_force);
    Ok(response)
}

/// Says in the log what is in force now, and returns what the audit log says of it.
pub(super) fn log_change(provider: &Provider, outcome: &Outcome) -> Changed {
    tracing::info!(
        provider = provider.management.provider_id(),
        attestation_type = %outcome.attestation_type,
        version = outcome.version,
        policy_hash = outcome.policy_hash,
        "policy changed"
    );
    Changed {
        certificate: None,
        policy_hash: outcome.policy_hash.clone(),
        policy_version: Some(outcome.version),
    }
}

/// Signs claims into an answer.
pub(super) fn token(
    provider: &Provider,
    claims: Map<String, Value>,
    version: ApiVersion,
    now: OffsetDateTime,
) -> Result<Response, Failure> {
    let token = answer::sign(&provider.issuer, claims, now)?;
    Ok(answer_json(api::response::token_body(version, &token)))
}

pub(super) fn signer_keys(provider: &Provider) -> Vec<Value> {
    provider.management.signers().iter().map(PolicySigner::to_jwk).collect()
}

/// The version of a path that 2018-09-01-preview has not.
pub(super) fn modern(request: &Request<Body>) -> Result<ApiVersion, Failure> {
    match ApiVersion::from_query(request.uri().query())? {
        ApiVersion::V2018_09_01Preview => Err(Failure::not_in_2018()),
        version => Ok(version),
    }
}

/// The value of a parameter that stands at most once.
pub(super) fn parameter<'p>(
    parameters: &'p [(String, String)],
    name: &'static str,
) -> Result<Option<&'p str>, Failure> {
    let mut found = parameters.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(Failure::parameter(name, "send it once")),
        (Some((_, value)), None) => Ok(Some(value)),
        (None, None) => Ok(None),
    }
}

pub(super) fn number(parameters: &[(String, String)], name: &'static str) -> Result<Option<u64>, Failure> {
    let value = parameter(parameters, name)?;
    let number =
        value.map(|value| value.parse().map_err(|_| Failure::parameter(name, "send a whole number")));
    number.transpose()
}

fn rollback_version(body: &str) -> Result<u64, Failure> {
    let members = token::json::parse_object(body.as_bytes()).ok();
    let version = members.as_ref().and_then(|members| members.get("version")).and_then(Value::as_u64);
    version.ok_or_else(|| Failure::parameter("version", "send the body {\"version\": 3}"))
}

fn history_body(page: &HistoryPage) -> Value {
    let versions: Vec<_> = page.versions.iter().map(version_body).collect();
    json!({ "versions": versions, "nextBefore": page.next_before })
}

fn version_body(PolicyVersion { change, version }: &PolicyVersion) -> Value {
    let signer = change.signer.clone().and_then(|chain| PolicySigner::stored(chain).ok());
    json!({
        "version": version,
        "action": change.action.as_str(),
        "restoredVersion": change.restored,
        "policyHash": change.policy_hash,
        "policyTokenHash": change.token_hash,
        "signerThumbprint": signer.as_ref().map(PolicySigner::thumbprint),
        "signerSubject": signer.as_ref().map(PolicySigner::subject),
        "actor": change.actor,
        "at": change.at.format(&Rfc3339).unwrap_or_default(),
    })
}
