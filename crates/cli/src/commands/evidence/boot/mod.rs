//! Evidence of a measured boot: a TPM's quote in a directory with its key and logs, and logs alone.

mod directory;
mod log;
mod show;
mod verify;

use std::borrow::Cow;
use std::path::PathBuf;

use clap::Args;
use evidence::tpm::{KeyTrust, PcrSet, TpmTrust};

use crate::failure::Failure;
use crate::{files, input};

pub(super) use log::{read_log, show_log};
pub(super) use show::show_evidence;
pub(super) use verify::verify;

/// What only TPM evidence needs to be told.
#[derive(Debug, Args)]
pub(super) struct BootOptions {
    /// TPM evidence: the quote to verify, in NAME.msg and NAME.sig, with NAME.pcrs where it has values of its own
    /// [default: quote]
    #[arg(long, value_name = "NAME", value_parser = quote_name)]
    quote: Option<String>,

    /// TPM evidence: the PCRs that the quote must cover, as in `0-7,14` or `none` [default: 0-7]
    #[arg(long, value_name = "LIST", value_parser = pcr_list)]
    require_pcrs: Option<PcrSet>,

    /// TPM evidence: also accept SHA-1 banks, although collisions of SHA-1 can be computed
    #[arg(long)]
    allow_sha1: bool,
}

impl BootOptions {
    fn quote(&self) -> &str {
        self.quote.as_deref().unwrap_or("quote")
    }

    /// They say nothing about quotes of enclaves.
    pub(super) fn refuse_for_quotes(&self) -> Result<(), Failure> {
        self.refuse("for TPM evidence, not for quotes of enclaves")
    }

    /// A log alone has no quote.
    pub(super) fn refuse_for_logs(&self) -> Result<(), Failure> {
        self.refuse("for TPM evidence, not for a log alone")
    }

    fn refuse(&self, why: &str) -> Result<(), Failure> {
        let given = [
            ("--quote", self.quote.is_some()),
            ("--require-pcrs", self.require_pcrs.is_some()),
            ("--allow-sha1", self.allow_sha1),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(Failure::usage(format!("`{flag}` is {why}"))),
            None => Ok(()),
        }
    }
}

/// Whom the files trust for attestation keys. A file that is named holds issuers, which are trusted, or a CRL, or an
/// attestation key, which is trusted by itself. In a directory self-issued certificates are trusted, others and CRLs
/// help, and keys are passed over: what lies about in a directory was not named.
pub(super) fn trust(paths: &[PathBuf]) -> Result<KeyTrust, Failure> {
    let mut issuers = TpmTrust::new();
    let mut keys: Vec<(&PathBuf, Vec<u8>)> = Vec::new();
    for path in paths {
        if path.is_dir() {
            for file in files::within(path)? {
                let bytes = input::read_file(&file)?;
                // Whatever else lies in a directory is none of our business.
                let _ = issuers.add_issuers(&bytes).map(drop).or_else(|_| issuers.add_crl(&crl_der(&bytes)));
            }
            continue;
        }
        let bytes = input::read_file(path)?;
        if issuers.add_anchors(&bytes).is_err() && issuers.add_crl(&crl_der(&bytes)).is_err() {
            keys.push((path, bytes));
        }
    }
    let trusted_keys = keys.len();
    let nobody = issuers.is_empty() && trusted_keys == 0;
    let mut trust = KeyTrust::new(issuers);
    for (path, bytes) in keys {
        trust.add_key(&bytes).map_err(|_| {
            Failure::usage(format!(
                "`{}` holds neither issuers of attestation keys nor an attestation key",
                path.display()
            ))
            .hint("certificates and CRLs may be PEM or DER, a key TPMT_PUBLIC, TPM2B_PUBLIC, or PEM")
        })?;
    }
    if nobody {
        let what = if paths.is_empty() {
            "without `--endorsements` nobody is"
        } else {
            "these endorsements name nobody who is"
        };
        return Err(Failure::usage(format!("{what} trusted to vouch for the attestation key")).hint(
            "`--endorsements` takes the certificates of its issuers (`ca.pem`), or the key itself (`ak.pub`)",
        ));
    }
    Ok(trust)
}

/// A CRL out of its PEM form, if it is in one.
fn crl_der(bytes: &[u8]) -> Cow<'_, [u8]> {
    match pem_rfc7468::decode_vec(bytes) {
        Ok(("X509 CRL", der)) => Cow::Owned(der),
        _ => Cow::Borrowed(bytes),
    }
}

fn pcr_list(text: &str) -> Result<PcrSet, String> {
    let bad = || format!("`{text}` is no list of PCRs; write `0-7`, `0,2,4-7` or `none`");
    let index = |text: &str| text.trim().parse::<u8>().ok().filter(|index| *index < 24).ok_or_else(bad);
    if text == "none" {
        return Ok(PcrSet::default());
    }
    let mut set = PcrSet::default();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (index(first)?, index(last)?);
        if first > last {
            return Err(bad());
        }
        set = (first..=last).fold(set, PcrSet::with);
    }
    Ok(set)
}

/// A part of a file name, not a path.
fn quote_name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(['/', '\\']) {
        return Err(format!(
            "`{text}` is no name of a quote: `quote` stands for `quote.msg` and `quote.sig`"
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_pcrs() {
        assert_eq!(pcr_list("0-7").map(PcrSet::mask), Ok(0xff));
        assert_eq!(pcr_list("0, 2,4-6,23").map(PcrSet::mask), Ok(0x80_0075));
        assert_eq!(pcr_list("none").map(PcrSet::mask), Ok(0));
        for bad in ["", "24", "7-0", "a", "1-", "0-2-3", "256"] {
            assert!(pcr_list(bad).is_err(), "{bad}");
        }
        assert!(quote_name("../quote").is_err() && quote_name("").is_err());
    }
}
