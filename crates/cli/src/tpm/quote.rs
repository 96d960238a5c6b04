//! A quote with the PCR values it covers. Both are read one after the other, so what is measured in between makes
//! them differ; then they are read again.

use crypto::HashAlgorithm;
use evidence::tpm::{Attest, Attested, PcrSet};

use super::attestation_key::AttestationKey;
use super::commands::Tpm;
use super::error::TpmError;
use crate::failure::Failure;

/// A quote, and values that give its digest.
pub(crate) struct Quoted {
    /// `TPMS_ATTEST`.
    pub(crate) attest: Vec<u8>,
    /// `TPMT_SIGNATURE`.
    pub(crate) signature: Vec<u8>,
    pub(crate) bank: HashAlgorithm,
    /// PCRs with their values, ascending.
    pub(crate) pcrs: Values,
}

pub(super) type Values = Vec<(u8, Vec<u8>)>;

/// Quotes `pcrs` of `bank` over `nonce`.
pub(crate) fn quote(
    tpm: &mut Tpm,
    key: &AttestationKey,
    bank: HashAlgorithm,
    pcrs: PcrSet,
    nonce: &[u8],
) -> Result<Quoted, Failure> {
    for _ in 0..ATTEMPTS {
        let Some(values) = read(tpm, bank, pcrs)? else { continue };
        let (attest, signature) = tpm.quote(key.handle, nonce, bank, pcrs)?;
        if pcr_digest(&attest)? == digest(&values) {
            return Ok(Quoted { attest, signature, bank, pcrs: values });
        }
    }
    Err(Failure::failed(format!("the PCRs changed during each of {ATTEMPTS} attempts to quote them"))
        .hint("something measures all the time; leave its PCR out with `--pcrs`, IMA's is 10"))
}

/// All the values, or nothing if one changed meanwhile.
pub(super) fn read(tpm: &mut Tpm, bank: HashAlgorithm, pcrs: PcrSet) -> Result<Option<Values>, Failure> {
    let (mut found, mut missing, mut first) = (Vec::new(), pcrs, None);
    while !missing.is_empty() {
        let (counter, read, values) = tpm.pcr_read(bank, missing)?;
        if read.is_empty() {
            let pcr = missing.iter().next().unwrap_or_default();
            return Err(Failure::failed(format!("the TPM has no PCR {pcr} in its {bank} bank"))
                .hint("the firmware's settings say which banks are active; choose one with `--bank`"));
        }
        if *first.get_or_insert(counter) != counter {
            return Ok(None);
        }
        found.extend(read.iter().zip(values));
        missing = missing.without(read);
    }
    found.sort_by_key(|(index, _)| *index);
    Ok(Some(found))
}

/// Part 1, 17.6.1 (TPM2_Quote): over the values in ascending order, with the hash of the key's scheme.
fn digest(values: &[(u8, Vec<u8>)]) -> [u8; 32] {
    let values: Vec<&[u8]> = values.iter().map(|(_, value)| value.as_slice()).collect();
    crypto::sha256_of_parts(&values)
}

fn pcr_digest(attest: &[u8]) -> Result<Vec<u8>, TpmError> {
    let wrong = |reason: String| TpmError::Answer { command: "TPM2_Quote", reason };
    match Attest::parse(attest).map_err(|error| wrong(error.to_string()))?.attested {
        Attested::Quote { pcr_digest, .. } => Ok(pcr_digest.to_vec()),
        other => Err(wrong(format!("it is a {}", other.type_name()))),
    }
}

/// Between two measurements of a busy machine there are some milliseconds.
const ATTEMPTS: u32 = 8;
