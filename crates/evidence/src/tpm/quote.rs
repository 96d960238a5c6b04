//! Verification of quotes (TPM 2.0 Library Part 3, 18.4 TPM2_Quote).

use crypto::{Digest, HashAlgorithm, SignatureScheme};

use super::attest::{Attest, Attested, ClockInfo};
use super::error::{KeyError, VerifyError};
use super::key::AttestationKey;
use super::pcr::{PcrSelection, PcrSet, PcrValues};
use super::signature::Signature;
use crate::verdict::{Check, Rejection, Verdict, rules};

/// What a quote must show.
#[derive(Debug, Clone, Copy)]
pub struct Expectations<'a> {
    /// The nonce that was issued: the qualifying data, exactly.
    pub nonce: &'a [u8],
    /// The PCRs that the quote must cover.
    pub required: PcrSet,
    /// Whether SHA-1 banks count as covered. Their collisions can be computed.
    pub allow_sha1: bool,
}

/// A quote that an attestation key signed, with the PCR values it is about.
#[derive(Debug, Clone)]
pub struct VerifiedQuote {
    pcrs: QuotedPcrs,
    clock_info: ClockInfo,
    firmware_version: u64,
    scheme: SignatureScheme,
    verdict: Verdict,
}

impl VerifiedQuote {
    /// The PCR values that the TPM vouches for.
    #[must_use]
    pub const fn pcrs(&self) -> &QuotedPcrs {
        &self.pcrs
    }

    /// Clock and counters at the time of the quote.
    #[must_use]
    pub const fn clock_info(&self) -> &ClockInfo {
        &self.clock_info
    }

    /// Vendor specific.
    #[must_use]
    pub const fn firmware_version(&self) -> u64 {
        self.firmware_version
    }

    /// How the quote was signed.
    #[must_use]
    pub const fn scheme(&self) -> SignatureScheme {
        self.scheme
    }

    /// The checks made on key and quote.
    #[must_use]
    pub const fn verdict(&self) -> &Verdict {
        &self.verdict
    }
}

/// PCR values that a TPM vouches for: each is covered by the selection of a quote, whose digest over
/// exactly these values was signed.
///
/// Only [`Attest::verify_quote`] makes one; this does not compile:
///
/// ```compile_fail,E0451
/// let forged = evidence::tpm::QuotedPcrs { values: evidence::tpm::PcrValues::new() };
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotedPcrs {
    values: PcrValues,
}

impl QuotedPcrs {
    /// The value of one PCR, if the quote covers it.
    #[must_use]
    pub fn get(&self, bank: HashAlgorithm, index: u8) -> Option<&Digest> {
        self.values.get(bank, index)
    }

    /// The PCRs covered in one bank.
    #[must_use]
    pub fn bank(&self, bank: HashAlgorithm) -> PcrSet {
        self.values
            .iter()
            .filter(|(_, value)| value.algorithm() == bank)
            .fold(PcrSet::default(), |set, (index, _)| set.with(index))
    }

    /// The banks covered, strongest first.
    #[must_use]
    pub fn banks(&self) -> Vec<HashAlgorithm> {
        HashAlgorithm::ALL.into_iter().rev().filter(|bank| !self.bank(*bank).is_empty()).collect()
    }

    /// Every value with its PCR, in the order of the quote.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &Digest)> {
        self.values.iter()
    }
}

impl Attest<'_> {
    /// The PCRs that this quote says it covers; `None` if it is no quote.
    #[must_use]
    pub const fn unverified_selection(&self) -> Option<&PcrSelection> {
        match &self.attested {
            Attested::Quote { selection, .. } => Some(selection),
            _ => None,
        }
    }

    /// Verifies a quote:
    /// 1. it is a quote,
    /// 2. `key` signed it, with the scheme fixed in the key, and with SHA-256 or stronger,
    /// 3. the qualifying data are the nonce, exactly,
    /// 4. it covers the PCRs required, in a bank that counts,
    /// 5. `supplied` has a value for every PCR covered, and for no other,
    /// 6. the digest over those values, in the order of the selection and with the hash function of the
    ///    signature, is the one signed.
    ///
    /// # Errors
    /// [`VerifyError`], with the checks made up to then.
    pub fn verify_quote(
        &self,
        signature: &Signature<'_>,
        supplied: &PcrValues,
        key: &AttestationKey,
        expectations: &Expectations<'_>,
    ) -> Result<VerifiedQuote, Rejection<VerifyError>> {
        let mut verdict = Verdict::with_capacity(MOST_CHECKS);
        verdict.extend(key.verdict().checks());
        match self.check_quote(signature, supplied, key, expectations, &mut verdict) {
            Ok((scheme, pcrs)) => Ok(VerifiedQuote {
                pcrs,
                clock_info: self.clock_info,
                firmware_version: self.firmware_version,
                scheme,
                verdict,
            }),
            Err(error) => Err(Rejection::new(error, verdict)),
        }
    }

    fn check_quote(
        &self,
        signature: &Signature<'_>,
        supplied: &PcrValues,
        key: &AttestationKey,
        expectations: &Expectations<'_>,
        verdict: &mut Verdict,
    ) -> Result<(SignatureScheme, QuotedPcrs), VerifyError> {
        let Attested::Quote { selection, pcr_digest } = &self.attested else {
            return Err(VerifyError::Type { expected: "quote", found: self.attested.type_name() });
        };
        verdict.push(Check::passed(rules::TPM_QUOTE_TYPE, "quote", "quote"));
        let scheme = self.check_signature(signature, key, "quote")?;
        verdict.push(Check::passed(rules::TPM_QUOTE_SIGNATURE, "valid", "valid"));
        self.check_nonce(expectations.nonce)?;
        verdict.push(Check::passed(rules::TPM_QUOTE_NONCE, expectations.nonce, self.extra_data));
        check_coverage(selection, expectations)?;
        let covered = selection.covered(expectations.allow_sha1).iter();
        let covered = covered.map(|index| u16::from(index).into()).collect();
        verdict.push(Check::passed(
            rules::TPM_QUOTE_COVERAGE,
            "every required PCR",
            crate::verdict::CheckValue::List(covered),
        ));
        let pcrs = check_values(selection, supplied, pcr_digest, hash_of(scheme), verdict)?;
        // Unsafe only says that the clock may have been ahead before the TPM lost power.
        verdict.push(Check::noted(rules::TPM_QUOTE_CLOCK, self.clock_info.safe));
        Ok((scheme, pcrs))
    }

    /// The scheme with which `key` signed these bytes.
    pub(crate) fn check_signature(
        &self,
        signature: &Signature<'_>,
        key: &AttestationKey,
        what: &'static str,
    ) -> Result<SignatureScheme, VerifyError> {
        let scheme = match (key.scheme(), signature.scheme()) {
            (Some(fixed), Some(found)) if fixed != found => return Err(VerifyError::SignatureScheme),
            (Some(fixed), _) => fixed,
            (None, Some(found)) => found,
            // Windows and Azure send signatures of RSASSA keys with SHA-256 without saying so.
            (None, None) => SignatureScheme::RsaPkcs1(HashAlgorithm::Sha256),
        };
        if hash_of(scheme) == HashAlgorithm::Sha1 {
            let found = HashAlgorithm::Sha1;
            return Err(KeyError::WeakHash { what: "signing scheme", found }.into());
        }
        if signature.verifies(key.public_key(), scheme, self.signed) {
            return Ok(scheme);
        }
        Err(VerifyError::Signature { what })
    }

    pub(crate) fn check_nonce(&self, nonce: &[u8]) -> Result<(), VerifyError> {
        if self.extra_data == nonce {
            return Ok(());
        }
        Err(VerifyError::Nonce { expected: nonce.to_vec(), found: self.extra_data.to_vec() })
    }
}

fn check_coverage(selection: &PcrSelection, expectations: &Expectations<'_>) -> Result<(), VerifyError> {
    if selection.is_empty() {
        return Err(VerifyError::EmptySelection);
    }
    let missing = expectations.required.without(selection.covered(expectations.allow_sha1));
    if missing.is_empty() {
        return Ok(());
    }
    Err(VerifyError::NotCovered { missing: missing.iter().collect() })
}

fn check_values(
    selection: &PcrSelection,
    supplied: &PcrValues,
    pcr_digest: &[u8],
    hash: HashAlgorithm,
    verdict: &mut Verdict,
) -> Result<QuotedPcrs, VerifyError> {
    for (index, value) in supplied.iter() {
        let bank = value.algorithm();
        if !selection.bank(bank).contains(index) {
            return Err(VerifyError::NotQuoted { bank, index });
        }
    }
    let mut values = Vec::new();
    for (bank, index) in selection.iter() {
        let value = supplied.get(bank, index).ok_or(VerifyError::PcrMissing { bank, index })?;
        values.push(value.as_slice());
    }
    verdict.push(Check::passed(rules::TPM_QUOTE_SELECTION, values.len(), values.len()));
    let expected = hash.digest(&values);
    if expected.as_slice() != pcr_digest {
        let expected = expected.as_slice().to_vec();
        return Err(VerifyError::PcrDigest { expected, found: pcr_digest.to_vec() });
    }
    verdict.push(Check::passed(rules::TPM_QUOTE_PCR_DIGEST, pcr_digest, expected.as_slice()));
    Ok(QuotedPcrs { values: supplied.clone() })
}

pub(crate) const fn hash_of(scheme: SignatureScheme) -> HashAlgorithm {
    match scheme {
        SignatureScheme::Ecdsa(hash) | SignatureScheme::RsaPkcs1(hash) | SignatureScheme::RsaPss(hash) => {
            hash
        }
    }
}

/// Room for all checks, so that the verdict is allocated once.
const MOST_CHECKS: usize = 32;
