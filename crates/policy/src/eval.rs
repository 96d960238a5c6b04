//! Running a program.
use crate::claim::Claim;
use crate::error::EvalError;
use crate::limits::Limits;
use crate::outcome::{Denial, Outcome, Properties};
use crate::program::Program;

pub(crate) fn configure(_program: &Program, _limits: &Limits) -> Result<Properties, EvalError> {
    Ok(Properties::default())
}

pub(crate) fn evaluate(_p: &Program, _incoming: &[Claim], _limits: &Limits) -> Result<Outcome, EvalError> {
    Ok(Outcome::Denied(Denial::NoPermit))
}
