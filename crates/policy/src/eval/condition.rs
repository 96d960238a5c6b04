//! Conditions: which claims of the incoming set satisfy all tests of a bracket.

use std::cmp::Ordering;

use super::Machine;
use crate::ast::{Operator, Property};
use crate::budget::Budget;
use crate::error::Fault;
use crate::program::{Condition, Expression, Test};
use crate::value::{Set, Val, View};

impl<'a> Machine<'a> {
    /// Whether a condition lets its rule go on. The claims that satisfy it are kept if the rule needs them;
    /// if it does not, the first one settles the question.
    pub(super) fn holds(&mut self, condition: &'a Condition) -> Result<bool, Fault> {
        let start = self.matched.len();
        // Function calls do not depend on the claim at hand and are evaluated when first needed.
        let mut computed: Vec<Option<Set<'a>>> = Vec::new();
        let mut found = false;
        let mut at = self.claims.first(condition.symbol);
        while let Some(index) = at {
            self.budget.charge(1)?;
            if self.satisfies(index, &condition.tests, &mut computed)? {
                found = true;
                if !condition.bound {
                    break;
                }
                self.matched.push(index);
            }
            at = self.claims.next(condition.symbol, index);
        }
        self.matches.push(start..self.matched.len());
        Ok(found != condition.negated)
    }

    fn satisfies(
        &mut self,
        index: usize,
        tests: &'a [Test],
        computed: &mut Vec<Option<Set<'a>>>,
    ) -> Result<bool, Fault> {
        for (place, test) in tests.iter().enumerate() {
            if matches!(test.operand, Expression::Call(..) | Expression::Search(..)) {
                if computed.len() <= place {
                    computed.resize_with(tests.len(), || None);
                }
                if let Some(slot) = computed.get_mut(place)
                    && slot.is_none()
                {
                    *slot = Some(self.expression(&test.operand)?);
                }
            }
            let Some(claim) = self.claims.get(index) else { return Ok(false) };
            let left = claim.property(test.property);
            let holds = match &test.operand {
                Expression::Literal(literal) => {
                    compare(left, test.operator, Val::of_literal(literal).view(), &mut self.budget)?
                }
                Expression::Property(condition, property) => {
                    let range = self.matches.get(*condition).cloned().unwrap_or_default();
                    let others = self.matched.get(range).unwrap_or_default();
                    let mut any = false;
                    for other in others.iter().filter_map(|index| self.claims.get(*index)) {
                        self.budget.charge(1)?;
                        if compare(left, test.operator, other.property(*property), &mut self.budget)? {
                            any = true;
                            break;
                        }
                    }
                    any
                }
                Expression::Call(..) | Expression::Search(..) => {
                    let mut any = false;
                    for value in computed.get(place).and_then(Option::as_ref).map_or(&[][..], Set::as_slice) {
                        self.budget.charge(1)?;
                        if compare(left, test.operator, value.view(), &mut self.budget)? {
                            any = true;
                            break;
                        }
                    }
                    any
                }
            };
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl super::Held<'_> {
    /// One of the four properties, as a value.
    pub(super) fn property(&self, property: Property) -> View<'_> {
        match property {
            Property::Issuer => View::Text(self.issuer.as_str()),
            Property::Type => View::Text(&self.claim_type),
            Property::Value => self.value.view(),
            Property::ValueType => View::Text(self.value.view().kind().as_str()),
        }
    }
}

/// Values of different kinds satisfy no operator, `!=` included; only integers have an order.
pub(super) fn compare(
    left: View<'_>,
    operator: Operator,
    right: View<'_>,
    budget: &mut Budget,
) -> Result<bool, Fault> {
    let order = match (left, right) {
        (View::Integer(left), View::Integer(right)) => left.cmp(&right),
        (View::Boolean(left), View::Boolean(right)) if !operator.orders() => left.cmp(&right),
        (View::Text(left), View::Text(right)) if !operator.orders() => {
            if left.len() == right.len() {
                budget.charge_text(left.len())?;
            }
            if left == right { Ordering::Equal } else { Ordering::Less }
        }
        _ => return Ok(false),
    };
    Ok(match operator {
        Operator::Equal => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::Less => order.is_lt(),
        Operator::LessOrEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        Operator::GreaterOrEqual => order.is_ge(),
    })
}
