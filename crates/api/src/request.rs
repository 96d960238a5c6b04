//! The bodies of the attest operations.
//!
//! Property names match without regard to case, unknown properties are ignored, an explicit `null` is
//! an absent property. A name that repeats in one object is refused, also when only its case differs.

use token::json;

use crate::data::{self, Data};
use crate::error::RequestError;
use crate::limits::{MAX_DRAFT_POLICY_BYTES, MAX_RUNTIME_DATA_BYTES, MAX_SGX_EVIDENCE_BYTES};
use crate::members::Members;
use crate::nonce::Nonce;
use crate::version::ApiVersion;

/// The body of `POST /attest/SgxEnclave`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestSgxEnclave {
    /// `quote`: an SGX quote.
    pub quote: Vec<u8>,
    /// `runtimeData`, or `EnclaveHeldData` of `2018-09-01-preview`.
    pub runtime_data: Option<Data>,
    /// `initTimeData`.
    pub init_time_data: Option<Data>,
    /// `draftPolicyForAttestation`: the text of a policy to use instead of the stored one.
    pub draft_policy: Option<String>,
    /// `nonce`.
    pub nonce: Option<Nonce>,
}

/// The body of `POST /attest/OpenEnclave`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestOpenEnclave {
    /// `report`: an Open Enclave report, its header included. `Quote` in `2018-09-01-preview`.
    pub report: Vec<u8>,
    /// As in [`AttestSgxEnclave`].
    pub runtime_data: Option<Data>,
    /// As in [`AttestSgxEnclave`].
    pub init_time_data: Option<Data>,
    /// As in [`AttestSgxEnclave`].
    pub draft_policy: Option<String>,
    /// As in [`AttestSgxEnclave`].
    pub nonce: Option<Nonce>,
}

impl AttestSgxEnclave {
    /// Reads a body sent under `version`.
    ///
    /// # Errors
    /// [`RequestError`], which tells what to send instead.
    pub fn parse(body: &[u8], version: ApiVersion) -> Result<Self, RequestError> {
        let mut members = object(body)?;
        let quote = members.take_bytes("quote", "quote", MAX_SGX_EVIDENCE_BYTES)?;
        let quote =
            quote.ok_or(RequestError::Missing { property: "quote", send: "an SGX quote as base64url" })?;
        let Common { runtime_data, init_time_data, draft_policy, nonce } = Common::take(members, version)?;
        Ok(Self { quote, runtime_data, init_time_data, draft_policy, nonce })
    }
}

impl AttestOpenEnclave {
    /// Reads a body sent under `version`.
    ///
    /// # Errors
    /// [`RequestError`], which tells what to send instead.
    pub fn parse(body: &[u8], version: ApiVersion) -> Result<Self, RequestError> {
        let mut members = object(body)?;
        let mut report = members.take_bytes("report", "report", MAX_SGX_EVIDENCE_BYTES)?;
        if version == ApiVersion::V2018_09_01Preview
            && let Some(quote) = members.take_bytes("quote", "quote", MAX_SGX_EVIDENCE_BYTES)?
            && report.replace(quote).is_some()
        {
            return Err(RequestError::Conflicting { first: "report", second: "Quote" });
        }
        let report = report.ok_or(RequestError::Missing {
            property: "report",
            send: "an Open Enclave report, its header included, as base64url",
        })?;
        let Common { runtime_data, init_time_data, draft_policy, nonce } = Common::take(members, version)?;
        Ok(Self { report, runtime_data, init_time_data, draft_policy, nonce })
    }
}

/// What the operations have in common beside the evidence.
struct Common {
    runtime_data: Option<Data>,
    init_time_data: Option<Data>,
    draft_policy: Option<String>,
    nonce: Option<Nonce>,
}

impl Common {
    fn take(mut members: Members, version: ApiVersion) -> Result<Self, RequestError> {
        let mut take_data = |names: &data::Names| match members.take(names.whole) {
            None => Ok(None),
            Some(value) => Data::parse(value, names),
        };
        let mut runtime_data = take_data(&data::RUNTIME)?;
        let init_time_data = take_data(&data::INIT_TIME)?;
        if version == ApiVersion::V2018_09_01Preview
            && let Some(held) =
                members.take_bytes("EnclaveHeldData", "EnclaveHeldData", MAX_RUNTIME_DATA_BYTES)?
            && runtime_data.replace(Data::Binary(held)).is_some()
        {
            return Err(RequestError::Conflicting { first: "runtimeData", second: "EnclaveHeldData" });
        }
        let draft_policy = members.take_string("draftPolicyForAttestation", "draftPolicyForAttestation")?;
        if let Some(text) = &draft_policy
            && text.len() > MAX_DRAFT_POLICY_BYTES
        {
            return Err(RequestError::TooLong {
                property: "draftPolicyForAttestation",
                bytes: text.len(),
                limit: MAX_DRAFT_POLICY_BYTES,
            });
        }
        let nonce = members.take("nonce").map(Nonce::parse).transpose()?;
        Ok(Self { runtime_data, init_time_data, draft_policy, nonce })
    }
}

pub(crate) fn object(body: &[u8]) -> Result<Members, RequestError> {
    if body.is_empty() {
        return Err(RequestError::EmptyBody);
    }
    Members::new(json::parse_object(body).map_err(RequestError::Json)?)
}
