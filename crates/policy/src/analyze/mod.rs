//! From syntax tree to program: names, kinds, which action may stand where, constant queries.
//!
//! Everything that can be known before evidence arrives is told here, all findings at once.

mod action;
mod unknown;

pub(crate) use unknown::unknown_claims;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::ast::{self, ExpressionKind, Name, Property};
use crate::claim::{Issuer, Kind};
use crate::diagnostic::{Diagnostic, Diagnostics, Problem};
use crate::functions::{Function, Parameter};
use crate::jmespath::Query;
use crate::limits::{Limits, MAX_DIAGNOSTICS};
use crate::outcome::{RuleRef, Section};
use crate::parser::{self, shortened};
use crate::program::{Condition, Expression, Literal, Program, Rule, Symbols, Test};
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
    let rules = configuration.iter().chain(&authorization).chain(&issuance);
    let looks_at_all = rules.flat_map(|rule| &rule.conditions).any(|condition| condition.symbol.is_none());
    let program = Program {
        version: tree.version,
        symbols: analyzer.symbols,
        looks_at_all,
        configuration,
        authorization,
        issuance,
    };
    Ok(Analysis { program, warnings: analyzer.warnings })
}

fn rules<'p, 't>(tree: &'p ast::Policy<'t>) -> impl Iterator<Item = &'p ast::Rule<'t>> {
    tree.configuration.iter().chain(&tree.authorization).chain(&tree.issuance)
}

/// The claim types that conditions ask for by name.
fn symbols(tree: &ast::Policy<'_>) -> Symbols {
    let tests = rules(tree).flat_map(|rule| &rule.conditions).flat_map(|condition| &condition.tests);
    let names: BTreeSet<&str> = tests.filter_map(asked_type).collect();
    Symbols::new(names)
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
    symbols: Symbols,
    section: Section,
    /// The grammar rule at work inside a rule.
    place: &'static str,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

/// The identifiers of one rule: which condition defines each, and whether by `!`.
#[derive(Default)]
struct Scope<'t> {
    names: HashMap<&'t str, (usize, bool)>,
    /// Their order.
    order: Vec<&'t str>,
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
            self.place = "condition";
            if let Some(name) = condition.identifier {
                if scope.names.contains_key(name.text) {
                    let problem = Problem::DuplicateIdentifier { name: shortened(name.text) };
                    self.error(problem, name.range, None);
                } else {
                    scope.names.insert(name.text, (place, condition.negated));
                    scope.order.push(name.text);
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
                symbol = self.symbols.find(name);
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
        match scope.names.get(name.text).copied() {
            Some((condition, false)) => {
                scope.used.insert(condition);
                condition
            }
            Some((condition, true)) => {
                self.error(Problem::NegatedIdentifier { name: shortened(name.text) }, name.range, None);
                condition
            }
            None if self.errors.len() >= MAX_DIAGNOSTICS => usize::MAX,
            None => {
                let hint = suggest::hint(name.text, scope.order.iter().copied());
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
