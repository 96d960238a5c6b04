//! Real captured evidence: kept outside this repository, found by `VOUCHSAFE_VECTORS` or beside it.

pub mod sgx;

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The directory that holds `vectors/` and `vectors-sdk/`.
#[derive(Debug, Clone)]
pub struct Captures {
    root: PathBuf,
    entries: Vec<Entry>,
}

/// One file of the manifest.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Path below `vectors/`.
    pub path: String,
    /// What it is.
    pub kind: String,
    /// Everything the manifest says of it.
    pub json: Value,
}

impl Captures {
    /// Opens the captures, or says loudly that they are not there.
    ///
    /// # Panics
    /// If they are absent while `CI` is `true`, or their manifest cannot be read: a run that skips them
    /// must not look like one that passed them.
    #[must_use]
    pub fn find() -> Option<Self> {
        let root = std::env::var_os("VOUCHSAFE_VECTORS")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
        let manifest = root.join("vectors/manifest.json");
        let Ok(text) = std::fs::read(&manifest) else {
            let ci = std::env::var("CI").is_ok_and(|value| value == "true");
            assert!(!ci, "no captures at {}: set VOUCHSAFE_VECTORS", manifest.display());
            complain(&manifest);
            return None;
        };
        let json: Value = serde_json::from_slice(&text).expect("the manifest is JSON");
        let entries = json["entries"].as_array().expect("the manifest has entries");
        let entries = entries
            .iter()
            .map(|entry| Entry {
                path: entry["path"].as_str().expect("a path").to_owned(),
                kind: entry["kind"].as_str().expect("a kind").to_owned(),
                json: entry.clone(),
            })
            .collect();
        Some(Self { root, entries })
    }

    /// Every entry of the manifest.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of `path`.
    #[must_use]
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.path == path)
    }

    /// The bytes of a file below `vectors/`.
    ///
    /// # Panics
    /// If the manifest names a file that is not there.
    #[must_use]
    pub fn read(&self, path: &str) -> Vec<u8> {
        read(&self.root.join("vectors").join(path))
    }

    /// The bytes of a file below `vectors-sdk/`.
    ///
    /// # Panics
    /// If it is not there.
    #[must_use]
    pub fn read_sdk(&self, path: &str) -> Vec<u8> {
        read(&self.root.join("vectors-sdk").join(path))
    }
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[expect(clippy::print_stderr, reason = "a skipped test must be seen to be skipped")]
fn complain(manifest: &Path) {
    eprintln!("SKIPPED: no captures at {}; set VOUCHSAFE_VECTORS to check them", manifest.display());
}
