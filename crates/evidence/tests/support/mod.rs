//! What the tests over captured vectors share: where they are, and their manifest.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::expect_used, clippy::unwrap_used, clippy::panic)]
#![allow(clippy::print_stderr, clippy::print_stdout, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};

use evidence::dcap::formats::Collection;
use evidence::dcap::{Endorsements, VerifiedPck};
use evidence::sgx::Quote;
use evidence::{TrustAnchors, open_enclave};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The directory that holds `vectors/`, or `None` if there is none; with `CI=true` that is a failure.
pub fn root() -> Option<PathBuf> {
    let root = std::env::var_os("VOUCHSAFE_VECTORS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    if root.join("vectors/manifest.json").is_file() {
        return Some(root);
    }
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no captured vectors in {}", root.display());
    eprintln!("SKIPPED: no captured vectors in {}; set VOUCHSAFE_VECTORS", root.display());
    None
}

pub struct Vectors {
    pub dir: PathBuf,
    pub entries: Vec<Value>,
}

impl Vectors {
    pub fn load() -> Option<Self> {
        let dir = root()?.join("vectors");
        let manifest: Value =
            serde_json::from_slice(&std::fs::read(dir.join("manifest.json")).unwrap()).unwrap();
        Some(Self { dir, entries: manifest["entries"].as_array().unwrap().clone() })
    }

    pub fn read(&self, path: &str) -> Vec<u8> {
        std::fs::read(self.dir.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Everything in the files listed by `paths`, an array of the manifest.
    pub fn collection(&self, paths: &Value) -> Collection {
        let mut collection = Collection::new();
        for path in paths.as_array().unwrap() {
            let path = path.as_str().unwrap();
            collection.add(&self.read(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
        collection
    }
}

pub fn time(value: &Value) -> Option<OffsetDateTime> {
    Some(OffsetDateTime::parse(value.as_str()?, &Rfc3339).unwrap())
}

pub fn parse<'a>(kind: &str, bytes: &'a [u8]) -> Result<Quote<'a>, evidence::ParseError> {
    match kind {
        "oe-report" => Ok(open_enclave::Report::parse(bytes)?.into_quote()),
        _ => Quote::parse(bytes),
    }
}

/// The verified PCK chain of a quote, and the endorsements of `collection` for it.
pub fn prepare(
    quote: &Quote<'_>,
    collection: &Collection,
    now: OffsetDateTime,
) -> (VerifiedPck, Endorsements) {
    let anchors = TrustAnchors::pinned();
    let chain = quote.pck_chain().unwrap();
    let raw = collection.select(&chain.endorsements_id(), Some(&chain.issuer_chain_pem()), now).unwrap();
    (chain.verify(&anchors).unwrap(), Endorsements::verify(&raw, &anchors, now).unwrap())
}
