//! `JmesPath`.

use crate::budget::Budget;
use crate::error::Fault;
use crate::jmespath::Query;
use crate::json::Json;

/// `JmesPath(json, query)`: what the query finds, and that as compact JSON text. A string keeps its
/// quotes; nothing found is the text `null`.
pub(crate) fn search(query: &Query, value: &Json, budget: &mut Budget) -> Result<(Json, String), Fault> {
    let found = query.search(value, budget)?;
    let mut text = String::new();
    found.print(&mut text, budget, "JmesPath")?;
    Ok((found, text))
}
