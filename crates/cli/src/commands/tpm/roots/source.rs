//! Where roots come from: files, directories of them, and cabinets.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use cab::Cabinet;

use crate::failure::Failure;
use crate::input;

/// A file as it was found.
pub(super) struct Source {
    /// Its path, and within a cabinet that in it.
    pub(super) from: String,
    pub(super) content: Result<Vec<u8>, String>,
}

/// Every file of the paths.
pub(super) fn sources(paths: &[PathBuf]) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    for path in paths {
        if path.is_dir() {
            directory(path, 0, &mut sources)?;
        } else {
            file(path, &mut sources)?;
        }
    }
    Ok(sources)
}

fn directory(path: &Path, depth: usize, sources: &mut Vec<Source>) -> Result<(), Failure> {
    let failed = |error| Failure::usage(format!("`{}` cannot be read: {error}", path.display()));
    if depth > MAX_DEPTH {
        return Err(Failure::usage(format!("`{}`: too many directories in one another", path.display())));
    }
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        entries.push(entry.map_err(failed)?.path());
    }
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            directory(&entry, depth.saturating_add(1), sources)?;
        } else {
            file(&entry, sources)?;
        }
    }
    Ok(())
}

fn file(path: &Path, sources: &mut Vec<Source>) -> Result<(), Failure> {
    let content = input::read_file(path)?;
    let from = path.display().to_string();
    if content.starts_with(CABINET) {
        return cabinet(&from, &content, sources)
            .map_err(|error| Failure::usage(format!("`{from}` is no cabinet that can be read: {error}")));
    }
    room(sources)?;
    sources.push(Source { from, content: Ok(content) });
    Ok(())
}

/// The files of a cabinet (`[MS-CAB]`). Its signature is not checked.
fn cabinet(from: &str, content: &[u8], sources: &mut Vec<Source>) -> Result<(), String> {
    let mut cabinet = Cabinet::new(Cursor::new(content)).map_err(|error| error.to_string())?;
    let mut names = Vec::new();
    for folder in cabinet.folder_entries() {
        names.extend(folder.file_entries().map(|file| (file.name().to_owned(), file.uncompressed_size())));
    }
    let total = names.iter().fold(0_u64, |total, (_, size)| total.saturating_add(u64::from(*size)));
    if total > MAX_CABINET_BYTES {
        return Err(format!("{total} bytes in it, more than the {MAX_CABINET_BYTES} accepted"));
    }
    for (name, _) in names {
        room(sources).map_err(|failure| failure.message)?;
        let mut content = Vec::new();
        let read = cabinet.read_file(&name).and_then(|mut file| file.read_to_end(&mut content));
        let content = read.map(|_| content).map_err(|error| format!("it cannot be unpacked: {error}"));
        sources.push(Source { from: format!("{from}: {}", name.replace('\\', "/")), content });
    }
    Ok(())
}

fn room(sources: &[Source]) -> Result<(), Failure> {
    if sources.len() < MAX_FILES {
        return Ok(());
    }
    Err(Failure::usage(format!("more than {MAX_FILES} files; import fewer at a time")))
}

/// How every cabinet starts.
const CABINET: &[u8] = b"MSCF";
/// Microsoft's bundle of all makers unpacks to less than two MiB.
const MAX_CABINET_BYTES: u64 = 16 * 1024 * 1024;
/// That bundle has some hundred.
const MAX_FILES: usize = 4096;
const MAX_DEPTH: usize = 8;
