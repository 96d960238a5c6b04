//! Appraisal: is this genuine, bound evidence acceptable, and what may be said of it?

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use evidence::sgx::BoundReport;
use evidence::verdict::{Check, Rejection, Rule, Verdict};
use policy::{Claim, Denial, EvalError, Outcome, Permit, Policy, RuleRef};
use serde_json::{Map, Value as Json};
use time::OffsetDateTime;
use token::json::JsonError;

use crate::baseline::{Baseline, BaselineError};
use crate::claims::{self, sgx_claims};
use crate::settings::Settings;

/// What the request says about the data bound to the evidence, and its nonce. The data themselves
/// are taken from the [`BoundReport`], so that only bound data become claims.
#[derive(Debug, Clone, Default)]
pub struct RequestData {
    /// How to read the init-time data.
    pub init_time_type: DataType,
    /// A string or number that is echoed unchanged and proves nothing.
    pub nonce: Option<Json>,
    /// How to read the runtime data.
    pub runtime_type: DataType,
}

/// How bound data are surfaced in the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DataType {
    /// Opaque bytes.
    #[default]
    Binary,
    /// A JSON object.
    Json,
}

/// Why acceptable claims could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum AppraisalError {
    /// The platform is genuine but below the provider's baseline.
    #[error(transparent)]
    Baseline(#[from] Rejection<BaselineError>),
    /// The policy refused. This is an answer, not a fault.
    #[error("{denial}")]
    Denied {
        /// Which rule refused, or that none permitted.
        denial: Denial,
        /// The checks that led there, the refusal last.
        verdict: Verdict,
    },
    /// A rule of the policy failed while it ran.
    #[error(transparent)]
    Evaluation(#[from] EvalError),
    /// A claim of the client has a name that is not the client's to use.
    #[error(
        "the custom claim `{name}` has the name of a claim that the service makes or the policy adds; give it another \
         name, or have the provider set `custom_claim_prefix`"
    )]
    CustomClaimName {
        /// Its name, with the provider's prefix.
        name: String,
    },
    /// The value of a client's claim is not of the type it says.
    #[error(
        "the custom claim `{name}` is not a claim: `value_type` must be `string`, `integer` or `boolean`, and `value` such a value as text"
    )]
    CustomClaimValue {
        /// Its name, shortened.
        name: String,
    },
    /// Data sent as JSON are not an acceptable JSON object.
    #[error("`{property}` has the dataType `JSON`, but {reason}")]
    InvalidJson {
        /// The member of the request.
        property: &'static str,
        /// What is wrong with it, and where.
        reason: JsonError,
    },
}

/// What may be said of an attester: the claims of its token, without issuer and times.
///
/// Only [`appraise`] and [`crate::appraise_tpm`] make one; this does not compile:
///
/// ```compile_fail
/// let forged = appraisal::AttestationResult { claims: Default::default() };
/// ```
#[derive(Debug)]
pub struct AttestationResult {
    pub(crate) claims: Map<String, Json>,
    pub(crate) form: TokenForm,
    pub(crate) permitted_by: RuleRef,
    pub(crate) verdict: Verdict,
}

/// What differs between the tokens of enclaves and those of TPMs, beside their claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenForm {
    Enclave,
    Tpm { lifetime_minutes: u32, omit_x5c: bool },
}

impl AttestationResult {
    /// The claims, in the order the token has them.
    #[must_use]
    pub fn claims(&self) -> &Map<String, Json> {
        &self.claims
    }

    /// The rule of the policy that permitted.
    #[must_use]
    pub fn permitted_by(&self) -> RuleRef {
        self.permitted_by
    }

    /// Every check that led here.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }
}

/// Appraises a bound SGX report:
///
/// 1. its TCB against the provider's baseline, as the policy's settings select it;
/// 2. its claims against the policy, which permits or refuses and issues claims of its own;
/// 3. and collects what the token says. A claim of the service is never replaced by one of the policy:
///    that one stands in `x-ms-policy` only.
///
/// `policy_signer` is the JSON Web Key of who signed the policy, if it is a stored and signed one.
///
/// # Errors
/// [`AppraisalError`]: below the baseline, refused by the policy, or data that cannot become claims.
pub fn appraise(
    report: &BoundReport,
    request: RequestData,
    baseline: &Baseline,
    policy: &Policy,
    policy_signer: Option<Json>,
    settings: &Settings,
    now: OffsetDateTime,
) -> Result<AttestationResult, AppraisalError> {
    let mut verdict = baseline.appraise(report.tcb(), settings, now, report.verdict().clone())?;
    let facts = sgx_claims(report);
    let permit = decide(policy, &claims::incoming(&facts), &mut verdict)?;
    let issued = policy::to_json_map(&permit.issued);
    let mut claims = issued.clone();
    for reserved in TOKEN_NAMES {
        claims.remove(reserved);
    }
    if !issued.is_empty() {
        claims.insert("x-ms-policy".to_owned(), Json::Object(issued));
    }
    claims.extend(facts.iter().map(|(name, value)| ((*name).to_owned(), value.to_json())));
    claims.insert("x-ms-policy-hash".to_owned(), policy.hash().into());
    if let Some(signer) = policy_signer {
        claims.insert("x-ms-policy-signer".to_owned(), signer);
    }
    claims.insert("x-ms-sgx-tcbidentifier".to_owned(), settings.tcb_baseline.identifier().into());
    claims.insert("x-ms-ver".to_owned(), "1.0".into());
    claims::insert_collateral(&mut claims, report.evidence_sha256(), report.collateral_digests());
    insert_bound_data(&mut claims, report, &request)?;
    if let Some(nonce) = request.nonce {
        claims.insert("nonce".to_owned(), nonce);
    }
    Ok(AttestationResult { claims, form: TokenForm::Enclave, permitted_by: permit.rule, verdict })
}

/// What the policy permits about `incoming`.
pub(crate) fn decide(
    policy: &Policy,
    incoming: &[Claim],
    verdict: &mut Verdict,
) -> Result<Permit, AppraisalError> {
    match policy.evaluate(incoming)? {
        Outcome::Permitted(permit) => {
            verdict.push(Check::passed(POLICY_DECISION, "permit", permit.rule.to_string()));
            Ok(permit)
        }
        Outcome::Denied(denial) => {
            verdict.push(Check::failed(POLICY_DECISION, "permit", denial.to_string()));
            Err(AppraisalError::Denied { denial, verdict: std::mem::take(verdict) })
        }
    }
}

/// Surfaces the bound data: an object as parsed, or base64url under the names of enclave-held data.
/// Init-time data of type Binary have no claim.
fn insert_bound_data(
    claims: &mut Map<String, Json>,
    report: &BoundReport,
    request: &RequestData,
) -> Result<(), AppraisalError> {
    match (report.runtime_data(), request.runtime_type) {
        (None, _) => {}
        (Some(data), DataType::Binary) => {
            claims::insert_enclave_held_data(claims, &URL_SAFE_NO_PAD.encode(data));
        }
        (Some(data), DataType::Json) => {
            claims.insert("x-ms-runtime".to_owned(), json_object("runtimeData", data)?);
        }
    }
    if let (Some(data), DataType::Json) = (report.init_time_data(), request.init_time_type) {
        claims.insert("x-ms-inittime".to_owned(), json_object("initTimeData", data)?);
    }
    Ok(())
}

/// Parses bound data as a JSON object. Trailing NUL bytes are part of what was hashed, as C strings
/// are sent with theirs, but not of the text.
fn json_object(property: &'static str, data: &[u8]) -> Result<Json, AppraisalError> {
    let end = data.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(1));
    let text = data.get(..end).unwrap_or_default();
    match token::json::parse_object(text) {
        Ok(object) => Ok(Json::Object(object)),
        Err(reason) => Err(AppraisalError::InvalidJson { property, reason }),
    }
}

const POLICY_DECISION: Rule = Rule { id: "policy.decision", section: "Vouchsafe policy language" };

/// Claims that the service makes in some tokens only. A policy must not fill the gap at top level:
/// a relying party would take its value for the service's.
pub(crate) const TOKEN_NAMES: [&str; 27] = [
    "aas-ehd",
    "aud",
    "cnf",
    "exp",
    "iat",
    "iss",
    "jti",
    "maa-attestationcollateral",
    "maa-ehd",
    "nbf",
    "nonce",
    "rp_data",
    "sub",
    "x-ms-attestation-type",
    "x-ms-compliance-status",
    "x-ms-inittime",
    "x-ms-isolation-tee",
    "x-ms-policy",
    "x-ms-policy-hash",
    "x-ms-policy-signer",
    "x-ms-runtime",
    "x-ms-sgx-config-id",
    "x-ms-sgx-config-svn",
    "x-ms-sgx-ehd",
    "x-ms-sgx-isv-extended-product-id",
    "x-ms-sgx-isv-family-id",
    "x-ms-ver",
];
