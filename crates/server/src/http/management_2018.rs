//! Policy management as 2018-09-01-preview has it, under `/operations/policy`. A policy is set in two steps:
//! a first request gets a token that names the hash of the policy, a second one sends that token back.
//!
//! The token carries the policy itself too, so that nothing is kept between the two, and it is believed only
//! for the provider and the attestation type that it was made for.

use std::sync::Arc;

use api::management::{certificates_claims, policy_claims};
use api::{ApiVersion, AttestationType};
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use token::{Algorithm, Expectations, UnverifiedToken};

use super::error::Failure;
use super::management::{
    Parameters, SignerVerb, asked, authorize, change, change_signers, changed, in_pool, log_change,
    parameter, signer_keys, text, token,
};
use super::tenancy::Tenant;
use crate::app::App;
use crate::auth::Permission;
use crate::management::answer;
use crate::provider::Provider;

const VERSION: ApiVersion = ApiVersion::V2018_09_01Preview;

/// Both names that clients knew for the hash of a prepared policy.
const HASH_CLAIMS: [&str; 2] = ["aas-policyHash", "maa-policyHash"];
/// What the second step needs beside the hash.
const JWS_CLAIM: &str = "x-ms-policy";
const TYPE_CLAIM: &str = "x-ms-policy-type";

/// `POST /operations/policy/updatepolicy?tee=`, the first step.
pub(super) async fn prepare_policy(
    State(app): State<Arc<App>>,
    Tenant(provider): Tenant,
    Query(parameters): Parameters,
    request: Request<Body>,
) -> Result<Response, Failure> {
    let now = OffsetDateTime::now_utc();
    authorize(&provider, asked(&request), Permission::Write, now).await?;
    let attestation_type = operation(&request, &parameters)?;
    let body = text(&app, request).await?;
    let (jws, sha256) = in_pool(&app, &provider, move |provider| {
        provider.management.prepare(attestation_type, &body, VERSION, now)
    })
    .await?;
    let mut claims = Map::new();
    for name in HASH_CLAIMS {
        claims.insert(name.to_owned(), hex::encode(sha256).into());
    }
    claims.insert(JWS_CLAIM.to_owned(), jws.into());
    claims.insert(TYPE_CLAIM.to_owned(), attestation_type.as_str().into());
    token(&provider, claims, VERSION, now)
}

/// `PUT /operations/policy/current?tee=`, the second step; the answer is empty.
pub(super) async fn set_policy(
    State(app): State<Arc<App>>,
    Tenant(provider): Tenant,
    Query(parameters): Parameters,
    request: Request<Body>,
) -> Result<Response, Failure> {
    let now = OffsetDateTime::now_utc();
    let caller = authorize(&provider, asked(&request), Permission::Write, now).await?;
    let attestation_type = operation(&request, &parameters)?;
    let body = text(&app, request).await?;
    let jws = prepared(&provider, attestation_type, &body, now)?;
    let outcome = change(&app, &provider, move |provider| {
        provider.management.set(attestation_type, &jws, VERSION, &caller, now)
    })
    .await?;
    let in_force = log_change(&provider, &outcome);
    let mut response = StatusCode::OK.into_response();
    response.extensions_mut().insert(in_force);
    Ok(response)
}

/// `GET /operations/policy/current?tee=`.
pub(super) async fn get_policy(
    Tenant(provider): Tenant,
    Query(parameters): Parameters,
    request: Request<Body>,
) -> Result<Response, Failure> {
    let now = OffsetDateTime::now_utc();
    authorize(&provider, asked(&request), Permission::Read, now).await?;
    let active = provider.management.active(operation(&request, &parameters)?)?;
    token(&provider, policy_claims(&active.jws), VERSION, now)
}

/// `POST /operations/policy/current?tee=`, and `DELETE` as an earlier draft had it: back to the default.
pub(super) async fn reset_policy(
    State(app): State<Arc<App>>,
    Tenant(provider): Tenant,
    Query(parameters): Parameters,
    request: Request<Body>,
) -> Result<Response, Failure> {
    let now = OffsetDateTime::now_utc();
    let caller = authorize(&provider, asked(&request), Permission::Write, now).await?;
    let attestation_type = operation(&request, &parameters)?;
    let body = text(&app, request).await?;
    let outcome = change(&app, &provider, move |provider| {
        provider.management.reset(attestation_type, &body, &caller, now)
    })
    .await?;
    changed(&provider, outcome, VERSION, now)
}

/// `GET /operations/policy/certificates`.
pub(super) async fn get_certificates(
    Tenant(provider): Tenant,
    request: Request<Body>,
) -> Result<Response, Failure> {
    let now = OffsetDateTime::now_utc();
    authorize(&provider, asked(&request), Permission::Read, now).await?;
    only_2018(&request)?;
    token(&provider, certificates_claims(signer_keys(&provider), VERSION), VERSION, now)
}

/// `PUT /operations/policy/certificates`.
pub(super) async fn add_certificate(
    State(app): State<Arc<App>>,
    Tenant(provider): Tenant,
    request: Request<Body>,
) -> Result<Response, Failure> {
    change_signers(&app, &provider, request, SignerVerb::Add, only_2018).await
}

/// `POST /operations/policy/certificates`.
pub(super) async fn remove_certificate(
    State(app): State<Arc<App>>,
    Tenant(provider): Tenant,
    request: Request<Body>,
) -> Result<Response, Failure> {
    change_signers(&app, &provider, request, SignerVerb::Remove, only_2018).await
}

fn only_2018(request: &Request<Body>) -> Result<ApiVersion, Failure> {
    match ApiVersion::from_query(request.uri().query())? {
        VERSION => Ok(VERSION),
        _ => Err(Failure::operations_only_in_2018()),
    }
}

fn operation(request: &Request<Body>, parameters: &[(String, String)]) -> Result<AttestationType, Failure> {
    only_2018(request)?;
    let tee = parameter(parameters, "tee")?;
    Ok(tee
        .ok_or_else(|| Failure::parameter("tee", "send an attestation type, such as `SgxEnclave`"))?
        .parse()?)
}

/// The policy's JWS in a token that the first step has issued for this provider and this type.
fn prepared(
    provider: &Provider,
    attestation_type: AttestationType,
    body: &str,
    now: OffsetDateTime,
) -> Result<String, Failure> {
    let refused = |why: &str| {
        Failure::parameter("body", &format!("send the token that `updatepolicy` has answered: {why}"))
    };
    let trimmed = body.trim_ascii();
    let quoted = trimmed.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let token =
        UnverifiedToken::parse(quoted.unwrap_or(trimmed)).map_err(|error| refused(&error.to_string()))?;
    let expectations = Expectations {
        issuer: provider.issuer.uri(),
        audience: None,
        algorithms: &Algorithm::ALL,
        leeway_secs: 0,
    };
    let verified = token
        .verify(&answer::keys(&provider.issuer), &expectations, now)
        .map_err(|error| refused(&error.to_string()))?;
    let claim = |name| verified.claims().get(name).and_then(Value::as_str);
    // An attestation token of this provider is signed by the same key and never has these three claims
    // without its own.
    let is_prepared = claim(HASH_CLAIMS[1]).is_some() && !verified.claims().contains_key("jti");
    match (claim(JWS_CLAIM), claim(TYPE_CLAIM)) {
        (Some(jws), Some(kind)) if is_prepared && kind == attestation_type.as_str() => Ok(jws.to_owned()),
        (_, Some(_)) if is_prepared => Err(refused("it is for another attestation type")),
        _ => Err(refused("it is another token")),
    }
}
