//! A whole request for attestation by a TPM: quotes, keys and an enclave's report, verified together
//! (Azure Attestation documentation, "Trusted Platform Module and Virtualization-based security enclave
//! attestation protocol").

use crypto::{HashAlgorithm, PublicKey, SignatureScheme};
use time::OffsetDateTime;

use super::algorithm::known_hash;
use super::attest::Attest;
use super::certify::CertifiedKey;
use super::claim_blob::PlatformClaim;
use super::error::{KeyError, ParseError, VerifyError};
use super::evidence::{EvidenceError, KeyTrust, Parts, VerifiedEvidence};
use super::key::AttestationKey;
use super::pcr::{PcrSet, PcrValues};
use super::public::PublicArea;
use super::quote::Expectations;
use super::signature::Signature;
use super::trust::AkCertificate;
use super::vbs::{VbsError, VbsReport, VerifiedVbsReport};
use crate::eventlog::WindowsBoot;
use crate::verdict::{Check, CheckValue, Explain, Rejection, Verdict, rules};

/// A request as it was sent, decoded. Nothing of it is believed.
#[derive(Debug)]
pub struct Attestation<'a> {
    /// The challenge that was issued, as the service knows it.
    pub challenge: &'a [u8],
    /// Evidence of the current boot or resume.
    pub current: Quoted<'a>,
    /// Evidence of the cold boot before a hibernation.
    pub history: Option<Quoted<'a>>,
    /// The key that signed the request.
    pub request_key: Key<'a>,
    /// Further keys.
    pub other_keys: Vec<Key<'a>>,
    /// The report of an enclave, and the text that it covers.
    pub enclave: Option<Enclave<'a>>,
    /// What the request key signed: the JWS header and payload as they were sent, with the dot between.
    pub signing_input: &'a [u8],
    /// Its signature: RSASSA-PSS with SHA-256.
    pub signature: &'a [u8],
}

/// A quote with its key and logs, as it was sent.
#[derive(Debug)]
pub struct Quoted<'a> {
    /// The quote.
    pub quote: QuoteBytes<'a>,
    /// TCG logs, in the order of measurement.
    pub event_logs: Vec<&'a [u8]>,
    /// The IMA log.
    pub ima_log: Option<&'a [u8]>,
    /// The attestation key.
    pub key: &'a PublicKey,
    /// Its certificate, DER.
    pub certificate: Option<&'a [u8]>,
}

/// A quote in one of its two forms.
#[derive(Debug, Clone, Copy)]
pub enum QuoteBytes<'a> {
    /// The platform claim that Windows makes of one.
    PlatformClaim(&'a [u8]),
    /// As the TPM gives it.
    Tpm {
        /// `TPMS_ATTEST`.
        attest: &'a [u8],
        /// `TPMT_SIGNATURE`.
        signature: &'a [u8],
        /// Values: `TPM_ALG_ID` of the bank, index, digest.
        pcrs: &'a [(u16, u8, &'a [u8])],
    },
}

/// A key that is to be attested, as it was sent.
#[derive(Debug)]
pub struct Key<'a> {
    /// The text of its JSON Web Key, byte for byte.
    pub jwk_text: &'a str,
    /// The key in that text.
    pub key: PublicKey,
    /// What binds it.
    pub binding: Binding<'a>,
}

/// What binds a key to the TPM.
#[derive(Debug, Clone, Copy)]
pub enum Binding<'a> {
    /// The TPM certified it.
    Certify {
        /// `TPMT_PUBLIC`.
        public: &'a [u8],
        /// `TPMS_ATTEST`.
        certification: &'a [u8],
        /// `TPMT_SIGNATURE`.
        signature: &'a [u8],
    },
    /// It only signs the request; the first version of the protocol binds it no further. An enclave's
    /// report, if there is one, covers it.
    Possession,
    /// The qualifying data of the current quote cover its text and the challenge.
    Quote,
    /// Nothing: it is carried along.
    Unbound,
}

/// An enclave's report, as it was sent.
#[derive(Debug, Clone, Copy)]
pub struct Enclave<'a> {
    /// What `EnclaveGetAttestationReport` gave.
    pub report: &'a [u8],
    /// The text of `report_signed`, byte for byte.
    pub signed_text: &'a str,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttestationError {
    /// The evidence of the current boot.
    #[error(transparent)]
    Current(Box<EvidenceError>),
    /// The report of the enclave.
    #[error("enclave report: {0}")]
    Enclave(#[from] VbsError),
    /// The enclave's report does not cover the request.
    #[error("the enclave report does not cover the text of `report_signed`")]
    EnclaveData {
        /// SHA-512 of the text.
        expected: Box<[u8; 64]>,
        /// What the enclave said.
        found: Box<[u8; 64]>,
    },
    /// The report of the enclave does not parse.
    #[error("enclave report: {0}")]
    EnclaveParse(ParseError),
    /// The evidence of the boot before.
    #[error("evidence of the boot before hibernation: {0}")]
    History(Box<EvidenceError>),
    /// The quote of the boot before is of another attestation key.
    #[error("the quote of the boot before hibernation is by another attestation key than the current one")]
    HistoryKey,
    /// The quote of the boot before is of another boot: the machine was reset since.
    #[error("the machine was reset between the two quotes ({before} resets, then {after})")]
    HistoryReset {
        /// `resetCount` of the earlier quote.
        before: u32,
        /// `resetCount` of the current one.
        after: u32,
    },
    /// A key that is to be attested.
    #[error("`{key}`: {error}")]
    Key {
        /// `request_key` or `other_keys`.
        key: &'static str,
        /// What is wrong with it.
        error: Box<VerifyError>,
    },
    /// The certified public area holds another key than the JSON Web Key.
    #[error("`{key}`: the certified public area holds another key than `jwk`")]
    KeyMismatch {
        /// `request_key` or `other_keys`.
        key: &'static str,
    },
    /// The request is not signed by the key it carries.
    #[error("the signature of the request does not verify with its `request_key` (RSASSA-PSS, SHA-256)")]
    Proof,
    /// Only the request key can be bound by the quote.
    #[error("a key of `other_keys` says `tpm_quote`; only `request_key` can be bound by the quote")]
    QuoteBoundOther,
    /// With a quote, the request key must be bound to the TPM.
    #[error("`request_key` is not bound to the TPM; send `tpm_quote` or `tpm_certify` in its `info`")]
    Unbound,
}

impl From<EvidenceError> for AttestationError {
    fn from(error: EvidenceError) -> Self {
        Self::Current(Box::new(error))
    }
}

impl Explain for AttestationError {
    fn check(&self) -> Check {
        let key = || Check::failed(rules::TPM_REQUEST_KEY, "a key bound to the TPM", self.to_string());
        match self {
            Self::Current(error) | Self::History(error) => error.check(),
            Self::Enclave(error) => error.check(),
            Self::EnclaveData { expected, found } => {
                Check::failed(rules::VBS_DATA, expected.as_slice(), found.as_slice())
            }
            Self::EnclaveParse(error) => error.check(),
            Self::HistoryKey => Check::failed(rules::TPM_HISTORY, "the same attestation key", "another key"),
            Self::HistoryReset { before, after } => Check::failed(rules::TPM_HISTORY, *before, *after),
            Self::Key { error, .. } => error.check(),
            Self::KeyMismatch { .. } | Self::QuoteBoundOther | Self::Unbound => key(),
            Self::Proof => Check::failed(rules::TPM_REQUEST_PROOF, "valid", "invalid"),
        }
    }
}

/// A request of which everything holds: what a TPM vouches for, with the keys that it does.
///
/// Only [`Attestation::verify`] makes one; this does not compile:
///
/// ```compile_fail,E0451
/// fn forged(rest: evidence::tpm::VerifiedAttestation<'_>) -> evidence::tpm::VerifiedAttestation<'_> {
///     evidence::tpm::VerifiedAttestation { other_keys: Vec::new(), ..rest }
/// }
/// ```
#[derive(Debug)]
pub struct VerifiedAttestation<'a> {
    current: VerifiedEvidence<'a>,
    history: Option<VerifiedEvidence<'a>>,
    request_key: AttestedKey<'a>,
    other_keys: Vec<AttestedKey<'a>>,
    enclave: Option<VerifiedVbsReport<'a>>,
    verdict: Verdict,
}

/// A key of a verified request, with how it is bound.
#[derive(Debug, Clone)]
pub struct AttestedKey<'a> {
    jwk_text: &'a str,
    bound: Bound,
}

/// How a key of a verified request is bound to the TPM.
#[derive(Debug, Clone)]
pub enum Bound {
    /// The TPM certified it.
    Certified(CertifiedKey),
    /// It signed a request whose text an enclave's report covers.
    Enclave,
    /// The quote covers it.
    Quoted,
    /// Not at all: nothing may be said of it but that it was sent.
    Unbound,
}

impl AttestedKey<'_> {
    /// The text of its JSON Web Key, byte for byte.
    #[must_use]
    pub const fn jwk_text(&self) -> &str {
        self.jwk_text
    }

    /// How it is bound.
    #[must_use]
    pub const fn bound(&self) -> &Bound {
        &self.bound
    }
}

impl<'a> Attestation<'a> {
    /// Verifies the request by its attestation key, as [`Quoted::attestation_key`] of the current evidence gives it:
    /// 1. the request key signed it,
    /// 2. the attestation key is the one that the request names,
    /// 3. the current quote covers the challenge, and with it the request key if that is bound so; quote,
    ///    PCR values and logs agree ([`super::Evidence::verify`]),
    /// 4. an earlier quote is by the same key, of the same cold boot, and agrees with its logs,
    /// 5. certified keys are certified by that attestation key for this challenge,
    /// 6. an enclave's report is signed by the key that the boot log measured, and covers the request.
    ///
    /// # Errors
    /// [`AttestationError`], with the checks made up to then.
    pub fn verify(
        &'a self,
        key: AttestationKey,
        required: PcrSet,
    ) -> Result<VerifiedAttestation<'a>, Rejection<AttestationError>> {
        let mut verdict = Verdict::new();
        match self.check(key, required, &mut verdict) {
            Ok(verified) => Ok(VerifiedAttestation { verdict, ..verified }),
            Err(error) => Err(Rejection::new(error, verdict)),
        }
    }

    fn check(
        &'a self,
        key: AttestationKey,
        required: PcrSet,
        verdict: &mut Verdict,
    ) -> Result<VerifiedAttestation<'a>, AttestationError> {
        let scheme = SignatureScheme::RsaPss(HashAlgorithm::Sha256);
        let proof = self.request_key.key.verify(scheme, self.signing_input, self.signature);
        proof.map_err(|_| AttestationError::Proof)?;
        verdict.push(Check::passed(rules::TPM_REQUEST_PROOF, "valid", "valid"));

        if key.public_key() != self.current.key {
            return Err(EvidenceError::from(VerifyError::from(KeyError::Mismatch)).into());
        }
        let nonce = self.nonce()?;
        let current = self.current.verify(key, Some(&nonce), required, verdict)?;
        let history = self.history.as_ref().map(|history| self.check_history(history, &current, required));
        let history = history.transpose()?;
        if let Some(history) = &history {
            let resets = history.quote().clock_info().reset_count;
            verdict.push(Check::passed(rules::TPM_HISTORY, resets, resets));
        }

        let windows = |evidence: &VerifiedEvidence<'a>| evidence.boot().windows.clone();
        let signer = windows(&current).filter(|boot| boot.vsm_signing_key.is_some());
        let signer = signer.or_else(|| history.as_ref().and_then(windows));
        let enclave = self.check_enclave(signer.as_ref(), verdict)?;
        let request_key = self.request_key.attest("request_key", self, &current, enclave.is_some())?;
        let shown = request_key.bound.as_str();
        verdict.push(Check::passed(rules::TPM_REQUEST_KEY, shown, shown));
        let mut other_keys = Vec::with_capacity(self.other_keys.len());
        for other in &self.other_keys {
            if matches!(other.binding, Binding::Quote) {
                return Err(AttestationError::QuoteBoundOther);
            }
            other_keys.push(other.attest("other_keys", self, &current, false)?);
        }
        Ok(VerifiedAttestation {
            current,
            history,
            request_key,
            other_keys,
            enclave,
            verdict: Verdict::new(),
        })
    }

    /// What the qualifying data of the current quote must be.
    fn nonce(&self) -> Result<Vec<u8>, AttestationError> {
        match self.request_key.binding {
            Binding::Quote => {
                let parts = [self.request_key.jwk_text.as_bytes(), &[0], self.challenge];
                Ok(crypto::sha256_of_parts(&parts).to_vec())
            }
            Binding::Certify { .. } | Binding::Possession => Ok(self.challenge.to_vec()),
            Binding::Unbound => Err(AttestationError::Unbound),
        }
    }

    fn check_history(
        &'a self,
        quoted: &'a Quoted<'a>,
        current: &VerifiedEvidence<'a>,
        required: PcrSet,
    ) -> Result<VerifiedEvidence<'a>, AttestationError> {
        if quoted.key != current.key().public_key() {
            return Err(AttestationError::HistoryKey);
        }
        let key = current.key().clone();
        // Its checks are those of the current quote over again.
        let mut aside = Verdict::new();
        let history = quoted.verify(key, None, required, &mut aside);
        let earlier = |error: EvidenceError| AttestationError::History(Box::new(error));
        let history = history.map_err(earlier)?;
        let (before, after) = (history.quote().clock_info(), current.quote().clock_info());
        if before.reset_count != after.reset_count {
            let (before, after) = (before.reset_count, after.reset_count);
            return Err(AttestationError::HistoryReset { before, after });
        }
        after.follows(before).map_err(|error| earlier(error.into()))?;
        Ok(history)
    }

    fn check_enclave(
        &'a self,
        signer: Option<&WindowsBoot>,
        verdict: &mut Verdict,
    ) -> Result<Option<VerifiedVbsReport<'a>>, AttestationError> {
        let Some(enclave) = &self.enclave else { return Ok(None) };
        let report = VbsReport::parse(enclave.report).map_err(AttestationError::EnclaveParse)?;
        let verified = report.verify(signer)?;
        verdict.push(Check::passed(rules::VBS_SIGNATURE, "valid", "valid"));
        let expected = crypto::sha512(enclave.signed_text.as_bytes());
        let found = *verified.enclave_data();
        if expected != found {
            let (expected, found) = (Box::new(expected), Box::new(found));
            return Err(AttestationError::EnclaveData { expected, found });
        }
        verdict.push(Check::passed(rules::VBS_DATA, CheckValue::hex(&expected), CheckValue::hex(&found)));
        Ok(Some(verified))
    }
}

impl<'a> Quoted<'a> {
    /// The attestation key, if somebody vouches for it: its certificate chains to a trusted issuer at `now`, or the
    /// operator trusts it. If that is not required, and nobody does, it is one of which nothing is known.
    ///
    /// # Errors
    /// [`VerifyError`], with the checks made up to then.
    pub fn attestation_key(
        &self,
        trust: &KeyTrust,
        is_required: bool,
        now: OffsetDateTime,
    ) -> Result<AttestationKey, Rejection<VerifyError>> {
        let refused = |error: VerifyError| Rejection::new(error, Verdict::new());
        let certificate = match self.certificate.map(AkCertificate::parse).transpose() {
            Ok(certificate) => certificate,
            Err(_) if !is_required => None,
            Err(error) => return Err(refused(error.into())),
        };
        if certificate.as_ref().is_some_and(|certificate| certificate.public_key() != self.key) {
            return Err(refused(KeyError::Mismatch.into()));
        }
        match trust.resolve(Some(self.key), certificate.as_ref(), None, now) {
            Err(_) if !is_required => {
                AttestationKey::danger_unendorsed(self.key).map_err(|error| refused(error.into()))
            }
            resolved => resolved,
        }
    }

    /// Verifies the quote and its logs; without a nonce as history, which carries none.
    fn verify(
        &'a self,
        key: AttestationKey,
        nonce: Option<&[u8]>,
        required: PcrSet,
        verdict: &mut Verdict,
    ) -> Result<VerifiedEvidence<'a>, EvidenceError> {
        let mut event_logs = self.event_logs.clone();
        let (attest, signature, values) = match self.quote {
            QuoteBytes::PlatformClaim(bytes) => {
                let claim = PlatformClaim::parse(bytes)?;
                let attest = Attest::parse(claim.quote)?;
                let values = attest.unverified_selection().map(|selection| claim.pcr_values(selection));
                let values = values.transpose()?.unwrap_or_default();
                if event_logs.is_empty() && !claim.log.is_empty() {
                    event_logs.push(claim.log);
                }
                (attest, Signature::RawRsa(claim.signature), values)
            }
            QuoteBytes::Tpm { attest, signature, pcrs } => {
                let mut values = PcrValues::new();
                for (bank, index, digest) in pcrs {
                    values.insert(known_hash("pcrs.algorithm", *bank)?, *index, digest)?;
                }
                (Attest::parse(attest)?, Signature::parse(signature)?, values)
            }
        };
        let nonce = nonce.unwrap_or(attest.extra_data);
        let expectations = Expectations { nonce, required, allow_sha1: false };
        Parts { attest, signature, values, event_logs: &event_logs, ima_log: self.ima_log }.verify_by(
            key,
            &expectations,
            verdict,
        )
    }
}

impl<'a> Key<'a> {
    fn attest(
        &'a self,
        which: &'static str,
        request: &Attestation<'_>,
        current: &VerifiedEvidence<'_>,
        covered_by_enclave: bool,
    ) -> Result<AttestedKey<'a>, AttestationError> {
        let bound = match self.binding {
            Binding::Certify { public, certification, signature } => {
                let certified = certified_key(public, certification, signature, request, current)
                    .map_err(|error| AttestationError::Key { key: which, error: Box::new(error) })?;
                if *certified.public_key() != self.key {
                    return Err(AttestationError::KeyMismatch { key: which });
                }
                Bound::Certified(certified)
            }
            Binding::Possession if covered_by_enclave => Bound::Enclave,
            Binding::Possession | Binding::Unbound => Bound::Unbound,
            Binding::Quote => Bound::Quoted,
        };
        Ok(AttestedKey { jwk_text: self.jwk_text, bound })
    }
}

fn certified_key(
    public: &[u8],
    certification: &[u8],
    signature: &[u8],
    request: &Attestation<'_>,
    current: &VerifiedEvidence<'_>,
) -> Result<CertifiedKey, VerifyError> {
    let area = PublicArea::parse(public)?;
    let certification = Attest::parse(certification)?;
    let signature = Signature::parse(signature)?;
    certification.verify_certified_key(&area, &signature, current.key(), request.challenge)
}

impl Bound {
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Certified(_) => "certified by the TPM",
            Self::Enclave => "covered by the enclave report",
            Self::Quoted => "covered by the quote",
            Self::Unbound => "shown to be held, and not bound to the TPM",
        }
    }
}

impl<'a> VerifiedAttestation<'a> {
    /// Evidence of the current boot or resume.
    #[must_use]
    pub const fn current(&self) -> &VerifiedEvidence<'a> {
        &self.current
    }

    /// Evidence of the cold boot before a hibernation.
    #[must_use]
    pub const fn history(&self) -> Option<&VerifiedEvidence<'a>> {
        self.history.as_ref()
    }

    /// The key that signed the request.
    #[must_use]
    pub const fn request_key(&self) -> &AttestedKey<'a> {
        &self.request_key
    }

    /// Further keys.
    #[must_use]
    pub fn other_keys(&self) -> &[AttestedKey<'a>] {
        &self.other_keys
    }

    /// The report of an enclave.
    #[must_use]
    pub const fn enclave(&self) -> Option<&VerifiedVbsReport<'a>> {
        self.enclave.as_ref()
    }

    /// Every check made, in order.
    #[must_use]
    pub const fn verdict(&self) -> &Verdict {
        &self.verdict
    }
}
