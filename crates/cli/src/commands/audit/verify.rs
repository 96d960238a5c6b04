//! `vouchsafe audit verify`: whether the log is as it was written.

use std::path::PathBuf;

use clap::Args;
use server::audit::verify::verify;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::{files, output};

/// Check that no line of the audit log was changed, moved, put in or taken out
///
/// Whoever owns the data directory can write a whole new log. To notice that, note the head that this command prints
/// somewhere else, and give it with --head later. Exit code 0 if the log is whole, 1 if not.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The data directory of the service [default: vouchsafe in the user's data directory]
    #[arg(long, value_name = "DIR", env = "VOUCHSAFE_DATA_DIR")]
    data_dir: Option<PathBuf>,

    /// A head noted earlier, which the log must go through
    #[arg(long, value_name = "LINES:SHA256")]
    head: Option<String>,

    /// Print `{lines, head, problem}` as JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let data_dir = self.data_dir.map_or_else(files::default_data_dir, Ok)?;
        let head = self.head.as_deref().map(parse_head).transpose()?;
        let report = verify(&data_dir, head).map_err(|error| {
            Failure::usage(format!("`{}` has no audit log that can be read: {error}", data_dir.display()))
        })?;
        if self.json {
            output::json(&report)?;
        } else if let Some(problem) = &report.problem {
            let file = output::printable(&problem.file.display().to_string());
            output::line(&format!("NOT WHOLE: `{file}` line {}: {}", problem.line, problem.what))?;
        } else {
            output::line(&format!("whole: {} lines, head {}:{}", report.lines, report.lines, report.head))?;
        }
        Ok(if report.problem.is_none() { Exit::Yes } else { Exit::Denied })
    }
}

fn parse_head(text: &str) -> Result<(u64, &str), Failure> {
    text.split_once(':')
        .and_then(|(lines, sha256)| Some((lines.parse().ok()?, sha256)))
        .filter(|(_, sha256)| sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .ok_or_else(|| {
            Failure::usage(format!("`--head {text}` is no head")).hint("give what this command printed")
        })
}
