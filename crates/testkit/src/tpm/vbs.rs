//! What virtualisation-based security adds: an identity key that the loader measures, and reports that it signs.
//! Minted from the published structures; no capture was at hand.

use super::log::tag;
use super::structures::modulus;
use crate::key::Key;

/// The loader's events about the identity key: `SIPAEVENT_VSM_IDKS_INFO`, and that the enclaves' kernel must run.
#[must_use]
pub fn measured(key: &Key) -> Vec<u8> {
    let modulus = modulus(key);
    let mut info = Vec::new();
    for number in [1_u32, 2048, 3, u32::try_from(modulus.len()).expect("a length")] {
        info.extend(number.to_le_bytes());
    }
    info.extend([1, 0, 1]);
    info.extend(modulus);
    // SIPAEVENT_VBS_VSM_REQUIRED, SIPAEVENT_VBS_MANDATORY_ENFORCEMENT, SIPAEVENT_VSM_IDKS_INFO.
    [tag(0x000a_0001, &[1]), tag(0x000a_0006, &[1]), tag(0x0005_0023, &info)].concat()
}

/// `EnclaveGetAttestationReport` of an enclave that says `data`, signed by `key`.
#[must_use]
pub fn report(key: &Key, data: &[u8; 64]) -> Vec<u8> {
    let mut statement = Vec::new();
    statement.extend(224_u32.to_le_bytes());
    statement.extend(1_u32.to_le_bytes());
    statement.extend(data);
    for (fill, length) in [(1, 32), (2, 32), (3, 32), (4, 16), (5, 16)] {
        statement.extend(vec![fill; length]);
    }
    // Versions of enclave, secure kernel and platform; flags; signing level; type.
    for number in [7_u32, 8, 9, 0, 0, 0x10] {
        statement.extend(number.to_le_bytes());
    }
    let signature = key.sign_pss(&statement);
    let lengths = [statement.len(), signature.len()].map(|length| u32::try_from(length).expect("a length"));
    let mut package = Vec::new();
    for number in [24 + lengths[0] + lengths[1], 1, 1, lengths[0], lengths[1], 0] {
        package.extend(number.to_le_bytes());
    }
    package.extend(statement);
    package.extend(signature);
    package
}
