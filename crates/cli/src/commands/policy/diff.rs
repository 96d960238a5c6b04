//! `vouchsafe policy diff`: what another policy would decide otherwise.

use std::path::{Path, PathBuf};

use clap::Args;
use policy::diff::{ClaimSet, diff};

use super::claims;
use super::test::cases;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;

/// Tell what two policies decide differently over recorded claims, rule by rule
///
/// Claim sets are those of `--claims`, or else the test cases beside either policy. Exit code 0 means that every set
/// comes out alike, 1 that one does not.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// File with the earlier policy
    before: PathBuf,

    /// File with the later policy
    after: PathBuf,

    /// Claim sets as `eval` takes them, or directories of such files and of test cases (repeatable)
    #[arg(long, value_name = "PATH")]
    claims: Vec<PathBuf>,

    /// Print the differences as JSON
    #[arg(long)]
    json: bool,
}

impl Diff {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let (before, after) = (super::analyzed(&self.before)?, super::analyzed(&self.after)?);
        let corpus = self.corpus()?;
        let difference = diff(&before, &after, &corpus);
        if self.json {
            output::json(&difference)?;
        } else {
            output::line(output::printable(&difference.to_string()).trim_end())?;
        }
        Ok(if difference.decides_alike() { Exit::Yes } else { Exit::Denied })
    }

    fn corpus(&self) -> Result<Vec<ClaimSet>, Failure> {
        let mut sets = Vec::new();
        for path in &self.claims {
            if path.is_dir() {
                for file in cases::files(path)? {
                    add(&mut sets, &file)?;
                }
            } else {
                add(&mut sets, path)?;
            }
        }
        if self.claims.is_empty() {
            let mut directories = vec![cases::directory(&self.before), cases::directory(&self.after)];
            directories.dedup();
            for directory in directories.into_iter().filter(|directory| directory.is_dir()) {
                for file in cases::files(&directory)? {
                    add(&mut sets, &file)?;
                }
            }
        }
        if sets.is_empty() {
            return Err(Failure::usage("there are no claim sets to compare over")
                .hint("name files with `--claims`, or keep test cases beside a policy"));
        }
        Ok(sets)
    }
}

/// The claim sets of a file: of its test cases, if it has any.
fn add(sets: &mut Vec<ClaimSet>, file: &Path) -> Result<(), Failure> {
    if cases::holds_cases(file)? {
        for case in cases::read(file)? {
            sets.push(ClaimSet { claims: case.incoming()?, name: case.name });
        }
        return Ok(());
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    sets.push(ClaimSet { name, claims: claims::of_file(file)? });
    Ok(())
}
