//! `vouchsafe policy check`: what the service would say of a policy text.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use policy::{Diagnostic, Policy};
use serde_json::json;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::input;
use crate::output;

/// Analyze a policy as the service does, and point at what is wrong with it
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// File with the policy text; `-` is standard input
    file: PathBuf,

    /// Also warn of conditions on claims that evidence of this type never yields
    #[arg(long, value_enum, ignore_case = true, value_name = "TYPE")]
    attestation_type: Option<Evidence>,

    /// Print `{valid, version, hash, diagnostics}` as JSON
    #[arg(long)]
    json: bool,
}

/// The attestation types whose claims are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Evidence {
    /// Intel SGX, as a quote or as an Open Enclave report
    #[value(name = "SgxEnclave", aliases = ["sgx", "OpenEnclave"])]
    SgxEnclave,
    /// Machines with a TPM
    #[value(name = "Tpm")]
    Tpm,
}

impl Check {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let bytes = input::read_file(&self.file)?;
        let analyzed = Policy::analyze_bytes(&bytes);
        let provided = self.attestation_type.map(|kind| match kind {
            Evidence::SgxEnclave => &appraisal::SGX_CLAIM_NAMES[..],
            Evidence::Tpm => &appraisal::TPM_CLAIM_NAMES,
        });
        let unknown = match (&analyzed, provided) {
            (Ok(policy), Some(provided)) => policy.unknown_claims(provided),
            _ => Vec::new(),
        };
        let (mut diagnostics, policy): (Vec<&Diagnostic>, _) = match &analyzed {
            Ok(policy) => (policy.warnings().iter().chain(&unknown).collect(), Some(policy)),
            Err(diagnostics) => (diagnostics.iter().collect(), None),
        };
        diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
        if self.json {
            output::json(&json!({
                "valid": policy.is_some(),
                "version": policy.map(|policy| policy.version().to_string()),
                "hash": policy.map(Policy::hash),
                "diagnostics": diagnostics,
            }))?;
        } else {
            let (shown, text) = (self.file.display(), String::from_utf8_lossy(&bytes));
            for diagnostic in diagnostics {
                output::line(&output::printable(&explain(&shown.to_string(), &text, diagnostic)))?;
            }
            if let Some(policy) = policy {
                let (version, hash) = (policy.version(), policy.hash());
                output::line(&format!("{shown}: a policy of version {version}; x-ms-policy-hash is {hash}"))?;
            }
        }
        Ok(if policy.is_some() { Exit::Yes } else { Exit::Denied })
    }
}

/// Position and message, the line, a marker below the offending part, and the hint.
pub(super) fn explain(file: &str, text: &str, diagnostic: &Diagnostic) -> String {
    let span = &diagnostic.span;
    let severity = if diagnostic.is_warning() { "warning" } else { "error" };
    let (line_number, column) = (span.line, span.column.saturating_add(1));
    let mut out = format!("{file}:{line_number}:{column}: {severity}: {}", diagnostic.problem);
    let index = usize::try_from(line_number.saturating_sub(1)).unwrap_or(usize::MAX);
    if let Some(line) = text.lines().nth(index) {
        let before = usize::try_from(span.column).unwrap_or(0);
        // Tabs stay tabs, so that the marker stands below what it marks. Long lines are shown from shortly before it.
        let skipped = before.saturating_sub(MAX_SHOWN / 2);
        let shown: String = line.chars().skip(skipped).take(MAX_SHOWN).collect();
        let room =
            shown.chars().take(before - skipped).map(|character| if character == '\t' { '\t' } else { ' ' });
        let marked = text
            .get(span.start..span.end)
            .map_or(1, |part| part.lines().next().unwrap_or("").chars().count());
        let marker: String = room.chain(std::iter::repeat_n('^', marked.clamp(1, MAX_SHOWN / 2))).collect();
        out.push_str(&format!("\n    {shown}\n    {marker}"));
    }
    if let Some(hint) = &diagnostic.hint {
        out.push_str(&format!("\n  hint: {hint}"));
    }
    out
}

/// Policies are often one long line; a terminal shows about this much of one.
const MAX_SHOWN: usize = 96;
