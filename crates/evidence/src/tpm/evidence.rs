//! A machine's whole evidence: quote, key, logs, verified together.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::attest::Attest;
use super::error::{KeyError, ParseError, VerifyError};
use super::key::AttestationKey;
use super::pcr::{PcrSelection, PcrSet, PcrValues};
use super::public::PublicArea;
use super::quote::{Expectations, QuotedPcrs, VerifiedQuote};
use super::signature::Signature;
use super::spki;
use super::trust::{AkCertificate, TpmTrust};
use crate::eventlog::{
    BootClaims, ClaimError, EventLog, ImaError, ImaLog, LogError, MeasuredIma, MeasuredLog, ReplayError,
    events_json,
};
use crate::verdict::{Check, Explain, Rejection, Verdict, rules};

/// Evidence as it was sent: nothing of it is believed.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The `TPMS_ATTEST` of the quote.
    pub quote: &'a [u8],
    /// Its signature.
    pub signature: SignatureBytes<'a>,
    /// The PCR values quoted.
    pub pcrs: PcrBytes<'a>,
    /// The firmware's logs, in the order in which they were measured.
    pub event_logs: &'a [&'a [u8]],
    /// The IMA log.
    pub ima_log: Option<&'a [u8]>,
    /// The attestation key's `TPMT_PUBLIC` or `TPM2B_PUBLIC`, or a DER `SubjectPublicKeyInfo`.
    pub ak_public: Option<&'a [u8]>,
    /// The attestation key's certificate, DER or PEM, with intermediates or not.
    pub ak_certificate: Option<&'a [u8]>,
}

/// A signature as it was sent.
#[derive(Debug, Clone, Copy)]
pub enum SignatureBytes<'a> {
    /// The bytes of an RSA signature, as Windows sends it.
    RawRsa(&'a [u8]),
    /// A `TPMT_SIGNATURE`.
    Tpmt(&'a [u8]),
}

/// PCR values as they were sent.
#[derive(Debug, Clone, Copy)]
pub enum PcrBytes<'a> {
    /// The values one after the other: either of the PCRs quoted, in their order, or of PCRs 0, 1, 2 and
    /// so on of the one bank quoted.
    Concatenated(&'a [u8]),
    /// Values with their places.
    Values(&'a PcrValues),
}

/// Whom to trust for attestation keys.
#[derive(Debug, Clone, Default)]
pub struct KeyTrust {
    issuers: TpmTrust,
    keys: Vec<TrustedKey>,
}

#[derive(Debug, Clone)]
struct TrustedKey {
    spki: Vec<u8>,
    /// The public area, if the operator knows it.
    area: Option<Vec<u8>>,
}

impl KeyTrust {
    /// Trusts the keys that `issuers` certify.
    #[must_use]
    pub const fn new(issuers: TpmTrust) -> Self {
        Self { issuers, keys: Vec::new() }
    }

    /// Trusts one key: a `TPMT_PUBLIC` or a `TPM2B_PUBLIC`, whose attributes then are the key's, or a DER
    /// `SubjectPublicKeyInfo` or a PEM text of one. The operator vouches that it lives in a TPM.
    ///
    /// # Errors
    /// [`KeyError`] if it is none of these, or no key.
    pub fn add_key(&mut self, bytes: &[u8]) -> Result<(), KeyError> {
        let (key, area) = match public_area(bytes) {
            Ok(area) => (area.public_key()?, Some(area.bytes().to_vec())),
            Err(_) => (spki_of(bytes).ok_or(KeyError::Malformed)?, None),
        };
        self.keys.push(TrustedKey { spki: spki::encode(&key), area });
        Ok(())
    }

    /// Trusts further issuers.
    pub const fn issuers_mut(&mut self) -> &mut TpmTrust {
        &mut self.issuers
    }

    /// The attestation key, if the operator or a certificate vouches for it.
    pub(super) fn resolve(
        &self,
        key: Option<&crypto::PublicKey>,
        certificate: Option<&AkCertificate>,
        area: Option<&PublicArea<'_>>,
        now: OffsetDateTime,
    ) -> Result<AttestationKey, Rejection<VerifyError>> {
        if let Some(trusted) = key.and_then(|key| self.find(key)) {
            return trusted_key(trusted, area);
        }
        match certificate {
            Some(certificate) => AttestationKey::from_certificate(certificate, area, &self.issuers, now),
            None => Err(Rejection::new(KeyError::Untrusted.into(), Verdict::new())),
        }
    }

    fn find(&self, key: &crypto::PublicKey) -> Option<&TrustedKey> {
        let spki = spki::encode(key);
        self.keys.iter().find(|trusted| trusted.spki == spki)
    }
}

/// Why evidence is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// The events do not tell a coherent boot.
    #[error("event log: {0}")]
    Claim(#[from] ClaimError),
    /// The IMA log.
    #[error("IMA log: {0}")]
    Ima(#[from] ImaError),
    /// The log does not parse.
    #[error("event log: {0}")]
    Log(#[from] LogError),
    /// A TPM structure does not parse.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The log is not the one that the PCRs hold.
    #[error("event log: {0}")]
    Replay(#[from] ReplayError),
    /// The quote or its key.
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

impl Explain for EvidenceError {
    fn check(&self) -> Check {
        match self {
            Self::Claim(error) => error.check(),
            Self::Ima(error) => error.check(),
            Self::Log(error) => error.check(),
            Self::Parse(error) => error.check(),
            Self::Replay(error) => error.check(),
            Self::Verify(error) => error.check(),
        }
    }
}

/// A machine's verified evidence: what a TPM vouches for, and what follows from it.
///
/// Only [`Evidence::verify`] makes one; this does not compile:
///
/// ```compile_fail,E0451
/// fn forged(rest: evidence::tpm::VerifiedEvidence<'_>) -> evidence::tpm::VerifiedEvidence<'_> {
///     evidence::tpm::VerifiedEvidence { claims: Default::default(), ..rest }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct VerifiedEvidence<'a> {
    key: AttestationKey,
    quote: VerifiedQuote,
    log: Option<MeasuredLog<'a>>,
    ima: Option<MeasuredIma<'a>>,
    claims: BootClaims<'a>,
    verdict: Verdict,
}

impl<'a> Evidence<'a> {
    /// Verifies the evidence:
    /// 1. the attestation key is one the operator trusts, or certified by a trusted issuer
    ///    ([`AttestationKey`]),
    /// 2. the quote is genuine, fresh, and about the PCR values sent ([`Attest::verify_quote`]),
    /// 3. the logs replay to them ([`MeasuredLog::verify`]) and tell a coherent boot ([`BootClaims::of`]),
    /// 4. the IMA log does up to some record ([`MeasuredIma::verify`]).
    ///
    /// # Errors
    /// [`EvidenceError`], with the checks made up to then.
    pub fn verify(
        &self,
        trust: &KeyTrust,
        expectations: &Expectations<'_>,
        now: OffsetDateTime,
    ) -> Result<VerifiedEvidence<'a>, Rejection<EvidenceError>> {
        let mut verdict = Verdict::new();
        let mut result = self.check(trust, expectations, now, &mut verdict);
        if let Ok(verified) = &mut result {
            verified.verdict = std::mem::take(&mut verdict);
        }
        result.map_err(|error| Rejection::new(error, verdict))
    }

    fn check(
        &self,
        trust: &KeyTrust,
        expectations: &Expectations<'_>,
        now: OffsetDateTime,
        verdict: &mut Verdict,
    ) -> Result<VerifiedEvidence<'a>, EvidenceError> {
        let attest = Attest::parse(self.quote)?;
        let signature = match self.signature {
            SignatureBytes::RawRsa(bytes) => Signature::RawRsa(bytes),
            SignatureBytes::Tpmt(bytes) => Signature::parse(bytes)?,
        };
        let Some(selection) = attest.unverified_selection() else {
            let found = attest.attested.type_name();
            return Err(VerifyError::Type { expected: "quote", found }.into());
        };
        let values = match self.pcrs {
            PcrBytes::Concatenated(bytes) => pcr_values(selection, bytes)?,
            PcrBytes::Values(values) => values.clone(),
        };
        let key = take(self.key(trust, now), verdict)?;
        let parts = Parts { attest, signature, values, event_logs: self.event_logs, ima_log: self.ima_log };
        parts.verify_by(key, expectations, verdict)
    }

    fn key(&self, trust: &KeyTrust, now: OffsetDateTime) -> Result<AttestationKey, Rejection<VerifyError>> {
        let refused = |error: VerifyError| Rejection::new(error, Verdict::new());
        let (area, bare) = match self.ak_public {
            None => (None, None),
            Some(bytes) => match public_area(bytes) {
                Ok(area) => (Some(area), None),
                Err(error) => (None, Some(spki_of(bytes).ok_or_else(|| refused(error.into()))?)),
            },
        };
        let certificate = match self.ak_certificate {
            Some(bytes) => Some(AkCertificate::parse(bytes).map_err(|error| refused(error.into()))?),
            None => None,
        };
        let sent = match (&area, bare) {
            (Some(area), _) => Some(area.public_key().map_err(|error| refused(error.into()))?),
            (None, bare) => bare,
        };
        let certified = certificate.as_ref().map(AkCertificate::public_key);
        if sent.as_ref().zip(certified).is_some_and(|(sent, certified)| sent != certified) {
            return Err(refused(KeyError::Mismatch.into()));
        }
        trust.resolve(sent.as_ref().or(certified), certificate.as_ref(), area.as_ref(), now)
    }
}

/// A quote and logs, taken apart and not believed.
pub(super) struct Parts<'s, 'a> {
    pub(super) attest: Attest<'s>,
    pub(super) signature: Signature<'s>,
    pub(super) values: PcrValues,
    pub(super) event_logs: &'s [&'a [u8]],
    pub(super) ima_log: Option<&'a [u8]>,
}

impl<'a> Parts<'_, 'a> {
    /// Steps 2 to 4 of [`Evidence::verify`], by a key that was resolved before. The checks go to `verdict`,
    /// not to what is returned.
    pub(super) fn verify_by(
        self,
        key: AttestationKey,
        expectations: &Expectations<'_>,
        verdict: &mut Verdict,
    ) -> Result<VerifiedEvidence<'a>, EvidenceError> {
        // The quote's verdict starts with the key's.
        let quote =
            take(self.attest.verify_quote(&self.signature, &self.values, &key, expectations), verdict)?;
        verdict.extend(quote.verdict().checks());
        let log = self.event_log(quote.pcrs(), expectations, verdict)?;
        let events = log.as_ref().map(MeasuredLog::events).unwrap_or_default();
        let covered = log.as_ref().map_or(PcrSet::default(), MeasuredLog::covered);
        let claims = BootClaims::of(events, covered)?;
        if log.is_some() {
            let secure_boot = &claims.secure_boot;
            let state = match secure_boot.missing {
                Some(missing) => format!("said to be on, but {missing} was not measured"),
                None => secure_boot.state.as_str().to_owned(),
            };
            verdict.push(Check::noted(rules::EVENTLOG_SECURE_BOOT, state));
            verdict.push(Check::noted(rules::EVENTLOG_WINDOWS, claims.windows.is_some()));
        }
        let ima = self.ima_log(quote.pcrs(), expectations, verdict)?;
        Ok(VerifiedEvidence { key, quote, log, ima, claims, verdict: Verdict::new() })
    }

    fn event_log(
        &self,
        pcrs: &QuotedPcrs,
        expectations: &Expectations<'_>,
        verdict: &mut Verdict,
    ) -> Result<Option<MeasuredLog<'a>>, EvidenceError> {
        if self.event_logs.is_empty() {
            return Ok(None);
        }
        let total: usize = self.event_logs.iter().map(|log| log.len()).sum();
        if total > crate::eventlog::MAX_LOG_BYTES {
            let limit = crate::eventlog::MAX_LOG_BYTES;
            return Err(LogError::TooLong { length: total, limit }.into());
        }
        let logs = self.event_logs.iter().map(|log| EventLog::parse(log));
        let logs = logs.collect::<Result<Vec<_>, _>>()?;
        let events: usize = logs.iter().map(|log| log.events().len()).sum();
        verdict.push(Check::passed(rules::EVENTLOG_STRUCTURE, "a TCG event log", events));
        let logs: Vec<_> = logs.iter().collect();
        let measured = take(MeasuredLog::verify(&logs, pcrs, expectations.allow_sha1), verdict)?;
        verdict.extend(measured.verdict().checks());
        Ok(Some(measured))
    }

    fn ima_log(
        &self,
        pcrs: &QuotedPcrs,
        expectations: &Expectations<'_>,
        verdict: &mut Verdict,
    ) -> Result<Option<MeasuredIma<'a>>, EvidenceError> {
        let Some(bytes) = self.ima_log else { return Ok(None) };
        let log = ImaLog::parse(bytes)?;
        let records = log.unverified_records().len();
        verdict.push(Check::passed(rules::IMA_STRUCTURE, "an IMA log", records));
        let measured = take(MeasuredIma::verify(&log, pcrs, expectations.allow_sha1), verdict)?;
        verdict.extend(measured.verdict().checks());
        Ok(Some(measured))
    }
}

impl<'a> VerifiedEvidence<'a> {
    /// The attestation key.
    #[must_use]
    pub const fn key(&self) -> &AttestationKey {
        &self.key
    }

    /// The quote, with the PCR values it vouches for.
    #[must_use]
    pub const fn quote(&self) -> &VerifiedQuote {
        &self.quote
    }

    /// The events that the PCR values vouch for, if a log was sent.
    #[must_use]
    pub const fn log(&self) -> Option<&MeasuredLog<'a>> {
        self.log.as_ref()
    }

    /// The IMA records that PCR 10 vouches for, if a log was sent.
    #[must_use]
    pub const fn ima(&self) -> Option<&MeasuredIma<'a>> {
        self.ima.as_ref()
    }

    /// What the events say of the boot.
    #[must_use]
    pub const fn boot(&self) -> &BootClaims<'a> {
        &self.claims
    }

    /// Every check made, in order.
    #[must_use]
    pub const fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The claims under their documented names (Azure Attestation documentation, "Claim sets", and the
    /// policies of version 1.2).
    #[must_use]
    pub fn claims(&self) -> Map<String, Value> {
        let mut claims = self.claims.to_json();
        let hash = crypto::sha256(self.key.spki());
        let hash = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, hash);
        claims.insert("aikValidated".to_owned(), json!(self.key.is_certified()));
        claims.insert("aikPubHash".to_owned(), json!(hash));
        claims.insert("tpmVersion".to_owned(), json!(2));
        claims
    }

    /// The value of the claim `events`.
    #[must_use]
    pub fn events_json(&self) -> Value {
        let events = self.log.as_ref().map(MeasuredLog::events).unwrap_or_default();
        events_json(events, self.ima.as_ref().map(MeasuredIma::records).unwrap_or_default())
    }

    /// The value of the claim `pcrs`, with digests as `encode` writes them.
    pub fn pcrs_json(&self, encode: impl Fn(&[u8]) -> String) -> Value {
        let mut list: Vec<(u8, Map<String, Value>)> = Vec::new();
        for (index, value) in self.quote.pcrs().iter() {
            let bank = value.algorithm().name().to_ascii_uppercase();
            let digest = json!(encode(value.as_slice()));
            match list.iter_mut().find(|(found, _)| *found == index) {
                Some((_, digests)) => {
                    digests.insert(bank, digest);
                }
                None => list.push((index, Map::from_iter([(bank, digest)]))),
            }
        }
        list.sort_by_key(|(index, _)| *index);
        let list = list.into_iter().map(|(index, digests)| json!({ "Index": index, "Digests": digests }));
        json!({ "PCRs": list.collect::<Vec<_>>() })
    }
}

/// A key the operator trusts: by the public area the operator knows, else by the one sent, if any.
fn trusted_key(
    trusted: &TrustedKey,
    sent: Option<&PublicArea<'_>>,
) -> Result<AttestationKey, Rejection<VerifyError>> {
    let refused = |error: VerifyError| Rejection::new(error, Verdict::new());
    match (&trusted.area, sent) {
        (Some(known), Some(sent)) if known != sent.bytes() => Err(refused(KeyError::Mismatch.into())),
        (Some(known), _) => {
            let area = PublicArea::parse(known).map_err(|error| refused(error.into()))?;
            AttestationKey::from_trusted_public(&area)
        }
        (None, Some(sent)) => AttestationKey::from_trusted_public(sent),
        (None, None) => AttestationKey::from_trusted_spki(&trusted.spki),
    }
}

/// Adds the checks of a failed stage to `verdict`, without the failed one, which its error gives again.
pub(super) fn take<T, E>(result: Result<T, Rejection<E>>, verdict: &mut Verdict) -> Result<T, E> {
    result.map_err(|rejection| {
        let made = rejection.verdict.checks().split_last().map_or(&[][..], |(_, made)| made);
        verdict.extend(made);
        rejection.error
    })
}

fn pcr_values(selection: &PcrSelection, bytes: &[u8]) -> Result<PcrValues, ParseError> {
    match (PcrValues::for_selection(selection, bytes), selection.banks()) {
        (Ok(values), _) => Ok(values),
        (Err(_), [(bank, _)]) => PcrValues::from_first(*bank, bytes),
        (Err(error), _) => Err(error),
    }
}

fn public_area(bytes: &[u8]) -> Result<PublicArea<'_>, ParseError> {
    PublicArea::parse(bytes).or_else(|error| PublicArea::parse_sized(bytes).map_err(|_| error))
}

/// The key of a DER `SubjectPublicKeyInfo`, or of a PEM text of one.
fn spki_of(bytes: &[u8]) -> Option<crypto::PublicKey> {
    if bytes.first() == Some(&0x30) {
        return spki::parse(bytes);
    }
    let text = std::str::from_utf8(bytes).ok()?.trim();
    let body = text.strip_prefix("-----BEGIN PUBLIC KEY-----")?.strip_suffix("-----END PUBLIC KEY-----")?;
    let body: String = body.split_ascii_whitespace().collect();
    let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).ok()?;
    spki::parse(&der)
}
