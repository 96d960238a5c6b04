//! Conditions on claims that neither evidence nor policy provides.

use std::collections::BTreeSet;

use super::{finding, rules};
use crate::ast::{self, Argument, ExpressionKind, Property};
use crate::claim::Issuer;
use crate::diagnostic::{Diagnostic, Problem};
use crate::limits::{Limits, MAX_DIAGNOSTICS};
use crate::parser::{self, shortened};
use crate::span::Lines;
use crate::suggest;

/// Warnings about conditions on claims that nothing provides.
pub(crate) fn unknown_claims(text: &str, limits: &Limits, provided: &[&str]) -> Vec<Diagnostic> {
    let lines = Lines::new(text);
    // The text has been accepted before.
    let Ok(tree) = parser::parse(text, &lines, limits) else { return Vec::new() };
    let mut known: BTreeSet<&str> = provided.iter().copied().collect();
    for rule in rules(&tree) {
        if let Argument::Assignments(assignments) = &rule.action.argument {
            for assignment in assignments.iter().filter(|assignment| assignment.property == Property::Type) {
                match &assignment.value.kind {
                    ExpressionKind::Text(made) => drop(known.insert(made)),
                    // The policy may make any claim.
                    _ => return Vec::new(),
                }
            }
        }
    }
    let mut warnings = Vec::new();
    for test in
        rules(&tree).flat_map(|rule| &rule.conditions).filter(|c| !is_custom(c)).flat_map(|c| &c.tests)
    {
        if test.property == Property::Type
            && test.operator == ast::Operator::Equal
            && let ExpressionKind::Text(name) = &test.operand.kind
            && !known.contains(&**name)
            && warnings.len() < MAX_DIAGNOSTICS
        {
            let problem = Problem::UnknownClaim { name: shortened(name) };
            let hint = suggest::hint(name, known.iter().copied());
            let rule = "policy > rule > condition > propertyCondition".to_owned();
            warnings.push(finding(problem, text, &lines, test.operand.range, rule, hint));
        }
    }
    warnings
}

/// Whether a condition asks for what clients send along, whose names are theirs.
fn is_custom(condition: &ast::Condition<'_>) -> bool {
    condition.tests.iter().any(|test| {
        test.property == Property::Issuer
            && matches!(&test.operand.kind, ExpressionKind::Text(name) if name == Issuer::CustomClaim.as_str())
    })
}
