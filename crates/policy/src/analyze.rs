//! From text to program.
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::limits::Limits;
use crate::policy::Version;
use crate::program::Program;

pub(crate) struct Analysis {
    pub(crate) program: Program,
    pub(crate) warnings: Vec<Diagnostic>,
}

pub(crate) fn analyze(_text: &str, _limits: &Limits) -> Result<Analysis, Diagnostics> {
    Ok(Analysis { program: Program { version: Version::V1_0 }, warnings: Vec::new() })
}

pub(crate) fn unknown_claims(_text: &str, _program: &Program, _provided: &[&str]) -> Vec<Diagnostic> {
    Vec::new()
}
