//! Functions on sets of values. Values are the same if kind and content are.

use std::collections::HashSet;

use crate::budget::Budget;
use crate::error::Fault;
use crate::value::{Val, View};

/// `IsSubsetOf(a, b)`: whether every element of `a` is in `b`; the empty set is in every set.
pub(crate) fn is_subset(a: &[Val<'_>], b: &[Val<'_>], budget: &mut Budget) -> Result<bool, Fault> {
    charge(a, budget)?;
    charge(b, budget)?;
    let superset: HashSet<View<'_>> = b.iter().map(Val::view).collect();
    Ok(a.iter().all(|value| superset.contains(&value.view())))
}

/// `ContainsOnlyValue(set, v)`: whether there is an element and each one is `v`.
pub(crate) fn contains_only(set: &[Val<'_>], value: &Val<'_>, budget: &mut Budget) -> Result<bool, Fault> {
    charge(set, budget)?;
    Ok(!set.is_empty() && set.iter().all(|element| element.view() == value.view()))
}

fn charge(values: &[Val<'_>], budget: &mut Budget) -> Result<(), Fault> {
    for value in values {
        budget.charge(1)?;
        if let View::Text(text) = value.view() {
            budget.charge_text(text.len())?;
        }
    }
    Ok(())
}
