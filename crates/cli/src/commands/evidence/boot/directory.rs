//! The directory of a machine's evidence, as `tpm2_quote` and a copy of the logs fill it.

use std::path::Path;

use evidence::tpm::{Evidence, PcrBytes, SignatureBytes};

use crate::failure::Failure;
use crate::input;

/// The files, unverified.
pub(super) struct Directory {
    pub(super) quote: Vec<u8>,
    pub(super) signature: Vec<u8>,
    pub(super) pcrs: Option<Vec<u8>>,
    pub(super) event_log: Option<Vec<u8>>,
    pub(super) ima_log: Option<Vec<u8>>,
    pub(super) ak_public: Option<Vec<u8>>,
    pub(super) ak_certificate: Option<Vec<u8>>,
}

impl Directory {
    /// Reads the quote of this name and what belongs to it.
    pub(super) fn read(directory: &Path, quote: &str) -> Result<Self, Failure> {
        if !directory.is_dir() {
            return Err(Failure::usage(format!("`{}` is no directory", directory.display())).hint(
                "TPM evidence is a directory with `quote.msg`, `quote.sig`, `pcrs`, `ak.pub` and `eventlog`",
            ));
        }
        let path = |name: &str| directory.join(name);
        // Of several files the first that is there.
        let any = |names: &[&str]| {
            let found = names.iter().map(|name| path(name)).find(|path| path.exists());
            found.map(|path| input::read_file(&path)).transpose()
        };
        Ok(Self {
            quote: input::read_file(&path(&format!("{quote}.msg")))?,
            signature: input::read_file(&path(&format!("{quote}.sig")))?,
            pcrs: any(&[&format!("{quote}.pcrs"), "pcrs"])?,
            event_log: any(&["eventlog"])?,
            ima_log: any(&["ima.bin"])?,
            ak_public: any(&["ak.pub", "ak.tpm2b", "ak.pem"])?,
            ak_certificate: any(&["ak.crt"])?,
        })
    }

    /// The evidence in them. `tpm2_quote` writes a TPMT_SIGNATURE or, with `-f plain`, the bytes of an RSA signature.
    pub(super) fn evidence<'a>(&'a self, logs: &'a [&'a [u8]]) -> Evidence<'a> {
        let bytes = self.signature.as_slice();
        let is_tpmt = evidence::tpm::Signature::parse(bytes).is_ok();
        let is_raw = !is_tpmt && RSA_BYTES.contains(&bytes.len());
        Evidence {
            quote: &self.quote,
            signature: if is_raw { SignatureBytes::RawRsa(bytes) } else { SignatureBytes::Tpmt(bytes) },
            pcrs: PcrBytes::Concatenated(self.pcrs.as_deref().unwrap_or_default()),
            event_logs: logs,
            ima_log: self.ima_log.as_deref(),
            ak_public: self.ak_public.as_deref(),
            ak_certificate: self.ak_certificate.as_deref(),
        }
    }
}

/// RSA keys of 2048, 3072 and 4096 bits.
const RSA_BYTES: [usize; 3] = [256, 384, 512];
