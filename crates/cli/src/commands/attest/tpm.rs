//! `vouchsafe attest tpm`: this machine's measured boot, quoted by its TPM.
//!
//! The message protocol of Azure Attestation for TPMs (Azure documentation, "TPM attestation protocol"), version 2,
//! type `basic`.

mod enrolment;
mod logs;
mod message;
mod pcrs;
mod save;
mod state;

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, ValueEnum};
use crypto::{HashAlgorithm, SigningAlgorithm, SigningKey};
use evidence::tpm::PcrSet;

use self::enrolment::Enrolment;
use self::logs::LogArgs;
use self::message::{Challenge, Evidence, Request};
use self::state::State;
use super::print_token;
use crate::commands::connection::Connection;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::input;
use crate::tpm::quote::quote;
use crate::tpm::{self, KeyAlgorithm, Tcti};

/// Attest this machine: its TPM quotes what was measured at boot
///
/// The first run makes an attestation key in the TPM, and has it certified by the service, which checks with the
/// TPM's endorsement certificate that the key lives there. Later runs use both again, from the state directory; if
/// that is lost, a new key is made and enrolled.
///
/// Each run asks the service for a challenge, makes a fresh request key, lets the TPM quote its PCRs over both, and
/// sends the quote with the logs of what was measured. The TPM and the kernel's logs are usually root's to read.
///
/// The token is printed as the service sent it and is not verified here; pipe it into `vouchsafe token verify`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Tpm {
    #[command(flatten)]
    connection: Connection,

    /// The TPM: a device, or `swtpm:host=HOST,port=PORT`
    #[arg(long, value_name = "TCTI", env = "VOUCHSAFE_TCTI", default_value = tpm::DEFAULT_DEVICE)]
    tcti: Tcti,

    /// Where the attestation key and its certificates are kept
    #[arg(long, value_name = "DIR", default_value = "/var/lib/vouchsafe/tpm")]
    state_dir: PathBuf,

    /// Kind of the attestation key
    #[arg(long, value_enum, default_value = "rsa")]
    key_algorithm: KeyAlgorithm,

    /// Enrol again, even if the service has certified the key before
    #[arg(long, conflicts_with = "ak_certificate")]
    enroll: bool,

    /// Certificate of the attestation key, from somebody else than the service
    #[arg(long, value_name = "FILE")]
    ak_certificate: Option<PathBuf>,

    /// Endorsement certificate, if the TPM does not hold it; its issuers may follow it
    #[arg(long, value_name = "FILE")]
    ek_certificate: Option<PathBuf>,

    /// File with the password of the TPM's endorsement hierarchy, if it has one
    #[arg(long, value_name = "FILE")]
    endorsement_auth_file: Option<PathBuf>,

    /// PCRs to quote, for example `0-7,10`
    #[arg(long, value_name = "LIST", default_value = "0-23", value_parser = pcrs::parse)]
    pcrs: PcrSet,

    /// Bank of PCRs to quote
    #[arg(long, value_enum, default_value = "sha256")]
    bank: Bank,

    #[command(flatten)]
    logs: LogArgs,

    /// Identity of the relying party, for services that derive a machine's identity for each
    #[arg(long, value_name = "URI")]
    rp_id: Option<String>,

    /// Data of the relying party, base64url, which come back in the token: its nonce, say
    #[arg(long, value_name = "BASE64URL", conflicts_with = "rp_data_file")]
    rp_data: Option<String>,

    /// The same from a file
    #[arg(long, value_name = "FILE")]
    rp_data_file: Option<PathBuf>,

    /// Claim to hand to the policy; it is only as good as this program's word
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = claim)]
    claims: Vec<(String, String)>,

    /// Keep the evidence in this directory, for `vouchsafe evidence verify --kind tpm-evidence`
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,

    /// Print `{token, header, claims}` instead of the bare token
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  # This machine, as root
  vouchsafe attest tpm --endpoint https://attest.example

  # A software TPM without logs, and straight on to a relying party
  vouchsafe attest tpm --endpoint $URI --ca-file ca.pem --tcti swtpm:host=127.0.0.1,port=2321 \\
      --state-dir state --no-event-log --no-ima | vouchsafe token verify - --issuer $URI --ca-file ca.pem";

/// The banks whose digests prove something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Bank {
    Sha256,
    Sha384,
}

impl Tpm {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let rp_data = self.rp_data()?;
        let mut tpm = tpm::Tpm::open(&self.tcti, self.endorsement_auth()?)?;
        // Opened now: who cannot read them need not wait for keys. Read last: they must reach as far as the quote.
        let logs = self.logs.open()?;
        let state = State::new(self.state_dir.clone());
        let key = state.attestation_key(&mut tpm, self.key_algorithm)?;
        let enrolment = Enrolment::obtain(&self, &state, &mut tpm, &key)?;

        let challenge = Challenge::ask(&self.connection)?;
        let request_key = SigningKey::generate(SigningAlgorithm::Rs256)
            .map_err(|error| Failure::failed(format!("no request key: {error}")))?;
        let request = Request::new(&request_key, &challenge)?;
        let quoted = quote(&mut tpm, &key, self.bank.hash(), self.pcrs, &request.nonce())?;
        // Whatever is loaded is flushed before the network is waited for.
        drop(tpm);
        let [event_log, ima_log] = logs.read()?;
        let evidence = Evidence {
            key: &key.public,
            certificate: &enrolment.certificate,
            quoted: &quoted,
            event_log: event_log.as_deref(),
            ima_log: ima_log.as_deref(),
        };
        if let Some(directory) = &self.save {
            save::evidence(directory, &evidence, &request.nonce(), &enrolment)?;
        }
        let signed = request.sign(&self, rp_data.as_deref(), &evidence)?;
        let token =
            message::report(&self.connection, &signed).map_err(|failure| enrolment.explain(failure))?;
        print_token(&token, self.json)?;
        Ok(Exit::Yes)
    }

    fn rp_data(&self) -> Result<Option<Vec<u8>>, Failure> {
        match (&self.rp_data, &self.rp_data_file) {
            (Some(text), _) => URL_SAFE_NO_PAD.decode(text).map(Some).map_err(|_| {
                Failure::usage("`--rp-data` is not base64url without padding")
                    .hint("give bytes of any kind with `--rp-data-file`")
            }),
            (None, Some(path)) => input::read_file(path).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// The password without the line end that editors add.
    fn endorsement_auth(&self) -> Result<Vec<u8>, Failure> {
        let Some(path) = &self.endorsement_auth_file else { return Ok(Vec::new()) };
        let mut password = input::read_file(path)?;
        if password.last() == Some(&b'\n') {
            password.pop();
        }
        Ok(password)
    }
}

impl Bank {
    const fn hash(self) -> HashAlgorithm {
        match self {
            Self::Sha256 => HashAlgorithm::Sha256,
            Self::Sha384 => HashAlgorithm::Sha384,
        }
    }
}

fn claim(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write `NAME=VALUE`".to_owned()),
    }
}
