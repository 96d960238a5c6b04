//! Path prefixes: an endpoint may be `https://host/team1`, and clients append `/attest/...` to it.

/// First path segments that are routes, of this service, of the contract, or of the control plane of
/// the same contract; none can be a provider's prefix.
pub const RESERVED_PREFIXES: [&str; 21] = [
    ".well-known",
    "api",
    "assets",
    "attest",
    "certificates",
    "certs",
    "console",
    "docs",
    "health",
    "healthz",
    "livez",
    "metadata",
    "metrics",
    "operations",
    "policies",
    "providers",
    "readyz",
    "servicehealth",
    "subscriptions",
    "tcbbaselines",
    "tpm",
];

/// Longest prefix, in bytes.
pub const MAX_PREFIX_BYTES: usize = 64;

/// Why a text cannot be a provider's path prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// It has a character other than those allowed, or begins or ends with `-`.
    #[error(
        "the path prefix `{found}` must be lower-case letters, digits and inner `-`, 1 to {MAX_PREFIX_BYTES} of them"
    )]
    Form {
        /// The text, shortened.
        found: String,
    },
    /// It is a word of the contract.
    #[error("the path prefix `{found}` is a route of the service: choose another word")]
    Reserved {
        /// The word.
        found: &'static str,
    },
}

/// Takes one path segment as a provider's prefix.
///
/// # Errors
/// [`PrefixError`].
pub fn parse_prefix(segment: &str) -> Result<&str, PrefixError> {
    if let Some(found) = reserved(segment) {
        return Err(PrefixError::Reserved { found });
    }
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let formed = (1..=MAX_PREFIX_BYTES).contains(&segment.len())
        && segment.bytes().all(allowed)
        && !segment.starts_with('-')
        && !segment.ends_with('-');
    if !formed {
        return Err(PrefixError::Form { found: segment.chars().take(MAX_PREFIX_BYTES).collect() });
    }
    Ok(segment)
}

/// The reserved word that `segment` is, whatever its case (paths match without regard to case), also
/// with one of the contract's verbs after a colon (`certificates:add`).
#[must_use]
pub fn reserved(segment: &str) -> Option<&'static str> {
    let word = segment.split(':').next().unwrap_or_default();
    RESERVED_PREFIXES.into_iter().find(|reserved| reserved.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_contract_are_no_prefixes() {
        for word in RESERVED_PREFIXES {
            assert_eq!(parse_prefix(word), Err(PrefixError::Reserved { found: word }));
            assert_eq!(reserved(&word.to_uppercase()), Some(word));
        }
        assert_eq!(reserved("certificates:add"), Some("certificates"));
        assert_eq!(reserved("team1"), None);
        assert!(RESERVED_PREFIXES.is_sorted());
    }

    #[test]
    fn other_segments_have_a_plain_form() {
        assert_eq!(parse_prefix("team1"), Ok("team1"));
        assert_eq!(parse_prefix(&"a".repeat(64)), Ok("a".repeat(64).as_str()));
        for other in ["", "Team1", "a/b", "..", "a.b", "a%20", "-a", "a-", "ä", &"a".repeat(65)] {
            assert!(matches!(parse_prefix(other), Err(PrefixError::Form { .. })), "{other}");
        }
    }
}
