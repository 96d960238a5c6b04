//! `vouchsafe attest sgx` and `openenclave`: a quote out, a token in.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, ValueEnum};
use reqwest::StatusCode;
use reqwest::header::AUTHORIZATION;
use serde_json::{Map, Value, json};

use super::{print_token, refusal, source, token_of};
use crate::commands::connection::bearer;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::http;
use crate::input;
use crate::output;

/// The evidence of an enclave, and where to send it.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Enclave {
    /// Service to attest to, with its path prefix if it has one
    #[arg(long, value_name = "URI", env = "VOUCHSAFE_ENDPOINT")]
    endpoint: String,

    /// File with the quote or report; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "quote_command")]
    evidence: Option<PathBuf>,

    /// Shell command that makes the quote or report
    ///
    /// It gets the 64 bytes of report data as 128 hex digits: on standard input, as `$1`, and in the variable
    /// VOUCHSAFE_REPORT_DATA; a command of a single word gets them as its argument, too. It writes the bytes of
    /// the quote to standard output.
    #[arg(long, value_name = "CMD")]
    quote_command: Option<String>,

    /// Data that the evidence is bound to, for example a public key
    #[arg(long, value_name = "FILE")]
    runtime_data: Option<PathBuf>,

    /// How the service shows the runtime data in the token
    #[arg(long, value_enum, ignore_case = true, default_value = "binary", requires = "runtime_data")]
    runtime_data_type: DataType,

    /// Data that the enclave was started with (SHA-256 in its configuration id)
    #[arg(long, value_name = "FILE")]
    init_time_data: Option<PathBuf>,

    /// How the service shows the init-time data in the token
    #[arg(long, value_enum, ignore_case = true, default_value = "binary", requires = "init_time_data")]
    init_time_data_type: DataType,

    /// Text that comes back in the token's `nonce` claim; the evidence is not bound to it
    #[arg(long, value_name = "TEXT")]
    nonce: Option<String>,

    /// Policy to try instead of the provider's own; the token is then unsigned
    #[arg(long, value_name = "FILE")]
    draft_policy: Option<PathBuf>,

    /// Version of the interface to ask for
    #[arg(long, value_name = "VERSION", default_value = "2020-10-01")]
    api_version: String,

    /// Certificate authorities to trust instead of the system's
    #[arg(long, value_name = "PEM", env = "VOUCHSAFE_CA_FILE")]
    ca_file: Option<PathBuf>,

    /// File with an access token for services that ask for one
    #[arg(long, value_name = "FILE")]
    bearer_token_file: Option<PathBuf>,

    /// Print `{token, header, claims}` instead of the bare token
    #[arg(long)]
    json: bool,

    /// Where Gramine keeps its attestation files
    #[arg(long, value_name = "DIR", default_value = "/dev/attestation", hide = true)]
    gramine_dir: PathBuf,
}

/// Above the options, for either kind.
pub(super) const HELP: &str = "\
The evidence comes from a file, from a command, or, inside a Gramine enclave, from /dev/attestation. A fresh quote is \
asked for with the report data SHA-256(runtime data) followed by 32 zero bytes, or 64 zero bytes without runtime data.

The token is printed as the service sent it and is not verified here; pipe it into `vouchsafe token verify`.";

const EXAMPLES: &str = "\
Examples:
  # A quote in a file, bound to a public key
  vouchsafe attest sgx --endpoint https://localhost:8443 --ca-file ca.pem \\
      --evidence quote.bin --runtime-data key.pem

  # A fresh quote from a command that reads the report data in hex
  vouchsafe attest sgx --endpoint https://localhost:8443 --ca-file ca.pem \\
      --quote-command './make-quote' --runtime-data claims.json --runtime-data-type json

  # Inside Gramine, and straight on to a relying party
  vouchsafe attest sgx --endpoint $URI --runtime-data key.pem | vouchsafe token verify - --issuer $URI";

/// The attestation types whose evidence this command can send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tee {
    /// An Open Enclave report.
    OpenEnclave,
    /// An Intel SGX quote.
    Sgx,
}

/// The data types of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DataType {
    /// Opaque bytes
    Binary,
    /// A JSON object, whose members become claims
    Json,
}

impl Enclave {
    pub(super) fn run(self, tee: Tee) -> Result<Exit, Failure> {
        let runtime_data = self.runtime_data.as_deref().map(input::read_file).transpose()?;
        let evidence = self.obtain_evidence(tee, &source::report_data(runtime_data.as_deref()))?;
        let body = self.request_body(tee, &evidence, runtime_data.as_deref())?;
        let token = http::block_on(self.exchange(tee, &body))?;
        if self.draft_policy.is_some() {
            output::note(
                "note: tokens issued under a draft policy are unsigned; nobody should rely on this one",
            );
        }
        print_token(&token, self.json)?;
        Ok(Exit::Yes)
    }

    fn obtain_evidence(&self, tee: Tee, report_data: &[u8; 64]) -> Result<Vec<u8>, Failure> {
        if let Some(path) = &self.evidence {
            return source::file(path);
        }
        if let Some(command) = &self.quote_command {
            return source::command(command, report_data);
        }
        if tee == Tee::OpenEnclave {
            return Err(Failure::usage("there is no Open Enclave report to send")
                .hint("give one with `--evidence` or `--quote-command`"));
        }
        source::gramine(&self.gramine_dir, report_data)
    }

    fn request_body(&self, tee: Tee, evidence: &[u8], runtime_data: Option<&[u8]>) -> Result<Value, Failure> {
        let evidence = Value::from(URL_SAFE_NO_PAD.encode(evidence));
        let mut body = Map::new();
        if self.api_version == LEGACY_API_VERSION {
            // This version has neither data types nor anything optional but the data.
            body.insert("Quote".to_owned(), evidence);
            if let Some(data) = runtime_data {
                body.insert("EnclaveHeldData".to_owned(), URL_SAFE_NO_PAD.encode(data).into());
            }
            return Ok(body.into());
        }
        let evidence_member = match tee {
            Tee::OpenEnclave => "report",
            Tee::Sgx => "quote",
        };
        body.insert(evidence_member.to_owned(), evidence);
        if let Some(data) = runtime_data {
            body.insert("runtimeData".to_owned(), self.runtime_data_type.wrap(data));
        }
        if let Some(path) = &self.init_time_data {
            body.insert("initTimeData".to_owned(), self.init_time_data_type.wrap(&input::read_file(path)?));
        }
        if let Some(path) = &self.draft_policy {
            body.insert("draftPolicyForAttestation".to_owned(), input::read_text(path)?.into());
        }
        if let Some(nonce) = &self.nonce {
            body.insert("nonce".to_owned(), nonce.as_str().into());
        }
        Ok(body.into())
    }

    async fn exchange(&self, tee: Tee, body: &Value) -> Result<String, Failure> {
        let path = match tee {
            Tee::OpenEnclave => "attest/OpenEnclave",
            Tee::Sgx => "attest/SgxEnclave",
        };
        let url = http::join(&self.endpoint, path, None)?;
        let mut url = url;
        url.query_pairs_mut().append_pair("api-version", &self.api_version);
        let mut request = http::client(self.ca_file.as_deref())?.post(url.clone()).json(body);
        if let Some(path) = &self.bearer_token_file {
            request = request.header(AUTHORIZATION, bearer(path)?);
        }
        let answer = http::send(request, &url).await?;
        if answer.status == StatusCode::OK {
            token_of(&answer.body)
        } else {
            Err(refusal(answer.status, &answer.body))
        }
    }
}

impl DataType {
    fn wrap(self, data: &[u8]) -> Value {
        let data_type = match self {
            Self::Binary => "Binary",
            Self::Json => "JSON",
        };
        json!({ "data": URL_SAFE_NO_PAD.encode(data), "dataType": data_type })
    }
}

/// The version before data types, drafts and nonces.
const LEGACY_API_VERSION: &str = "2018-09-01-preview";
