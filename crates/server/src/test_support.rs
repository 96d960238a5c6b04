//! What unit tests share.

use std::path::PathBuf;

/// A path of this test's own, where nothing is.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("vouchsafe-unit-{}", std::process::id())).join(name);
    let _ = std::fs::remove_dir_all(&path);
    path
}
