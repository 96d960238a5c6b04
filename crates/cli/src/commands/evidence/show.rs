//! `vouchsafe evidence show`: decode for a person, without trusting.

use std::path::PathBuf;

use clap::Args;
use evidence::dcap::{CertificateSummary, PckExtension};
use evidence::sgx::{Attributes, CertificationData, Quote, ReportBody};
use serde_json::{Map, Value, json};

use super::{boot, parse_quote};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::input;
use crate::kind::{AnyKind, BootKind, Kind};
use crate::output::{self, Table};

/// Decode evidence without verifying it: fields, certificate chain, TCB, events of a boot
///
/// Anyone can write what this shows; `vouchsafe evidence verify` says whether it is true.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Show {
    /// What the file holds; recognised by its content if not given
    #[arg(long, value_enum)]
    kind: Option<AnyKind>,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// The evidence; `-` is standard input. TPM evidence is a directory
    file: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  vouchsafe evidence show quote.bin
  vouchsafe evidence show --json report.bin | jq .platform.fmspc
  vouchsafe evidence show /sys/kernel/security/tpm0/binary_bios_measurements";

const TPM_EVIDENCE: AnyKind = AnyKind::Boot(BootKind::TpmEvidence);

/// A heading and the facts below it, named alike for people and programs.
type Section = (&'static str, Vec<(&'static str, Value)>);

impl Show {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let shown = self.file.display().to_string();
        if self.kind.is_none() && self.file.is_dir() || self.kind == Some(TPM_EVIDENCE) {
            return boot::show_evidence(&self.file, self.json);
        }
        let file = input::read_file(&self.file)?;
        let recognised = || match BootKind::recognise_file(&file) {
            Some(kind) => Some(AnyKind::Boot(kind)),
            None => Kind::recognise(&file).map(AnyKind::Quote),
        };
        let kind = match self.kind.or_else(recognised) {
            Some(AnyKind::Quote(kind)) => kind,
            Some(AnyKind::Boot(kind)) => return boot::show_log(kind, &shown, &file, self.json),
            None => {
                return Err(Failure::usage(format!("`{shown}` is no evidence of a known kind"))
                    .hint("name its kind with `--kind`"));
            }
        };
        let envelope = kind.open(&file).map_err(|error| Failure::usage(format!("`{shown}`: {error}")))?;
        let quote = parse_quote(kind, &envelope.evidence)
            .map_err(|error| Failure::usage(format!("`{shown}` cannot be decoded: {error}")))?;
        let sections = sections(&quote);
        if self.json {
            print_json(&sections)?
        } else {
            print_text(&sections)?
        }
        if !self.json
            && let Ok(chain) = quote.pck_chain()
        {
            let id = chain.endorsements_id();
            output::line(&format!(
                "endorsements: `vouchsafe endorsements fetch --fmspc {} --ca {} --out DIR`",
                hex::encode(id.fmspc),
                id.ca
            ))?;
        }
        Ok(Exit::Yes)
    }
}

fn sections(quote: &Quote<'_>) -> Vec<Section> {
    let certification = quote.certification();
    let mut sections = vec![
        (
            "quote",
            vec![
                ("version", json!(3)),
                ("attestation_key_type", json!("ECDSA P-256")),
                ("qe_id", hex(quote.header().user_data.get(..16).unwrap_or_default())),
                (
                    "certification_data",
                    json!(format!("type {}: {}", certification.type_number(), certification.name())),
                ),
                ("padding_bytes", json!(quote.padding_bytes())),
            ],
        ),
        ("enclave", report(quote.body())),
        ("quoting_enclave", report(quote.qe_report())),
    ];
    match quote.pck_chain() {
        Ok(chain) => {
            sections.push((
                "platform",
                platform(chain.unverified_extension(), chain.endorsements_id().ca.as_str()),
            ));
            let titles = ["pck_certificate", "pck_ca_certificate", "root_certificate"];
            let certificates = chain.unverified_certificates();
            sections.extend(
                titles.into_iter().zip(certificates).map(|(title, summary)| (title, certificate(summary))),
            );
        }
        Err(rejection) => {
            let mut rows = vec![("undecoded", json!(rejection.to_string()))];
            if let CertificationData::PpidPlain(id) = certification {
                rows.push(("ppid", hex(id.ppid)));
            }
            sections.push(("platform", rows));
        }
    }
    sections
}

fn report(body: &ReportBody) -> Vec<(&'static str, Value)> {
    let mut rows = vec![
        ("mrenclave", hex(&body.mr_enclave)),
        ("mrsigner", hex(&body.mr_signer)),
        ("product_id", json!(body.isv_prod_id)),
        ("svn", json!(body.isv_svn)),
        ("debuggable", json!(body.is_debuggable())),
        ("attributes", hex(&body.attributes)),
        ("flags", json!(flags(body.flags()))),
        ("misc_select", json!(format!("{:08x}", body.misc_select))),
        ("cpu_svn", hex(&body.cpu_svn)),
        ("report_data", hex(&body.report_data)),
    ];
    if body.has_kss() {
        rows.extend([
            ("config_id", hex(&body.config_id)),
            ("config_svn", json!(body.config_svn)),
            ("isv_extended_product_id", hex(&body.isv_ext_prod_id)),
            ("isv_family_id", hex(&body.isv_family_id)),
        ]);
    }
    rows
}

fn flags(attributes: Attributes) -> Vec<&'static str> {
    let named = [
        (Attributes::INIT, "INIT"),
        (Attributes::DEBUG, "DEBUG"),
        (Attributes::MODE64BIT, "MODE64BIT"),
        (Attributes::PROVISION_KEY, "PROVISION_KEY"),
        (Attributes::EINITTOKEN_KEY, "EINITTOKEN_KEY"),
        (Attributes::CET, "CET"),
        (Attributes::KSS, "KSS"),
        (Attributes::AEX_NOTIFY, "AEX_NOTIFY"),
    ];
    named.into_iter().filter(|(flag, _)| attributes.contains(*flag)).map(|(_, name)| name).collect()
}

fn platform(extension: &PckExtension, ca: &str) -> Vec<(&'static str, Value)> {
    let mut rows = vec![
        ("fmspc", hex(&extension.fmspc)),
        ("ca", json!(ca)),
        ("tcb_components", json!(extension.components)),
        ("pce_svn", json!(extension.pce_svn)),
        ("cpu_svn", hex(&extension.cpu_svn)),
        ("pce_id", hex(&extension.pce_id)),
        ("ppid", hex(&extension.ppid)),
        ("sgx_type", json!(extension.sgx_type.as_str())),
    ];
    if let Some(id) = &extension.platform_instance_id {
        rows.push(("platform_instance_id", hex(id)));
    }
    let switches = [
        ("dynamic_platform", extension.dynamic_platform),
        ("cached_keys", extension.cached_keys),
        ("smt_enabled", extension.smt_enabled),
    ];
    rows.extend(switches.into_iter().filter_map(|(name, switch)| Some((name, json!(switch?)))));
    rows
}

fn certificate(summary: CertificateSummary) -> Vec<(&'static str, Value)> {
    vec![
        ("subject", json!(summary.subject)),
        ("issuer", json!(summary.issuer)),
        ("serial", json!(summary.serial)),
        ("not_before", json!(input::show_time(summary.validity.not_before))),
        ("not_after", json!(input::show_time(summary.validity.not_after))),
        ("sha256", hex(&summary.fingerprint)),
    ]
}

fn hex(bytes: &[u8]) -> Value {
    Value::from(hex::encode(bytes))
}

fn print_json(sections: &[Section]) -> Result<(), Failure> {
    let mut document = Map::new();
    document.insert("verified".to_owned(), json!(false));
    for (title, rows) in sections {
        let rows =
            rows.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect::<Map<_, _>>();
        document.insert((*title).to_owned(), rows.into());
    }
    output::json(&document)
}

fn print_text(sections: &[Section]) -> Result<(), Failure> {
    output::line("NOT VERIFIED: anyone could have written this")?;
    for (title, rows) in sections {
        output::line(&title.replace('_', " "))?;
        let mut table = Table::default();
        for (name, value) in rows {
            table.row(name.replace('_', " "), plain(value));
        }
        table.print()?;
    }
    Ok(())
}

/// A value as a person reads it.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}
