//! `POST /attest/Tpm`: a challenge for who asks for one, a token for who answers it.

use std::sync::Arc;

use api::tpm::{MAX_TPM_BODY_BYTES, Message, SignedRequest, Wrapping, challenge_body, report_body};
use api::{ApiVersion, AttestationType};
use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::response::Response;
use time::OffsetDateTime;

use super::attest::pooled;
use super::audited::Record;
use super::body;
use super::error::Failure;
use super::metadata::json;
use super::tenancy::Tenant;
use crate::app::App;
use crate::auth::Permission;
use crate::provider::Provider;
use crate::tpm::exchange::{Answer, ExchangeError};

/// `POST /attest/Tpm`.
pub(super) async fn attest(
    State(app): State<Arc<App>>,
    Tenant(provider): Tenant,
    record: Record,
    request: Request<Body>,
) -> Result<Response, Failure> {
    if ApiVersion::from_query(request.uri().query())? == ApiVersion::V2018_09_01Preview {
        return Err(Failure::not_in_2018());
    }
    if !provider.tpm.config.anonymous_attestation {
        let now = OffsetDateTime::now_utc();
        let caller = provider.authorizer.authorize(request.headers(), Permission::Read, now).await?;
        record.actor(&caller);
    }
    let limit = app.limits.tpm_body_bytes.min(MAX_TPM_BODY_BYTES);
    let body = body::read(request, &app.log_bodies, limit, app.body_timeout()).await?;
    let _place = app.admission.enter().await?;
    if body.len() > INIT_BODY_BYTES {
        let answering = Arc::clone(&app);
        return pooled(&app, async move { answer(&answering, &provider, &record, &body) }).await;
    }
    answer(&app, &provider, &record, &body)
}

fn answer(app: &App, provider: &Provider, record: &Record, body: &[u8]) -> Result<Response, Failure> {
    let (message, wrapping) = Message::parse(body)?;
    let active = provider.management.active(AttestationType::Tpm)?;
    let policy = active.policy.as_ref().ok_or(ExchangeError::NoPolicy)?;
    let now = OffsetDateTime::now_utc();
    match message {
        Message::Init => challenge(provider, wrapping, now),
        Message::Request(request) => {
            let request = SignedRequest::parse(&request)?;
            record.appraisal(&crypto::sha256(request.payload()), policy.hash(), false);
            // Evidence may be appraised as of another time; contexts and tokens are of now.
            let as_of = app.danger_appraise_at.unwrap_or(now);
            let token = Answer::parse(provider, &active, &request)?.token(as_of, now)?;
            Ok(json(report_body(token.as_str(), wrapping)))
        }
    }
}

fn challenge(provider: &Provider, wrapping: Wrapping, now: OffsetDateTime) -> Result<Response, Failure> {
    let challenge = provider.tpm.challenge(now);
    let challenge = challenge.map_err(ExchangeError::from)?;
    Ok(json(challenge_body(&challenge.challenge, &challenge.service_context, wrapping)))
}

/// Who asks for a challenge sends less; every answer is longer, and goes to the pool.
const INIT_BODY_BYTES: usize = 512;
