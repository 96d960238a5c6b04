//! The endorsements in the database, for the commands that fetch, import and show them. They work beside a
//! running server, which finds what they keep when it next looks.

use std::path::PathBuf;
use std::sync::Arc;

use evidence::dcap::formats::ItemKind;
use evidence::dcap::{EndorsementsId, Expiry, RawEndorsements};
use time::OffsetDateTime;

use super::files::collection;
use super::load::{Loaded, Loader};
use super::pcs::Fetched;
use super::{EndorsementsUnavailable, Item};
use crate::config::{Config, ConfigError};
use crate::data_dir::{self, DataDirError};
use crate::server::trust_anchors;
use crate::store::{self, Store, StoreError};

/// The database of a configuration, and the services it fetches from.
#[derive(Debug)]
pub struct Keeper {
    loader: Loader,
}

/// Why the database of a configuration cannot be used. The operator must act.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What endorsements say of themselves once verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The first of them to end.
    pub expires: Expiry,
    /// When the older of TCB info and QE identity was issued.
    pub issued_at: OffsetDateTime,
    /// The lower of their evaluation data numbers.
    pub tcb_evaluation_data_number: u32,
}

/// One platform, and whether its endorsements can be used.
pub type PlatformStatus = (EndorsementsId, Result<Summary, EndorsementsUnavailable>);

/// One item as it is kept, unverified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemStatus {
    /// When it was fetched or imported.
    pub fetched_at: OffsetDateTime,
    /// The highest number seen of it: an evaluation data number or a CRL number.
    pub highest_number: Option<u64>,
    /// Its name, such as `tcb-info/sgx/00606a000000`.
    pub item: String,
    /// Length of its body.
    pub size_bytes: usize,
    /// The URL or file it came from.
    pub source: String,
}

impl Keeper {
    /// Opens the database of `config`, creating it if there is none.
    ///
    /// # Errors
    /// [`KeeperError`].
    pub fn open(config: &Config) -> Result<Self, KeeperError> {
        data_dir::create(&config.data_dir)?;
        let store = Arc::new(Store::open(&config.data_dir.join(store::FILE))?);
        let anchors = Arc::new(trust_anchors(&config.trust_anchors)?);
        let loader = Loader::new(&config.endorsements, anchors, store, false)?;
        Ok(Self { loader })
    }

    /// Fetches a platform's endorsements from the configured services, verifies and keeps them.
    ///
    /// # Errors
    /// [`EndorsementsUnavailable`].
    pub async fn fetch(
        &self,
        id: &EndorsementsId,
        now: OffsetDateTime,
    ) -> Result<Summary, EndorsementsUnavailable> {
        Ok(Summary::of(&self.loader.fetch((*id, None), &[], now).await?))
    }

    /// Takes endorsements from files and directories of any known format, and keeps those that verify.
    ///
    /// # Errors
    /// [`ConfigError`] if a path cannot be read or has none.
    pub fn import(&self, paths: &[PathBuf], now: OffsetDateTime) -> Result<Vec<PlatformStatus>, ConfigError> {
        let collection = collection(paths)?;
        let source = paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        let kinds: Vec<_> = collection.items().map(|item| item.kind).collect();
        let import = |id: EndorsementsId| {
            let missing = |missing: evidence::dcap::formats::Missing| EndorsementsUnavailable::Missing {
                id,
                missing: format!("no {}", missing.items.join(", no ")),
            };
            let raw = collection.select(&id, None, now).map_err(missing)?;
            let loaded =
                self.loader.accept((id, None), &items(&id, raw, &source), &[], format!("`{source}`"), now)?;
            Ok(Summary::of(&loaded))
        };
        Ok(platforms(&kinds).into_iter().map(|id| (id, import(id))).collect())
    }

    /// Every item kept, and for every platform whether what is kept can be used at `now`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn status(&self, now: OffsetDateTime) -> Result<(Vec<ItemStatus>, Vec<PlatformStatus>), StoreError> {
        let mut items = Vec::new();
        let mut kinds = Vec::new();
        for (item, stored) in self.loader.store.endorsements()? {
            if let Ok(sorted) = evidence::dcap::formats::Item::new(stored.body.clone(), None) {
                kinds.push(sorted.kind);
            }
            items.push(ItemStatus {
                fetched_at: stored.fetched_at,
                highest_number: self.loader.store.watermark(&item)?,
                item,
                size_bytes: stored.body.len(),
                source: stored.source,
            });
        }
        let status = |id| (id, self.loader.kept_now((id, None), now).map(|loaded| Summary::of(&loaded)));
        Ok((items, platforms(&kinds).into_iter().map(status).collect()))
    }
}

impl Summary {
    fn of(loaded: &Loaded) -> Self {
        let endorsements = &loaded.endorsements;
        Self {
            expires: endorsements.expires(),
            issued_at: endorsements.issued_at(),
            tcb_evaluation_data_number: endorsements.tcb_evaluation_data_number(),
        }
    }
}

/// The platforms that items can be for: each TCB info with each authority that a CRL is of.
fn platforms(kinds: &[ItemKind]) -> Vec<EndorsementsId> {
    let mut platforms = Vec::new();
    for kind in kinds {
        let ItemKind::TcbInfo { tee, fmspc } = *kind else { continue };
        for kind in kinds {
            let ItemKind::PckCrl(ca) = *kind else { continue };
            platforms.push(EndorsementsId { tee, fmspc, ca });
        }
    }
    platforms.sort_unstable();
    platforms.dedup();
    platforms
}

fn items(id: &EndorsementsId, raw: RawEndorsements, source: &str) -> [(Item, Arc<Fetched>); 4] {
    let [tcb_info, qe_identity, root_ca_crl, pck_crl] = Item::of(id, None);
    let fetched = |body, issuer_chain| Arc::new(Fetched { body, issuer_chain, source: source.to_owned() });
    [
        (tcb_info, fetched(raw.tcb_info, raw.tcb_info_issuer_chain)),
        (qe_identity, fetched(raw.qe_identity, raw.qe_identity_issuer_chain)),
        (root_ca_crl, fetched(raw.root_ca_crl, Vec::new())),
        (pck_crl, fetched(raw.pck_crl, raw.pck_crl_issuer_chain)),
    ]
}

#[cfg(test)]
mod tests {
    use testkit::intel::{Ca, Forge};

    use super::*;
    use crate::test_support::scratch;

    fn config(name: &str, minted: &testkit::Minted) -> Config {
        let directory = scratch(name);
        std::fs::create_dir_all(&directory).unwrap();
        let root = directory.join("root.pem");
        std::fs::write(&root, &minted.root).unwrap();
        std::fs::write(directory.join("endorsements.json"), testkit::formats::dcap_qvl(minted)).unwrap();
        let mut config = Config { data_dir: directory.join("data"), ..Config::default() };
        config.trust_anchors.pck_root_files = vec![root.clone()];
        config.trust_anchors.tcb_signing_root_files = vec![root];
        config.endorsements.pcs_urls.clear();
        config
    }

    #[tokio::test]
    async fn what_is_imported_is_kept_and_shown() {
        let now = OffsetDateTime::now_utc();
        let minted = Forge::new(Ca::Platform, now).mint();
        let config = config("keeper_import", &minted);
        let files = [config.data_dir.with_file_name("endorsements.json")];
        let keeper = Keeper::open(&config).unwrap();
        let [(id, Ok(summary))] = keeper.import(&files, now).unwrap()[..] else { panic!() };
        assert_eq!(id.fmspc, minted.fmspc);
        let (items, platforms) = Keeper::open(&config).unwrap().status(now).unwrap();
        assert_eq!(platforms, [(id, Ok(summary))]);
        let names: Vec<_> = items.iter().map(|item| item.item.as_str()).collect();
        let tcb_info = format!("tcb-info/sgx/{}", hex::encode(minted.fmspc));
        assert_eq!(names, ["pck-crl/platform", "qe-identity/sgx", "root-ca-crl", &tcb_info]);
        assert!(
            items
                .iter()
                .all(|item| item.source.ends_with("endorsements.json") && item.highest_number.is_some())
        );
        let (_, platforms) = keeper.status(now + time::Duration::days(60)).unwrap();
        assert!(platforms[0].1.as_ref().unwrap_err().to_string().contains("not valid at"), "{platforms:?}");
        let error = keeper.fetch(&id, now).await.unwrap_err();
        assert!(matches!(error, EndorsementsUnavailable::Missing { .. }));
    }

    #[test]
    fn what_does_not_verify_is_not_imported() {
        let now = OffsetDateTime::now_utc();
        let minted = Forge::new(Ca::Platform, now).mint();
        let config = config("keeper_stranger", &minted);
        let stranger = Forge::new(Ca::Platform, now).mint();
        let file = config.data_dir.with_file_name("stranger.json");
        std::fs::write(&file, testkit::formats::dcap_qvl(&stranger)).unwrap();
        let keeper = Keeper::open(&config).unwrap();
        let imported = keeper.import(&[file], now).unwrap();
        assert!(matches!(imported[0].1, Err(EndorsementsUnavailable::Unusable { .. })), "{imported:?}");
        assert_eq!(keeper.status(now).unwrap(), (vec![], vec![]));
    }
}
