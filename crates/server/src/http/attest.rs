//! `POST /attest/{type}`: evidence in, token out.

use std::sync::Arc;

use api::{ApiVersion, AttestOpenEnclave, AttestSgxEnclave, AttestationType, Data, Nonce};
use appraisal::{AppraisalError, DataType, RequestData, Settings, Token, appraise, incoming, sgx_claims};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Request;
use axum::response::Response;
use evidence::open_enclave;
use evidence::sgx::Quote;
use policy::Policy;
use time::OffsetDateTime;
use token::PolicySigner;

use super::audited::Record;
use super::body;
use super::error::Failure;
use super::metadata::json;
use super::tenancy::Tenant;
use crate::app::App;
use crate::provider::Provider;

/// Longest body whose work is certainly short; common requests have some 7 KiB. Longer ones go to the pool,
/// and so do draft policies, whose evaluation may take a million steps.
const INLINE_BODY_BYTES: usize = 32 * 1024;

/// `POST /attest/{type}` under every api-version.
pub(super) async fn attest(
    State(app): State<Arc<App>>,
    Tenant(provider): Tenant,
    Path(attestation_type): Path<String>,
    record: Record,
    request: Request<Body>,
) -> Result<Response, Failure> {
    let attestation_type: AttestationType = attestation_type.parse()?;
    let version = ApiVersion::from_query(request.uri().query())?;
    if version.requires_access_token_to_attest() {
        let caller = provider.authorizer.authenticate(request.headers(), OffsetDateTime::now_utc()).await?;
        record.actor(&caller);
    }
    let body = body::read(request, &app.long_bodies, app.limits.body_bytes, app.body_timeout()).await?;
    let _place = app.admission.enter().await?;
    let now = OffsetDateTime::now_utc();
    let token = if body.len() > INLINE_BODY_BYTES {
        let (answering, provider) = (Arc::clone(&app), Arc::clone(&provider));
        let parse = move || Attestation::parse(attestation_type, &body, version);
        pooled(&app, async move { parse()?.answer(&answering, &provider, &record, now).await }).await?
    } else {
        let attestation = Attestation::parse(attestation_type, &body, version)?;
        if attestation.draft_policy.is_some() {
            let (answering, provider) = (Arc::clone(&app), Arc::clone(&provider));
            pooled(&app, async move { attestation.answer(&answering, &provider, &record, now).await }).await?
        } else {
            attestation.answer(&app, &provider, &record, now).await?
        }
    };
    Ok(json(api::response::token_body(version, token.as_str())))
}

/// `POST /attest/Tee/{type}`, how 2018-09-01-preview also spells it.
pub(super) async fn attest_2018(
    app: State<Arc<App>>,
    tenant: Tenant,
    attestation_type: Path<String>,
    record: Record,
    request: Request<Body>,
) -> Result<Response, Failure> {
    if ApiVersion::from_query(request.uri().query())? != ApiVersion::V2018_09_01Preview {
        return Err(Failure::only_in_2018());
    }
    attest(app, tenant, attestation_type, record, request).await
}

/// Does work that a stranger can make long, where it does not hold up the work of others.
pub(super) async fn pooled<T: Send + 'static>(
    app: &App,
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    let place = app.pool.enter().await?;
    let runtime = tokio::runtime::Handle::current();
    let done = tokio::task::spawn_blocking(move || {
        // Held by the work, which goes on when the caller is gone.
        let _place = place;
        runtime.block_on(work)
    });
    done.await.unwrap_or_else(|error| Err(Failure::panicked(&error.to_string())))
}

/// What one request asks: is this evidence genuine, bound to these data, and acceptable?
#[derive(Debug)]
struct Attestation {
    draft_policy: Option<String>,
    evidence: Evidence,
    init_time_data: Option<Data>,
    nonce: Option<Nonce>,
    runtime_data: Option<Data>,
}

#[derive(Debug)]
enum Evidence {
    OpenEnclave(Vec<u8>),
    SgxQuote(Vec<u8>),
}

impl Attestation {
    fn parse(attestation_type: AttestationType, body: &[u8], version: ApiVersion) -> Result<Self, Failure> {
        match attestation_type {
            AttestationType::OpenEnclave => {
                let AttestOpenEnclave { report, runtime_data, init_time_data, draft_policy, nonce } =
                    AttestOpenEnclave::parse(body, version)?;
                let evidence = Evidence::OpenEnclave(report);
                Ok(Self { draft_policy, evidence, init_time_data, nonce, runtime_data })
            }
            AttestationType::SgxEnclave => {
                let AttestSgxEnclave { quote, runtime_data, init_time_data, draft_policy, nonce } =
                    AttestSgxEnclave::parse(body, version)?;
                let evidence = Evidence::SgxQuote(quote);
                Ok(Self { draft_policy, evidence, init_time_data, nonce, runtime_data })
            }
            // It has a path of its own, except under the version that has no such type.
            AttestationType::Tpm => Err(Failure::not_in_2018()),
            other => Err(Failure::not_implemented(other)),
        }
    }

    /// The stages, one after the other. Each hands over what the next one takes.
    async fn answer(
        self,
        app: &App,
        provider: &Provider,
        record: &Record,
        now: OffsetDateTime,
    ) -> Result<Token, Failure> {
        // Evidence and endorsements may be appraised as of another time; a token is of now.
        let as_of = app.danger_appraise_at.unwrap_or(now);
        let draft = self.draft_policy.as_deref().map(Policy::analyze).transpose()?;
        let stored = provider.management.active(self.evidence.attestation_type())?;
        let (policy, policy_signer) = match &draft {
            Some(draft) => (draft, None),
            None => (
                stored.policy.as_ref().ok_or_else(Failure::no_policy)?,
                stored.signer.as_ref().map(PolicySigner::to_jwk),
            ),
        };
        record.appraisal(&crypto::sha256(self.evidence.bytes()), policy.hash(), draft.is_some());
        let settings = Settings::of(policy)?;
        let quote = self.evidence.parse()?;
        let pck = app.pck(&quote)?;
        let authentic = quote.authenticate(&pck, as_of)?;
        let minimum = settings.tcb_baseline.minimum(provider.baseline.min_tcb_evaluation);
        let chain = || pck.issuer_chain_pem();
        let endorsements = app.endorsements.get(&pck.endorsements_id(), minimum, chain, as_of).await?;
        let verified = authentic.verify(&endorsements)?;
        let (runtime, init_time) = (self.runtime_data.as_ref(), self.init_time_data.as_ref());
        let bound = verified.bind(runtime.map(Data::bytes), init_time.map(Data::bytes))?;
        let data = RequestData {
            init_time_type: data_type(init_time),
            nonce: self.nonce.map(Nonce::into_claim),
            runtime_type: data_type(runtime),
        };
        let result = appraise(&bound, data, &provider.baseline, policy, policy_signer, &settings, as_of)
            .map_err(|error| match error {
                AppraisalError::Denied { .. } if provider.explain_denials => {
                    Failure::from(error).explained(&policy.explain(&incoming(&sgx_claims(&bound))))
                }
                _ => error.into(),
            })?;
        Ok(match draft {
            None => provider.issuer.issue(result, now)?,
            Some(_) => provider.issuer.issue_draft(result, now)?,
        })
    }
}

impl Evidence {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::OpenEnclave(bytes) | Self::SgxQuote(bytes) => bytes,
        }
    }

    fn attestation_type(&self) -> AttestationType {
        match self {
            Self::OpenEnclave(_) => AttestationType::OpenEnclave,
            Self::SgxQuote(_) => AttestationType::SgxEnclave,
        }
    }

    fn parse(&self) -> Result<Quote<'_>, Failure> {
        match self {
            Self::OpenEnclave(bytes) => Ok(open_enclave::Report::parse(bytes)?.into_quote()),
            Self::SgxQuote(bytes) => Ok(Quote::parse(bytes)?),
        }
    }
}

fn data_type(data: Option<&Data>) -> DataType {
    match data {
        Some(Data::Json { .. }) => DataType::Json,
        Some(Data::Binary(_)) | None => DataType::Binary,
    }
}
