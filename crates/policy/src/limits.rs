//! Every bound of the language in one place. Each has its own error.

/// The bounds that analysis and evaluation keep.
///
/// [`Limits::DEFAULT`] is what the service runs with; other values serve tests and tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest policy text, in bytes.
    pub text_size_bytes: usize,
    /// Most rules, all sections together.
    pub rules: usize,
    /// Deepest nesting of function calls in one expression.
    pub call_nesting: usize,
    /// Most claims in the incoming set, those added by the policy included.
    pub claims: usize,
    /// Most claims issued to the token.
    pub issued_claims: usize,
    /// Deepest nesting of arrays and objects in JSON that a function reads.
    pub json_nesting: usize,
    /// Deepest nesting of a JMESPath query.
    pub query_nesting: usize,
    /// Most operators, brackets and commas of a JMESPath query.
    pub query_operators: usize,
    /// Largest JMESPath query, in bytes.
    pub query_size_bytes: usize,
    /// Largest text that a function may produce, in bytes.
    pub result_size_bytes: usize,
    /// Steps of one evaluation. A step is about one comparison, one JSON value, or 32 bytes of text.
    pub steps: u64,
}

impl Limits {
    /// The bounds of the service.
    pub const DEFAULT: Self = Self {
        text_size_bytes: MAX_TEXT_SIZE_BYTES,
        rules: MAX_RULES,
        call_nesting: MAX_CALL_NESTING,
        claims: MAX_CLAIMS,
        issued_claims: MAX_ISSUED_CLAIMS,
        json_nesting: MAX_JSON_NESTING,
        query_nesting: MAX_QUERY_NESTING,
        query_operators: MAX_QUERY_OPERATORS,
        query_size_bytes: MAX_QUERY_SIZE_BYTES,
        result_size_bytes: MAX_RESULT_SIZE_BYTES,
        steps: MAX_STEPS,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The longest published policy has 20 KiB; a text this long already has more rules than people write.
pub const MAX_TEXT_SIZE_BYTES: usize = 256 * 1024;

/// Twenty times the cost that 200 rules have, still far below a millisecond for ordinary claims.
pub const MAX_RULES: usize = 4096;

/// Published policies nest three calls; the parser and the evaluator recurse once per level.
pub const MAX_CALL_NESTING: usize = 32;

/// The incoming set of real evidence has below a hundred claims; sets taken from logs have thousands.
pub const MAX_CLAIMS: usize = 65_536;

/// A token is a header of HTTP requests; one with more claims than this is of no use to anybody.
pub const MAX_ISSUED_CLAIMS: usize = 4096;

/// Measured logs nest below ten levels; reading and printing recurse once per level.
pub const MAX_JSON_NESTING: usize = 64;

/// Published queries nest below ten levels; compiling and searching recurse once per level.
pub const MAX_QUERY_NESTING: usize = 64;

/// An allow list of a thousand values fits; the tree of the parser leans left by one level for each.
pub const MAX_QUERY_OPERATORS: usize = 3000;

/// The longest published query has 400 bytes; an allow list of a thousand digests fits.
pub const MAX_QUERY_SIZE_BYTES: usize = 128 * 1024;

/// A measured log of a long-running machine is about 1 MiB of JSON.
pub const MAX_RESULT_SIZE_BYTES: usize = 4 * 1024 * 1024;

/// The default SGX policy takes about 40 steps, a full TPM policy over a real log some ten thousand.
pub const MAX_STEPS: u64 = 1_000_000;

/// Diagnostics collected before analysis gives up; nobody reads more at once.
pub const MAX_DIAGNOSTICS: usize = 50;
