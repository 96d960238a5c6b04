//! The versions of the HTTP contract, named by the query parameter `api-version`.

/// A version of the contract. Every operation works under every version from `2020-10-01` on, as it
/// does in the real service; `2018-09-01-preview` has shapes of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ApiVersion {
    /// `2018-09-01-preview`: `Quote` and `EnclaveHeldData`, a bare string as answer, and the caller's
    /// access token required together with the evidence.
    V2018_09_01Preview,
    /// `2020-10-01`, what the published SDKs send.
    V2020_10_01,
    /// `2022-08-01`.
    V2022_08_01,
    /// `2022-09-01-preview`.
    V2022_09_01Preview,
    /// `2023-04-01-preview`, never published as a contract, but sent by confidential VM tools.
    V2023_04_01Preview,
    /// `2025-06-01`.
    V2025_06_01,
    /// `2026-03-11-preview`.
    V2026_03_11Preview,
}

/// Why a request names no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiVersionError {
    /// The query has no `api-version`.
    #[error("the query parameter `api-version` is missing: add `?api-version=2020-10-01` to the URL")]
    Missing,
    /// The query has `api-version` more than once.
    #[error("the query parameter `api-version` stands more than once: send it once")]
    Repeated,
    /// It names a version that does not exist.
    #[error("the api-version `{found}` is not supported; supported are {}", ApiVersion::list())]
    Unknown {
        /// What it names, shortened.
        found: String,
    },
}

impl ApiVersion {
    /// All versions, oldest first.
    pub const ALL: [Self; 7] = [
        Self::V2018_09_01Preview,
        Self::V2020_10_01,
        Self::V2022_08_01,
        Self::V2022_09_01Preview,
        Self::V2023_04_01Preview,
        Self::V2025_06_01,
        Self::V2026_03_11Preview,
    ];

    /// The version's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2018_09_01Preview => "2018-09-01-preview",
            Self::V2020_10_01 => "2020-10-01",
            Self::V2022_08_01 => "2022-08-01",
            Self::V2022_09_01Preview => "2022-09-01-preview",
            Self::V2023_04_01Preview => "2023-04-01-preview",
            Self::V2025_06_01 => "2025-06-01",
            Self::V2026_03_11Preview => "2026-03-11-preview",
        }
    }

    /// Finds `api-version` in the query part of a URL (without `?`). The parameter's name and its
    /// value match without regard to case; other parameters are not looked at.
    ///
    /// # Errors
    /// [`ApiVersionError`].
    pub fn from_query(query: Option<&str>) -> Result<Self, ApiVersionError> {
        let mut found = None;
        for parameter in query.unwrap_or_default().split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if percent_decoded(name).eq_ignore_ascii_case("api-version")
                && found.replace(percent_decoded(value)).is_some()
            {
                return Err(ApiVersionError::Repeated);
            }
        }
        found.filter(|value| !value.is_empty()).ok_or(ApiVersionError::Missing)?.parse()
    }

    /// Whether the caller's access token must come with the evidence.
    #[must_use]
    pub fn requires_access_token_to_attest(self) -> bool {
        self == Self::V2018_09_01Preview
    }

    fn list() -> String {
        Self::ALL.map(|version| format!("`{version}`")).join(", ")
    }
}

impl std::str::FromStr for ApiVersion {
    type Err = ApiVersionError;

    fn from_str(name: &str) -> Result<Self, ApiVersionError> {
        let version = Self::ALL.into_iter().find(|version| version.as_str().eq_ignore_ascii_case(name));
        version.ok_or_else(|| ApiVersionError::Unknown { found: name.chars().take(32).collect() })
    }
}

impl std::fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Decodes `%XX` (RFC 3986 §2.1). What is not a valid escape stays, and then matches no name.
fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        let escaped = match (byte, digit(ahead.next()), digit(ahead.next())) {
            (b'%', Some(high), Some(low)) => u8::try_from(high.saturating_mul(16).saturating_add(low)).ok(),
            _ => None,
        };
        if escaped.is_some() {
            bytes = ahead;
        }
        out.push(escaped.unwrap_or(byte));
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_is_found_whatever_the_case() {
        for version in ApiVersion::ALL {
            for query in [
                format!("api-version={version}"),
                format!("API-Version={}", version.as_str().to_uppercase()),
                format!("x=1&api-version={version}&y"),
                format!("api%2Dversion={}", version.as_str().replace('-', "%2d")),
            ] {
                assert_eq!(ApiVersion::from_query(Some(&query)), Ok(version), "{query}");
            }
        }
    }

    #[test]
    fn a_missing_version_says_what_to_add() {
        for query in [
            None,
            Some(""),
            Some("x=1"),
            Some("api-version="),
            Some("api-version"),
            Some("version=2020-10-01"),
        ] {
            assert_eq!(ApiVersion::from_query(query), Err(ApiVersionError::Missing), "{query:?}");
        }
        assert!(ApiVersionError::Missing.to_string().contains("?api-version=2020-10-01"));
    }

    #[test]
    fn an_unknown_version_is_told_the_known_ones() {
        let error = ApiVersion::from_query(Some("api-version=2019-01-01")).unwrap_err();
        assert_eq!(error, ApiVersionError::Unknown { found: "2019-01-01".into() });
        assert!(error.to_string().contains("`2018-09-01-preview`, `2020-10-01`"));
        let long = format!("api-version={}", "9".repeat(10_000));
        assert!(ApiVersion::from_query(Some(&long)).unwrap_err().to_string().len() < 300);
        for value in ["2020-10-01 ", "2020-10-01%00", "%zz", "2020-10-01-preview"] {
            let query = format!("api-version={value}");
            assert!(
                matches!(ApiVersion::from_query(Some(&query)), Err(ApiVersionError::Unknown { .. })),
                "{query}"
            );
        }
    }

    #[test]
    fn a_repeated_version_is_refused() {
        let query = Some("api-version=2020-10-01&Api-Version=2022-08-01");
        assert_eq!(ApiVersion::from_query(query), Err(ApiVersionError::Repeated));
    }
}
