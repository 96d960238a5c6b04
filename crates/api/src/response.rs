//! Answers: the token of a success, the envelope of a failure.

use serde::Serialize;

use crate::version::ApiVersion;

/// Response header that repeats the code of a failure (contract `2025-06-01`).
pub const ERROR_CODE_HEADER: &str = "x-ms-error-code";

/// Media type of every answer with a body.
pub const CONTENT_TYPE: &str = "application/json; charset=utf-8";

/// The body of a successful attestation: `{"token":"..."}`, or the bare JSON string of
/// `2018-09-01-preview`.
#[must_use]
pub fn token_body(version: ApiVersion, token: &str) -> String {
    #[derive(Serialize)]
    struct Body<'a> {
        token: &'a str,
    }
    let body = match version {
        ApiVersion::V2018_09_01Preview => serde_json::to_string(token),
        _ => serde_json::to_string(&Body { token }),
    };
    // Strings and structs of strings always serialise.
    body.unwrap_or_default()
}

/// What kind of failure an answer reports: the codes of the recorded service where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// A failure inside the service; nothing else is told.
    InternalServerError,
    /// The request is well-formed, and cannot be done here.
    InvalidOperation,
    /// The request, its evidence or the data bound to it is not acceptable.
    InvalidParameter,
    /// The path exists, under another method.
    MethodNotAllowed,
    /// There is no such path.
    NotFound,
    /// The body is longer than accepted.
    PayloadTooLarge,
    /// The policy denied, or permitted nothing.
    PolicyEvaluationError,
    /// The policy text does not parse.
    PolicyParsingError,
    /// The request took too long to arrive or to answer.
    RequestTimeout,
    /// Something the service depends on is not there; try again.
    ServiceUnavailable,
    /// Too much at once; try again after `Retry-After`.
    TooManyRequests,
    /// No valid access token where one is required.
    Unauthorized,
    /// `api-version` is missing or unknown.
    UnsupportedApiVersion,
    /// The body is of a media type that the operation does not take.
    UnsupportedMediaType,
}

impl ErrorCode {
    /// The code in `error.code`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InternalServerError => "InternalServerError",
            Self::InvalidOperation => "InvalidOperation",
            Self::InvalidParameter => "InvalidParameter",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::NotFound => "NotFound",
            Self::PayloadTooLarge => "PayloadTooLarge",
            Self::PolicyEvaluationError => "PolicyEvaluationError",
            Self::PolicyParsingError => "PolicyParsingError",
            Self::RequestTimeout => "RequestTimeout",
            Self::ServiceUnavailable => "ServiceUnavailable",
            Self::TooManyRequests => "TooManyRequests",
            Self::Unauthorized => "Unauthorized",
            Self::UnsupportedApiVersion => "UnsupportedApiVersion",
            Self::UnsupportedMediaType => "UnsupportedMediaType",
        }
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The body of a failure: `{"error":{"code","message","innererror":{"code","message"}}}`. The inner
/// error repeats the outer one, as recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorBody {
    error: Outer,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Outer {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<ErrorDetail>,
    innererror: Inner,
}

/// More about a failure, for programs: `{"code","message"}` as in the contract, and a member of our own that
/// clients which do not know it pass over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorDetail {
    /// What kind of detail it is.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// Why a policy decided as it did.
    pub explanation: serde_json::Value,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Inner {
    code: &'static str,
    message: String,
}

impl ErrorBody {
    /// A failure of kind `code`, told to the client as `message`.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let message = message.into();
        let code = code.as_str();
        let innererror = Inner { code, message: message.clone() };
        Self { error: Outer { code, message, details: Vec::new(), innererror } }
    }

    /// The same failure with more about it.
    #[must_use]
    pub fn with_details(mut self, details: Vec<ErrorDetail>) -> Self {
        self.error.details = details;
        self
    }

    /// `error.code`, which also stands in the header [`ERROR_CODE_HEADER`].
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.error.code
    }

    /// `error.message`.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.error.message
    }

    /// The body as compact JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Structs of strings always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_an_object_and_was_a_string_in_2018() {
        assert_eq!(token_body(ApiVersion::V2020_10_01, "a.b.c"), r#"{"token":"a.b.c"}"#);
        assert_eq!(token_body(ApiVersion::V2026_03_11Preview, "a.b.c"), r#"{"token":"a.b.c"}"#);
        assert_eq!(token_body(ApiVersion::V2018_09_01Preview, "a.b.c"), r#""a.b.c""#);
    }

    #[test]
    fn a_failure_repeats_itself_inside() {
        let body = ErrorBody::new(ErrorCode::InvalidParameter, "the `quote` is \"short\"");
        assert_eq!(
            body.to_json(),
            r#"{"error":{"code":"InvalidParameter","message":"the `quote` is \"short\"","innererror":{"code":"InvalidParameter","message":"the `quote` is \"short\""}}}"#
        );
        assert_eq!(body.code(), ErrorCode::InvalidParameter.to_string());
        assert_eq!(body.message(), "the `quote` is \"short\"");
    }

    #[test]
    fn details_stand_beside_what_clients_know() {
        let detail = ErrorDetail {
            code: "PolicyExplanation",
            message: "denied".to_owned(),
            explanation: serde_json::json!({ "decision": "denied" }),
        };
        let body = ErrorBody::new(ErrorCode::PolicyEvaluationError, "denied").with_details(vec![detail]);
        assert_eq!(
            body.to_json(),
            r#"{"error":{"code":"PolicyEvaluationError","message":"denied","details":[{"code":"PolicyExplanation","message":"denied","explanation":{"decision":"denied"}}],"innererror":{"code":"PolicyEvaluationError","message":"denied"}}}"#
        );
    }
}
