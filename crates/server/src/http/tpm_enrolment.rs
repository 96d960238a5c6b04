//! Enrolment of machines with TPMs, our own addition to the contract: `/tpm/enrollments`, `/tpm/machines` and what
//! verifiers elsewhere need of the provider's attestation CA, `/tpm/ca` and `/tpm/ca.crl`.
//!
//! Bodies are JSON with bytes as base64url without padding.

use std::sync::Arc;

use api::{ActivateTpm, EnrollTpm, RevokeMachine};
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, Request};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use token::base64url::encode;

use super::audited::{Changed, Record};
use super::body;
use super::error::Failure;
use super::management::{Parameters, asked, authorize, in_place, modern, number, parameter};
use super::metadata::json as answer_json;
use super::tenancy::Tenant;
use crate::app::App;
use crate::auth::Permission;
use crate::provider::Provider;
use crate::store::tpm_machines::{StoredCertificate, StoredMachine};
use crate::tpm::machines::{MachineDetails, MachineFailure, MachineId};

/// Machines in one page of the list, unless `top` asks for fewer or more.
const DEFAULT_PAGE: u32 = 100;
const MAX_PAGE: u32 = 1000;

/// `POST /tpm/enrollments`: a credential for a machine's keys.
pub(super) async fn enroll(
    State(app): State<Arc<App>>,
    Tenant(provider): Tenant,
    record: Record,
    request: Request<Body>,
) -> Result<Response, Failure> {
    let now = OffsetDateTime::now_utc();
    admit(&provider, asked(&request), now).await?;
    modern(&request)?;
    let body = body::read(request, &app.long_bodies, app.limits.body_bytes, app.body_timeout()).await?;
    let EnrollTpm { ek_certificates, ek_public, aik_public } = EnrollTpm::parse(&body)?;
    let offer = in_place(&app.pool, &provider, move |provider| {
        provider.tpm.offer(&ek_certificates, &ek_public, &aik_public, now)
    })
    .await?;
    record.machine(offer.machine.as_str());
    let answer = json!({
        "credentialBlob": encode(&offer.credential_blob),
        "encryptedSecret": encode(&offer.encrypted_secret),
        "enrollmentContext": encode(&offer.context),
    });
    Ok(answer_json(answer.to_string()))
}

/// `POST /tpm/enrollments:activate`: a certificate for who opened the credential.
pub(super) async fn activate(
    State(app): State<Arc<App>>,
    Tenant(provider): Tenant,
    record: Record,
    request: Request<Body>,
) -> Result<Response, Failure> {
    let now = OffsetDateTime::now_utc();
    admit(&provider, asked(&request), now).await?;
    modern(&request)?;
    let body = body::read(request, &app.long_bodies, app.limits.body_bytes, app.body_timeout()).await?;
    let ActivateTpm { context, secret } = ActivateTpm::parse(&body)?;
    let proven = provider.tpm.prove(&context, &secret, now)?;
    record.machine(proven.machine().as_str());
    record.is_tpm(proven.machine().as_str());
    record.begin().await?;
    let enrolment = in_place(&app.pool, &provider, move |provider| provider.tpm.enrol(&proven, now)).await?;
    let chain: Vec<_> = enrolment.chain.iter().map(|der| encode(der)).collect();
    let answer = json!({
        "aikCertificate": encode(&enrolment.certified.der),
        "aikCertificateChain": chain,
        "machine": enrolment.machine.as_str(),
        "notAfter": date(enrolment.certified.not_after),
    });
    let mut response = answer_json(answer.to_string());
    let thumbprint = hex::encode_upper(crypto::sha1(&enrolment.certified.der));
    response.extensions_mut().insert(Changed { certificate: Some(thumbprint), ..Changed::default() });
    Ok(response)
}

/// `GET /tpm/machines`, in the order of their ids.
pub(super) async fn machines(
    State(app): State<Arc<App>>,
    Tenant(provider): Tenant,
    Query(parameters): Parameters,
    request: Request<Body>,
) -> Result<Response, Failure> {
    authorize(&provider, asked(&request), Permission::Read, OffsetDateTime::now_utc()).await?;
    modern(&request)?;
    let after = parameter(&parameters, "after")?.unwrap_or_default().to_owned();
    let top = number(&parameters, "top")?.unwrap_or(u64::from(DEFAULT_PAGE));
    let top = u32::try_from(top).unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    let page =
        in_place(&app.management_pool, &provider, move |provider| provider.tpm.machines(&after, top)).await?;
    let is_full = u32::try_from(page.len()).is_ok_and(|found| found == top);
    let next = page.last().filter(|_| is_full).map(|machine| machine.machine.clone());
    let machines: Vec<_> = page.iter().map(summary).collect();
    Ok(answer_json(json!({ "machines": machines, "nextAfter": next }).to_string()))
}

/// `GET /tpm/machines/{id}`.
pub(super) async fn machine(
    State(app): State<Arc<App>>,
    Tenant(provider): Tenant,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, Failure> {
    authorize(&provider, asked(&request), Permission::Read, OffsetDateTime::now_utc()).await?;
    modern(&request)?;
    let id = machine_id(&id)?;
    let machine =
        in_place(&app.management_pool, &provider, move |provider| provider.tpm.machine(&id)).await?;
    Ok(answer_json(details(&machine).to_string()))
}

/// `POST /tpm/machines/{id}:revoke` and `:restore`.
pub(super) async fn machine_verb(
    State(app): State<Arc<App>>,
    Tenant(provider): Tenant,
    Path(id): Path<String>,
    request: Request<Body>,
) -> Result<Response, Failure> {
    let now = OffsetDateTime::now_utc();
    authorize(&provider, asked(&request), Permission::Write, now).await?;
    modern(&request)?;
    let (id, verb) = id.split_once(':').ok_or_else(Failure::not_found)?;
    let id = machine_id(id)?;
    let pool = &app.management_pool;
    let machine = match verb {
        "revoke" => {
            let body =
                body::read(request, &app.long_bodies, app.limits.body_bytes, app.body_timeout()).await?;
            let RevokeMachine { reason } = RevokeMachine::parse(&body)?;
            in_place(pool, &provider, move |provider| provider.tpm.revoke(&id, reason, now)).await?
        }
        "restore" => in_place(pool, &provider, move |provider| provider.tpm.restore(&id)).await?,
        _ => return Err(Failure::not_found()),
    };
    Ok(answer_json(details(&machine).to_string()))
}

/// `GET /tpm/ca`: the CA that certifies attestation keys, in PEM.
pub(super) async fn authority(Tenant(provider): Tenant) -> Response {
    let headers = [(CONTENT_TYPE, "application/pem-certificate-chain")];
    (headers, provider.tpm.authority_pem().to_owned()).into_response()
}

/// `GET /tpm/ca.crl`: which of its certificates are revoked, in DER.
pub(super) async fn crl(State(app): State<Arc<App>>, Tenant(provider): Tenant) -> Result<Response, Failure> {
    let now = OffsetDateTime::now_utc();
    let crl = in_place(&app.pool, &provider, move |provider| provider.tpm.crl(now)).await?;
    let headers = [(CONTENT_TYPE, "application/pkix-crl"), (CACHE_CONTROL, "max-age=60")];
    Ok((headers, crl).into_response())
}

/// Lets in who may attest with a TPM: readers, or anybody if the operator says so.
async fn admit(
    provider: &Provider,
    asked: (&HeaderMap, Option<&Record>),
    now: OffsetDateTime,
) -> Result<(), Failure> {
    if provider.tpm.config.anonymous_attestation {
        return Ok(());
    }
    authorize(provider, asked, Permission::Read, now).await.map(|_| ())
}

/// An id that none can have names no machine.
fn machine_id(id: &str) -> Result<MachineId, Failure> {
    MachineId::parse(id).ok_or_else(|| MachineFailure::Unknown { id: id.chars().take(64).collect() }.into())
}

fn summary(machine: &StoredMachine) -> Value {
    let revocation = machine.revocation.as_ref();
    json!({
        "machine": machine.machine,
        "enrolledAt": date(machine.enrolled_at),
        "renewedAt": date(machine.renewed_at),
        "revoked": revocation.is_some(),
        "revokedAt": revocation.map(|revocation| date(revocation.at)),
        "reason": revocation.map(|revocation| revocation.reason.as_str()),
    })
}

fn details(MachineDetails { certificates, machine }: &MachineDetails) -> Value {
    let mut details = summary(machine);
    if let Value::Object(members) = &mut details {
        members.insert("ekCertificate".to_owned(), encode(&machine.certificate).into());
        let certificates: Vec<_> = certificates.iter().map(certificate).collect();
        members.insert("aikCertificates".to_owned(), certificates.into());
    }
    details
}

fn certificate(certificate: &StoredCertificate) -> Value {
    json!({
        "serial": hex::encode(&certificate.serial),
        "keyName": hex::encode(&certificate.key_name),
        "issuedAt": date(certificate.issued_at),
        "notAfter": date(certificate.not_after),
    })
}

fn date(date: OffsetDateTime) -> String {
    date.format(&Rfc3339).unwrap_or_default()
}
