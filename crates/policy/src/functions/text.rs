//! Functions on strings.

use crate::budget::Budget;
use crate::error::Fault;

/// `AppendString(a, b)`: `a` followed by `b`.
pub(crate) fn append(a: &str, b: &str, budget: &mut Budget) -> Result<String, Fault> {
    let size = a.len() + b.len();
    let limit = budget.limits.result_size_bytes;
    if size > limit {
        return Err(Fault::ResultTooLarge { function: "AppendString", limit });
    }
    budget.charge_text(size)?;
    Ok([a, b].concat())
}
