//! `vouchsafe policy`: what the service would say of a policy text.

use std::path::PathBuf;

use clap::Subcommand;
use policy::{Diagnostic, Policy as Analyzed};
use serde_json::json;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::input;
use crate::output;

/// Check an attestation policy before it is used
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Analyze a policy as the service does, and point at what is wrong with it
    Check {
        /// File with the policy text; `-` is standard input
        file: PathBuf,

        /// Print `{valid, version, hash, diagnostics}` as JSON
        #[arg(long)]
        json: bool,
    },
}

impl Policy {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let Self::Check { file, json } = self;
        let bytes = input::read_file(&file)?;
        let analyzed = Analyzed::analyze_bytes(&bytes);
        let (diagnostics, policy): (Vec<&Diagnostic>, _) = match &analyzed {
            Ok(policy) => (policy.warnings().iter().collect(), Some(policy)),
            Err(diagnostics) => (diagnostics.iter().collect(), None),
        };
        if json {
            output::json(&json!({
                "valid": policy.is_some(),
                "version": policy.map(|policy| policy.version().to_string()),
                "hash": policy.map(Analyzed::hash),
                "diagnostics": diagnostics,
            }))?;
        } else {
            let text = String::from_utf8_lossy(&bytes);
            for diagnostic in diagnostics {
                output::line(&output::printable(&explain(&file.display().to_string(), &text, diagnostic)))?;
            }
            if let Some(policy) = policy {
                let (shown, version, hash) = (file.display(), policy.version(), policy.hash());
                output::line(&format!("{shown}: a policy of version {version}; x-ms-policy-hash is {hash}"))?;
            }
        }
        Ok(if policy.is_some() { Exit::Yes } else { Exit::Denied })
    }
}

/// Position and message, the line, a marker below the offending part, and the hint.
fn explain(file: &str, text: &str, diagnostic: &Diagnostic) -> String {
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
