//! The data directory: held by one server at a time, its files written whole or not at all.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Largest file of the directory that is read whole: keys and certificates are a few KiB.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Why the data directory cannot be used. The operator must act.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process holds the directory.
    #[error(
        "another server uses the data directory `{}`; stop it, or set `data_dir` to another directory",
        path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A file of the directory cannot be read, written or created.
    #[error("`{}` cannot be used: {source}; check the path and its permissions, or set `data_dir`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A private key can be read by others.
    #[error(
        "the private key `{}` can be read by other users (mode {mode:o}); run `chmod 600` on it, and replace \
         the key if someone may have read it",
        path.display()
    )]
    KeyExposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// A data directory that this process holds, until it is dropped.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Creates the directory if it is not there, readable by its owner only, and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, DataDirError> {
        create(path)?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(|source| DataDirError::Io { path: lock_path.clone(), source })?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(DataDirError::Io { path: lock_path, source }),
        }
    }

    /// The path of a file in the directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The content of a file, or none if it is not there.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, DataDirError> {
        read_file(&self.file(name))
    }

    /// As [`Self::read`], for a file that only its owner may read.
    pub(crate) fn read_private(&self, name: &str) -> Result<Option<Vec<u8>>, DataDirError> {
        read_private_file(&self.file(name))
    }

    /// Writes a file that anyone may read.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), DataDirError> {
        self.write_with_mode(name, bytes, 0o644)
    }

    /// Writes a file that only its owner may read.
    pub(crate) fn write_private(&self, name: &str, bytes: &[u8]) -> Result<(), DataDirError> {
        self.write_with_mode(name, bytes, 0o600)
    }

    /// A reader sees the old content or the new, also after a crash: the bytes go to a temporary file,
    /// to the disk, and then under the name.
    fn write_with_mode(&self, name: &str, bytes: &[u8], mode: u32) -> Result<(), DataDirError> {
        let path = self.file(name);
        let temporary = self.file(&format!("{name}.new"));
        let write = || {
            // A leftover of a crash may have another mode.
            match fs::remove_file(&temporary) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|source| DataDirError::Io { path: path.clone(), source })
    }
}

/// Creates a data directory if it is not there, for its owner only.
pub(crate) fn create(path: &Path) -> Result<(), DataDirError> {
    let created = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    created.map_err(|source| DataDirError::Io { path: path.to_owned(), source })
}

fn read_file(path: &Path) -> Result<Option<Vec<u8>>, DataDirError> {
    match read_bounded(path, MAX_FILE_BYTES) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(DataDirError::Io { path: path.to_owned(), source }),
    }
}

/// The content of a file that only its owner may read, or none if it is not there. It needs no lock.
pub(crate) fn read_private_file(path: &Path) -> Result<Option<Vec<u8>>, DataDirError> {
    let Some(bytes) = read_file(path)? else { return Ok(None) };
    let metadata = fs::metadata(path).map_err(|source| DataDirError::Io { path: path.to_owned(), source })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(DataDirError::KeyExposed { path: path.to_owned(), mode });
    }
    Ok(Some(bytes))
}

/// Reads a file of at most `max_bytes`.
pub(crate) fn read_bounded(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    File::open(path)?.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > max_bytes {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {max_bytes} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_holds_a_directory() {
        let scratch = crate::test_support::scratch("one_server");
        let held = DataDir::open(&scratch).unwrap();
        assert!(matches!(DataDir::open(&scratch), Err(DataDirError::InUse { .. })));
        drop(held);
        DataDir::open(&scratch).unwrap();
    }

    #[test]
    fn private_files_are_private_and_stay_so() {
        let scratch = crate::test_support::scratch("private_files");
        let dir = DataDir::open(&scratch).unwrap();
        fs::write(dir.file("key.new"), "a leftover, readable by all").unwrap();
        dir.write_private("key", b"secret").unwrap();
        assert_eq!(fs::metadata(dir.file("key")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(dir.read_private("key").unwrap().unwrap(), b"secret");
        assert_eq!(dir.read_private("other").unwrap(), None);
        fs::set_permissions(dir.file("key"), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(dir.read_private("key"), Err(DataDirError::KeyExposed { mode: 0o640, .. })));
    }

    #[test]
    fn what_cannot_be_created_is_named() {
        let scratch = crate::test_support::scratch("no_directory");
        fs::create_dir_all(&scratch).unwrap();
        fs::write(scratch.join("file"), "").unwrap();
        let error = DataDir::open(&scratch.join("file/below")).unwrap_err();
        assert!(matches!(error, DataDirError::Io { .. }));
        assert!(error.to_string().contains("file/below"), "{error}");
    }
}
