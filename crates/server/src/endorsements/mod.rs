//! Endorsements: loaded from files, the database or a provisioning certification service, verified once,
//! kept in memory as verified values, and refreshed in the background.
//!
//! Sources are asked in this order, and what any of them gives is verified alike:
//!
//! 1. the operator's files (`endorsements.offline`), read at start;
//! 2. the database, which holds what was last fetched;
//! 3. the configured services, and first among them where the database's copy is due for a refresh.
//!
//! Endorsements that were fetched stay usable through an outage until they expire. The highest numbers seen
//! of each item are kept, and older data are refused afterwards, wherever they come from.

mod error;
mod files;
mod item;
mod load;
mod pcs;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use evidence::TrustAnchors;
use evidence::dcap::{Endorsements, EndorsementsId};
use time::OffsetDateTime;

use crate::config::{ConfigError, EndorsementsConfig, seconds};
use crate::single_flight::SingleFlight;
use crate::store::Store;

pub use error::EndorsementsUnavailable;
pub use item::Item;
pub use pcs::FetchError;

use load::{Loaded, Loader};

/// A request for a newer evaluation data number than the standard one is passed on to the service only if it
/// is at most this much newer: draft policies can ask for any number, and Intel publishes one ahead.
const MAX_NUMBERS_AHEAD: u32 = 4;

/// How often the background task looks for endorsements that are due.
const LONGEST_TICK: Duration = Duration::from_secs(60);

/// Pause after the first refresh that failed; it doubles with each further one, up to [`LONGEST_BACK_OFF`].
const FIRST_BACK_OFF: Duration = Duration::from_secs(60);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(3600);

/// What endorsements are kept under: the platform, and the evaluation data number if not the standard one.
type Key = (EndorsementsId, Option<u32>);

type Outcome = Result<Arc<Endorsements>, EndorsementsUnavailable>;

/// Gives out verified endorsements. Clones share everything.
#[derive(Debug, Clone)]
pub struct EndorsementService {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    failed: Mutex<HashMap<Key, Failed>>,
    flights: SingleFlight<Key, Outcome>,
    kept: RwLock<HashMap<Key, Kept>>,
    loader: Loader,
    refresh_interval: Duration,
}

/// Verified endorsements and when to look for newer ones.
#[derive(Debug, Clone)]
struct Kept {
    due: Instant,
    endorsements: Arc<Endorsements>,
    failures: u32,
    /// The issuer chain of the PCK CRL, for sources that give it without.
    pck_crl_issuer_chain: Vec<u8>,
}

/// A failure that answers everybody for a while, so that requests do not hammer a source that is down.
#[derive(Debug)]
struct Failed {
    at: Instant,
    error: EndorsementsUnavailable,
    reuse: Duration,
}

impl EndorsementService {
    /// A service over these sources. `replaying` is for appraisal as of another time: nothing is then
    /// refreshed or written, and the numbers seen are not compared.
    ///
    /// # Errors
    /// [`ConfigError`] if a file or URL cannot be used.
    pub fn new(
        config: &EndorsementsConfig,
        anchors: Arc<TrustAnchors>,
        store: Arc<Store>,
        replaying: bool,
    ) -> Result<Self, ConfigError> {
        let inner = Inner {
            failed: Mutex::default(),
            flights: SingleFlight::default(),
            kept: RwLock::default(),
            loader: Loader::new(config, anchors, store, replaying)?,
            refresh_interval: seconds(config.refresh_interval_secs),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Endorsements for the platform that are valid at `now`, of at least evaluation data number `minimum`
    /// where any source has such; else the best there are, and the baseline decides.
    ///
    /// `pck_crl_issuer_chain` gives the issuer chain of the PCK CRL in PEM, which files often lack and the
    /// quote has.
    ///
    /// # Errors
    /// [`EndorsementsUnavailable`].
    pub async fn get(
        &self,
        id: &EndorsementsId,
        minimum: Option<u32>,
        pck_crl_issuer_chain: impl Fn() -> Vec<u8>,
        now: OffsetDateTime,
    ) -> Result<Arc<Endorsements>, EndorsementsUnavailable> {
        let standard = self.ensure((*id, None), &pck_crl_issuer_chain, now).await?;
        let number = standard.tcb_evaluation_data_number();
        match minimum {
            Some(minimum) if minimum > number && minimum - number <= MAX_NUMBERS_AHEAD => {
                let newer = self.ensure((*id, Some(minimum)), &pck_crl_issuer_chain, now).await;
                Ok(newer.unwrap_or(standard))
            }
            _ => Ok(standard),
        }
    }

    async fn ensure(
        &self,
        key: Key,
        pck_crl_issuer_chain: &impl Fn() -> Vec<u8>,
        now: OffsetDateTime,
    ) -> Outcome {
        if let Some(kept) = self.inner.valid(&key, now) {
            return Ok(kept);
        }
        if let Some(error) = self.inner.failed(&key) {
            return Err(error);
        }
        let inner = Arc::clone(&self.inner);
        let chain = pck_crl_issuer_chain();
        let flight = self.inner.flights.run(key, || async move {
            // It may have landed between the look above and now.
            if let Some(kept) = inner.valid(&key, now) {
                return Ok(kept);
            }
            let loaded = inner.loader.load(key, &chain, now).await;
            inner.keep(key, chain, loaded, now)
        });
        flight.await.unwrap_or(Err(EndorsementsUnavailable::Abandoned))
    }

    /// Looks for newer endorsements when they are due, until `stop` resolves.
    pub(crate) async fn refresh_until(self, stop: impl Future<Output = ()>) {
        if self.inner.loader.replaying || self.inner.loader.pcs.is_none() {
            return stop.await;
        }
        let tick = LONGEST_TICK.min(self.inner.refresh_interval / 4).max(Duration::from_millis(100));
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(tick) => {}
            }
            let refreshing = self.refresh_due(OffsetDateTime::now_utc());
            tokio::select! {
                () = &mut stop => return,
                () = refreshing => {}
            }
        }
    }

    async fn refresh_due(&self, now: OffsetDateTime) {
        let due: Vec<(Key, Kept)> = {
            let mut kept = self.inner.kept.write().unwrap_or_else(PoisonError::into_inner);
            drop_overtaken(&mut kept, now);
            let due = kept.iter().filter(|(_, kept)| kept.due <= Instant::now());
            due.map(|(key, kept)| (*key, kept.clone())).collect()
        };
        for (key, kept) in due {
            let chain = kept.pck_crl_issuer_chain.clone();
            match self.inner.loader.fetch(key, &chain, now).await {
                Ok(loaded) => {
                    let number = loaded.endorsements.tcb_evaluation_data_number();
                    tracing::info!(platform = %key.0, tcb_evaluation_data_number = number, "endorsements refreshed");
                    let _ = self.inner.keep(key, chain, Ok(loaded), now);
                }
                Err(error) => {
                    let expires = kept.endorsements.expires();
                    tracing::warn!(
                        platform = %key.0, %error, expires_item = expires.item, expires_at = %expires.at,
                        "endorsements could not be refreshed; those kept are used until they expire"
                    );
                    self.inner.postpone(key);
                }
            }
        }
    }
}

impl Inner {
    fn valid(&self, key: &Key, now: OffsetDateTime) -> Option<Arc<Endorsements>> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let endorsements = &kept.get(key)?.endorsements;
        (now <= endorsements.expires().at).then(|| Arc::clone(endorsements))
    }

    fn failed(&self, key: &Key) -> Option<EndorsementsUnavailable> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = failed.get(key)?;
        (failed.at.elapsed() < failed.reuse).then(|| failed.error.clone())
    }

    fn keep(
        &self,
        key: Key,
        pck_crl_issuer_chain: Vec<u8>,
        loaded: Result<Loaded, EndorsementsUnavailable>,
        now: OffsetDateTime,
    ) -> Outcome {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        match loaded {
            Ok(Loaded { endorsements, age }) => {
                failed.remove(&key);
                let endorsements = Arc::new(endorsements);
                let wait = refresh_after(self.refresh_interval, age, endorsements.expires().at - now);
                let due = Instant::now() + wait;
                let kept =
                    Kept { due, endorsements: Arc::clone(&endorsements), failures: 0, pck_crl_issuer_chain };
                self.kept.write().unwrap_or_else(PoisonError::into_inner).insert(key, kept);
                Ok(endorsements)
            }
            Err(error) => {
                let reuse = match &error {
                    EndorsementsUnavailable::Outage { retry_after, .. } => *retry_after,
                    _ => Duration::from_secs(1),
                };
                failed.retain(|_, failed| failed.at.elapsed() < failed.reuse);
                failed.insert(key, Failed { at: Instant::now(), error: error.clone(), reuse });
                Err(error)
            }
        }
    }

    fn postpone(&self, key: Key) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.get_mut(&key) {
            let back_off = FIRST_BACK_OFF.saturating_mul(1 << kept.failures.min(10)).min(LONGEST_BACK_OFF);
            // An operator who refreshes every few seconds wants to see a failure end as soon.
            kept.due = Instant::now() + jittered(back_off.min(self.refresh_interval));
            kept.failures = kept.failures.saturating_add(1);
        }
    }
}

/// Ends the refreshing of numbers that a policy once asked for: of those that the standard one has reached,
/// and of those that the service has not renewed. Until then they are as much in use as the standard one.
fn drop_overtaken(kept: &mut HashMap<Key, Kept>, now: OffsetDateTime) {
    let standard: HashMap<EndorsementsId, u32> = kept
        .iter()
        .filter(|((_, number), _)| number.is_none())
        .map(|((id, _), kept)| (*id, kept.endorsements.tcb_evaluation_data_number()))
        .collect();
    kept.retain(|(id, number), kept| {
        let is_ahead = |number| standard.get(id).is_none_or(|standard| *standard < number);
        number.is_none_or(|number| is_ahead(number) && now <= kept.endorsements.expires().at)
    });
}

/// How long to wait until endorsements of this age and remaining life are fetched anew: to the end of the
/// interval, but no longer than half the life they have left.
fn refresh_after(interval: Duration, age: Duration, left: time::Duration) -> Duration {
    let left = Duration::try_from(left).unwrap_or(Duration::ZERO);
    jittered(interval.saturating_sub(age).min(left / 2))
}

/// Between nine and eleven tenths of `duration`, so that many servers do not ask at the same time.
fn jittered(duration: Duration) -> Duration {
    let [random] = crypto::random_bytes::<1>().unwrap_or([128]);
    duration.mul_f64(0.9 + 0.2 * f64::from(random) / 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_clock_that_jumps_does_no_lasting_harm() {
        let now = OffsetDateTime::now_utc();
        let minted = testkit::Forge::new(testkit::intel::Ca::Platform, now).mint();
        let directory = crate::test_support::scratch("clock");
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("endorsements.json");
        std::fs::write(&file, testkit::formats::dcap_qvl(&minted)).unwrap();
        let config =
            EndorsementsConfig { offline: vec![file], pcs_urls: Vec::new(), ..EndorsementsConfig::default() };
        let store = Arc::new(Store::open(&directory.join("db")).unwrap());
        let service = EndorsementService::new(&config, Arc::new(minted.anchors()), store, false).unwrap();
        let ca = evidence::dcap::PckCa::Platform;
        let id = EndorsementsId { tee: evidence::dcap::Tee::Sgx, fmspc: minted.fmspc, ca };
        let year = time::Duration::days(365);
        for (at, usable) in [(now, true), (now + year, false), (now, true)] {
            let got = service.get(&id, None, Vec::new, at).await;
            assert_eq!(got.is_ok(), usable, "{at}: {got:?}");
            if let Err(error) = got {
                assert!(error.is_validity(), "{error}");
            }
        }
        // What is kept is handed out, and verification of the quote compares its windows with the time.
        let early = service.get(&id, None, Vec::new, now - year).await.unwrap();
        assert!(early.validities().iter().any(|(_, validity)| !validity.contains(now - year)));
    }

    #[test]
    fn the_refresh_comes_before_the_end() {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let within =
            |wait: Duration, about: Duration| wait >= about.mul_f64(0.89) && wait <= about.mul_f64(1.11);
        assert!(within(refresh_after(hours(24), hours(0), time::Duration::days(30)), hours(24)));
        assert!(within(refresh_after(hours(24), hours(20), time::Duration::days(30)), hours(4)));
        assert!(within(refresh_after(hours(24), hours(0), time::Duration::hours(10)), hours(5)));
        assert_eq!(refresh_after(hours(24), hours(30), time::Duration::days(30)), Duration::ZERO);
        assert_eq!(refresh_after(hours(24), hours(0), time::Duration::seconds(-1)), Duration::ZERO);
    }
}
