//! How much a request may hold. Each limit is on decoded bytes unless it says otherwise.

/// Longest SGX quote or Open Enclave report. A quote with its certificate chain has about 5 KiB; the
/// reference clients allocate 20 KiB at most.
pub const MAX_SGX_EVIDENCE_BYTES: usize = 64 * 1024;

/// Longest runtime data. It becomes claims, so it grows the token: the largest in use are key sets of
/// a few KiB.
pub const MAX_RUNTIME_DATA_BYTES: usize = 1024 * 1024;

/// Longest init-time data, for the same reason.
pub const MAX_INIT_TIME_DATA_BYTES: usize = 1024 * 1024;

/// Longest draft policy, in bytes of UTF-8: what the policy language accepts of any policy.
pub const MAX_DRAFT_POLICY_BYTES: usize = 256 * 1024;

/// Longest nonce, in bytes of UTF-8. It is echoed in the token.
pub const MAX_NONCE_BYTES: usize = 4096;

/// Longest request body that the attest operations of SGX can fill: base64 of each of the above is a
/// third longer, and the draft may be escaped. A server refuses longer ones unread, with 413.
pub const MAX_SGX_BODY_BYTES: usize = 5 * 1024 * 1024;
