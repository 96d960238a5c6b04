//! Open Enclave wrappers around a quote (Open Enclave SDK, `internal/report.h` and
//! `attestation/sgx/evidence.h`), integers in little-endian.

/// `oe_report_header_t`: version 1, type 2 (remote), size, then the quote.
#[must_use]
pub fn report(quote: &[u8]) -> Vec<u8> {
    report_with(1, 2, size(quote), quote)
}

/// An `oe_report_header_t` with any values.
#[must_use]
pub fn report_with(version: u32, kind: u32, declared_size: u64, quote: &[u8]) -> Vec<u8> {
    [&version.to_le_bytes()[..], &kind.to_le_bytes(), &declared_size.to_le_bytes(), quote].concat()
}

/// Format id of SGX ECDSA evidence: a quote followed by the custom claims.
pub const SGX_ECDSA: [u8; 16] =
    [0xa3, 0xa2, 0x1e, 0x87, 0x1b, 0x4d, 0x40, 0x14, 0xb7, 0x0a, 0xa1, 0x25, 0xd2, 0xfb, 0xcd, 0x8c];
/// Format id of a legacy report.
pub const LEGACY_REPORT: [u8; 16] =
    [0xc8, 0x30, 0x34, 0x54, 0xd9, 0x23, 0x4c, 0x2c, 0xa6, 0x91, 0xdf, 0x7d, 0xef, 0x46, 0x0a, 0x76];
/// Format id of a raw quote.
pub const RAW_QUOTE: [u8; 16] =
    [0x19, 0x23, 0xd9, 0x1e, 0x12, 0xd2, 0x4c, 0x72, 0xb2, 0x20, 0x25, 0xcd, 0x8d, 0xac, 0xe8, 0x71];

/// `oe_attestation_header_t`: version, format id, size, then the data.
#[must_use]
pub fn evidence(version: u32, format: [u8; 16], data: &[u8]) -> Vec<u8> {
    evidence_with(version, format, size(data), data)
}

/// An `oe_attestation_header_t` with any declared size.
#[must_use]
pub fn evidence_with(version: u32, format: [u8; 16], declared_size: u64, data: &[u8]) -> Vec<u8> {
    [&version.to_le_bytes()[..], &format, &declared_size.to_le_bytes(), data].concat()
}

fn size(data: &[u8]) -> u64 {
    u64::try_from(data.len()).expect("64 bits hold a length")
}
