//! `vouchsafe endorsements import`: files into the database of a service, verified on the way.

use std::collections::BTreeSet;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use clap::Args;
use evidence::TrustAnchors;
use evidence::dcap::formats::{Collection, ItemKind};
use evidence::dcap::{Endorsements, EndorsementsId, PckCa, RawEndorsements, Tee};
use server::endorsements::Item;
use server::store::{Store, StoredEndorsement};
use time::OffsetDateTime;

use super::{data_dir, open};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;
use crate::input;
use crate::output;

/// Put endorsements from files into a service's database
///
/// For services without network. What does not verify now, or is older than what the service has seen before, is
/// refused. A running service sees imported endorsements when it next needs some for a platform, at the latest
/// after its refresh interval.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// Files and directories with endorsements, in any format that people have them in
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,

    /// The data directory of the service [default: vouchsafe in the user's data directory]
    #[arg(long, value_name = "DIR", env = "VOUCHSAFE_DATA_DIR")]
    data_dir: Option<PathBuf>,

    /// Roots to trust for PCK certificates instead of Intel's (repeatable)
    #[arg(long, value_name = "PEM")]
    trust_pck_root: Vec<PathBuf>,

    /// Roots to trust for signers of TCB info and identities instead of Intel's (repeatable)
    #[arg(long, value_name = "PEM")]
    trust_tcb_root: Vec<PathBuf>,
}

impl Import {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let anchors = files::trust_anchors(&self.trust_pck_root, &self.trust_tcb_root)?;
        let collection = files::endorsements(&self.paths)?;
        let platforms = platforms(&collection);
        if platforms.is_empty() {
            return Err(Failure::usage("the files hold no TCB info together with a PCK CRL")
                .hint("import everything that `vouchsafe endorsements fetch` wrote at once"));
        }
        let data_dir = data_dir(self.data_dir)?;
        make(&data_dir)?;
        let store = open(&data_dir)?;
        // One platform's outdated TCB info must not keep the others from being imported.
        let mut exit = Exit::Yes;
        for id in platforms {
            if let Err(failure) = import(&store, &collection, &anchors, &id) {
                output::failure(&failure);
                exit = failure.exit;
            }
        }
        Ok(exit)
    }
}

/// Every platform family that the files have TCB info of, with every authority that they have a CRL of.
fn platforms(collection: &Collection) -> BTreeSet<EndorsementsId> {
    let cas: Vec<PckCa> = collection
        .items()
        .filter_map(|item| if let ItemKind::PckCrl(ca) = item.kind { Some(ca) } else { None })
        .collect();
    let families = collection.items().filter_map(|item| match item.kind {
        ItemKind::TcbInfo { tee: Tee::Sgx, fmspc } => Some(fmspc),
        _ => None,
    });
    families
        .flat_map(|fmspc| cas.iter().map(move |&ca| EndorsementsId { tee: Tee::Sgx, fmspc, ca }))
        .collect()
}

fn import(
    store: &Store,
    files: &Collection,
    anchors: &TrustAnchors,
    id: &EndorsementsId,
) -> Result<(), Failure> {
    let now = OffsetDateTime::now_utc();
    let raw = files.select(id, None, now).map_err(|missing| {
        Failure::usage(missing.to_string())
            .hint("import everything that `vouchsafe endorsements fetch` wrote at once")
    })?;
    let endorsements = Endorsements::verify(&raw, anchors, now)
        .map_err(|rejection| Failure::denied(format!("endorsements for {id}: {}", rejection.error)))?;
    let items = Item::of(id, None);
    let numbers = numbers(&endorsements);
    let failed = |error: server::store::StoreError| Failure::failed(error.to_string());
    for (item, number) in items.iter().zip(numbers) {
        let highest = store.watermark(&item.to_string()).map_err(failed)?.unwrap_or_default();
        if number < highest {
            return Err(Failure::denied(format!(
                "{item} has number {number}, and the service has seen {highest}; older endorsements are refused"
            )));
        }
    }
    for ((item, number), (body, issuer_chain)) in items.iter().zip(numbers).zip(parts(raw)) {
        let stored = StoredEndorsement { body, issuer_chain, source: "import".to_owned(), fetched_at: now };
        store.save_endorsement(&item.to_string(), &stored).map_err(failed)?;
        store.raise_watermark(&item.to_string(), number, now).map_err(failed)?;
    }
    let expiry = endorsements.expires();
    output::line(&format!(
        "{id}: tcbEvaluationDataNumber {}, valid until {} ({})",
        endorsements.tcb_evaluation_data_number(),
        input::show_time(expiry.at),
        expiry.item
    ))
}

/// In the order of [`Item::of`].
fn numbers(endorsements: &Endorsements) -> [u64; 4] {
    [
        endorsements.tcb_info_evaluation_data_number().into(),
        endorsements.qe_identity_evaluation_data_number().into(),
        endorsements.root_crl_number(),
        endorsements.pck_crl_number(),
    ]
}

/// In the order of [`Item::of`].
fn parts(raw: RawEndorsements) -> [(Vec<u8>, Vec<u8>); 4] {
    [
        (raw.tcb_info, raw.tcb_info_issuer_chain),
        (raw.qe_identity, raw.qe_identity_issuer_chain),
        (raw.root_ca_crl, Vec::new()),
        (raw.pck_crl, raw.pck_crl_issuer_chain),
    ]
}

/// As the service makes its data directory: for its owner only.
fn make(data_dir: &Path) -> Result<(), Failure> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(data_dir);
    made.map_err(|error| Failure::failed(format!("`{}` cannot be made: {error}", data_dir.display())))
}
