//! Loads the endorsements of one platform from the sources, and verifies them.

use std::sync::Arc;
use std::time::Duration;

use evidence::TrustAnchors;
use evidence::dcap::formats::{self, Collection};
use evidence::dcap::{EndorsementError, Endorsements, RawEndorsements};
use time::OffsetDateTime;

use super::error::SERVICE;
use super::files::collection;
use super::pcs::{FetchError, Fetched, Pcs};
use super::{EndorsementsUnavailable, Item, Key};
use crate::config::{ConfigError, EndorsementsConfig, seconds};
use crate::store::{Store, StoreError, StoredEndorsement};

/// The sources, and what is needed to verify what they give.
#[derive(Debug, Clone)]
pub(super) struct Loader {
    pub(super) anchors: Arc<TrustAnchors>,
    pub(super) offline: Arc<Collection>,
    pub(super) pcs: Option<Pcs>,
    pub(super) refresh_interval: Duration,
    pub(super) replaying: bool,
    pub(super) store: Arc<Store>,
}

/// Verified endorsements, and how long ago they were fetched.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) age: Duration,
    pub(super) endorsements: Endorsements,
}

/// Endorsements of one platform, unverified, with where they came from.
struct Candidate {
    age: Duration,
    origin: String,
    raw: RawEndorsements,
}

/// What the sources at hand gave.
enum Local {
    /// Good, and not due for a refresh.
    Fresh(Loaded),
    /// Nothing that can be used.
    None { missing: String, unusable: Option<EndorsementsUnavailable> },
    /// Good, but older than the refresh interval.
    Stale(Loaded),
}

impl Loader {
    pub(super) fn new(
        config: &EndorsementsConfig,
        anchors: Arc<TrustAnchors>,
        store: Arc<Store>,
        replaying: bool,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            anchors,
            offline: collection(&config.offline)?,
            pcs: Pcs::new(config)?,
            refresh_interval: seconds(config.refresh_interval_secs),
            replaying,
            store,
        })
    }

    /// From any source, in their order.
    pub(super) async fn load(
        &self,
        key: Key,
        pck_crl_issuer_chain: &[u8],
        now: OffsetDateTime,
    ) -> Result<Loaded, EndorsementsUnavailable> {
        let local = {
            let (this, chain) = (self.clone(), pck_crl_issuer_chain.to_vec());
            blocking(move || this.local(key, &chain, now)).await?
        };
        match local {
            Local::Fresh(loaded) => Ok(loaded),
            Local::Stale(loaded) if self.pcs.is_none() => Ok(loaded),
            Local::Stale(loaded) => match self.fetch(key, pck_crl_issuer_chain, now).await {
                Ok(fetched) => Ok(fetched),
                Err(error) => {
                    tracing::warn!(platform = %key.0, %error, "endorsements could not be refreshed; older ones are used");
                    Ok(loaded)
                }
            },
            Local::None { missing, unusable } if self.pcs.is_none() => {
                Err(unusable.unwrap_or(EndorsementsUnavailable::Missing { id: key.0, missing }))
            }
            Local::None { unusable, .. } => {
                self.fetch(key, pck_crl_issuer_chain, now).await.map_err(|error| match error {
                    EndorsementsUnavailable::Outage { error, retry_after, .. } => {
                        let kept = unusable.map(|error| error.to_string());
                        EndorsementsUnavailable::Outage { error, kept, retry_after }
                    }
                    other => other,
                })
            }
        }
    }

    /// From the services alone.
    pub(super) async fn fetch(
        &self,
        key: Key,
        pck_crl_issuer_chain: &[u8],
        now: OffsetDateTime,
    ) -> Result<Loaded, EndorsementsUnavailable> {
        let (id, number) = key;
        let Some(pcs) = &self.pcs else {
            return Err(EndorsementsUnavailable::Missing { id, missing: "everything".to_owned() });
        };
        let [tcb_info, qe_identity, root_ca_crl, pck_crl] = Item::of(&id, number);
        let fetched = tokio::join!(
            pcs.fetch(tcb_info),
            pcs.fetch(qe_identity),
            pcs.fetch(root_ca_crl),
            pcs.fetch(pck_crl)
        );
        let outage = |error: FetchError| {
            let retry_after = error.retry_after();
            EndorsementsUnavailable::Outage { error, kept: None, retry_after }
        };
        let platform = |error| match error {
            FetchError::NotFound { .. } => EndorsementsUnavailable::UnknownPlatform { id, error },
            error => outage(error),
        };
        let items = [
            (tcb_info, fetched.0.map_err(platform)?),
            (qe_identity, fetched.1.map_err(outage)?),
            (root_ca_crl, fetched.2.map_err(outage)?),
            (pck_crl, fetched.3.map_err(outage)?),
        ];
        let (this, chain) = (self.clone(), pck_crl_issuer_chain.to_vec());
        blocking(move || this.accept(key, &items, &chain, SERVICE.to_owned(), now)).await
    }

    fn local(&self, key: Key, chain: &[u8], now: OffsetDateTime) -> Result<Local, EndorsementsUnavailable> {
        let mut unusable = None;
        let mut stale = None;
        let (offline, missing) = match self.offline.select(&key.0, Some(chain), now) {
            Ok(raw) => {
                let origin = "the configured files".to_owned();
                (Some(Candidate { age: Duration::ZERO, origin, raw }), String::new())
            }
            Err(missing) => (None, format!("no {}", missing.items.join(", no "))),
        };
        let kept = self.kept(&key, chain, now)?;
        for candidate in offline.into_iter().chain(kept) {
            let age = candidate.age;
            match self.verified(key, candidate, now) {
                Ok(endorsements) if age < self.refresh_interval || self.replaying => {
                    return Ok(Local::Fresh(Loaded { age, endorsements }));
                }
                Ok(endorsements) => stale = Some(Loaded { age, endorsements }),
                Err(error @ EndorsementsUnavailable::Store(_)) => return Err(error),
                Err(error) => {
                    tracing::debug!(platform = %key.0, %error, "endorsements at hand cannot be used");
                    unusable = Some(unusable.unwrap_or(error));
                }
            }
        }
        Ok(match stale {
            Some(loaded) => Local::Stale(loaded),
            None => Local::None { missing, unusable },
        })
    }

    /// What the database has for the platform, if it has all of it.
    fn kept(&self, key: &Key, chain: &[u8], now: OffsetDateTime) -> Result<Option<Candidate>, StoreError> {
        let [tcb_info, qe_identity, root_ca_crl, pck_crl] =
            Item::of(&key.0, key.1).map(|item| self.store.endorsement(&item.to_string()));
        let (Some(tcb_info), Some(qe_identity), Some(root_ca_crl), Some(pck_crl)) =
            (tcb_info?, qe_identity?, root_ca_crl?, pck_crl?)
        else {
            return Ok(None);
        };
        let oldest = tcb_info.fetched_at.min(qe_identity.fetched_at).min(pck_crl.fetched_at);
        let age = Duration::try_from(now - oldest).unwrap_or(Duration::ZERO);
        let raw = RawEndorsements {
            tcb_info: tcb_info.body,
            tcb_info_issuer_chain: tcb_info.issuer_chain,
            qe_identity: qe_identity.body,
            qe_identity_issuer_chain: qe_identity.issuer_chain,
            root_ca_crl: root_ca_crl.body,
            pck_crl: pck_crl.body,
            pck_crl_issuer_chain: or(pck_crl.issuer_chain, chain),
        };
        Ok(Some(Candidate { age, origin: "the database".to_owned(), raw }))
    }

    /// Verifies what was just fetched or imported from `origin`, and keeps it.
    pub(super) fn accept(
        &self,
        key: Key,
        items: &[(Item, Arc<Fetched>); 4],
        chain: &[u8],
        origin: String,
        now: OffsetDateTime,
    ) -> Result<Loaded, EndorsementsUnavailable> {
        let items = &items.each_ref().map(|(item, fetched)| (*item, self.newer_of(*item, fetched, now)));
        let [(_, tcb_info), (_, qe_identity), (_, root_ca_crl), (_, pck_crl)] = items;
        let raw = RawEndorsements {
            tcb_info: tcb_info.body.clone(),
            tcb_info_issuer_chain: tcb_info.issuer_chain.clone(),
            qe_identity: qe_identity.body.clone(),
            qe_identity_issuer_chain: qe_identity.issuer_chain.clone(),
            root_ca_crl: root_ca_crl.body.clone(),
            pck_crl: pck_crl.body.clone(),
            pck_crl_issuer_chain: or(pck_crl.issuer_chain.clone(), chain),
        };
        let candidate = Candidate { age: Duration::ZERO, origin, raw };
        let endorsements = self.verified(key, candidate, now)?;
        if !self.replaying {
            for (item, fetched) in items {
                let stored = StoredEndorsement {
                    body: fetched.body.clone(),
                    issuer_chain: fetched.issuer_chain.clone(),
                    source: fetched.source.clone(),
                    fetched_at: now,
                };
                // A full disk must not stop attestation: what is in memory is good.
                if let Err(error) = self.store.save_endorsement(&item.to_string(), &stored) {
                    tracing::error!(%item, %error, "endorsements could not be kept");
                }
            }
        }
        Ok(Loaded { age: Duration::ZERO, endorsements })
    }

    /// The item fetched, or the one kept if that has a higher number and is valid: two servers behind one
    /// address need not be equally fresh, and what was fetched for one platform serves the others.
    fn newer_of(&self, item: Item, fetched: &Arc<Fetched>, now: OffsetDateTime) -> Arc<Fetched> {
        let sort = |body: &[u8]| formats::Item::new(body.to_vec(), None).ok();
        let newer = || {
            let kept = self.store.endorsement(&item.to_string()).ok()??;
            let (kept_item, fetched_item) = (sort(&kept.body)?, sort(&fetched.body)?);
            let is_newer = kept_item.kind == fetched_item.kind
                && kept_item.unverified_number > fetched_item.unverified_number
                && kept_item.unverified_validity.contains(now);
            let StoredEndorsement { body, issuer_chain, source, .. } = kept;
            is_newer.then(|| Arc::new(Fetched { body, issuer_chain, source }))
        };
        newer().unwrap_or_else(|| Arc::clone(fetched))
    }

    /// Verifies a candidate, which must also be for this platform and number, and no older than what was
    /// seen before.
    fn verified(
        &self,
        (id, number): Key,
        candidate: Candidate,
        now: OffsetDateTime,
    ) -> Result<Endorsements, EndorsementsUnavailable> {
        let Candidate { origin, raw, .. } = candidate;
        let endorsements = Endorsements::verify(&raw, &self.anchors, now).map_err(|rejection| {
            EndorsementsUnavailable::Unusable { origin: origin.clone(), error: rejection.error }
        })?;
        let missing = |what: String| EndorsementsUnavailable::Missing { id, missing: what };
        if endorsements.id() != id {
            return Err(missing(format!("{origin} gave those of {}", endorsements.id())));
        }
        let found = endorsements.tcb_evaluation_data_number();
        if number.is_some_and(|number| found < number) {
            return Err(missing(format!("{origin} has tcbEvaluationDataNumber {found}")));
        }
        if !self.replaying {
            self.refuse_older(&Item::of(&id, number), &endorsements, &origin, now)?;
        }
        Ok(endorsements)
    }

    /// Compares the numbers of all four items with the highest seen, then raises those.
    fn refuse_older(
        &self,
        [tcb_info, qe_identity, root_ca_crl, pck_crl]: &[Item; 4],
        endorsements: &Endorsements,
        origin: &str,
        now: OffsetDateTime,
    ) -> Result<(), EndorsementsUnavailable> {
        let numbers = [
            (tcb_info, u64::from(endorsements.tcb_info_evaluation_data_number())),
            (qe_identity, u64::from(endorsements.qe_identity_evaluation_data_number())),
            (root_ca_crl, endorsements.root_crl_number()),
            (pck_crl, endorsements.pck_crl_number()),
        ];
        for (item, found) in numbers {
            let highest = self.store.watermark(&item.to_string())?.unwrap_or_default();
            if found < highest {
                let (item, origin) = (item.to_string(), origin.to_owned());
                return Err(EndorsementsUnavailable::RolledBack { item, origin, found, highest });
            }
        }
        for (item, found) in numbers {
            if let Err(error) = self.store.raise_watermark(&item.to_string(), found, now) {
                tracing::error!(%item, %error, "the highest number seen could not be kept");
            }
        }
        Ok(())
    }
}

impl EndorsementsUnavailable {
    /// Whether what was found is genuine but not valid at the time of appraisal.
    pub(crate) fn is_validity(&self) -> bool {
        matches!(self, Self::Unusable { error: EndorsementError::Validity { .. }, .. })
    }
}

fn or(chain: Vec<u8>, else_chain: &[u8]) -> Vec<u8> {
    if chain.is_empty() { else_chain.to_vec() } else { chain }
}

/// Runs work of some milliseconds where it does not hold up requests.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EndorsementsUnavailable> + Send + 'static,
) -> Result<T, EndorsementsUnavailable> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(EndorsementsUnavailable::Abandoned))
}
