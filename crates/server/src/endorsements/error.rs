//! Why there are no endorsements for a platform. The vendor's service or our operator must act.

use std::time::Duration;

use evidence::dcap::{EndorsementError, EndorsementsId};

use super::pcs::FetchError;
use crate::store::StoreError;

/// No endorsements can be used for a platform now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndorsementsUnavailable {
    /// The task that loaded them ended early: a mistake of ours.
    #[error("the endorsements could not be loaded")]
    Abandoned,
    /// Nothing is kept for the platform, and there is no service to ask.
    #[error(
        "no endorsements for {id} are at hand ({missing}), and no provisioning certification service is configured"
    )]
    Missing {
        /// The platform.
        id: EndorsementsId,
        /// What was looked for and not found, or found too old.
        missing: String,
    },
    /// What is kept cannot be used, and the service could not be asked.
    #[error("{error}{}", kept.as_ref().map(|kept| format!("; what was kept cannot be used: {kept}")).unwrap_or_default())]
    Outage {
        /// How the service failed.
        error: FetchError,
        /// What is wrong with what was kept, with its item and date; none if nothing was.
        kept: Option<String>,
        /// When asking again makes sense.
        retry_after: Duration,
    },
    /// The source gave older data than were seen before.
    #[error(
        "{item} from {origin} has number {found}, and {highest} was seen before: older endorsements are refused; \
         provide endorsements as new as those seen"
    )]
    RolledBack {
        /// The item, as it is kept.
        item: String,
        /// Where it came from.
        origin: String,
        /// Its number.
        found: u64,
        /// The highest number seen.
        highest: u64,
    },
    /// The database failed.
    #[error("{0}")]
    Store(String),
    /// The service does not know the platform.
    #[error("the provisioning certification service knows no {id}: {error}")]
    UnknownPlatform {
        /// The platform.
        id: EndorsementsId,
        /// Its answer.
        error: FetchError,
    },
    /// What the source gave does not verify.
    #[error("endorsements from {origin}: {error}")]
    Unusable {
        /// Where they came from.
        origin: String,
        /// What is wrong with them.
        error: EndorsementError,
    },
}

impl EndorsementsUnavailable {
    /// The same for a client of this service: without the address of the one that we ask, which is the
    /// operator's.
    pub(crate) fn for_client(&self) -> String {
        let message = self.to_string();
        match self {
            Self::Outage { error, .. } | Self::UnknownPlatform { error, .. } => {
                message.replace(&format!("`{}`", error.url()), SERVICE)
            }
            _ => message,
        }
    }
}

impl From<StoreError> for EndorsementsUnavailable {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

/// What gave or did not give endorsements, for those to whom its address is none of their business.
pub(super) const SERVICE: &str = "the provisioning certification service";
