//! Why a message of TPM attestation is not acceptable. Each tells the sender what to send; each maps to HTTP
//! 400 with the code `InvalidParameter`.

use crate::transport::Base64Error;

/// A broken rule of a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TpmMessageError {
    /// A member is not base64url.
    #[error("`{member}` is not base64url: {error}")]
    Base64 {
        /// The member.
        member: &'static str,
        /// What is wrong with it.
        error: Base64Error,
    },
    /// The JWS header names another algorithm or type than the protocol has.
    #[error("the header of `request` has `{member}` {found}; send {send}")]
    Header {
        /// The member of the header.
        member: &'static str,
        /// What it is, shortened.
        found: String,
        /// What it must be.
        send: &'static str,
    },
    /// Text that is not acceptable JSON, or not of the shape that the protocol has.
    #[error("the {what} is not acceptable JSON: {reason}")]
    Json {
        /// Which text.
        what: &'static str,
        /// What is wrong with it, and where.
        reason: String,
    },
    /// A key that cannot be used.
    #[error("`{member}` is not a key that can be used: {reason}")]
    Key {
        /// The member.
        member: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A required member is absent or of another type.
    #[error("`{member}` is missing or of the wrong type: send {send}")]
    Missing {
        /// The member.
        member: &'static str,
        /// What to send.
        send: &'static str,
    },
    /// The message is neither of the two.
    #[error(
        "`data` holds no message: send {{\"type\":\"aikcert\"}} for a challenge, or {{\"request\":…}} with the answer to one"
    )]
    NoMessage,
    /// `request` is not three parts.
    #[error("`request` is not a compact JWS of three base64url parts")]
    NotJws,
    /// More of something than accepted.
    #[error("{found} {what}, more than the {limit} that are accepted")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// The most accepted.
        limit: usize,
    },
    /// Something is longer than accepted.
    #[error("the {what} is longer than the {limit} bytes that are accepted")]
    TooLong {
        /// What.
        what: &'static str,
        /// The most accepted.
        limit: usize,
    },
    /// A value that the protocol does not have.
    #[error("`{member}` is {found}; send {send}")]
    Unknown {
        /// The member.
        member: &'static str,
        /// What it is, shortened.
        found: String,
        /// What is accepted.
        send: &'static str,
    },
    /// The first message asks for an enrolment that the protocol does not have.
    #[error("`type` is `{found}`; the only one is `aikcert`")]
    UnknownType {
        /// What it is, shortened.
        found: String,
    },
}
