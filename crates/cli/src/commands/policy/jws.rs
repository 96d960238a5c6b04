//! Policies on the wire: the text inside a JWS, signed or not.

use policy::Policy;
use serde_json::{Value, json};
use time::OffsetDateTime;
use token::policy_jws::{PolicyJws, Trust};

use crate::failure::Failure;

/// A policy as a service keeps it.
pub(super) struct StoredPolicy {
    /// None when the payload is empty, which stands for no policy.
    pub(super) text: Option<String>,
    /// The subject and thumbprint of the certificate it is signed with.
    signer: Option<(String, String)>,
    /// What is wrong with the signature; whom it is to be accepted from is the service's decision.
    complaint: Option<String>,
}

impl StoredPolicy {
    /// Takes a JWS apart. The signature is looked at, and a bad one is told, since the service vouches for the text.
    pub(super) fn parse(jws: &str) -> Result<Self, String> {
        let parsed = PolicyJws::parse(jws).map_err(|error| error.to_string())?;
        let payload = parsed.unverified_payload();
        let text = if payload.is_empty() {
            None
        } else {
            let bytes = api::management::stored_policy(payload, api::ApiVersion::V2020_10_01)
                .map_err(|error| error.to_string())?;
            Some(String::from_utf8(bytes).map_err(|_| "the policy is not UTF-8".to_owned())?)
        };
        let (signer, complaint) = match parsed.verify(&Trust::anyone(), OffsetDateTime::now_utc()) {
            Ok(verified) => {
                (verified.signer().map(|signer| (signer.subject().to_owned(), signer.thumbprint())), None)
            }
            Err(error) => (None, Some(error.to_string())),
        };
        Ok(Self { text, signer, complaint })
    }

    /// In one line.
    pub(super) fn signature(&self) -> String {
        match (&self.signer, &self.complaint) {
            (_, Some(complaint)) => format!("signed, but {complaint}"),
            (Some((subject, thumbprint)), None) => format!("signed by {subject} ({thumbprint})"),
            (None, None) => "unsigned".to_owned(),
        }
    }

    pub(super) fn document(&self, attestation_type: &str, jws: &str) -> Value {
        let policy = self.text.as_deref().map(Policy::analyze);
        json!({
            "attestation_type": attestation_type,
            "text": self.text,
            "hash": policy.as_ref().and_then(|policy| policy.as_ref().ok()).map(Policy::hash),
            "signer": self.signer.as_ref().map(|(subject, thumbprint)| {
                json!({ "subject": subject, "thumbprint": thumbprint })
            }),
            "signature_problem": self.complaint,
            "jws": jws,
        })
    }
}

/// The JWS that a file holds, if it is not a policy text.
pub(super) fn signed_file(text: &str) -> Option<&str> {
    let jws = text.trim();
    let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (jws.starts_with("ey") && jws.bytes().all(is_base64url)).then_some(jws)
}

/// The policy text inside a JWS that is about to be sent.
pub(super) fn text_of(jws: &str) -> Result<String, Failure> {
    let stored = StoredPolicy::parse(jws)
        .map_err(|reason| Failure::usage(format!("the signed policy cannot be read: {reason}")))?;
    if let Some(complaint) = &stored.complaint {
        crate::output::note(&crate::output::printable(&format!("note: the signed policy: {complaint}")));
    }
    stored.text.ok_or_else(|| {
        Failure::usage("the signed file holds no policy").hint("`vouchsafe policy reset` sends such a file")
    })
}
