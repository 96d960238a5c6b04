//! From syntax tree to program: names, kinds, which action may stand where, constant queries.
//!
//! Everything that can be known before evidence arrives is told here, all findings at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::ast::{self, Argument, ExpressionKind, Name, Property, Verb};
use crate::claim::{Issuer, Kind};
use crate::diagnostic::{Diagnostic, Diagnostics, Problem};
use crate::functions::{Function, Parameter};
use crate::jmespath::Query;
use crate::limits::{Limits, MAX_DIAGNOSTICS};
use crate::outcome::{RuleRef, Section};
use crate::parser::{self, shortened};
use crate::program::{Action, Condition, Destination, Expression, Literal, Program, Recipe, Rule, Test};
use crate::properties::{self, Given};
use crate::span::{Lines, Range};
use crate::suggest;

/// An accepted policy.
pub(crate) struct Analysis {
    pub(crate) program: Program,
    pub(crate) warnings: Vec<Diagnostic>,
}

pub(crate) fn analyze(text: &str, limits: &Limits) -> Result<Analysis, Diagnostics> {
    if text.len() > limits.text_size_bytes {
        let lines = Lines::new("");
        let problem = Problem::TextTooLarge { size_bytes: text.len(), limit: limits.text_size_bytes };
        return Err(finding(problem, "", &lines, Range::default(), "policy".to_owned(), None).into());
    }
    let lines = Lines::new(text);
    let tree = parser::parse(text, &lines, limits).map_err(|diagnostic| Diagnostics::from(*diagnostic))?;
    let symbols = symbols(&tree);
    let mut analyzer = Analyzer {
        text,
        lines,
        limits: *limits,
        symbols,
        section: Section::ConfigurationRules,
        place: "",
        errors: Vec::new(),
        warnings: Vec::new(),
    };
    let configuration = analyzer.section(Section::ConfigurationRules, &tree.configuration);
    let authorization = analyzer.section(Section::AuthorizationRules, &tree.authorization);
    let issuance = analyzer.section(Section::IssuanceRules, &tree.issuance);
    if !analyzer.errors.is_empty() {
        analyzer.errors.sort_by_key(|diagnostic| diagnostic.span.start);
        return Err(Diagnostics::new(analyzer.errors));
    }
    let program =
        Program { version: tree.version, symbols: analyzer.symbols, configuration, authorization, issuance };
    Ok(Analysis { program, warnings: analyzer.warnings })
}

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

fn rules<'p, 't>(tree: &'p ast::Policy<'t>) -> impl Iterator<Item = &'p ast::Rule<'t>> {
    tree.configuration.iter().chain(&tree.authorization).chain(&tree.issuance)
}

/// Whether a condition asks for what clients send along, whose names are theirs.
fn is_custom(condition: &ast::Condition<'_>) -> bool {
    condition.tests.iter().any(|test| {
        test.property == Property::Issuer
            && matches!(&test.operand.kind, ExpressionKind::Text(name) if name == Issuer::CustomClaim.as_str())
    })
}

/// The claim types that conditions ask for by name, sorted.
fn symbols(tree: &ast::Policy<'_>) -> Vec<Arc<str>> {
    let tests = rules(tree).flat_map(|rule| &rule.conditions).flat_map(|condition| &condition.tests);
    let names: BTreeSet<&str> = tests.filter_map(asked_type).collect();
    names.into_iter().map(Arc::from).collect()
}

/// The name of `type == "name"`.
fn asked_type<'p>(test: &'p ast::Test<'_>) -> Option<&'p str> {
    match &test.operand.kind {
        ExpressionKind::Text(name)
            if test.property == Property::Type && test.operator == ast::Operator::Equal =>
        {
            Some(name)
        }
        _ => None,
    }
}

fn finding(
    problem: Problem,
    text: &str,
    lines: &Lines<'_>,
    range: Range,
    grammar_rule: String,
    hint: Option<String>,
) -> Diagnostic {
    let symbol = shortened(text.get(range.start..range.end).unwrap_or_default());
    Diagnostic { problem, span: lines.span(range), symbol, grammar_rule, expected: Vec::new(), hint }
}

struct Analyzer<'t> {
    text: &'t str,
    lines: Lines<'t>,
    limits: Limits,
    symbols: Vec<Arc<str>>,
    section: Section,
    /// The grammar rule at work inside a rule.
    place: &'static str,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

/// The identifiers of one rule: which condition defines each, and whether by `!`.
#[derive(Default)]
struct Scope<'t> {
    names: Vec<(&'t str, usize, bool)>,
    /// The conditions whose claims are used.
    used: BTreeSet<usize>,
}

impl Analyzer<'_> {
    fn section(&mut self, section: Section, rules: &[ast::Rule<'_>]) -> Vec<Rule> {
        self.section = section;
        let numbered = (1_u32..).zip(rules);
        numbered.map(|(index, rule)| self.rule(rule, index)).collect()
    }

    fn rule<'t>(&mut self, rule: &ast::Rule<'t>, index: u32) -> Rule {
        let mut scope = Scope::default();
        let mut conditions: Vec<Condition> = Vec::with_capacity(rule.conditions.len());
        for (place, condition) in rule.conditions.iter().enumerate() {
            self.place = "condition";
            let compiled = self.condition(condition, &mut scope);
            conditions.push(compiled);
            if let Some(name) = condition.identifier {
                if scope.names.iter().any(|(known, ..)| *known == name.text) {
                    let problem = Problem::DuplicateIdentifier { name: shortened(name.text) };
                    self.error(problem, name.range, None);
                } else {
                    scope.names.push((name.text, place, condition.negated));
                }
            }
        }
        self.place = "action";
        let action = self.action(&rule.action, &mut scope);
        for used in scope.used {
            if let Some(condition) = conditions.get_mut(used) {
                condition.bound = true;
            }
        }
        let at = RuleRef { section: self.section, index, span: self.lines.span(rule.range) };
        Rule { conditions, action, at }
    }

    fn condition<'t>(&mut self, condition: &ast::Condition<'t>, scope: &mut Scope<'t>) -> Condition {
        let mut symbol = None;
        let mut tests = Vec::with_capacity(condition.tests.len());
        for test in &condition.tests {
            self.place = "condition > propertyCondition";
            let (operand, kind) = self.expression(&test.operand, scope);
            self.check_test(test, kind);
            if symbol.is_none()
                && let Some(name) = asked_type(test)
            {
                symbol = self.symbols.binary_search_by(|known| (**known).cmp(name)).ok();
                continue;
            }
            tests.push(Test { property: test.property, operator: test.operator, operand });
        }
        Condition { negated: condition.negated, symbol, tests, bound: false }
    }

    /// Operators and kinds: only integers have an order, and all properties but `value` are strings.
    fn check_test(&mut self, test: &ast::Test<'_>, kind: Option<Kind>) {
        let is_value = test.property == Property::Value;
        if !is_value && let Some(found) = kind.filter(|kind| *kind != Kind::String) {
            let problem = Problem::PropertyKind { property: test.property.as_str(), found };
            self.error(problem, test.operand.range, None);
        } else if test.operator.orders() && (!is_value || kind.is_some_and(|kind| kind != Kind::Integer)) {
            let problem = Problem::OperatorNotAllowed { operator: test.operator.as_str() };
            let hint = match &test.operand.kind {
                ExpressionKind::Text(text) if is_value && text.parse::<i64>().is_ok() => {
                    Some(format!("an integer has no quotes: {text}"))
                }
                _ => Some("other values can only be compared with `==` and `!=`".to_owned()),
            };
            self.error(problem, test.operator_range, hint);
        } else if let ExpressionKind::Text(name) = &test.operand.kind {
            let names: &[&str] = match test.property {
                Property::Issuer => &Issuer::NAMES,
                Property::ValueType => &["String", "Integer", "Boolean"],
                Property::Type | Property::Value => return,
            };
            if !names.contains(&&**name) {
                let problem =
                    Problem::UnmatchableName { property: test.property.as_str(), name: shortened(name) };
                let hint = suggest::hint(name, names.iter().copied());
                self.warning(problem, test.operand.range, hint);
            }
        }
    }

    fn action<'t>(&mut self, action: &ast::Action<'t>, scope: &mut Scope<'t>) -> Action {
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
            let actual = actual.map_or_else(|| "none of this kind".to_owned(), |kind| kind.to_string());
            let problem = Problem::ValueTypeMismatch { declared: shortened(name), actual };
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

    /// Compiles an expression; tells the kind of its values where that is known.
    fn expression<'t>(
        &mut self,
        expression: &ast::Expression<'t>,
        scope: &mut Scope<'t>,
    ) -> (Expression, Option<Kind>) {
        match &expression.kind {
            ExpressionKind::Boolean(value) => {
                (Expression::Literal(Literal::Boolean(*value)), Some(Kind::Boolean))
            }
            ExpressionKind::Integer(value) => {
                (Expression::Literal(Literal::Integer(*value)), Some(Kind::Integer))
            }
            ExpressionKind::Text(text) => {
                (Expression::Literal(Literal::Text(Arc::from(&**text))), Some(Kind::String))
            }
            ExpressionKind::Property(name, property) => {
                let condition = self.claims_of(*name, scope);
                let kind = (*property != Property::Value).then_some(Kind::String);
                (Expression::Property(condition, *property), kind)
            }
            ExpressionKind::Call(function, arguments) => {
                self.call(*function, arguments, expression.range, scope)
            }
        }
    }

    fn call<'t>(
        &mut self,
        function: Function,
        arguments: &[ast::Expression<'t>],
        range: Range,
        scope: &mut Scope<'t>,
    ) -> (Expression, Option<Kind>) {
        let parameters = function.parameters();
        if arguments.len() != parameters.len() {
            let (expected, found) = (parameters.len(), arguments.len());
            self.error(Problem::ArgumentCount { function: function.name(), expected, found }, range, None);
        }
        let mut compiled = Vec::with_capacity(arguments.len());
        for (index, argument) in arguments.iter().enumerate() {
            let (expression, kind) = self.expression(argument, scope);
            let expected = match parameters.get(index) {
                Some(Parameter::Of(kind)) => Some(*kind),
                Some(Parameter::Text) => Some(Kind::String),
                Some(Parameter::Set | Parameter::Single) | None => None,
            };
            if let (Some(expected), Some(found)) = (expected, kind)
                && expected != found
            {
                let (function, position) = (function.name(), index + 1);
                let problem = Problem::ArgumentKind { function, position, expected, found };
                self.error(problem, argument.range, None);
            }
            if parameters.get(index) == Some(&Parameter::Text)
                && matches!(&expression, Expression::Literal(Literal::Text(text)) if text.is_empty())
            {
                self.error(Problem::Empty { what: "an argument of `JmesPath`" }, argument.range, None);
            }
            compiled.push(expression);
        }
        (self.constant_query(function, compiled, arguments), function.result())
    }

    /// A query that is a literal is compiled now, once.
    fn constant_query(
        &mut self,
        function: Function,
        mut compiled: Vec<Expression>,
        arguments: &[ast::Expression<'_>],
    ) -> Expression {
        if let (Function::JmesPath, [_, Expression::Literal(Literal::Text(query))], [_, written]) =
            (function, compiled.as_slice(), arguments)
            && !query.is_empty()
        {
            match Query::compile(query, &self.limits) {
                Ok(query) => {
                    compiled.truncate(1);
                    if let Some(json) = compiled.pop() {
                        return Expression::Search(Box::new(json), query);
                    }
                }
                Err(error) => self.error(Problem::Query(error), written.range, None),
            }
        }
        Expression::Call(function, compiled)
    }

    /// The condition that `name` stands for.
    fn claims_of<'t>(&mut self, name: Name<'t>, scope: &mut Scope<'t>) -> usize {
        match scope.names.iter().find(|(known, ..)| *known == name.text) {
            Some((_, condition, false)) => {
                scope.used.insert(*condition);
                *condition
            }
            Some((_, condition, true)) => {
                let condition = *condition;
                self.error(Problem::NegatedIdentifier { name: shortened(name.text) }, name.range, None);
                condition
            }
            None => {
                let hint = suggest::hint(name.text, scope.names.iter().map(|(known, ..)| *known));
                self.error(Problem::UnknownIdentifier { name: shortened(name.text) }, name.range, hint);
                usize::MAX
            }
        }
    }

    fn error(&mut self, problem: Problem, range: Range, hint: Option<String>) {
        if self.errors.len() < MAX_DIAGNOSTICS {
            let finding = self.finding(problem, range, hint);
            self.errors.push(finding);
        }
    }

    fn warning(&mut self, problem: Problem, range: Range, hint: Option<String>) {
        if self.warnings.len() < MAX_DIAGNOSTICS {
            let finding = self.finding(problem, range, hint);
            self.warnings.push(finding);
        }
    }

    fn finding(&self, problem: Problem, range: Range, hint: Option<String>) -> Diagnostic {
        let section = match self.section {
            Section::ConfigurationRules => "configurationSection",
            Section::AuthorizationRules => "authorizationSection",
            Section::IssuanceRules => "issuanceSection",
        };
        let rule = format!("policy > {section} > rule > {}", self.place);
        finding(problem, self.text, &self.lines, range, rule, hint)
    }
}

/// Claims that the service sets in every token, or whose names it keeps for itself.
fn is_reserved(name: &str) -> bool {
    matches!(name, "iss" | "iat" | "exp" | "nbf" | "jti" | "sub" | "aud" | "cnf" | "nonce")
        || name.starts_with("x-ms-")
}
