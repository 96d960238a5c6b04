//! Appraisal of machines by their TPMs: the claims that policies read of them, and what their tokens say
//! (Azure Attestation documentation, "Claim sets" and "Attestation policy version 1.2").

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use evidence::tpm::{AttestedKey, Bound, PcrSet, VerifiedAttestation, VerifiedEvidence};
use policy::{Claim, EvalError, Policy, Properties, Value, Version};
use serde_json::{Map, Value as Json, json};

use crate::appraise::{AppraisalError, AttestationResult, TOKEN_NAMES, TokenForm, decide};

/// Every name that the policy may read of a machine with a TPM, sorted, except those that the client chooses. Two are
/// our own: `kernelCommandLine` of Linux, and `bootDetails`, a JSON document with the key databases and what was
/// started.
pub const TPM_CLAIM_NAMES: [&str; 25] = [
    "aikPubHash",
    "aikValidated",
    "bootDebuggingDisabled",
    "bootDetails",
    "bootEvents",
    "enclaveAuthorId",
    "enclaveFamilyId",
    "enclaveFlags",
    "enclaveImageId",
    "enclaveOwnerId",
    "enclavePlatformSvn",
    "enclaveSvn",
    "events",
    "iommuEnabled",
    "kernelCommandLine",
    "notSafeMode",
    "notWinPE",
    "pcrs",
    "secureBootEnabled",
    "tpmVersion",
    "vbsEnabled",
    "vbsReportPresent",
    "vsmReportPresent",
    "x-ms-tpm-other-keys",
    "x-ms-tpm-request-key",
];

/// What a request says beside its evidence.
#[derive(Debug, Clone, Default)]
pub struct TpmRequestData {
    /// What the client says of itself.
    pub custom_claims: Vec<CustomClaim>,
    /// What goes before their names.
    pub custom_claim_prefix: String,
    /// How the claim `pcrs` writes digests.
    pub pcr_encoding: PcrEncoding,
    /// Base64url of the relying party's choice, echoed unchanged.
    pub rp_data: Option<String>,
}

/// A claim of the client, as it was sent: three texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomClaim {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// `string`, `integer` or `boolean`, in any case.
    pub value_type: String,
}

/// How the claim `pcrs` writes digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PcrEncoding {
    /// RFC 4648 §5 without padding.
    Base64url,
    /// Lower-case hexadecimal.
    #[default]
    Hex,
}

/// What a policy's configuration rules ask of a machine's evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TpmSettings {
    /// The PCRs that quotes must cover: the property `required_pcr_mask`.
    pub required_pcrs: PcrSet,
    /// Whether somebody must vouch for the attestation key: the property `require_valid_aik_cert`.
    pub require_valid_key: bool,
}

impl TpmSettings {
    /// Runs the configuration rules of `policy`.
    ///
    /// # Errors
    /// [`EvalError`] if a rule fails.
    pub fn of(policy: &Policy) -> Result<Self, EvalError> {
        let properties = policy.configure()?;
        let mask = match properties.get("required_pcr_mask") {
            Some(Value::Integer(mask)) => u32::try_from(*mask).unwrap_or(ALL_PCRS),
            _ => ALL_PCRS,
        };
        let optional = matches!(properties.get("require_valid_aik_cert"), Some(Value::Boolean(false)));
        Ok(Self { required_pcrs: PcrSet::from_mask(mask), require_valid_key: !optional })
    }
}

/// Appraises a verified machine under the policy, which permits or refuses and says what the token holds
/// beside its standard claims. `policy_signer` is the JSON Web Key of who signed the policy.
///
/// # Errors
/// [`AppraisalError`]: refused by the policy, or custom claims that cannot become claims.
pub fn appraise_tpm(
    attestation: &VerifiedAttestation<'_>,
    request: TpmRequestData,
    policy: &Policy,
    policy_signer: Option<Json>,
) -> Result<AttestationResult, AppraisalError> {
    let documents = Documents::of(attestation, &request, policy)?;
    let incoming = incoming(attestation, &documents, &request, policy)?;
    let mut verdict = attestation.verdict().clone();
    let permit = decide(policy, &incoming, &mut verdict)?;

    let mut claims = policy::to_json_map(&permit.issued);
    claims.retain(|name, _| !is_token_name(name));
    claims.values_mut().for_each(|value| documents.unwrap(value));
    claims.insert("cnf".to_owned(), json!({ "jwk": documents.confirmation }));
    if let Some(data) = request.rp_data {
        claims.insert("nonce".to_owned(), data.clone().into());
        claims.insert("rp_data".to_owned(), data.into());
    }
    claims.insert("ver".to_owned(), "1.0".into());
    claims.insert("x-ms-policy-hash".to_owned(), policy.hash().into());
    if let Some(signer) = policy_signer {
        claims.insert("x-ms-policy-signer".to_owned(), signer);
    }
    claims.insert("x-ms-ver".to_owned(), "1.0".into());
    let form = token_form(&permit.properties);
    Ok(AttestationResult { claims, form, permitted_by: permit.rule, verdict })
}

/// The claims that a policy reads, for an explanation of its decision.
///
/// # Errors
/// As [`appraise_tpm`].
pub fn tpm_incoming(
    attestation: &VerifiedAttestation<'_>,
    request: &TpmRequestData,
    policy: &Policy,
) -> Result<Vec<Claim>, AppraisalError> {
    incoming(attestation, &Documents::of(attestation, request, policy)?, request, policy)
}

fn incoming(
    attestation: &VerifiedAttestation<'_>,
    documents: &Documents,
    request: &TpmRequestData,
    policy: &Policy,
) -> Result<Vec<Claim>, AppraisalError> {
    let facts = attestation.current().claims();
    let facts = facts.into_iter().filter_map(|(name, value)| {
        let name = TPM_CLAIM_NAMES.iter().find(|known| **known == name)?;
        Some(Claim::service(*name, scalar(&value)?))
    });
    let mut claims: Vec<Claim> = facts.collect();
    let enclave = attestation.enclave();
    for name in ["vbsReportPresent", "vsmReportPresent"] {
        claims.push(Claim::service(name, enclave.is_some()));
    }
    if let Some(enclave) = enclave {
        let identity = enclave.identity();
        for (name, id) in [
            ("enclaveAuthorId", &identity.author_id[..]),
            ("enclaveFamilyId", identity.family_id),
            ("enclaveImageId", identity.image_id),
            ("enclaveOwnerId", identity.owner_id),
        ] {
            claims.push(Claim::service(name, URL_SAFE_NO_PAD.encode(id)));
        }
        for (name, number) in [
            ("enclaveFlags", identity.flags),
            ("enclavePlatformSvn", identity.platform_svn),
            ("enclaveSvn", identity.enclave_svn),
        ] {
            claims.push(Claim::service(name, number));
        }
    }
    claims.extend(documents.texts.iter().map(|(name, text)| Claim::service(*name, text.as_str())));
    for claim in &request.custom_claims {
        claims.push(custom_claim(claim, &request.custom_claim_prefix, policy)?);
    }
    Ok(claims)
}

/// The claims whose values are JSON documents.
struct Documents {
    /// Name and text; for policies of version 1.2 only, whose functions can read them.
    texts: Vec<(&'static str, String)>,
    /// The request key's public numbers.
    confirmation: Json,
}

impl Documents {
    fn of(
        attestation: &VerifiedAttestation<'_>,
        request: &TpmRequestData,
        policy: &Policy,
    ) -> Result<Self, AppraisalError> {
        let key = attestation.request_key();
        let jwk = jwk(key)?;
        let confirmation = PUBLIC_MEMBERS.iter().filter_map(|name| {
            let value = jwk.get(*name)?;
            Some(((*name).to_owned(), value.clone()))
        });
        let confirmation = Json::Object(confirmation.collect());
        let mut texts = Vec::new();
        if policy.version() >= Version::V1_2 {
            let current = attestation.current();
            let others: Result<Vec<_>, _> = attestation.other_keys().iter().map(key_object).collect();
            texts.push(("events", current.events_json().to_string()));
            texts.push(("bootDetails", Json::Object(current.boot().details()).to_string()));
            if let Some(history) = attestation.history() {
                texts.push(("bootEvents", history.events_json().to_string()));
            }
            texts.push(("pcrs", pcrs(current, request.pcr_encoding).to_string()));
            texts.push(("x-ms-tpm-request-key", key_object(key)?.to_string()));
            texts.push(("x-ms-tpm-other-keys", Json::Array(others?).to_string()));
        }
        Ok(Self { texts, confirmation })
    }

    /// Puts a document that the policy issued as it is into the token as JSON, as published tokens have it.
    fn unwrap(&self, value: &mut Json) {
        let document = match &*value {
            Json::String(text) => self.texts.iter().find(|(_, document)| document == text),
            _ => None,
        };
        if let Some(document) = document.and_then(|(_, text)| serde_json::from_str(text).ok()) {
            *value = document;
        }
    }
}

fn jwk(key: &AttestedKey<'_>) -> Result<Map<String, Json>, AppraisalError> {
    token::json::parse_object(key.jwk_text().as_bytes())
        .map_err(|reason| AppraisalError::InvalidJson { property: "jwk", reason })
}

/// A key as policies see it: what was verified of its binding.
fn key_object(key: &AttestedKey<'_>) -> Result<Json, AppraisalError> {
    let jwk = jwk(key)?;
    let info = match key.bound() {
        Bound::Certified(certified) => {
            let mut members = Map::new();
            if !certified.auth_policy().is_empty() {
                members
                    .insert("auth_policy".to_owned(), URL_SAFE_NO_PAD.encode(certified.auth_policy()).into());
            }
            members.insert("name_alg".to_owned(), certified.name_algorithm().into());
            members.insert("obj_attr".to_owned(), certified.attributes().into());
            json!({ "tpm_certify": members })
        }
        Bound::Quoted => json!({ "tpm_quote": { "hash_alg": "sha-256" } }),
        Bound::Enclave | Bound::Unbound => return Ok(json!({ "jwk": jwk })),
    };
    Ok(json!({ "jwk": jwk, "info": info }))
}

fn pcrs(evidence: &VerifiedEvidence<'_>, encoding: PcrEncoding) -> Json {
    evidence.pcrs_json(|digest| match encoding {
        PcrEncoding::Base64url => URL_SAFE_NO_PAD.encode(digest),
        PcrEncoding::Hex => hex::encode(digest),
    })
}

fn scalar(value: &Json) -> Option<Value> {
    match value {
        Json::Bool(value) => Some((*value).into()),
        Json::Number(value) => value.as_u64().map(Value::from),
        Json::String(value) => Some(value.as_str().into()),
        _ => None,
    }
}

/// A condition that names no issuer takes claims of any. So a client must not use the names of what the service
/// says, nor of what the policy concludes.
fn custom_claim(claim: &CustomClaim, prefix: &str, policy: &Policy) -> Result<Claim, AppraisalError> {
    let shortened = || claim.name.chars().take(64).collect();
    let broken = || AppraisalError::CustomClaimValue { name: shortened() };
    let name = format!("{prefix}{}", claim.name);
    let is_reserved = TPM_CLAIM_NAMES.contains(&name.as_str()) || is_token_name(&name);
    if claim.name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Err(broken());
    }
    if is_reserved || policy.adds_claim(&name) {
        return Err(AppraisalError::CustomClaimName { name: name.chars().take(64).collect() });
    }
    let value = match claim.value_type.to_ascii_lowercase().as_str() {
        "boolean" if claim.value.eq_ignore_ascii_case("true") => Value::Boolean(true),
        "boolean" if claim.value.eq_ignore_ascii_case("false") => Value::Boolean(false),
        "integer" => claim.value.parse::<i64>().map_err(|_| broken())?.into(),
        "string" => claim.value.as_str().into(),
        _ => return Err(broken()),
    };
    Ok(Claim::custom(name, value))
}

/// Whether only the service gives a token this claim.
fn is_token_name(name: &str) -> bool {
    let known = TOKEN_NAMES.contains(&name) || name == OWN_TOKEN_NAME;
    known && name != PUBLISHED_CUSTOM_NAME
}

/// What the issuance rules ask of the token.
fn token_form(properties: &Properties) -> TokenForm {
    let lifetime_minutes = match properties.get("report_validity_in_minutes") {
        Some(Value::Integer(minutes)) => u32::try_from(*minutes).unwrap_or(ONE_DAY_IN_MINUTES),
        _ => ONE_DAY_IN_MINUTES,
    };
    let omit_x5c = matches!(properties.get("omit_x5c"), Some(Value::Boolean(true)));
    TokenForm::Tpm { lifetime_minutes, omit_x5c }
}

/// PCRs 0 to 23.
const ALL_PCRS: u32 = 0x00ff_ffff;
/// "Claim sets": the default.
const ONE_DAY_IN_MINUTES: u32 = 1440;
/// Longer than any name in a policy.
const MAX_NAME_BYTES: usize = 256;
/// RFC 7518 §6.2.1 and §6.3.1.
const PUBLIC_MEMBERS: [&str; 6] = ["kty", "crv", "x", "y", "n", "e"];
/// The claim of TPM tokens alone that a policy must not replace.
const OWN_TOKEN_NAME: &str = "ver";
/// The service's in other tokens. Of machines with TPMs, published policies take it from the client and issue it.
const PUBLISHED_CUSTOM_NAME: &str = "aas-ehd";
