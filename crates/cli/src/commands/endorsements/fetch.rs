//! `vouchsafe endorsements fetch`: from a PCS or PCCS into files, verified on the way.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use evidence::dcap::{EndorsementsId, PckCa, Tee};
use server::config::EndorsementsConfig;
use server::endorsements::{EndorsementService, EndorsementsUnavailable};
use server::store::{Store, StoredEndorsement};
use time::OffsetDateTime;

use crate::commands::evidence::parse_quote;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;
use crate::http;
use crate::input;
use crate::kind::Kind;
use crate::output;

/// Fetch the endorsements of a platform into a directory
///
/// They are verified before they are written. The directory serves `--endorsements` of `evidence verify` and `serve`,
/// and `endorsements import` on a machine without network.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Fetch {
    /// The platform family, 12 hex digits
    #[arg(long, value_name = "HEX", value_parser = parse_fmspc, requires = "ca", required_unless_present = "from_quote")]
    fmspc: Option<[u8; 6]>,

    /// The authority that issued the platform's PCK certificate
    #[arg(long, value_enum, requires = "fmspc")]
    ca: Option<Ca>,

    /// Quote or report that says which platform it is from
    #[arg(long, value_name = "FILE", conflicts_with_all = ["fmspc", "ca"])]
    from_quote: Option<PathBuf>,

    /// Base of a PCS or PCCS (repeatable, tried in order) [default: Intel's]
    #[arg(long, value_name = "URL")]
    pcs_url: Vec<String>,

    /// Certificate authority of the PCCS to trust besides the system's
    #[arg(long, value_name = "PEM")]
    pcs_ca_file: Option<PathBuf>,

    /// Roots to trust for PCK certificates instead of Intel's (repeatable)
    #[arg(long, value_name = "PEM")]
    trust_pck_root: Vec<PathBuf>,

    /// Roots to trust for signers of TCB info and identities instead of Intel's (repeatable)
    #[arg(long, value_name = "PEM")]
    trust_tcb_root: Vec<PathBuf>,

    /// Directory to write to; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  vouchsafe endorsements fetch --fmspc 00906ed50000 --ca processor --out endorsements
  vouchsafe endorsements fetch --from-quote quote.bin --pcs-url https://pccs.example:8081 --out endorsements";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Ca {
    /// Servers registered with Intel
    Platform,
    /// Single processors
    Processor,
}

impl Fetch {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let (id, chain) = self.platform()?;
        let anchors = files::trust_anchors(&self.trust_pck_root, &self.trust_tcb_root)?;
        let default = EndorsementsConfig::default();
        let pcs_urls = if self.pcs_url.is_empty() { default.pcs_urls.clone() } else { self.pcs_url.clone() };
        let config = EndorsementsConfig { pcs_urls, pcs_ca_file: self.pcs_ca_file.clone(), ..default };
        // The service keeps what it fetched and verified; here in memory, to be written to files.
        let store = Store::open(Path::new(":memory:")).map_err(|error| Failure::failed(error.to_string()))?;
        let store = Arc::new(store);
        let service = EndorsementService::new(&config, Arc::new(anchors), Arc::clone(&store), false)
            .map_err(|error| Failure::usage(error.to_string()))?;
        let now = OffsetDateTime::now_utc();
        let fetched = http::block_on(async {
            service.get(&id, None, || chain.clone(), now).await.map_err(|error| unavailable(&id, &error))
        })?;
        let kept = store.endorsements().map_err(|error| Failure::failed(error.to_string()))?;
        write(&self.out, &kept)?;
        let expiry = fetched.expires();
        output::line(&format!(
            "{}: endorsements for {id}, tcbEvaluationDataNumber {}, valid until {} ({})",
            self.out.display(),
            fetched.tcb_evaluation_data_number(),
            input::show_time(expiry.at),
            expiry.item,
        ))?;
        Ok(Exit::Yes)
    }

    /// What to fetch, and the issuer chain of the PCK CRL if a quote gives it.
    fn platform(&self) -> Result<(EndorsementsId, Vec<u8>), Failure> {
        let Some(path) = &self.from_quote else {
            let ca = if self.ca == Some(Ca::Platform) { PckCa::Platform } else { PckCa::Processor };
            return Ok((
                EndorsementsId { tee: Tee::Sgx, fmspc: self.fmspc.unwrap_or_default(), ca },
                Vec::new(),
            ));
        };
        let wrong = |error: String| Failure::usage(format!("`{}`: {error}", path.display()));
        let file = input::read_file(path)?;
        let kind = Kind::recognise(&file).ok_or_else(|| wrong("no evidence of a known kind".to_owned()))?;
        let envelope = kind.open(&file).map_err(wrong)?;
        let quote = parse_quote(kind, &envelope.evidence).map_err(|error| wrong(error.to_string()))?;
        let chain = quote.pck_chain().map_err(|rejection| wrong(rejection.to_string()))?;
        Ok((chain.endorsements_id(), chain.issuer_chain_pem()))
    }
}

fn parse_fmspc(text: &str) -> Result<[u8; 6], String> {
    let mut fmspc = [0; 6];
    hex::decode_to_slice(text, &mut fmspc).map_err(|_| "an FMSPC has 12 hex digits".to_owned())?;
    Ok(fmspc)
}

fn unavailable(id: &EndorsementsId, error: &EndorsementsUnavailable) -> Failure {
    let failure = Failure::failed(error.to_string());
    match error {
        EndorsementsUnavailable::UnknownPlatform { .. } => failure.hint(format!(
            "check the FMSPC `{}`; `vouchsafe evidence show` prints that of a quote",
            hex::encode(id.fmspc)
        )),
        _ => failure,
    }
}

/// A file for each item and one for its issuer chain, named after the item.
fn write(directory: &Path, kept: &[(String, StoredEndorsement)]) -> Result<(), Failure> {
    let failed = |error| Failure::failed(format!("`{}` cannot be written: {error}", directory.display()));
    fs::create_dir_all(directory).map_err(failed)?;
    for (item, endorsement) in kept {
        let name = item.replace('/', "-");
        let extension = if endorsement.body.starts_with(b"{") { "json" } else { "der" };
        fs::write(directory.join(format!("{name}.{extension}")), &endorsement.body).map_err(failed)?;
        if !endorsement.issuer_chain.is_empty() {
            fs::write(directory.join(format!("{name}-chain.pem")), &endorsement.issuer_chain)
                .map_err(failed)?;
        }
    }
    Ok(())
}
