//! Actions: which may stand where, and what is known of the claims and properties they make.

use super::{Analyzer, Scope};
use crate::ast::{self, Argument, Property, Verb};
use crate::claim::Kind;
use crate::diagnostic::Problem;
use crate::outcome::Section;
use crate::parser::shortened;
use crate::program::{Action, Destination, Expression, Literal, Recipe};
use crate::properties::{self, Given};
use crate::span::Range;

impl Analyzer<'_> {
    pub(super) fn action<'t>(&mut self, action: &ast::Action<'t>, scope: &mut Scope<'t>) -> Action {
        let allowed = match self.section {
            Section::ConfigurationRules => matches!(action.verb, Verb::IssueProperty),
            Section::AuthorizationRules => !matches!(action.verb, Verb::IssueProperty),
            Section::IssuanceRules => !matches!(action.verb, Verb::Permit | Verb::Deny),
        };
        if !allowed {
            let problem = Problem::ActionNotAllowed { action: action.verb.as_str(), section: self.section };
            let hint = match self.section {
                Section::ConfigurationRules => "only `issueproperty` is",
                Section::AuthorizationRules => "`permit`, `deny` and `add` are",
                Section::IssuanceRules => "`add`, `issue` and `issueproperty` are",
            };
            self.error(problem, action.verb_range, Some(hint.to_owned()));
        }
        let destination = match action.verb {
            Verb::Permit => return Action::Permit,
            Verb::Deny => return Action::Deny,
            Verb::IssueProperty => Destination::Properties,
            Verb::Issue if self.section == Section::AuthorizationRules => {
                self.warning(
                    Problem::IssueInAuthorization,
                    action.verb_range,
                    Some("write `add`".to_owned()),
                );
                Destination::Incoming
            }
            Verb::Issue => Destination::Token,
            Verb::Add => Destination::Incoming,
        };
        self.place = "action > claimArgument";
        let recipe = match &action.argument {
            Argument::Copy(name) => Recipe::Copy(self.claims_of(*name, scope)),
            Argument::Assignments(assignments) => self.recipe(action, assignments, destination, scope),
            // The parser gives these verbs an argument.
            Argument::None => Recipe::Copy(usize::MAX),
        };
        Action::Make(destination, recipe)
    }

    fn recipe<'t>(
        &mut self,
        action: &ast::Action<'t>,
        assignments: &[ast::Assignment<'t>],
        destination: Destination,
        scope: &mut Scope<'t>,
    ) -> Recipe {
        let mut claim_type = None;
        let mut value = None;
        let mut value_type = None;
        for assignment in assignments {
            let (expression, kind) = self.expression(&assignment.value, scope);
            let property = assignment.property.as_str();
            let range = assignment.value.range;
            if !matches!(assignment.property, Property::Value)
                && let Some(found) = kind.filter(|kind| *kind != Kind::String)
            {
                self.error(Problem::PropertyKind { property, found }, range, None);
            }
            let slot = match assignment.property {
                Property::Type => &mut claim_type,
                Property::Value => &mut value,
                Property::ValueType => &mut value_type,
                Property::Issuer => {
                    let hint = "a claim made by the policy has issuer \"AttestationPolicy\"".to_owned();
                    self.error(Problem::ForbiddenArgument { property }, assignment.range, Some(hint));
                    continue;
                }
            };
            if slot.replace((expression, kind, range)).is_some() {
                self.error(Problem::RepeatedArgument { property }, assignment.range, None);
            }
        }
        for (missing, property) in [(claim_type.is_none(), "type"), (value.is_none(), "value")] {
            if missing {
                let problem = Problem::MissingArgument { action: action.verb.as_str(), property };
                self.error(problem, action.verb_range, None);
            }
        }
        let value_type = value_type.and_then(|(declared, _, range)| {
            self.value_type(&declared, range, value.as_ref().and_then(|(_, kind, _)| *kind))
        });
        if let (Some((claim_type, _, range)), Some((value, kind, value_range))) = (&claim_type, &value) {
            self.check_made(claim_type, *range, value, *kind, *value_range, destination);
        }
        let nothing = || Expression::Literal(Literal::Boolean(false));
        Recipe::New {
            claim_type: claim_type.map_or_else(nothing, |(claim_type, ..)| claim_type),
            value: value.map_or_else(nothing, |(value, ..)| value),
            value_type,
        }
    }

    /// `valueType=` must be a literal and, as far as known, name the kind that the value has.
    fn value_type(&mut self, declared: &Expression, range: Range, actual: Option<Kind>) -> Option<Kind> {
        let name = match declared {
            Expression::Literal(Literal::Text(name)) => &**name,
            _ => "",
        };
        let kind = Kind::named(name);
        if kind.is_none() || actual.is_some_and(|actual| Some(actual) != kind) {
            let expected = match actual {
                Some(Kind::Boolean) => "\"Boolean\", as the value is",
                Some(Kind::Integer) => "\"Integer\", as the value is",
                Some(Kind::String) => "\"String\", as the value is",
                None => "\"String\", \"Integer\" or \"Boolean\"",
            };
            let problem = Problem::ValueTypeMismatch { expected };
            let hint = "leave `valueType=` out; a claim has the type of its value".to_owned();
            self.error(problem, range, Some(hint));
        }
        kind
    }

    /// Checks what is known of a claim or property to be made.
    fn check_made(
        &mut self,
        claim_type: &Expression,
        range: Range,
        value: &Expression,
        kind: Option<Kind>,
        value_range: Range,
        destination: Destination,
    ) {
        let Expression::Literal(Literal::Text(name)) = claim_type else { return };
        if name.is_empty() {
            self.error(Problem::Empty { what: "the type of a claim" }, range, None);
        }
        match destination {
            Destination::Properties => {
                let given = match (value, kind) {
                    (Expression::Literal(Literal::Integer(value)), _) => Given::Integer(*value),
                    // What an integer will be is known only in evaluation.
                    (_, Some(Kind::Integer) | None) => return,
                    (_, Some(kind)) => Given::Of(kind),
                };
                if let Err((property, expected)) = properties::check(name, given) {
                    self.error(Problem::PropertyValue { property, expected }, value_range, None);
                }
            }
            Destination::Token if is_reserved(name) => {
                self.warning(Problem::ReservedClaim { name: shortened(name) }, range, None);
            }
            Destination::Token | Destination::Incoming => {}
        }
    }
}

/// Claims that the service sets in every token, or whose names it keeps for itself.
fn is_reserved(name: &str) -> bool {
    matches!(name, "iss" | "iat" | "exp" | "nbf" | "jti" | "sub" | "aud" | "cnf" | "nonce")
        || name.starts_with("x-ms-")
}
