//! Expressions: literals, properties of matched claims, and calls.

use std::collections::HashSet;

use super::{Held, Machine, same, shared};
use crate::ast::Property;
use crate::claim::Kind;
use crate::error::Fault;
use crate::functions::{self, Function};
use crate::jmespath::Query;
use crate::json::{Json, ReadError};
use crate::program::Expression;
use crate::value::{Set, Text, Val, Values, View};

impl<'a> Machine<'a> {
    /// Evaluates an expression; its nesting is bounded by the parser.
    pub(super) fn expression(&mut self, expression: &'a Expression) -> Result<Set<'a>, Fault> {
        match expression {
            Expression::Literal(literal) => Ok(Set::one(Val::of_literal(literal), false)),
            Expression::Property(condition, property) => self.property(*condition, *property),
            Expression::Search(json, query) => {
                let json = self.expression(json)?;
                self.search(&json, query)
            }
            Expression::Call(function, arguments) => {
                self.budget.charge(1)?;
                let mut values = Vec::with_capacity(arguments.len());
                for argument in arguments {
                    values.push(self.expression(argument)?);
                }
                self.call(*function, &values)
            }
        }
    }

    /// The claim that a condition matched, if it is one.
    #[inline]
    pub(super) fn only_match(&self, condition: usize) -> Option<usize> {
        match self.matched.get(self.matches.get(condition)?.clone())? {
            [index] => Some(*index),
            _ => None,
        }
    }

    /// The distinct values that the claims of a condition have for a property, in their order.
    fn property(&mut self, condition: usize, property: Property) -> Result<Set<'a>, Fault> {
        let range = self.matches.get(condition).cloned().unwrap_or_default();
        let indexes = self.matched.get(range).unwrap_or_default();
        if let [index] = indexes
            && let Some(claim) = self.claims.get(*index)
        {
            return Ok(Set::one(claim.to_val(property), claim.read_only));
        }
        let mut values = Vec::new();
        let mut read_only = false;
        let mut seen = HashSet::new();
        for index in indexes {
            let Some(claim) = self.claims.get(*index) else { continue };
            read_only |= claim.read_only;
            let value = claim.to_val(property);
            self.budget.charge(1)?;
            if let View::Text(text) = value.view() {
                self.budget.charge_text(text.len())?;
            }
            if seen.insert(claim.property(property)) {
                values.push(value);
            }
        }
        Ok(Set { values: Values::Many(values), read_only })
    }

    fn call(&mut self, function: Function, arguments: &[Set<'a>]) -> Result<Set<'a>, Fault> {
        // Analysis has counted the arguments.
        let [first, others @ ..] = arguments else {
            return Ok(Set { values: Values::Many(Vec::new()), read_only: false });
        };
        let second = others.first().unwrap_or(first);
        let read_only = arguments.iter().any(|argument| argument.read_only);
        Ok(match function {
            Function::AppendString => {
                let name = function.name();
                let text =
                    functions::text::append(text(name, 1, first)?, text(name, 2, second)?, &mut self.budget)?;
                Set::one(Val::Text(shared(text)), read_only)
            }
            Function::NegateBool => {
                let View::Boolean(value) = single(function.name(), 1, first, Some(Kind::Boolean))?.view()
                else {
                    // `single` has looked at the kind.
                    return Err(Fault::ClaimType);
                };
                Set::one(Val::Boolean(functions::boolean::negate(value)), read_only)
            }
            Function::ContainsOnlyValue => {
                let value = single(function.name(), 2, second, None)?;
                let only = functions::sets::contains_only(first.as_slice(), value, &mut self.budget)?;
                Set::one(Val::Boolean(only), false)
            }
            Function::IsSubsetOf => {
                let subset =
                    functions::sets::is_subset(first.as_slice(), second.as_slice(), &mut self.budget)?;
                Set::one(Val::Boolean(subset), false)
            }
            Function::JsonToClaimValue => {
                let json = self.read_json(function.name(), first)?;
                Set { values: functions::json_value::to_values(&json, &mut self.budget)?, read_only }
            }
            Function::JmesPath => {
                let written = text(function.name(), 2, second)?;
                if written.is_empty() {
                    return Err(Fault::EmptyArgument { function: function.name(), position: 2 });
                }
                // Compiling takes several passes over the text, and a node for every few bytes.
                self.budget.charge(written.len())?;
                let query = Query::compile(written, &self.budget.limits)?;
                let found = self.search(first, &query)?;
                Set { read_only, ..found }
            }
        })
    }

    /// `JmesPath`: the text of what `query` finds. It is read no more when it is searched again.
    fn search(&mut self, json: &Set<'a>, query: &Query) -> Result<Set<'a>, Fault> {
        let name = Function::JmesPath.name();
        if text(name, 1, json)?.is_empty() {
            return Err(Fault::EmptyArgument { function: name, position: 1 });
        }
        let value = self.read_json(name, json)?;
        let (found, text) = functions::query::search(query, &value, &mut self.budget)?;
        let text = shared(text);
        self.keep(&text, found);
        Ok(Set::one(Val::Text(text), json.read_only))
    }

    /// Reads the one text of `set`, unless that has been done.
    fn read_json(&mut self, function: &'static str, set: &Set<'a>) -> Result<Json, Fault> {
        let Val::Text(text) = single(function, 1, set, Some(Kind::String))? else {
            // `single` has looked at the kind.
            return Err(Fault::ClaimType);
        };
        if let Some((_, json)) = self.read.iter().find(|(known, _)| same(known, text)) {
            return Ok(json.clone());
        }
        let json = Json::read(text, &mut self.budget).map_err(|error| match error {
            ReadError::Fault(fault) => fault,
            ReadError::Text(error) => Fault::Json { function, error },
        })?;
        self.keep(text, json.clone());
        Ok(json)
    }

    fn keep(&mut self, text: &Text<'a>, json: Json) {
        /// Texts beyond these are read each time; the list is searched one by one.
        const MAX_KEPT: usize = 64;
        if self.read.len() < MAX_KEPT {
            self.read.push((text.clone(), json));
        }
    }
}

impl<'a> Held<'a> {
    /// One of the four properties, as a value to keep.
    fn to_val(&self, property: Property) -> Val<'a> {
        match property {
            Property::Issuer => Val::Text(Text::Borrowed(self.issuer.as_str())),
            Property::Type => Val::Text(self.claim_type.clone()),
            Property::Value => self.value.clone(),
            Property::ValueType => Val::Text(Text::Borrowed(self.value.kind().as_str())),
        }
    }
}

/// The one text of an argument.
fn text<'s>(function: &'static str, position: usize, set: &'s Set<'_>) -> Result<&'s str, Fault> {
    match single(function, position, set, Some(Kind::String))? {
        Val::Text(text) => Ok(text),
        // `single` has looked at the kind.
        Val::Boolean(_) | Val::Integer(_) => Err(Fault::ClaimType),
    }
}

/// The one value of an argument, repetitions aside, which must be of the kind `expected`, if any.
fn single<'s, 'a>(
    function: &'static str,
    position: usize,
    set: &'s Set<'a>,
    expected: Option<Kind>,
) -> Result<&'s Val<'a>, Fault> {
    let values = set.as_slice();
    let distinct = || values.iter().map(Val::view).collect::<HashSet<_>>().len();
    let Some(first) = values.first() else {
        return Err(Fault::ArgumentNotSingle { function, position, distinct: 0 });
    };
    if values.len() > 1 && distinct() > 1 {
        return Err(Fault::ArgumentNotSingle { function, position, distinct: distinct() });
    }
    match expected {
        Some(expected) if expected != first.kind() => {
            Err(Fault::ArgumentKind { function, position, expected, found: first.kind() })
        }
        _ => Ok(first),
    }
}
