//! What a failure looks like on the wire: the one place where errors of the stages become status, code and
//! message. Clients get what helps them act, the log gets the rest, and of an internal failure the client
//! learns nothing but the request's id.
//!
//! Codes and core phrases are those of Azure Attestation, which people and tools search for; the reasons
//! after them are ours.

use api::tpm::TpmMessageError;
use api::{
    ApiVersionError, AttestationType, ErrorBody, ErrorCode, ErrorDetail, ManagementError, RequestError,
    UnknownAttestationType,
};
use appraisal::{AppraisalError, SettingsError};
use axum::http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use evidence::tpm::CredentialError;
use evidence::verdict::{Rejection, Verdict};
use evidence::{BindingError, ParseError, VerifyError};

use policy::Explanation;
use serde_json::Value;
use token::policy_jws::ChainError;
use token::{JwsError, PolicyJwsError};

use super::admission::Overloaded;
use super::body::BodyError;
use crate::audit::AuditUnavailable;
use crate::auth::{AuthError, Refusal};
use crate::endorsements::EndorsementsUnavailable;
use crate::management::ManagementFailure;
use crate::tpm::enrolment::EnrolmentError;
use crate::tpm::exchange::ExchangeError;
use crate::tpm::machines::{MachineFailure, StandingError};

/// The documented beginnings of what is said about quotes.
const QUOTE_INVALID: &str = "The specified quote was invalid";
const COLLATERAL: &str = "The specified quote was invalid due to an error in the quote collateral";
const PCK_CACHE: &str = "The specified quote was invalid because the TCBInfo or QEID provided by the PCK Cache Service was invalid";
const BASELINE: &str = "The specified quote was invalid because the device on which the quote was generated \
                        does not meet the Azure baseline requirements";
/// Of the evidence of TPMs nothing is documented.
const TPM_INVALID: &str = "The TPM evidence was invalid";
const POLICY: &str = "Policy Evaluation Error has occurred Msg:[Policy Engine Exception: ";

/// Rules told of in an explanation. Policies in use have about ten; of each, a few KiB can be told.
const MAX_EXPLAINED_RULES: usize = 64;

/// Seconds after which an overloaded service is worth another attempt.
const OVERLOAD_RETRY_SECS: u64 = 1;

/// Longest `Retry-After`. SDKs sleep as long as they are told, and the vendor's service may say an hour.
const LONGEST_RETRY_SECS: u64 = 120;

/// An answer that is not a success.
#[derive(Debug)]
pub(super) struct Failure {
    /// For a caller who was not let in: how to get a token. Boxed, for failures are to be small.
    challenge: Option<Box<HeaderValue>>,
    code: ErrorCode,
    /// For the client's program.
    details: Vec<ErrorDetail>,
    /// For the log only.
    detail: Option<String>,
    /// Id of the check that the evidence failed.
    failed_check: Option<&'static str>,
    /// For the client.
    message: String,
    retry_after_secs: Option<u64>,
    status: StatusCode,
}

/// What the log says of a failure.
#[derive(Debug, Clone, Default)]
pub(super) struct LoggedFailure {
    pub(super) code: Option<&'static str>,
    pub(super) detail: Option<String>,
    pub(super) failed_check: Option<&'static str>,
}

impl Failure {
    fn new(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            challenge: None,
            code,
            details: Vec::new(),
            detail: None,
            failed_check: None,
            message: message.into(),
            retry_after_secs: None,
            status,
        }
    }

    fn bad_request(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::bad_request(ErrorCode::InvalidParameter, message)
    }

    fn internal(detail: String) -> Self {
        let message = "the service failed; tell its operator the value of x-ms-request-id";
        let failure = Self::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::InternalServerError, message);
        Self { detail: Some(detail), ..failure }
    }

    fn try_later(status: StatusCode, code: ErrorCode, message: impl Into<String>, after_secs: u64) -> Self {
        Self { retry_after_secs: Some(after_secs.max(1)), ..Self::new(status, code, message) }
    }

    /// Names the check that ended the verdict.
    fn at(self, verdict: &Verdict) -> Self {
        Self { failed_check: verdict.first_failure().map(|check| check.id), ..self }
    }

    /// Tells why a policy denied: what became of its rules, and of which claims.
    pub(super) fn explained(self, explanation: &Explanation) -> Self {
        let mut told = serde_json::to_value(explanation).unwrap_or_default();
        if let Some(Value::Array(rules)) = told.get_mut("rules") {
            rules.truncate(MAX_EXPLAINED_RULES);
        }
        let code = "PolicyExplanation";
        let detail = ErrorDetail { code, message: explanation.decision().to_owned(), explanation: told };
        Self { details: vec![detail], ..self }
    }

    pub(super) fn not_found() -> Self {
        let message = "there is no such operation; attest at `/attest/SgxEnclave`, `/attest/OpenEnclave` or `/attest/Tpm`";
        Self::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message)
    }

    pub(super) fn malformed_path() -> Self {
        Self::invalid("the path is not percent-encoded UTF-8; send a path such as `/attest/SgxEnclave`")
    }

    pub(super) fn panicked(panic: &str) -> Self {
        Self::internal(format!("panic: {panic}"))
    }

    pub(super) fn timed_out() -> Self {
        let message = "the request took too long to answer; try again";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::try_later(status, ErrorCode::ServiceUnavailable, message, OVERLOAD_RETRY_SECS)
    }

    pub(super) fn not_implemented(attestation_type: AttestationType) -> Self {
        Self::bad_request(
            ErrorCode::InvalidOperation,
            format!(
                "this service does not attest `{attestation_type}`; it attests `SgxEnclave`, `OpenEnclave` and `Tpm`"
            ),
        )
    }

    /// A change that was made, and whose record says only that it was begun.
    pub(super) fn unrecorded(unavailable: AuditUnavailable) -> Self {
        let message = "the change was made, and its outcome cannot be recorded; tell the service's operator";
        let failure = Self::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::InternalServerError, message);
        Self { detail: Some(unavailable.to_string()), ..failure }
    }

    /// A path of 2020-10-01 and later under 2018-09-01-preview.
    pub(super) fn not_in_2018() -> Self {
        let message = "this path does not exist under api-version 2018-09-01-preview; use `/operations/policy`, or \
                       a later version";
        Self::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message)
    }

    /// `/operations/policy` under another version than the one that has it.
    pub(super) fn operations_only_in_2018() -> Self {
        let message =
            "this path exists under api-version 2018-09-01-preview only; use `/policies` and `/certificates`";
        Self::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message)
    }

    /// A query parameter or a body that is not what it must be.
    pub(super) fn parameter(name: &str, fix: &str) -> Self {
        Self::invalid(format!("`{name}` is missing or wrong: {fix}"))
    }

    pub(super) fn not_utf8() -> Self {
        let message = "Malformed JWT: the request body is not UTF-8 text";
        Self::bad_request(ErrorCode::InvalidOperation, message)
    }

    /// No policy is in force for the attestation type, so nothing can be permitted.
    pub(super) fn no_policy() -> Self {
        let message = "no policy has been set for this attestation type on the attestation provider; set one";
        Self::bad_request(ErrorCode::InvalidOperation, message)
    }

    /// `/attest/Tee/...` under another version than the one that has it.
    pub(super) fn only_in_2018() -> Self {
        let message = "this path exists under api-version 2018-09-01-preview only; remove `Tee/` from it";
        Self::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message)
    }
}

/// Answers what no route takes.
pub(super) async fn not_found() -> Response {
    Failure::not_found().into_response()
}

/// Answers a method that a route does not take.
pub(super) async fn method_not_allowed() -> Response {
    let message = "this path takes another method; attest with POST, read metadata with GET";
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::MethodNotAllowed, message).into_response()
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = ErrorBody::new(self.code, self.message).with_details(self.details);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(api::response::CONTENT_TYPE));
        headers.insert(api::response::ERROR_CODE_HEADER, HeaderValue::from_static(body.code()));
        if let Some(secs) = self.retry_after_secs {
            headers.insert(RETRY_AFTER, HeaderValue::from(secs));
        }
        match self.status {
            StatusCode::UNAUTHORIZED => {
                let challenge = self.challenge.map(|challenge| *challenge);
                let challenge = challenge.unwrap_or(HeaderValue::from_static("Bearer"));
                headers.insert(WWW_AUTHENTICATE, challenge);
            }
            // What is left of the body is not read, so the connection is of no further use.
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        headers.remove(ALLOW);
        let logged =
            LoggedFailure { code: Some(body.code()), detail: self.detail, failed_check: self.failed_check };
        let mut response = (self.status, headers, body.to_json()).into_response();
        response.extensions_mut().insert(logged);
        response
    }
}

impl From<UnknownAttestationType> for Failure {
    fn from(error: UnknownAttestationType) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<ApiVersionError> for Failure {
    fn from(error: ApiVersionError) -> Self {
        Self::bad_request(ErrorCode::UnsupportedApiVersion, error.to_string())
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<AuditUnavailable> for Failure {
    fn from(unavailable: AuditUnavailable) -> Self {
        let message = "what is asked cannot be recorded, so it is not done; tell the service's operator";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let failure = Self::try_later(status, ErrorCode::ServiceUnavailable, message, 10);
        Self { detail: Some(unavailable.to_string()), ..failure }
    }
}

/// A caller without the role is answered as one without a token, as Azure Attestation does.
impl From<Refusal> for Failure {
    fn from(Refusal { challenge, error, .. }: Refusal) -> Self {
        if let AuthError::Unavailable(unavailable) = &error {
            let message = "the caller's access token cannot be verified at the moment; try again later";
            let failure =
                Self::try_later(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::ServiceUnavailable, message, 10);
            return Self { detail: Some(unavailable.to_string()), ..failure };
        }
        let failure = Self::new(StatusCode::UNAUTHORIZED, ErrorCode::Unauthorized, error.to_string());
        Self { challenge: Some(Box::new(challenge)), detail: Some(error.to_string()), ..failure }
    }
}

impl From<Overloaded> for Failure {
    fn from(Overloaded: Overloaded) -> Self {
        let message = "the service has more requests than it can take; try again after `Retry-After` seconds";
        let status = StatusCode::TOO_MANY_REQUESTS;
        Self::try_later(status, ErrorCode::TooManyRequests, message, OVERLOAD_RETRY_SECS)
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Broken => Self::invalid("the request body ended before it was complete"),
            BodyError::Overloaded(overloaded) => overloaded.into(),
            BodyError::TooLong { max_bytes } => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                ErrorCode::PayloadTooLarge,
                format!("the request body is longer than the {max_bytes} bytes that are accepted"),
            ),
            BodyError::TooSlow { timeout } => Self::new(
                StatusCode::REQUEST_TIMEOUT,
                ErrorCode::RequestTimeout,
                format!("the request body did not arrive within {} seconds", timeout.as_secs()),
            ),
        }
    }
}

impl From<ParseError> for Failure {
    fn from(error: ParseError) -> Self {
        Self::invalid(format!("{QUOTE_INVALID}: {error}"))
    }
}

impl From<Rejection<VerifyError>> for Failure {
    fn from(rejection: Rejection<VerifyError>) -> Self {
        let error = &rejection.error;
        let lead = match error {
            VerifyError::EndorsementsValidity { .. } => COLLATERAL,
            _ => QUOTE_INVALID,
        };
        Self::invalid(format!("{lead}: {error}")).at(&rejection.verdict)
    }
}

impl From<Rejection<BindingError>> for Failure {
    fn from(rejection: Rejection<BindingError>) -> Self {
        Self::invalid(format!("{QUOTE_INVALID}: {}", rejection.error)).at(&rejection.verdict)
    }
}

impl From<EndorsementsUnavailable> for Failure {
    fn from(error: EndorsementsUnavailable) -> Self {
        use EndorsementsUnavailable as E;
        let message = |lead: &str| format!("{lead}: {}", error.for_client());
        match &error {
            E::Outage { retry_after, .. } => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                let secs = retry_after.as_secs().min(LONGEST_RETRY_SECS);
                let failure =
                    Self::try_later(status, ErrorCode::ServiceUnavailable, message(COLLATERAL), secs);
                Self { detail: Some(error.to_string()), ..failure }
            }
            E::Missing { .. } | E::RolledBack { .. } | E::UnknownPlatform { .. } => {
                Self::invalid(message(COLLATERAL))
            }
            E::Unusable { .. } if error.is_validity() => Self::invalid(message(COLLATERAL)),
            E::Unusable { .. } => Self::invalid(message(PCK_CACHE)),
            E::Store(detail) => Self::internal(detail.clone()),
            E::Abandoned => Self::internal(error.to_string()),
        }
    }
}

impl From<policy::Diagnostics> for Failure {
    fn from(diagnostics: policy::Diagnostics) -> Self {
        let message = format!("Invalid policy was specified Msg:[{diagnostics}]");
        Self::bad_request(ErrorCode::PolicyParsingError, message)
    }
}

impl From<ManagementFailure> for Failure {
    fn from(failure: ManagementFailure) -> Self {
        use ManagementFailure as M;
        let operation = |message: String| Self::bad_request(ErrorCode::InvalidOperation, message);
        match failure {
            M::Jws(error) => error.into(),
            M::Payload(error @ (ManagementError::PolicyBase64(_) | ManagementError::Payload(_))) => {
                operation(format!("Malformed JWT: {error}"))
            }
            M::Payload(ManagementError::Body(error)) => error.into(),
            M::Payload(error @ ManagementError::Certificate { .. }) => Self::invalid(error.to_string()),
            M::Policy(diagnostics) => diagnostics.into(),
            M::Settings(error) => error.into(),
            M::Store(error) => Self::internal(error.to_string()),
            M::HoldsNoPolicy { .. } => Self::invalid(failure.to_string()),
            M::NoSuchVersion { .. } => {
                Self::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, failure.to_string())
            }
            M::Fixed
            | M::LastSigner
            | M::NoSigners
            | M::Payload(_)
            | M::PayloadOfReset
            | M::TooManySigners { .. } => operation(failure.to_string()),
        }
    }
}

impl From<EnrolmentError> for Failure {
    fn from(error: EnrolmentError) -> Self {
        use EnrolmentError as E;
        match &error {
            E::Authority(_) | E::NoRandomness(_) | E::Store(_) => Self::internal(error.to_string()),
            E::Credential(CredentialError::Randomness) => Self::internal(error.to_string()),
            E::NoRoots | E::Revoked { .. } | E::TooManyCertificates { .. } | E::Used => {
                Self::bad_request(ErrorCode::InvalidOperation, error.to_string())
            }
            E::AttestationKey(_)
            | E::AttestationKeyShape(_)
            | E::Certificate(_)
            | E::Context(_)
            | E::Credential(_)
            | E::EndorsementKey(_)
            | E::EndorsementKeyShape(_)
            | E::Secret => Self::invalid(error.to_string()),
        }
    }
}

impl From<MachineFailure> for Failure {
    fn from(failure: MachineFailure) -> Self {
        match failure {
            MachineFailure::Authority(_) | MachineFailure::Store(_) => Self::internal(failure.to_string()),
            MachineFailure::Unknown { .. } => {
                Self::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, failure.to_string())
            }
        }
    }
}

impl From<StandingError> for Failure {
    fn from(error: StandingError) -> Self {
        match error {
            StandingError::Store(_) => Self::internal(error.to_string()),
            StandingError::Certificate(_) | StandingError::Forgotten { .. } => {
                Self::invalid(error.to_string())
            }
            StandingError::Revoked { .. } => {
                Self::bad_request(ErrorCode::InvalidOperation, error.to_string())
            }
        }
    }
}

/// The core phrases are the documented ones; they say JWT where a JWS is meant.
impl From<PolicyJwsError> for Failure {
    fn from(error: PolicyJwsError) -> Self {
        use PolicyJwsError as E;
        let operation =
            |lead: &str| Self::bad_request(ErrorCode::InvalidOperation, format!("{lead}: {error}"));
        match &error {
            E::Jws(JwsError::Parts { found: 1 }) => {
                operation("Malformed JWT: Could not find first period in the token")
            }
            E::Jws(JwsError::Base64 { .. }) => operation("Malformed JWT: Unknown base64 character"),
            E::Jws(_) => operation("Malformed JWT"),
            E::Unsigned => {
                operation("Unsigned JWS specified but enclave is configured with signing certificates")
            }
            E::Chain(ChainError::IssuerNotFound { common_name } | ChainError::Untrusted { common_name }) => {
                Self::invalid(format!("Unable to find issuer certificate CN={common_name}: {error}"))
            }
            _ => Self::invalid(format!("the policy token is not acceptable: {error}")),
        }
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::bad_request(ErrorCode::PolicyEvaluationError, format!("{POLICY}{error}]"))
    }
}

impl From<AppraisalError> for Failure {
    fn from(error: AppraisalError) -> Self {
        match error {
            AppraisalError::Baseline(rejection) => {
                Self::invalid(format!("{BASELINE}: {}", rejection.error)).at(&rejection.verdict)
            }
            AppraisalError::Denied { denial, .. } => {
                let rule = denial.rule().map(|rule| format!(" ({rule})")).unwrap_or_default();
                let message = format!("{POLICY}{denial}]{rule}");
                Self::bad_request(ErrorCode::PolicyEvaluationError, message)
            }
            AppraisalError::Evaluation(error) => {
                Self::bad_request(ErrorCode::PolicyEvaluationError, format!("{POLICY}{error}]"))
            }
            AppraisalError::CustomClaimName { .. }
            | AppraisalError::CustomClaimValue { .. }
            | AppraisalError::InvalidJson { .. } => Self::invalid(error.to_string()),
        }
    }
}

impl From<TpmMessageError> for Failure {
    fn from(error: TpmMessageError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<ExchangeError> for Failure {
    fn from(error: ExchangeError) -> Self {
        use ExchangeError as E;
        match error {
            E::Appraisal(error) => error.into(),
            E::Attestation(rejection) => {
                Self::invalid(format!("{TPM_INVALID}: {}", rejection.error)).at(&rejection.verdict)
            }
            E::Key(rejection) => {
                Self::invalid(format!("{TPM_INVALID}: {}", rejection.error)).at(&rejection.verdict)
            }
            E::Answered | E::Challenge | E::Context(_) => Self::invalid(error.to_string()),
            E::Denied { error, explanation } => Self::from(error).explained(&explanation),
            E::Message(error) => error.into(),
            E::NoPolicy => Self::bad_request(ErrorCode::InvalidOperation, error.to_string()),
            E::Randomness(_) | E::Store(_) => Self::internal(error.to_string()),
            E::Sign(error) => error.into(),
            E::Standing(error) => error.into(),
        }
    }
}

impl From<token::SignError> for Failure {
    fn from(error: token::SignError) -> Self {
        Self::internal(format!("signing failed: {error}"))
    }
}
