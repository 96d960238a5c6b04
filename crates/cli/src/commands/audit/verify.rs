//! `vouchsafe audit verify`: whether the log is as it was written.

use std::path::PathBuf;

use clap::Args;
use server::audit::verify::{NotedHead, VerifyError, verify};

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
    #[arg(long, value_name = "WRITER:LINE:SHA256")]
    head: Vec<String>,

    /// Print `{chains, problems}` as JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let data_dir = self.data_dir.map_or_else(files::default_data_dir, Ok)?;
        let noted = self.head.iter().map(|text| parse_head(text)).collect::<Result<Vec<_>, _>>()?;
        let report = verify(&data_dir, &noted).map_err(|error| match error {
            VerifyError::Empty { .. } | VerifyError::Io { .. } | VerifyError::Store(_) => {
                let what = format!("`{}` has no audit log that can be read: {error}", data_dir.display());
                Failure::usage(what).hint("name the data directory of a service that has run")
            }
        })?;
        let whole = report.problems.is_empty();
        if self.json {
            output::json(&report)?;
        } else {
            for problem in &report.problems {
                let file = output::printable(&problem.file.display().to_string());
                output::line(&format!("NOT WHOLE: `{file}` line {}: {}", problem.line, problem.what))?;
            }
            for chain in &report.chains {
                let writer = output::printable(&chain.writer);
                let verdict = if whole { "whole" } else { "found" };
                let unconfirmed = match chain.unconfirmed {
                    0 => String::new(),
                    lines => format!(" ({lines} not confirmed yet)"),
                };
                let head = format!("{writer}:{}:{}", chain.lines, chain.sha256);
                output::line(&format!("{verdict}: {} lines{unconfirmed}, head {head}", chain.lines))?;
            }
        }
        Ok(if whole { Exit::Yes } else { Exit::Denied })
    }
}

fn parse_head(text: &str) -> Result<NotedHead, Failure> {
    let mut parts = text.split(':');
    let head = match (parts.next(), parts.next().and_then(|seq| seq.parse().ok()), parts.next(), parts.next())
    {
        (Some(writer), Some(seq), Some(sha256), None) => {
            Some(NotedHead { writer: writer.to_owned(), seq, sha256: sha256.to_owned() })
        }
        _ => None,
    };
    head.filter(|head| head.sha256.len() == 64 && head.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .ok_or_else(|| {
            Failure::usage(format!("`--head {text}` is no head")).hint("give what this command printed")
        })
}
