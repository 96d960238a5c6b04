//! The logs of what was measured: the firmware's (TCG PC Client Platform Firmware Profile) and the kernel's (IMA).

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::failure::Failure;
use crate::{input, output};

/// Which logs to send
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct LogArgs {
    /// The firmware's event log [default: binary_bios_measurements of the kernel]
    #[arg(long, value_name = "FILE", conflicts_with = "no_event_log")]
    event_log: Option<PathBuf>,

    /// Send no event log of the firmware
    #[arg(long)]
    no_event_log: bool,

    /// The kernel's IMA log [default: binary_runtime_measurements of the kernel, if it keeps one]
    #[arg(long, value_name = "FILE", conflicts_with = "no_ima")]
    ima_log: Option<PathBuf>,

    /// Send no IMA log
    #[arg(long)]
    no_ima: bool,

    /// Where the kernel shows its logs
    #[arg(long, value_name = "DIR", default_value = "/sys/kernel/security", hide = true)]
    securityfs: PathBuf,
}

/// Logs that can be read.
pub(super) struct Logs {
    event_log: Option<Log>,
    ima_log: Option<Log>,
}

type Log = (PathBuf, File);

impl LogArgs {
    pub(super) fn open(&self) -> Result<Logs, Failure> {
        let event_log = match &self.event_log {
            _ if self.no_event_log => None,
            Some(path) => Some(named(path)?),
            None => Some(self.default_event_log()?),
        };
        let ima_log = match &self.ima_log {
            _ if self.no_ima => None,
            Some(path) => Some(named(path)?),
            None => self.default_ima_log()?,
        };
        Ok(Logs { event_log, ima_log })
    }

    fn default_event_log(&self) -> Result<Log, Failure> {
        let path = self.securityfs.join(EVENT_LOG);
        open(&path).map_err(|error| {
            let failure = unreadable("the firmware's event log", &path, &error);
            match error.kind() {
                io::ErrorKind::NotFound if !self.is_mounted() => failure.hint(format!(
                    "mount it: `mount -t securityfs securityfs {}`; in a container, share the host's or give a copy \
                     with `--event-log FILE`",
                    self.securityfs.display()
                )),
                io::ErrorKind::NotFound => failure.hint(
                    "firmware or kernel hand over no log of a TPM 2.0; `--event-log FILE` names one, `--no-event-log` \
                     attests without",
                ),
                _ => failure.hint("run it as root, or give a copy with `--event-log FILE`"),
            }
        })
    }

    /// The kernel's log; nothing if it keeps none.
    fn default_ima_log(&self) -> Result<Option<Log>, Failure> {
        let path = self.securityfs.join(IMA_LOG);
        match open(&path) {
            Ok(log) => Ok(Some(log)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                output::note("note: this kernel keeps no IMA log; files that were opened are not attested");
                Ok(None)
            }
            Err(error) => Err(unreadable("the kernel's IMA log", &path, &error).hint(
                "run it as root, give a copy with `--ima-log FILE`, or attest without it with `--no-ima`",
            )),
        }
    }

    fn is_mounted(&self) -> bool {
        self.securityfs.read_dir().is_ok_and(|mut entries| entries.next().is_some())
    }
}

impl Logs {
    /// The firmware's and the kernel's log, as far as they have been written by now.
    pub(super) fn read(self) -> Result<[Option<Vec<u8>>; 2], Failure> {
        let read = |log: Option<Log>| log.map(|(path, file)| input::read_open(&path, file)).transpose();
        Ok([read(self.event_log)?, read(self.ima_log)?])
    }
}

fn named(path: &Path) -> Result<Log, Failure> {
    open(path).map_err(|error| Failure::usage(format!("`{}` cannot be read: {error}", path.display())))
}

fn open(path: &Path) -> io::Result<Log> {
    Ok((path.to_owned(), File::open(path)?))
}

fn unreadable(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("{what} `{}` cannot be read: {error}", path.display()))
}

const EVENT_LOG: &str = "tpm0/binary_bios_measurements";
const IMA_LOG: &str = "ima/binary_runtime_measurements";

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn arguments(securityfs: &Path) -> LogArgs {
        LogArgs {
            event_log: None,
            no_event_log: false,
            ima_log: None,
            no_ima: false,
            securityfs: securityfs.to_owned(),
        }
    }

    #[test]
    fn what_is_missing_is_explained() {
        let directory = std::env::temp_dir().join(format!("vouchsafe-securityfs-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        let hint = |arguments: &LogArgs| arguments.open().err().unwrap().hint.unwrap();
        assert!(hint(&arguments(&directory)).contains("mount -t securityfs"));
        fs::create_dir_all(directory.join("lsm")).unwrap();
        assert!(hint(&arguments(&directory)).contains("--no-event-log"));

        fs::create_dir_all(directory.join("tpm0")).unwrap();
        fs::write(directory.join(EVENT_LOG), b"events").unwrap();
        let logs = arguments(&directory).open().unwrap();
        // Measured after the file was opened.
        fs::write(directory.join(EVENT_LOG), b"more events").unwrap();
        assert_eq!(logs.read().unwrap(), [Some(b"more events".to_vec()), None]);
        fs::create_dir_all(directory.join("ima")).unwrap();
        fs::write(directory.join(IMA_LOG), b"files").unwrap();
        assert_eq!(arguments(&directory).open().unwrap().read().unwrap()[1], Some(b"files".to_vec()));
        let none = LogArgs { no_event_log: true, no_ima: true, ..arguments(&directory) };
        assert_eq!(none.open().unwrap().read().unwrap(), [None, None]);
        let missing = LogArgs { event_log: Some("/nonexistent".into()), ..arguments(&directory) };
        assert!(missing.open().err().unwrap().message.contains("/nonexistent"));
        fs::remove_dir_all(directory).unwrap();
    }
}
