//! TCB status, its convergence, and the verdict on a platform (Intel SGX DCAP quote verification
//! library, `QuoteVerifier` and TCB status converging).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;

/// What Intel says of a TCB level (PCS API v4, `tcbStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TcbStatus {
    /// A setting of the platform leaves it vulnerable.
    ConfigurationNeeded,
    /// A setting of the platform and software hardening are needed.
    ConfigurationAndSwHardeningNeeded,
    /// An update is missing.
    OutOfDate,
    /// An update and a setting are missing.
    OutOfDateConfigurationNeeded,
    /// The level is no longer trustworthy at all. Evidence on it is refused.
    Revoked,
    /// Software inside the enclave must be hardened.
    SwHardeningNeeded,
    /// Nothing is missing.
    UpToDate,
}

impl TcbStatus {
    /// Every status, in the order of severity that people expect.
    pub const ALL: [Self; 7] = [
        Self::UpToDate,
        Self::SwHardeningNeeded,
        Self::ConfigurationNeeded,
        Self::ConfigurationAndSwHardeningNeeded,
        Self::OutOfDate,
        Self::OutOfDateConfigurationNeeded,
        Self::Revoked,
    ];

    /// Intel's spelling, e.g. `SWHardeningNeeded`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConfigurationNeeded => "ConfigurationNeeded",
            Self::ConfigurationAndSwHardeningNeeded => "ConfigurationAndSWHardeningNeeded",
            Self::OutOfDate => "OutOfDate",
            Self::OutOfDateConfigurationNeeded => "OutOfDateConfigurationNeeded",
            Self::Revoked => "Revoked",
            Self::SwHardeningNeeded => "SWHardeningNeeded",
            Self::UpToDate => "UpToDate",
        }
    }

    /// The status of a platform whose quoting enclave (or TDX module) has status `component`: what is
    /// out of date in a component makes the whole out of date, and a needed configuration is kept.
    pub(crate) const fn converge(self, component: Self) -> Self {
        match (self, component) {
            (Self::Revoked, _) | (_, Self::Revoked) => Self::Revoked,
            (Self::UpToDate | Self::SwHardeningNeeded | Self::OutOfDate, Self::OutOfDate) => Self::OutOfDate,
            (_, Self::OutOfDate) => Self::OutOfDateConfigurationNeeded,
            (platform, _) => platform,
        }
    }
}

impl fmt::Display for TcbStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no TCB status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no TCB status; use one of {}", TcbStatus::ALL.map(TcbStatus::as_str).join(", "))]
pub struct UnknownTcbStatus {
    /// The text.
    pub found: String,
}

impl FromStr for TcbStatus {
    type Err = UnknownTcbStatus;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| UnknownTcbStatus { found: text.to_owned() })
    }
}

impl Serialize for TcbStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for TcbStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The TCB level that a component matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TcbComponent {
    /// Its status.
    pub status: TcbStatus,
    /// The date that Intel's evaluation of the level is based on.
    #[serde(with = "time::serde::rfc3339")]
    pub tcb_date: OffsetDateTime,
    /// Intel security advisories that apply to the level, in Intel's order.
    pub advisory_ids: Vec<String>,
}

/// What Intel says of the platform that made a quote. Facts only: whether the status is acceptable is
/// for the provider's baseline and policy; only `Revoked` never gets here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TcbVerdict {
    /// Platform and quoting enclave together.
    pub status: TcbStatus,
    /// The level of the TCB info that the platform matched.
    pub platform: TcbComponent,
    /// The level of the QE identity that the quoting enclave matched.
    pub qe: TcbComponent,
    /// Advisories of the platform's level, then those of the quoting enclave's, none dropped.
    pub advisory_ids: Vec<String>,
    /// The earlier of the two levels' dates.
    #[serde(with = "time::serde::rfc3339")]
    pub tcb_date: OffsetDateTime,
    /// When the older of TCB info and QE identity was issued.
    #[serde(with = "time::serde::rfc3339")]
    pub issued_at: OffsetDateTime,
    /// When the first of the endorsements or their certificates ends being valid.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    /// The lower of the TCB evaluation data numbers of TCB info and QE identity.
    pub evaluation_data_number: u32,
    /// The platform family the TCB info is for, in memory order.
    #[serde(serialize_with = "hexadecimal")]
    pub fmspc: [u8; 6],
}

fn hexadecimal<S: Serializer>(bytes: &[u8; 6], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converges_like_the_reference_library() {
        use TcbStatus::*;
        let table = [
            (UpToDate, OutOfDate),
            (SwHardeningNeeded, OutOfDate),
            (ConfigurationNeeded, OutOfDateConfigurationNeeded),
            (ConfigurationAndSwHardeningNeeded, OutOfDateConfigurationNeeded),
            (OutOfDate, OutOfDate),
            (OutOfDateConfigurationNeeded, OutOfDateConfigurationNeeded),
            (Revoked, Revoked),
        ];
        for (platform, with_out_of_date_component) in table {
            assert_eq!(platform.converge(UpToDate), platform);
            assert_eq!(platform.converge(OutOfDate), with_out_of_date_component);
            assert_eq!(platform.converge(Revoked), Revoked);
        }
    }

    #[test]
    fn reads_intels_spelling_only() {
        for status in TcbStatus::ALL {
            assert_eq!(status.to_string().parse(), Ok(status));
        }
        assert_eq!("uptodate".parse::<TcbStatus>(), Err(UnknownTcbStatus { found: "uptodate".into() }));
        let message = "SwHardeningNeeded".parse::<TcbStatus>().unwrap_err().to_string();
        assert!(message.contains("SWHardeningNeeded"), "{message}");
    }
}
