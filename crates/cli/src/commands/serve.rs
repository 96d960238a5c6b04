//! `vouchsafe serve`: runs the service until it is told to stop.

use std::path::{Path, PathBuf};

use clap::Args;
use server::config::{Config, Sources};
use server::{Server, StartError};
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::files;
use crate::input;
use crate::output;

/// Run the attestation service
///
/// Needs no configuration: without any it listens on https://127.0.0.1:8443 with a certificate of its own local
/// authority (`ca.pem` in the data directory), and keeps its signing key from one start to the next. Once it
/// answers it prints `ready <provider URI>` on standard output. SIGTERM or Ctrl-C stops it; requests in work are
/// finished first.
///
/// Settings come from the configuration file, from VOUCHSAFE_* variables and from flags; later ones win. `vouchsafe
/// config example` prints every key.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Serve {
    /// Configuration file
    #[arg(long, value_name = "FILE", env = "VOUCHSAFE_CONFIG")]
    config: Option<PathBuf>,

    /// Where keys, certificates and endorsements are kept [default: vouchsafe in the user's data directory]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Address and port to listen on; port 0 picks a free one [default: 127.0.0.1:8443]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,

    /// URI that clients reach the provider at; the issuer of its tokens [default: the address it listens on]
    #[arg(long, value_name = "URI")]
    uri: Option<String>,

    /// File or directory with endorsements, in any format that people have them in (repeatable)
    #[arg(long, value_name = "PATH")]
    endorsements: Vec<String>,

    /// Base of a PCS or PCCS to fetch endorsements from (repeatable, tried in order) [default: Intel's]
    #[arg(long, value_name = "URL")]
    pcs_url: Vec<String>,

    /// TCB status to accept (repeatable; replaces the default list) [default: UpToDate, SWHardeningNeeded,
    /// ConfigurationNeeded, ConfigurationAndSWHardeningNeeded]
    #[arg(long, value_name = "STATUS")]
    accept_tcb_status: Vec<String>,

    /// Lowest `tcbEvaluationDataNumber` of endorsements to accept
    #[arg(long, value_name = "N")]
    min_tcb_evaluation: Option<u32>,

    /// Oldest endorsements to accept, in days since their issue
    #[arg(long, value_name = "DAYS")]
    max_endorsement_age: Option<u32>,

    /// Signature algorithm of tokens: RS256 or ES256 [default: RS256]
    #[arg(long, value_name = "ALGORITHM")]
    token_algorithm: Option<String>,

    /// Roots to trust for PCK certificates instead of Intel's (repeatable)
    #[arg(long, value_name = "PEM")]
    trust_pck_root: Vec<String>,

    /// Roots to trust for signers of TCB info and identities instead of Intel's (repeatable)
    #[arg(long, value_name = "PEM")]
    trust_tcb_root: Vec<String>,

    /// Certificate chain in PEM, leaf first, instead of the local authority's certificate; needs --tls-key
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<String>,

    /// Private key of --tls-cert in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<String>,

    /// Directory with the issuers to trust for keys in TPMs: `ek/` of endorsement keys, `aik/` of attestation keys
    #[arg(long, value_name = "DIR")]
    tpm_roots: Option<PathBuf>,

    /// Appraise evidence and endorsements as of TIME, to replay old evidence; token times stay real
    #[arg(long, value_name = "TIME")]
    danger_appraise_at: Option<String>,

    /// Any other key of the configuration, such as `limits.queue=16` (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  # Zero configuration
  vouchsafe serve

  # Offline, for clients on other machines
  vouchsafe serve --listen 0.0.0.0:443 --uri https://attest.example --endorsements /srv/endorsements

  # Replay evidence of last year with the endorsements of that time
  vouchsafe serve --endorsements collateral.json --danger-appraise-at 2025-07-04";

impl Serve {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let config = self.configuration()?;
        server::logging::init(&config.log).map_err(|error| Failure::usage(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime
            .map_err(|error| Failure::failed(format!("the asynchronous runtime did not start: {error}")))?;
        runtime.block_on(serve(config))?;
        Ok(Exit::Yes)
    }

    /// Merges file, environment and flags.
    fn configuration(&self) -> Result<Config, Failure> {
        let file = self.config.as_deref().map(std::path::absolute).transpose();
        let file = file.map_err(|error| Failure::usage(format!("`--config`: {error}")))?;
        let appraise_at = self.danger_appraise_at.as_deref().map(normal_time).transpose()?;
        let number = |number: Option<u32>| number.map(|number| number.to_string());
        let mut sources = Sources::new()
            .file(file)
            .environment(utf8_environment())
            .flag("data_dir", self.data_dir.as_deref().map(path_text).transpose()?)
            .flag("listen", self.listen.clone())
            .flag("provider.uri", self.uri.clone())
            .flag("endorsements.offline", self.endorsements.clone())
            .flag("endorsements.pcs_urls", self.pcs_url.clone())
            .flag("provider.baseline.accept_tcb_status", self.accept_tcb_status.clone())
            .flag("provider.baseline.min_tcb_evaluation", number(self.min_tcb_evaluation))
            .flag("provider.baseline.max_endorsement_age_days", number(self.max_endorsement_age))
            .flag("provider.token_algorithm", self.token_algorithm.clone())
            .flag("provider.tpm.roots", self.tpm_roots.as_deref().map(path_text).transpose()?)
            .flag("tls.cert_file", self.tls_cert.clone())
            .flag("tls.key_file", self.tls_key.clone())
            .flag("trust_anchors.pck_root_files", self.trust_pck_root.clone())
            .flag("trust_anchors.tcb_signing_root_files", self.trust_tcb_root.clone())
            .flag("danger_appraise_at", appraise_at);
        for setting in &self.set {
            let (key, value) = setting.split_once('=').ok_or_else(|| {
                Failure::usage(format!("`--set {setting}` has no `=`")).hint("write `--set KEY=VALUE`")
            })?;
            sources = sources.flag(key, [value.to_owned()]);
        }
        let mut config = sources.load().map_err(|error| Failure::usage(error.to_string()))?;
        // Paths of a file are absolute by now, so this one is the default, which depends on who runs the service.
        let is_default = config.data_dir == Config::default().data_dir;
        if is_default && self.data_dir.is_none() && std::env::var_os("VOUCHSAFE_DATA_DIR").is_none() {
            config.data_dir = files::default_data_dir()?;
        }
        Ok(config)
    }
}

/// Serves until SIGTERM or SIGINT.
async fn serve(config: Config) -> Result<(), Failure> {
    // Before the ready line: whoever reads it may send a signal at once.
    let signals = |error| Failure::failed(format!("signals cannot be received: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(signals)?;
    let appraise_at = config.danger_appraise_at;
    let local_authority = config.tls.cert_file.is_none();
    let server = Server::start(config).await.map_err(|error| did_not_start(&error))?;
    output::line(&format!("ready {}", server.uri()))?;
    if let Some(at) = appraise_at {
        output::note(&format!("DANGER: evidence is appraised as of {}, not as of now", input::show_time(at)));
    }
    let uri = server.uri();
    let ca =
        if local_authority { format!(" --ca-file {}", server.ca_pem().display()) } else { String::new() };
    output::note(&format!(
        "try it:\n  vouchsafe attest sgx --endpoint {uri}{ca} --evidence quote.bin > token\n  \
         vouchsafe token verify - --issuer {uri}{ca} < token"
    ));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    server.stop().await;
    Ok(())
}

fn did_not_start(error: &StartError) -> Failure {
    match error {
        StartError::Config(error) => Failure::usage(error.to_string()),
        error => Failure::failed(chain(error)),
    }
}

fn utf8_environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn path_text(path: &Path) -> Result<String, Failure> {
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| Failure::usage(format!("`{}` is not UTF-8", path.display())))
}

/// RFC 3339 in UTC, which the configuration takes, of any time the command line takes.
fn normal_time(text: &str) -> Result<String, Failure> {
    let time = input::parse_time(text)
        .map_err(|error| Failure::usage(format!("`--danger-appraise-at`: {error}")))?;
    Ok(input::show_time(time))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        serve: Serve,
    }

    fn configuration(arguments: &[&str]) -> Result<Config, Failure> {
        Line::parse_from(["serve"].iter().chain(arguments)).serve.configuration()
    }

    #[test]
    fn flags_reach_the_configuration() {
        let config = configuration(&[
            "--data-dir=data",
            "--listen=127.0.0.1:0",
            "--uri=https://attest.example",
            "--endorsements=a",
            "--endorsements=b",
            "--pcs-url=https://pccs.example",
            "--accept-tcb-status=UpToDate",
            "--accept-tcb-status=OutOfDate",
            "--min-tcb-evaluation=17",
            "--max-endorsement-age=30",
            "--token-algorithm=ES256",
            "--danger-appraise-at=2025-07-04",
            "--set=limits.queue=16",
        ])
        .unwrap();
        assert_eq!(config.data_dir, Path::new("data"));
        assert_eq!(config.listen.port(), 0);
        assert_eq!(config.provider.uri.as_deref(), Some("https://attest.example"));
        assert_eq!(config.endorsements.offline, [Path::new("a"), Path::new("b")]);
        assert_eq!(config.endorsements.pcs_urls, ["https://pccs.example"]);
        assert_eq!(config.provider.baseline.accept_tcb_status.len(), 2);
        assert_eq!(config.provider.baseline.min_tcb_evaluation, Some(17));
        assert_eq!(config.provider.baseline.max_endorsement_age_days, Some(30));
        assert_eq!(config.provider.token_algorithm, server::config::TokenAlgorithm::Es256);
        assert_eq!(config.danger_appraise_at, Some(time::macros::datetime!(2025-07-04 0:00 UTC)));
        assert_eq!(config.limits.queue, 16);
    }

    /// The default data directory is the user's; one named in a file is relative to that file, even if it has the
    /// name of the schema's default.
    #[test]
    fn the_data_directory_of_a_file_is_kept() {
        let file = std::env::temp_dir().join(format!("vouchsafe-{}.toml", std::process::id()));
        std::fs::write(&file, "data_dir = \"vouchsafe-data\"\n").unwrap();
        let config = configuration(&["--config", file.to_str().unwrap()]).unwrap();
        assert_eq!(config.data_dir, std::env::temp_dir().join("vouchsafe-data"));
        std::fs::remove_file(file).unwrap();
        let default = configuration(&[]).unwrap().data_dir;
        assert!(default.is_absolute() && default.ends_with("vouchsafe"), "{default:?}");
    }
}
