//! TPM 2.0 structures (Library Part 2), big-endian.

use crate::key::Key;

/// `TPMA_OBJECT` of an attestation key: fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted, sign.
pub const RESTRICTED_SIGNING: u32 = 0x0005_0072;
/// The same without restricted: it signs whatever it is given.
pub const UNRESTRICTED_SIGNING: u32 = 0x0004_0072;

/// The modulus of an RSA key with 2048 bits.
///
/// # Panics
/// For another key.
#[must_use]
pub fn modulus(key: &Key) -> Vec<u8> {
    key.public().rsa_numbers().expect("an RSA key").0.to_vec()
}

/// `TPMT_PUBLIC` of an RSA key with SHA-256 as name algorithm, RSASSA with SHA-256.
#[must_use]
pub fn rsa_public(key: &Key, attributes: u32) -> Vec<u8> {
    let mut area = vec![0, 1, 0, 0x0b];
    area.extend(attributes.to_be_bytes());
    // No policy, no symmetric algorithm, RSASSA with SHA-256, 2048 bits, the usual exponent.
    area.extend([0, 0, 0, 0x10, 0, 0x14, 0, 0x0b, 8, 0, 0, 0, 0, 0]);
    area.extend(sized(&modulus(key)));
    area
}

/// A name: its algorithm SHA-256, and the digest of the public area.
#[must_use]
pub fn name(public: &[u8]) -> Vec<u8> {
    [&[0, 0x0b][..], &crypto::sha256(public)].concat()
}

/// `TPMT_SIGNATURE` by an RSA key: RSASSA with SHA-256.
#[must_use]
pub fn rsassa(key: &Key, message: &[u8]) -> Vec<u8> {
    [&[0, 0x14, 0, 0x0b][..], &sized(&key.sign_pkcs1(message))].concat()
}

/// `resetCount` and `restartCount`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// How often the TPM was reset.
    pub reset: u32,
    /// How often it was resumed since.
    pub restart: u32,
    /// Milliseconds.
    pub clock: u64,
}

/// `TPMS_ATTEST` of a quote of PCRs of the SHA-256 bank.
#[must_use]
pub fn quote(nonce: &[u8], pcrs: &[u8], digest: &[u8; 32], counters: Counters) -> Vec<u8> {
    let mut selection = [0_u8; 3];
    for pcr in pcrs {
        selection[usize::from(pcr / 8)] |= 1 << (pcr % 8);
    }
    let mut attested = vec![0, 0, 0, 1, 0, 0x0b, 3];
    attested.extend(selection);
    attested.extend(sized(digest));
    attest(0x8018, nonce, counters, &attested)
}

/// `TPMS_ATTEST` of a certification of the object with this public area.
#[must_use]
pub fn certify(nonce: &[u8], public: &[u8], counters: Counters) -> Vec<u8> {
    let name = sized(&name(public));
    attest(0x8017, nonce, counters, &[name.clone(), name].concat())
}

fn attest(tag: u16, nonce: &[u8], counters: Counters, attested: &[u8]) -> Vec<u8> {
    let mut bytes = b"\xffTCG".to_vec();
    bytes.extend(tag.to_be_bytes());
    bytes.extend(sized(&[0, 0x0b]));
    bytes.extend(sized(nonce));
    bytes.extend(counters.clock.to_be_bytes());
    bytes.extend(counters.reset.to_be_bytes());
    bytes.extend(counters.restart.to_be_bytes());
    bytes.push(1);
    bytes.extend([0; 8]);
    bytes.extend(attested);
    bytes
}

/// A `TPM2B`.
///
/// # Panics
/// If it is too long for one.
#[must_use]
pub fn sized(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("a TPM2B");
    [&length.to_be_bytes()[..], bytes].concat()
}
