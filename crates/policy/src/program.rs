//! The compiled form of a policy.
use crate::policy::Version;

/// What runs.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) version: Version,
}
