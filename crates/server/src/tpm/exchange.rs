//! The exchange of TPM attestation: a challenge, its one answer, a token.
//!
//! What must be remembered between the two requests travels in `service_context`, sealed, so that any replica
//! answers the second. Only which challenges were answered is kept.

use api::tpm::{self as message, Content, EcCurve, JwkNumbers, KeyInfo, SignedRequest, TpmMessageError};
use appraisal::{
    AppraisalError, PcrEncoding, Token, TpmRequestData, TpmSettings, appraise_tpm, tpm_incoming,
};
use crypto::random::NoRandomness;
use crypto::{Curve, PublicKey};
use evidence::tpm::{
    Attestation, AttestationError, AttestationKey, Binding, Enclave, Key, QuoteBytes, Quoted, VerifyError,
};
use evidence::verdict::Rejection;
use policy::Explanation;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use token::base64url;

use super::Tpm;
use super::context::{OpenError, Purpose};
use super::machines::StandingError;
use crate::config;
use crate::management::ActivePolicy;
use crate::provider::Provider;
use crate::store::StoreError;

/// Why there is no challenge or no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error(transparent)]
    Appraisal(#[from] AppraisalError),
    #[error(transparent)]
    Attestation(#[from] Rejection<AttestationError>),
    /// The challenge was answered before.
    #[error("the challenge has been answered already; ask for another one with `{{\"type\":\"aikcert\"}}`")]
    Answered,
    /// Another challenge is answered than was issued with the context.
    #[error("`challenge` is not the one that was issued with this `service_context`")]
    Challenge,
    /// The context is no context of ours, or its time is over.
    #[error(
        "`service_context`: {0}; ask for a challenge with `{{\"type\":\"aikcert\"}}` and answer it unchanged"
    )]
    Context(OpenError),
    /// The policy denied, told with its reasons.
    #[error("{error}")]
    Denied { error: AppraisalError, explanation: Box<Explanation> },
    /// Nobody vouches for the attestation key.
    #[error(transparent)]
    Key(#[from] Rejection<VerifyError>),
    #[error(transparent)]
    Message(#[from] TpmMessageError),
    /// No policy is in force.
    #[error("A VBS attestation policy has not been set on the attestation provider. Set one of type `Tpm`")]
    NoPolicy,
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    #[error(transparent)]
    Sign(#[from] token::SignError),
    #[error(transparent)]
    Standing(#[from] StandingError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A challenge with the context that must come back with its answer.
#[derive(Debug)]
pub(crate) struct Challenge {
    pub(crate) challenge: [u8; CHALLENGE_BYTES],
    pub(crate) service_context: Vec<u8>,
}

/// What the context is on the wire.
#[derive(Serialize, Deserialize)]
struct Context {
    #[serde(rename = "ProtectionKeyName")]
    key_name: String,
    #[serde(rename = "ProtectedContext")]
    sealed: String,
}

impl Tpm {
    /// A fresh challenge of the provider.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub(crate) fn challenge(&self, now: OffsetDateTime) -> Result<Challenge, NoRandomness> {
        let challenge = crypto::random_bytes()?;
        let expires_at = now + Duration::minutes(self.config.challenge_lifetime_minutes.into());
        let sealed = self.sealer.seal(Purpose::Challenge, &self.challenger, &challenge, expires_at)?;
        let context =
            Context { key_name: self.sealer.key_name().to_owned(), sealed: base64url::encode(&sealed) };
        let service_context = serde_json::to_vec(&context).unwrap_or_default();
        Ok(Challenge { challenge, service_context })
    }

    /// The challenge that was issued with a context, and until when it can be answered.
    fn issued(
        &self,
        service_context: &[u8],
        now: OffsetDateTime,
    ) -> Result<([u8; CHALLENGE_BYTES], OffsetDateTime), OpenError> {
        let context: Context = serde_json::from_slice(service_context).map_err(|_| OpenError::Foreign)?;
        if context.key_name != self.sealer.key_name() {
            return Err(OpenError::Foreign);
        }
        let sealed = base64url::decode(&context.sealed).map_err(|_| OpenError::Foreign)?;
        let (challenge, until) = self.sealer.unseal(Purpose::Challenge, &self.challenger, &sealed, now)?;
        Ok((challenge.try_into().map_err(|_| OpenError::Foreign)?, until))
    }
}

impl Tpm {
    /// The attestation key of evidence, with a certificate that was verified now or before.
    fn attestation_key(
        &self,
        quoted: &Quoted<'_>,
        settings: &TpmSettings,
        now: OffsetDateTime,
    ) -> Result<AttestationKey, Rejection<VerifyError>> {
        let place = quoted.certificate.map(crypto::sha256);
        let trusted = self.trusted();
        let kept = place.and_then(|place| trusted.keys.get(&place));
        if let Some(kept) = kept.filter(|kept| kept.is_valid_at(now)) {
            return Ok(AttestationKey::clone(&kept));
        }
        let key = quoted.attestation_key(&trusted.roots.aik, settings.require_valid_key, now)?;
        if let Some(place) = place.filter(|_| key.is_certified()) {
            trusted.keys.insert(place, key.clone());
        }
        Ok(key)
    }
}

/// A request taken apart, with the policy that it will be appraised under.
pub(crate) struct Answer<'a> {
    provider: &'a Provider,
    active: &'a ActivePolicy,
    request: &'a SignedRequest,
    content: Content<'a>,
}

impl<'a> Answer<'a> {
    /// # Errors
    /// [`ExchangeError::Message`].
    pub(crate) fn parse(
        provider: &'a Provider,
        active: &'a ActivePolicy,
        request: &'a SignedRequest,
    ) -> Result<Self, ExchangeError> {
        Ok(Self { provider, active, request, content: request.content()? })
    }

    /// The stages, one after the other:
    /// 1. the context is one of this provider, in time, and of this challenge,
    /// 2. the machine, if this provider enrolled it, is not revoked,
    /// 3. the evidence is genuine, as of `as_of`,
    /// 4. the challenge was not answered before,
    /// 5. the policy permits,
    /// 6. the token is signed.
    ///
    /// # Errors
    /// [`ExchangeError`].
    pub(crate) fn token(self, as_of: OffsetDateTime, now: OffsetDateTime) -> Result<Token, ExchangeError> {
        let (provider, content) = (self.provider, &self.content);
        let policy = self.active.policy.as_ref().ok_or(ExchangeError::NoPolicy)?;
        let issued = provider.tpm.issued(&content.service_context, now);
        let (challenge, until) = issued.map_err(ExchangeError::Context)?;
        if content.challenge != challenge {
            return Err(ExchangeError::Challenge);
        }
        let decoded = Decoded::of(content)?;
        let attestation = decoded.attestation(content, self.request, &challenge);
        let settings = TpmSettings::of(policy).map_err(AppraisalError::from)?;
        let key = provider.tpm.attestation_key(&attestation.current, &settings, as_of)?;
        if let Some(certificate) = attestation.current.certificate.filter(|_| key.is_certified()) {
            provider.tpm.machine_of(certificate)?;
        }
        let verified = attestation.verify(key, settings.required_pcrs)?;
        if !provider.tpm.store.use_challenge(provider.management.provider_id(), &challenge, until, now)? {
            return Err(ExchangeError::Answered);
        }
        let data = request_data(content, &provider.tpm.config);
        let signer = self.active.signer.as_ref().map(token::PolicySigner::to_jwk);
        let explained = provider.explain_denials.then(|| data.clone());
        let result = appraise_tpm(&verified, data, policy, signer);
        let result = result.map_err(|error| match (&error, explained) {
            (AppraisalError::Denied { .. }, Some(data)) => match tpm_incoming(&verified, &data, policy) {
                Ok(incoming) => {
                    let explanation = Box::new(policy.explain(&incoming));
                    ExchangeError::Denied { error, explanation }
                }
                Err(_) => error.into(),
            },
            _ => error.into(),
        })?;
        Ok(provider.issuer.issue(result, now)?)
    }
}

/// What evidence is made of and the message holds in another form.
struct Decoded<'a> {
    current: DecodedQuote<'a>,
    history: Option<DecodedQuote<'a>>,
    request_key: PublicKey,
    other_keys: Vec<PublicKey>,
}

struct DecodedQuote<'a> {
    key: PublicKey,
    pcrs: Vec<(u16, u8, &'a [u8])>,
    quoted: &'a message::Quoted<'a>,
}

impl<'a> Decoded<'a> {
    fn of(content: &'a Content<'a>) -> Result<Self, TpmMessageError> {
        let missing = TpmMessageError::Missing { member: "tpm_att_data", send: "the evidence of a TPM" };
        let keys = content.other_keys.iter().map(|key| public_key(&key.jwk, "other_keys"));
        Ok(Self {
            current: DecodedQuote::of(content.current.as_ref().ok_or(missing)?)?,
            history: content.boot.as_ref().map(DecodedQuote::of).transpose()?,
            request_key: public_key(&content.request_key.jwk, "request_key")?,
            other_keys: keys.collect::<Result<_, _>>()?,
        })
    }

    fn attestation(
        &'a self,
        content: &'a Content<'a>,
        request: &'a SignedRequest,
        challenge: &'a [u8],
    ) -> Attestation<'a> {
        let others = content.other_keys.iter().zip(&self.other_keys);
        Attestation {
            challenge,
            current: self.current.quoted(),
            history: self.history.as_ref().map(DecodedQuote::quoted),
            request_key: key(&content.request_key, &self.request_key),
            other_keys: others.map(|(sent, decoded)| key(sent, decoded)).collect(),
            enclave: content
                .enclave
                .as_ref()
                .map(|enclave| Enclave { report: &enclave.report, signed_text: enclave.signed_text }),
            signing_input: request.signing_input.as_bytes(),
            signature: &request.signature,
        }
    }
}

impl<'a> DecodedQuote<'a> {
    fn of(quoted: &'a message::Quoted<'a>) -> Result<Self, TpmMessageError> {
        let pcrs = match &quoted.quote {
            message::Quote::PlatformClaim(_) => Vec::new(),
            message::Quote::Tpm { pcrs, .. } => {
                let values = |bank: &'a message::Bank| {
                    bank.values.iter().map(|(index, digest)| (bank.algorithm, *index, digest.as_slice()))
                };
                pcrs.iter().flat_map(values).collect()
            }
        };
        Ok(Self { key: public_key(&quoted.aik_pub, "aik_pub")?, pcrs, quoted })
    }

    fn quoted(&'a self) -> Quoted<'a> {
        let quote = match &self.quoted.quote {
            message::Quote::PlatformClaim(claim) => QuoteBytes::PlatformClaim(claim),
            message::Quote::Tpm { quote, signature, .. } => {
                QuoteBytes::Tpm { attest: quote, signature, pcrs: &self.pcrs }
            }
        };
        Quoted {
            quote,
            event_logs: self.quoted.tcg_logs.iter().map(Vec::as_slice).collect(),
            ima_log: self.quoted.ima_log.as_deref(),
            key: &self.key,
            certificate: self.quoted.aik_cert.as_deref(),
        }
    }
}

fn key<'a>(sent: &'a message::Key<'a>, decoded: &'a PublicKey) -> Key<'a> {
    let binding = match &sent.info {
        KeyInfo::Certify { public, certification, signature } => {
            Binding::Certify { public, certification, signature }
        }
        KeyInfo::None => Binding::Unbound,
        KeyInfo::Possession => Binding::Possession,
        KeyInfo::Quote => Binding::Quote,
    };
    Key { jwk_text: sent.jwk.text, key: decoded.clone(), binding }
}

fn public_key(jwk: &message::Jwk<'_>, member: &'static str) -> Result<PublicKey, TpmMessageError> {
    let key = match &jwk.numbers {
        JwkNumbers::Ec { curve, x, y } => {
            let curve = match curve {
                EcCurve::P256 => Curve::P256,
                EcCurve::P384 => Curve::P384,
            };
            PublicKey::ec(curve, x, y)
        }
        JwkNumbers::Rsa { modulus, exponent } => PublicKey::rsa(modulus, exponent),
    };
    let reason = "its numbers are no key; RSA keys from 2048 bits and points of their curve are";
    key.map_err(|_| TpmMessageError::Key { member, reason })
}

fn request_data(content: &Content<'_>, config: &config::TpmConfig) -> TpmRequestData {
    let claims = content.custom_claims.iter().map(|claim| appraisal::CustomClaim {
        name: claim.name.clone(),
        value: claim.value.clone(),
        value_type: claim.value_type.clone(),
    });
    TpmRequestData {
        custom_claims: claims.collect(),
        custom_claim_prefix: config.custom_claim_prefix.clone(),
        pcr_encoding: match config.pcr_encoding {
            config::PcrEncoding::Base64url => PcrEncoding::Base64url,
            config::PcrEncoding::Hex => PcrEncoding::Hex,
        },
        rp_data: content.rp_data.clone(),
    }
}

/// As the challenges of Azure Attestation.
const CHALLENGE_BYTES: usize = 16;
