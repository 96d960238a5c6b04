//! Why a request body is not acceptable. Each message tells the sender which property is wrong and
//! what to send; each maps to HTTP 400 with the code `InvalidParameter`.

use token::JsonError;

use crate::transport::Base64Error;

/// A broken rule of the request body. `property` is the name as the contract spells it, with a dot
/// before an inner one (`runtimeData.data`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A binary property is not base64.
    #[error("the property `{property}` is not base64url: {error}")]
    Base64 {
        /// The property.
        property: &'static str,
        /// What is wrong with it.
        error: Base64Error,
    },
    /// Two properties that say the same thing are both there.
    #[error("the properties `{first}` and `{second}` exclude each other: send one of them")]
    Conflicting {
        /// The one.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// Data declared as JSON is not an acceptable JSON object.
    #[error("the property `{property}` is declared as JSON and does not decode to a JSON object: {error}")]
    DataNotJson {
        /// The property.
        property: &'static str,
        /// What is wrong with it.
        error: JsonError,
    },
    /// The body is empty.
    #[error("the request body is empty: send a JSON object")]
    EmptyBody,
    /// The body is not an acceptable JSON object.
    #[error("the request body is not acceptable JSON: {0}")]
    Json(JsonError),
    /// A required property is absent, null or empty.
    #[error("the property `{property}` is missing or empty: send {send}")]
    Missing {
        /// The property.
        property: &'static str,
        /// What to send.
        send: &'static str,
    },
    /// The nonce is a number, and not one of those that can be echoed faithfully.
    #[error("the property `nonce` is a number other than an integer from 0 to 2^64 - 1: send it as a string")]
    NonceNumber,
    /// Two property names differ only in case, so that it is open which one is meant.
    #[error("the properties `{first}` and `{second}` of one object differ only in case: send one of them")]
    Repeated {
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
    /// The data type of COSE-signed JSON, which a preview declares, is not supported.
    #[error(
        "the property `{property}` is `SIGNED_COSESIGN1_JSON`, which is not supported: send `JSON` or `Binary`"
    )]
    SignedCose {
        /// The property.
        property: &'static str,
    },
    /// A property is longer than accepted.
    #[error("the property `{property}` has {bytes} bytes, more than the {limit} that are accepted")]
    TooLong {
        /// The property.
        property: &'static str,
        /// Its length; for base64, an estimate of what it decodes to.
        bytes: usize,
        /// The most accepted.
        limit: usize,
    },
    /// A list is longer than accepted.
    #[error("the property `{property}` is a list of {found}, more than the {limit} that are accepted")]
    TooMany {
        /// The property.
        property: &'static str,
        /// How many it has.
        found: usize,
        /// The most accepted.
        limit: usize,
    },
    /// `dataType` names no data type.
    #[error("the property `{property}` is `{found}`: send `JSON` or `Binary`")]
    UnknownDataType {
        /// The property.
        property: &'static str,
        /// What it names, shortened.
        found: String,
    },
    /// A property has a value of the wrong JSON type.
    #[error("the property `{property}` is {found}: send {expected}")]
    WrongType {
        /// The property.
        property: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
}
