//! `vouchsafe policy fmt`: one layout for all policies.

use std::path::{Path, PathBuf};

use clap::Args;

use super::check;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::input;
use crate::output;

/// Lay policies out in one way, comments kept
///
/// Prints the text, rewrites the files with `--write`, or with `--check` only says which files are laid out
/// otherwise (exit code 1). The meaning stays the same; `x-ms-policy-hash` does not, as it is a hash of the text.
#[derive(Debug, Args)]
pub(crate) struct Fmt {
    /// Files with policy texts; `-` is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,

    /// Print the names of files that are laid out otherwise, and change nothing
    #[arg(long, conflicts_with = "write")]
    check: bool,

    /// Rewrite the files
    #[arg(long)]
    write: bool,
}

impl Fmt {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let mut all_alike = true;
        for file in &self.files {
            let text = input::read_text(file)?;
            let formatted = policy::format(&text).map_err(|diagnostics| {
                for diagnostic in diagnostics.iter() {
                    let told = check::explain(&file.display().to_string(), &text, diagnostic);
                    output::note(&output::printable(&told));
                }
                Failure::denied(format!("`{}` is not a policy", file.display()))
            })?;
            let alike = formatted == text;
            all_alike &= alike;
            if self.write && file != Path::new("-") {
                if !alike {
                    write(file, &formatted)?;
                    output::line(&format!("laid out {}", output::printable(&file.display().to_string())))?;
                }
            } else if !self.check {
                output::text(&formatted)?;
            } else if !alike {
                output::line(&output::printable(&file.display().to_string()))?;
            }
        }
        Ok(if self.check && !all_alike { Exit::Denied } else { Exit::Yes })
    }
}

/// Puts the new text beside the old one first, so that no interruption leaves half a file.
fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = file.with_file_name(name);
    std::fs::write(&beside, text)
        .and_then(|()| std::fs::rename(&beside, file))
        .map_err(|error| Failure::failed(format!("`{}` cannot be written: {error}", file.display())))
}
