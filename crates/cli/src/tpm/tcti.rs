//! How a TPM is reached: the kernel's device, or the command channel of a software TPM.
//!
//! The names are those of the TPM2 software stack (`tcti` strings of tpm2-tools), or a bare path.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::wire::{HEADER_BYTES, MAX_BYTES};
use crate::failure::Failure;

/// Where the TPM is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tcti {
    /// A character device: one write a command, one read an answer.
    Device(PathBuf),
    /// `swtpm socket --server type=tcp`: the same bytes as a stream.
    Swtpm { host: String, port: u16 },
}

impl FromStr for Tcti {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        match kind {
            "device" if !rest.is_empty() => Ok(Self::Device(rest.into())),
            "device" => Ok(Self::Device(DEFAULT_DEVICE.into())),
            "swtpm" => {
                let (mut host, mut port) = (String::from("127.0.0.1"), SWTPM_PORT);
                for setting in rest.split(',').filter(|setting| !setting.is_empty()) {
                    match setting.split_once('=') {
                        Some(("host", value)) => host = value.to_owned(),
                        Some(("port", value)) => {
                            port = value.parse().map_err(|_| format!("`{value}` is not a port"))?;
                        }
                        _ => return Err(format!("`{setting}` is neither `host=HOST` nor `port=PORT`")),
                    }
                }
                Ok(Self::Swtpm { host, port })
            }
            _ if text.starts_with('/') => Ok(Self::Device(text.into())),
            _ => Err("write a device (`/dev/tpmrm0`) or `swtpm:host=127.0.0.1,port=2321`".to_owned()),
        }
    }
}

/// An open connection.
pub(super) enum Transport {
    Device(File),
    Socket(TcpStream),
}

impl Tcti {
    pub(super) fn open(&self) -> Result<Transport, Failure> {
        match self {
            Self::Device(path) => {
                let opened = OpenOptions::new().read(true).write(true).open(path);
                opened.map(Transport::Device).map_err(|error| {
                    let failure = Failure::failed(format!("the TPM `{}`: {error}", path.display()));
                    match error.kind() {
                        io::ErrorKind::NotFound => failure.hint(
                            "this machine shows no TPM 2.0; enable it in the firmware's settings (fTPM, PTT, TPM state), \
                             or name another one with `--tcti`",
                        ),
                        io::ErrorKind::PermissionDenied => failure.hint(
                            "run it as root, or as a member of the group `tss` (`usermod -aG tss USER`, then log in again)",
                        ),
                        io::ErrorKind::ResourceBusy => failure.hint(
                            "another program has it open; `/dev/tpmrm0` can be shared, `/dev/tpm0` cannot",
                        ),
                        _ => failure,
                    }
                })
            }
            Self::Swtpm { host, port } => connect(host, *port).map(Transport::Socket).map_err(|error| {
                Failure::failed(format!("the software TPM at {host} port {port}: {error}")).hint(
                    "the port is that of `swtpm socket --server type=tcp,port=PORT`, not of its `--ctrl`",
                )
            }),
        }
    }
}

impl Transport {
    /// Sends a command and gives the whole answer, whose length is that of its header.
    pub(super) fn exchange(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Device(device) => {
                device.write_all(command)?;
                let mut answer = vec![0; MAX_BYTES];
                let length = device.read(&mut answer)?;
                answer.truncate(length);
                Ok(answer)
            }
            Self::Socket(socket) => {
                socket.write_all(command)?;
                read_answer(socket)
            }
        }
    }
}

fn read_answer(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut header = [0; HEADER_BYTES];
    stream.read_exact(&mut header)?;
    let [_, _, a, b, c, d, ..] = header;
    let size = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    if !(HEADER_BYTES..=MAX_BYTES).contains(&size) {
        let message =
            format!("an answer of {size} bytes is announced; a TPM's has {HEADER_BYTES} to {MAX_BYTES}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let mut answer = header.to_vec();
    answer.resize(size, 0);
    stream.read_exact(answer.get_mut(HEADER_BYTES..).unwrap_or_default())?;
    Ok(answer)
}

fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(socket) => {
                socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
                socket.set_write_timeout(Some(ANSWER_TIMEOUT))?;
                socket.set_nodelay(true)?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The kernel's resource manager, which programs share.
pub(crate) const DEFAULT_DEVICE: &str = "/dev/tpmrm0";
/// The port that swtpm and tpm2-tools presume.
const SWTPM_PORT: u16 = 2321;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A slow TPM takes a minute to make an RSA key.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(180);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_and_software_tpms_are_named_as_by_tpm2_tools() {
        let device = |path: &str| Ok(Tcti::Device(path.into()));
        let swtpm = |host: &str, port| Ok(Tcti::Swtpm { host: host.to_owned(), port });
        assert_eq!("/dev/tpm0".parse(), device("/dev/tpm0"));
        assert_eq!("device:/dev/tpmrm1".parse(), device("/dev/tpmrm1"));
        assert_eq!("device".parse(), device(DEFAULT_DEVICE));
        assert_eq!("swtpm".parse(), swtpm("127.0.0.1", 2321));
        assert_eq!("swtpm:host=h,port=5".parse(), swtpm("h", 5));
        assert_eq!("swtpm:port=5,host=::1".parse(), swtpm("::1", 5));
        for text in ["", "tpm0", "mssim:host=h", "swtpm:path=/x", "swtpm:port=70000"] {
            assert!(text.parse::<Tcti>().is_err(), "{text}");
        }
    }

    #[test]
    fn answers_are_read_to_their_length_and_bounded() {
        let answer = [0x80, 1, 0, 0, 0, 11, 0, 0, 0, 0, 7, 99];
        assert_eq!(read_answer(&mut &answer[..]).unwrap(), answer[..11]);
        assert!(read_answer(&mut &answer[..10]).is_err(), "cut");
        for size in [9_u32, 4097, u32::MAX] {
            let mut wrong = answer;
            wrong[2..6].copy_from_slice(&size.to_be_bytes());
            assert_eq!(read_answer(&mut &wrong[..]).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn a_missing_device_is_explained() {
        let failure = Tcti::Device("/nonexistent/tpm".into()).open().err().unwrap();
        assert!(failure.message.contains("/nonexistent/tpm") && failure.hint.unwrap().contains("firmware"));
        let failure = Tcti::Swtpm { host: "127.0.0.1".to_owned(), port: 1 }.open().err().unwrap();
        assert!(failure.message.contains("port 1"), "{}", failure.message);
    }
}
