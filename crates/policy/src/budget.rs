//! The steps that one evaluation may take.

use crate::error::Fault;
use crate::limits::Limits;

/// What is left of the steps, with the other limits of the evaluation.
#[derive(Debug)]
pub(crate) struct Budget {
    left: u64,
    pub(crate) limits: Limits,
}

impl Budget {
    pub(crate) const fn new(limits: Limits) -> Self {
        Self { left: limits.steps, limits }
    }

    /// Takes `steps` off.
    #[inline]
    pub(crate) fn charge(&mut self, steps: usize) -> Result<(), Fault> {
        let steps = u64::try_from(steps).unwrap_or(u64::MAX);
        match self.left.checked_sub(steps) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(Fault::OutOfSteps { limit: self.limits.steps })
            }
        }
    }

    /// Takes off what reading, comparing or copying `size_bytes` of text costs.
    #[inline]
    pub(crate) fn charge_text(&mut self, size_bytes: usize) -> Result<(), Fault> {
        /// About what one step copies or compares in the time of another step's work.
        const BYTES_PER_STEP: usize = 32;
        self.charge(size_bytes / BYTES_PER_STEP)
    }
}
