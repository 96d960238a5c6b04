//! Endorsements and trust anchors from files, and where a service keeps its own.

use std::fs;
use std::path::{Path, PathBuf};

use evidence::TrustAnchors;
use evidence::dcap::formats::Collection;
use evidence::dcap::{RawEndorsements, VerifiedPck};
use time::OffsetDateTime;

use crate::failure::Failure;
use crate::input;

/// Intel's roots, or those in the files given for a role.
pub(crate) fn trust_anchors(pck: &[PathBuf], tcb_signing: &[PathBuf]) -> Result<TrustAnchors, Failure> {
    let read =
        |paths: &[PathBuf]| paths.iter().map(|path| input::read_file(path)).collect::<Result<Vec<_>, _>>();
    let (pck, tcb_signing) = (read(pck)?, read(tcb_signing)?);
    let pck: Vec<&[u8]> = pck.iter().map(Vec::as_slice).collect();
    let tcb_signing: Vec<&[u8]> = tcb_signing.iter().map(Vec::as_slice).collect();
    TrustAnchors::with_roots(&pck, &tcb_signing).map_err(|error| Failure::usage(error.to_string()))
}

/// Everything that the files and directories hold. A file that is named must hold endorsements; in a directory
/// other files are passed over.
pub(crate) fn endorsements(paths: &[PathBuf]) -> Result<Collection, Failure> {
    let mut collection = Collection::new();
    for path in paths {
        if !path.is_dir() {
            add(&mut collection, path, &input::read_file(path)?)?;
            continue;
        }
        let before = collection.items().count();
        for file in within(path)? {
            // Whatever else lies in a directory is none of our business.
            let _ = collection.add(&input::read_file(&file)?);
        }
        if collection.items().count() == before {
            return Err(Failure::usage(format!("`{}` holds no endorsements", path.display())));
        }
    }
    Ok(collection)
}

/// Every file below a directory, in order.
pub(crate) fn within(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    walk(directory, 0, &mut files)?;
    Ok(files)
}

/// Adds what `bytes` hold, which came from `path`.
pub(crate) fn add(collection: &mut Collection, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let added = collection.add(bytes);
    added.map(drop).map_err(|error| Failure::usage(format!("endorsements in `{}`: {error}", path.display())))
}

/// The endorsements for the platform of a verified PCK certificate. What is missing is named, with the command that
/// gets it.
pub(crate) fn select(
    collection: &Collection,
    pck: &VerifiedPck,
    now: OffsetDateTime,
) -> Result<RawEndorsements, Failure> {
    let id = pck.endorsements_id();
    let chain = pck.issuer_chain_pem();
    collection.select(&id, Some(&chain), now).map_err(|missing| {
        let what = missing.items.join(", ");
        let message = if collection.is_empty() {
            format!("the evidence cannot be verified without endorsements: {what}")
        } else {
            format!("the endorsements given lack: {what}")
        };
        Failure::usage(format!("{message} (FMSPC {}, {} CA)", hex::encode(id.fmspc), id.ca)).hint(format!(
            "`vouchsafe endorsements fetch --fmspc {} --ca {} --out DIR` gets them; give DIR with `--endorsements`",
            hex::encode(id.fmspc),
            id.ca
        ))
    })
}

/// `$XDG_DATA_HOME/vouchsafe`, or `~/.local/share/vouchsafe` (XDG Base Directory Specification).
pub(crate) fn default_data_dir() -> Result<PathBuf, Failure> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("vouchsafe"))
        .ok_or_else(|| {
            Failure::usage("there is no home directory to keep data in").hint("name one with `--data-dir`")
        })
}

fn walk(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let unreadable = |error| Failure::usage(format!("`{}` cannot be read: {error}", directory.display()));
    if depth >= MAX_DEPTH {
        return Err(Failure::usage(format!(
            "`{}` is nested deeper than {MAX_DEPTH} directories",
            directory.display()
        )));
    }
    let entries =
        fs::read_dir(directory).map_err(unreadable)?.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            walk(&path, depth.saturating_add(1), files)?;
        } else {
            files.push(path);
        }
        if files.len() > MAX_FILES {
            return Err(Failure::usage(format!(
                "`{}` holds more than {MAX_FILES} files",
                directory.display()
            )));
        }
    }
    Ok(())
}

/// Bundles of endorsements are flat or have a directory for each platform; this also ends loops of links.
const MAX_DEPTH: usize = 8;
/// A bundle for every platform that Intel knows has some hundred files.
const MAX_FILES: usize = 10_000;
