//! Running a program over claims: one pass over the rules in their order, no loops, no recursion but into
//! nested calls, every piece of work charged to the budget.

mod claims;
mod condition;
mod expression;
pub(crate) mod observe;

use std::sync::Arc;

use crate::ast::Property;
use crate::budget::Budget;
use crate::claim::{Claim, Kind};
use crate::error::{EvalError, Fault};
use crate::json::Json;
use crate::limits::Limits;
use crate::outcome::{Denial, Issued, Outcome, Permit, Properties};
use crate::parser::shortened;
use crate::program::{Action, Destination, Expression, Literal, Program, Recipe, Rule};
use crate::properties::{self, Given};
use crate::value::{Set, Text, Val, Values, View};
use claims::{Claims, Held};

/// Runs the configuration rules. They see only what earlier ones of them said.
pub(crate) fn configure(program: &Program, limits: &Limits) -> Result<Properties, EvalError> {
    let mut machine = Machine::new(program, &[], limits, false)?;
    let mut said = Said::default();
    for rule in &program.configuration {
        machine.run(rule, &mut said).map_err(|fault| failed(rule, fault))?;
    }
    Ok(said.properties)
}

/// Runs the authorization rules, decides, and runs the issuance rules if permitted.
///
/// A recorded `deny` stands, whatever comes after it; only the rules before it could have failed first.
pub(crate) fn evaluate(program: &Program, incoming: &[Claim], limits: &Limits) -> Result<Outcome, EvalError> {
    let mut machine = Machine::new(program, incoming, limits, false)?;
    let mut said = Said::default();
    let mut permit = None;
    for rule in &program.authorization {
        match machine.run(rule, &mut said).map_err(|fault| failed(rule, fault))? {
            Verdict::Deny => return Ok(Outcome::Denied(Denial::Explicit { rule: rule.at })),
            Verdict::Permit => {
                permit.get_or_insert(rule.at);
            }
            Verdict::Silent => {}
        }
    }
    let Some(rule) = permit else { return Ok(Outcome::Denied(Denial::NoPermit)) };
    // A rule issues one claim, mostly.
    said.issued.reserve(program.issuance.len().min(64));
    for rule in &program.issuance {
        machine.run(rule, &mut said).map_err(|fault| failed(rule, fault))?;
    }
    Ok(Outcome::Permitted(Permit { issued: said.issued, properties: said.properties, rule }))
}

const fn failed(rule: &Rule, fault: Fault) -> EvalError {
    EvalError { rule: Some(rule.at), fault }
}

/// What a rule that ran says about the decision.
enum Verdict {
    Deny,
    Permit,
    Silent,
}

/// What rules have said to the outside.
#[derive(Default)]
struct Said {
    issued: Vec<Issued>,
    properties: Properties,
}

/// The state of one evaluation.
struct Machine<'a> {
    program: &'a Program,
    budget: Budget,
    claims: Claims<'a>,
    /// Claims matched by the conditions of the present rule, one condition after the other.
    matched: Vec<usize>,
    /// Where in `matched` the claims of each condition stand.
    matches: Vec<std::ops::Range<usize>>,
    /// JSON already read, by the address of its text, which this list keeps alive.
    read: Vec<(Text<'a>, Json)>,
}

impl<'a> Machine<'a> {
    /// `all` claims are kept, or those that a condition may look at.
    fn new(
        program: &'a Program,
        incoming: &'a [Claim],
        limits: &Limits,
        all: bool,
    ) -> Result<Self, EvalError> {
        let claims = Claims::new(program, incoming, limits.claims, all)
            .map_err(|fault| EvalError { rule: None, fault })?;
        Ok(Self {
            program,
            budget: Budget::new(*limits),
            claims,
            matched: Vec::new(),
            matches: Vec::new(),
            read: Vec::new(),
        })
    }

    fn run(&mut self, rule: &'a Rule, said: &mut Said) -> Result<Verdict, Fault> {
        if self.applies(rule)? { self.act(rule, said) } else { Ok(Verdict::Silent) }
    }

    /// Whether all conditions of a rule hold. They are looked at up to the first that does not.
    fn applies(&mut self, rule: &'a Rule) -> Result<bool, Fault> {
        self.matched.clear();
        self.matches.clear();
        self.budget.charge(1)?;
        for condition in &rule.conditions {
            if !self.holds(condition)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Does what a rule says whose conditions hold.
    fn act(&mut self, rule: &'a Rule, said: &mut Said) -> Result<Verdict, Fault> {
        match &rule.action {
            Action::Deny => return Ok(Verdict::Deny),
            Action::Permit => return Ok(Verdict::Permit),
            Action::Make(destination, Recipe::Copy(condition)) => {
                let range = self.matches.get(*condition).cloned().unwrap_or_default();
                for place in range {
                    let original = self.matched.get(place).and_then(|index| self.claims.get(*index));
                    if let Some(Held { claim_type, value, read_only, .. }) = original {
                        let (claim_type, value, read_only) = (claim_type.clone(), value.clone(), *read_only);
                        self.made(*destination, claim_type, value, None, read_only, said)?;
                    }
                }
            }
            Action::Make(destination, Recipe::New { claim_type, value, value_type }) => {
                if let (Expression::Literal(Literal::Text(name)), Expression::Property(of, Property::Value)) =
                    (claim_type, value)
                    && let Some(index) = self.only_match(*of)
                    && !name.is_empty()
                {
                    return self.make_of_claim(*destination, name, index, *value_type, said);
                }
                let claim_type = self.expression(claim_type)?;
                let claim_type = one_text(&claim_type).ok_or(Fault::ClaimType)?;
                let Set { values, read_only } = self.expression(value)?;
                let values = match values {
                    Values::One(value) => {
                        return self.made(*destination, claim_type, value, *value_type, read_only, said);
                    }
                    Values::Many(values) => values,
                };
                for value in values {
                    self.made(*destination, claim_type.clone(), value, *value_type, read_only, said)?;
                }
            }
        }
        Ok(Verdict::Silent)
    }

    /// What most rules do: makes a claim of a constant name and the value of one claim. This is [`Self::made`] without
    /// moving values that nothing but the token is to have.
    fn make_of_claim(
        &mut self,
        destination: Destination,
        name: &'a Arc<str>,
        index: usize,
        declared: Option<Kind>,
        said: &mut Said,
    ) -> Result<Verdict, Fault> {
        let Some(Held { value, read_only, .. }) = self.claims.get(index) else { return Ok(Verdict::Silent) };
        let claim_type = Text::Literal(name);
        said.say(&mut self.budget, destination, &claim_type, value, declared, *read_only)?;
        self.claims.add_copy(self.program, claim_type, index)?;
        Ok(Verdict::Silent)
    }

    /// Makes a claim of an expression's value.
    fn made(
        &mut self,
        destination: Destination,
        claim_type: Text<'a>,
        value: Val<'a>,
        declared: Option<Kind>,
        read_only: bool,
        said: &mut Said,
    ) -> Result<Verdict, Fault> {
        said.say(&mut self.budget, destination, &claim_type, &value, declared, read_only)?;
        self.claims.add(self.program, claim_type, value, read_only)?;
        Ok(Verdict::Silent)
    }
}

impl Said {
    /// Says what goes to the outside of a claim that is about to be made.
    #[inline]
    fn say(
        &mut self,
        budget: &mut Budget,
        destination: Destination,
        claim_type: &Text<'_>,
        value: &Val<'_>,
        declared: Option<Kind>,
        read_only: bool,
    ) -> Result<(), Fault> {
        if let Some(declared) = declared.filter(|declared| *declared != value.kind()) {
            return Err(Fault::ValueTypeMismatch { declared, actual: value.kind() });
        }
        budget.charge(1)?;
        if destination != Destination::Incoming {
            // Both are copied.
            budget.charge_text(claim_type.len())?;
            if let Val::Text(text) = value {
                budget.charge_text(text.len())?;
            }
        }
        match destination {
            Destination::Incoming => {}
            Destination::Properties => {
                let given = match value.view() {
                    View::Integer(value) => Given::Integer(value),
                    other => Given::Of(other.kind()),
                };
                properties::check(claim_type, given)
                    .map_err(|(property, expected)| Fault::PropertyValue { property, expected })?;
                self.properties.set(claim_type.to_shared(), value.to_value());
            }
            Destination::Token if read_only => {
                return Err(Fault::ReadOnly { claim_type: shortened(claim_type) });
            }
            Destination::Token => {
                let limit = budget.limits.issued_claims;
                if self.issued.len() >= limit {
                    return Err(Fault::TooManyIssuedClaims { limit });
                }
                self.issued.push(Issued { claim_type: claim_type.to_shared(), value: value.to_value() });
            }
        }
        Ok(())
    }
}

/// The one text of a set, repetitions aside, if it is not empty.
fn one_text<'a>(set: &Set<'a>) -> Option<Text<'a>> {
    let values = set.as_slice();
    match values.first()? {
        Val::Text(text)
            if !text.is_empty() && values.iter().all(|value| value.view() == View::Text(text)) =>
        {
            Some(text.clone())
        }
        _ => None,
    }
}

/// Whether two texts are the same piece of memory.
fn same(a: &str, b: &str) -> bool {
    std::ptr::eq(a, b)
}

/// A text made by a function.
fn shared<'a>(text: String) -> Text<'a> {
    Text::Shared(Arc::from(text))
}
