//! The operator's files of endorsements.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use evidence::dcap::formats::Collection;

use crate::config::ConfigError;
use crate::data_dir::read_bounded;

/// Largest file of offline endorsements. A bundle of everything Intel publishes has some 3 MiB.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Most files of offline endorsements, and deepest directories.
const MAX_FILES: usize = 10_000;
const MAX_DEPTH: usize = 8;

/// Reads every file below `paths`, whatever of the known formats it has. In a directory, files of other
/// formats are passed over; a file that is named must be of one.
pub(super) fn collection(paths: &[PathBuf]) -> Result<Arc<Collection>, ConfigError> {
    let invalid =
        |path: &Path, fix: String| ConfigError::invalid("endorsements.offline", path.display(), fix);
    let mut collection = Collection::default();
    for path in paths {
        let mut files = Vec::new();
        let is_directory = path.is_dir();
        walk(path, 0, &mut files).map_err(|error| invalid(path, format!("it cannot be read: {error}")))?;
        let mut items = 0_usize;
        for file in files {
            let bytes = read_bounded(&file, MAX_FILE_BYTES)
                .map_err(|error| invalid(&file, format!("it cannot be read: {error}")))?;
            match collection.add(&bytes) {
                Ok(added) => items = items.saturating_add(added),
                Err(error) if is_directory => {
                    tracing::debug!(file = %file.display(), %error, "a file has no endorsements");
                }
                Err(error) => return Err(invalid(&file, format!("it has no endorsements: {error}"))),
            }
        }
        if items == 0 {
            return Err(invalid(path, "no file in it has endorsements".to_owned()));
        }
        tracing::info!(path = %path.display(), items, "endorsements read");
    }
    Ok(Arc::new(collection))
}

fn walk(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    if depth >= MAX_DEPTH {
        return Err(std::io::Error::other(format!("directories deeper than {MAX_DEPTH}")));
    }
    let mut entries: Vec<_> = std::fs::read_dir(path)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        walk(&entry.path(), depth.saturating_add(1), files)?;
        if files.len() > MAX_FILES {
            return Err(std::io::Error::other(format!("more than {MAX_FILES} files")));
        }
    }
    Ok(())
}
