//! Tokens into a syntax tree, by the grammar of `docs/policy.md`, a method for each of its rules.
//!
//! The grammar depends on the version that the text declares. Parsing stops at the first error.

use crate::ast::{
    Action, Argument, Assignment, Condition, Expression, ExpressionKind, Name, Operator, Policy, Property,
    Rule, Test, Verb,
};
use crate::diagnostic::{Diagnostic, Problem};
use crate::functions::Function;
use crate::lexer::{Lexer, LexicalError, Token, TokenKind};
use crate::limits::Limits;
use crate::outcome::Section;
use crate::policy::Version;
use crate::span::{Lines, Range};
use crate::suggest;

type Parse<T> = Result<T, Box<Diagnostic>>;

/// Parses a whole policy.
pub(crate) fn parse<'t>(text: &'t str, lines: &Lines<'t>, limits: &Limits) -> Parse<Policy<'t>> {
    let mut lexer = Lexer::new(text);
    let context = Context { text, lines, stack: vec!["policy"] };
    let token = lexer.next().map_err(|error| context.lexical(error))?;
    Parser { lexer, context, token, version: Version::V1_0, rules: 0, limits: *limits }.policy()
}

/// What an error tells of its surroundings.
struct Context<'p, 't> {
    text: &'t str,
    lines: &'p Lines<'t>,
    stack: Vec<&'static str>,
}

struct Parser<'p, 't> {
    lexer: Lexer<'t>,
    context: Context<'p, 't>,
    /// The next token.
    token: Token<'t>,
    version: Version,
    /// Rules so far, in all sections.
    rules: usize,
    limits: Limits,
}

impl<'t> Parser<'_, 't> {
    fn policy(mut self) -> Parse<Policy<'t>> {
        self.within("versionInfo", Self::version_info)?;
        let mut configuration = Vec::new();
        if self.at_word("configurationrules") {
            self.needs(Version::V1_1, "section `configurationrules`")?;
            configuration =
                self.within("configurationSection", |p| p.section(Section::ConfigurationRules))?;
        } else if self.version >= Version::V1_1 && !self.at_word("authorizationrules") {
            return Err(self.mismatch(&["configurationrules", "authorizationrules"], None));
        }
        let authorization =
            self.within("authorizationSection", |p| p.section(Section::AuthorizationRules))?;
        let mut issuance = Vec::new();
        if self.token.kind != TokenKind::End {
            if !self.at_word("issuancerules") {
                let hint = "the sections are configurationrules, authorizationrules, issuancerules, in this \
                            order, each at most once";
                return Err(self.mismatch(&["issuancerules", "<EOF>"], Some(hint)));
            }
            issuance = self.within("issuanceSection", |p| p.section(Section::IssuanceRules))?;
        }
        if self.token.kind != TokenKind::End {
            return Err(self.mismatch(&["<EOF>"], None));
        }
        Ok(Policy { version: self.version, configuration, authorization, issuance })
    }

    fn version_info(&mut self) -> Parse<()> {
        self.keyword("version")?;
        self.mark("=", None)?;
        let (major, start) = self.digits()?;
        self.mark(".", None)?;
        let (minor, end) = self.digits()?;
        self.version = match (major, minor) {
            ("1", "0") => Version::V1_0,
            ("1", "1") => Version::V1_1,
            ("1", "2") => Version::V1_2,
            _ => {
                let problem = Problem::UnsupportedVersion { found: shortened(&format!("{major}.{minor}")) };
                let hint = "the versions are 1.0, 1.1 and 1.2".to_owned();
                return Err(self.context.problem(problem, start.to(end), Some(hint)));
            }
        };
        self.mark(";", None)
    }

    fn section(&mut self, section: Section) -> Parse<Vec<Rule<'t>>> {
        self.keyword(section.as_str())?;
        self.mark("{", None)?;
        let mut rules = Vec::new();
        while !self.at_mark("}") {
            self.rules += 1;
            if self.rules > self.limits.rules {
                let problem = Problem::TooManyRules { limit: self.limits.rules };
                return Err(self.context.problem(problem, self.token.range, None));
            }
            rules.push(self.within("rule", Self::rule)?);
        }
        self.advance()?;
        self.mark(";", Some("a section is closed by `};`"))?;
        Ok(rules)
    }

    fn rule(&mut self) -> Parse<Rule<'t>> {
        let start = self.token.range;
        let mut conditions = Vec::new();
        if !self.at_mark("=>") {
            conditions.push(self.within("condition", Self::condition)?);
            while self.at_mark("&&") {
                self.advance()?;
                conditions.push(self.within("condition", Self::condition)?);
            }
            if !self.at_mark("=>") {
                return Err(self.mismatch(&["&&", "=>"], None));
            }
        }
        self.advance()?;
        let action = self.within("action", Self::action)?;
        let end = self.token.range;
        self.mark(";", Some("a rule ends with `;`"))?;
        Ok(Rule { conditions, action, range: start.to(end) })
    }

    fn condition(&mut self) -> Parse<Condition<'t>> {
        let start = self.token.range;
        let negated = self.at_mark("!");
        if negated {
            self.needs(Version::V1_2, "the absence test `!`")?;
            self.advance()?;
        }
        let identifier = if self.at_mark("[") {
            None
        } else if matches!(self.token.kind, TokenKind::Word(_)) {
            let name = self.identifier()?;
            self.mark(":", Some("a condition is written `name:[…]` or `[…]`"))?;
            Some(name)
        } else {
            let mut expected = vec!["IDENTIFIER", "["];
            if !negated {
                expected.extend(["=>", "}"]);
            }
            return Err(self.mismatch(&expected, None));
        };
        self.mark("[", None)?;
        let mut tests = vec![self.within("propertyCondition", Self::property_condition)?];
        while self.at_mark(",") {
            self.advance()?;
            tests.push(self.within("propertyCondition", Self::property_condition)?);
        }
        if !self.at_mark("]") {
            return Err(self.mismatch(&[",", "]"], None));
        }
        let end = self.token.range;
        self.advance()?;
        Ok(Condition { negated, identifier, tests, range: start.to(end) })
    }

    fn property_condition(&mut self) -> Parse<Test<'t>> {
        let (property, _) = self.property()?;
        let operator_range = self.token.range;
        let TokenKind::Mark(found) = self.token.kind else { return Err(self.not_an_operator()) };
        let Some(operator) = Operator::ALL.into_iter().find(|operator| operator.as_str() == found) else {
            return Err(self.not_an_operator());
        };
        self.advance()?;
        let operand = self.within("expression", |p| p.expression(0))?;
        Ok(Test { property, operator, operator_range, operand })
    }

    fn action(&mut self) -> Parse<Action<'t>> {
        let verb_range = self.token.range;
        let verb = self.one_of(&Verb::ALL, Verb::as_str)?;
        self.mark("(", None)?;
        let argument = match verb {
            Verb::Permit | Verb::Deny => Argument::None,
            Verb::Add | Verb::Issue | Verb::IssueProperty => {
                self.within("claimArgument", Self::claim_argument)?
            }
        };
        self.mark(")", None)?;
        Ok(Action { verb, verb_range, argument })
    }

    fn claim_argument(&mut self) -> Parse<Argument<'t>> {
        if self.at_word("claim") {
            self.advance()?;
            self.mark("=", None)?;
            return Ok(Argument::Copy(self.identifier()?));
        }
        let mut assignments = vec![self.within("propertyAssignment", Self::property_assignment)?];
        while self.at_mark(",") {
            self.advance()?;
            assignments.push(self.within("propertyAssignment", Self::property_assignment)?);
        }
        Ok(Argument::Assignments(assignments))
    }

    fn property_assignment(&mut self) -> Parse<Assignment<'t>> {
        let (property, range) = self.property()?;
        self.mark("=", None)?;
        let value = self.within("expression", |p| p.expression(0))?;
        Ok(Assignment { property, range, value })
    }

    fn expression(&mut self, calls: usize) -> Parse<Expression<'t>> {
        let range = self.token.range;
        let kind = match &self.token.kind {
            TokenKind::Text(text) => ExpressionKind::Text(text.clone()),
            TokenKind::Integer(literal) => ExpressionKind::Integer(self.integer(literal, range)?),
            TokenKind::Word("true") => ExpressionKind::Boolean(true),
            TokenKind::Word("false") => ExpressionKind::Boolean(false),
            TokenKind::Word(word) => return self.reference(word, range, calls),
            _ => {
                let expected = ["STRING", "INTEGER", "BOOLEAN", "IDENTIFIER"];
                return Err(self.mismatch(&expected, None));
            }
        };
        self.advance()?;
        Ok(Expression { kind, range })
    }

    /// `identifier.property` or a function call; they begin alike.
    fn reference(&mut self, word: &'t str, range: Range, calls: usize) -> Parse<Expression<'t>> {
        if let Some(function) = Function::named(word).filter(|_| self.version >= Version::V1_2) {
            self.advance()?;
            return self.within("functionCall", |p| p.call(function, range, calls));
        }
        if is_keyword(word, self.version) {
            return Err(self.mismatch(&["STRING", "INTEGER", "BOOLEAN", "IDENTIFIER"], None));
        }
        self.advance()?;
        if self.at_mark("(") {
            if Function::named(word).is_some() {
                return Err(self.too_new(Version::V1_2, "a function call", range));
            }
            let problem = Problem::UnknownFunction { name: shortened(word) };
            let hint = suggest::hint(word, Function::ALL.map(Function::name));
            return Err(self.context.problem(problem, range, hint));
        }
        self.mark(".", Some("strings stand in double quotes; a claim's value is written `name.value`"))?;
        let (property, end) = self.property()?;
        let name = Name { text: word, range };
        Ok(Expression { kind: ExpressionKind::Property(name, property), range: range.to(end) })
    }

    fn call(&mut self, function: Function, start: Range, calls: usize) -> Parse<Expression<'t>> {
        if calls >= self.limits.call_nesting {
            let problem = Problem::CallsTooDeep { limit: self.limits.call_nesting };
            return Err(self.context.problem(problem, start, None));
        }
        self.mark("(", None)?;
        let mut arguments = Vec::new();
        if !self.at_mark(")") {
            arguments.push(self.expression(calls + 1)?);
            while self.at_mark(",") {
                self.advance()?;
                arguments.push(self.expression(calls + 1)?);
            }
        }
        let end = self.token.range;
        if !self.at_mark(")") {
            return Err(self.mismatch(&[",", ")"], None));
        }
        self.advance()?;
        Ok(Expression { kind: ExpressionKind::Call(function, arguments), range: start.to(end) })
    }

    /// An integer in the range that a JSON number keeps exactly everywhere: 64 bits, signed or not.
    fn integer(&self, literal: &str, range: Range) -> Parse<i128> {
        let in_range = i128::from(i64::MIN)..=i128::from(u64::MAX);
        literal.parse().ok().filter(|value| in_range.contains(value)).ok_or_else(|| {
            let problem = Problem::IntegerOutOfRange { literal: shortened(literal) };
            self.context.problem(problem, range, None)
        })
    }

    fn digits(&mut self) -> Parse<(&'t str, Range)> {
        let range = self.token.range;
        let TokenKind::Integer(digits) = self.token.kind else {
            return Err(self.mismatch(&["INTEGER"], Some("a policy starts with `version=1.0;`")));
        };
        self.advance()?;
        Ok((digits, range))
    }

    fn identifier(&mut self) -> Parse<Name<'t>> {
        let range = self.token.range;
        match self.token.kind {
            TokenKind::Word(text) if !is_keyword(text, self.version) && !text.starts_with('_') => {
                self.advance()?;
                Ok(Name { text, range })
            }
            TokenKind::Word(_) => Err(self
                .mismatch(&["IDENTIFIER"], Some("keywords cannot name claims; names start with a letter"))),
            _ => Err(self.mismatch(&["IDENTIFIER"], None)),
        }
    }

    fn property(&mut self) -> Parse<(Property, Range)> {
        let range = self.token.range;
        Ok((self.one_of(&Property::ALL, Property::as_str)?, range))
    }

    /// One of several keywords.
    fn one_of<T: Copy>(&mut self, choices: &[T], spelling: fn(T) -> &'static str) -> Parse<T> {
        if let TokenKind::Word(word) = self.token.kind
            && let Some(choice) = choices.iter().copied().find(|choice| spelling(*choice) == word)
        {
            self.advance()?;
            return Ok(choice);
        }
        let expected: Vec<_> = choices.iter().copied().map(spelling).collect();
        Err(self.mismatch(&expected, None))
    }

    fn keyword(&mut self, keyword: &'static str) -> Parse<()> {
        if self.at_word(keyword) {
            return self.advance();
        }
        Err(self.mismatch(&[keyword], None))
    }

    fn mark(&mut self, mark: &'static str, hint: Option<&str>) -> Parse<()> {
        if self.at_mark(mark) {
            return self.advance();
        }
        Err(self.mismatch(&[mark], hint))
    }

    fn at_mark(&self, mark: &str) -> bool {
        matches!(self.token.kind, TokenKind::Mark(here) if here == mark)
    }

    fn at_word(&self, word: &str) -> bool {
        matches!(self.token.kind, TokenKind::Word(here) if here == word)
    }

    fn advance(&mut self) -> Parse<()> {
        self.token = self.lexer.next().map_err(|error| self.context.lexical(error))?;
        Ok(())
    }

    /// Runs a grammar rule by its name.
    fn within<T>(&mut self, rule: &'static str, parse: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        self.context.stack.push(rule);
        let result = parse(self)?;
        self.context.stack.pop();
        Ok(result)
    }

    /// Refuses a construct of a later version than the declared one, at the next token.
    fn needs(&self, needed: Version, construct: &'static str) -> Parse<()> {
        if self.version >= needed { Ok(()) } else { Err(self.too_new(needed, construct, self.token.range)) }
    }

    fn too_new(&self, needed: Version, construct: &'static str, range: Range) -> Box<Diagnostic> {
        let hint = format!("declare `version={needed};`");
        let problem = Problem::NeedsVersion { construct, needed, declared: self.version };
        self.context.problem(problem, range, Some(hint))
    }

    fn not_an_operator(&self) -> Box<Diagnostic> {
        let hint = self.at_mark("=").then_some("a comparison is written `==`");
        self.mismatch(&Operator::ALL.map(Operator::as_str), hint)
    }

    /// The next token is none of those expected.
    fn mismatch(&self, expected: &[&str], hint: Option<&str>) -> Box<Diagnostic> {
        let found = self.context.symbol(self.token.range);
        let hint = match self.token.kind {
            TokenKind::Word(word) => suggest::hint(word, expected.iter().copied()),
            _ => None,
        }
        .or_else(|| hint.map(str::to_owned));
        let expected = expected.iter().map(|alternative| quoted(alternative)).collect();
        let problem = Problem::UnexpectedToken { found, expected };
        self.context.problem(problem, self.token.range, hint)
    }
}

impl Context<'_, '_> {
    fn lexical(&self, error: LexicalError) -> Box<Diagnostic> {
        self.problem(error.problem, error.range, error.hint.map(str::to_owned))
    }

    fn problem(&self, problem: Problem, range: Range, hint: Option<String>) -> Box<Diagnostic> {
        let expected = match &problem {
            Problem::UnexpectedToken { expected, .. } => expected.clone(),
            _ => Vec::new(),
        };
        Box::new(Diagnostic {
            problem,
            span: self.lines.span(range),
            symbol: self.symbol(range),
            grammar_rule: self.stack.join(" > "),
            expected,
            hint,
        })
    }

    fn symbol(&self, range: Range) -> String {
        match self.text.get(range.start..range.end) {
            None | Some("") => "<EOF>".to_owned(),
            Some(text) => shortened(text),
        }
    }
}

/// User input fit for a message.
pub(crate) fn shortened(text: &str) -> String {
    const MAX_CHARACTERS: usize = 60;
    match text.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Words that cannot name a claim.
const KEYWORDS: [&str; 16] = [
    "version",
    "configurationrules",
    "authorizationrules",
    "issuancerules",
    "permit",
    "deny",
    "add",
    "issue",
    "issueproperty",
    "claim",
    "type",
    "value",
    "valueType",
    "issuer",
    "true",
    "false",
];

fn is_keyword(word: &str, version: Version) -> bool {
    KEYWORDS.contains(&word) || (version >= Version::V1_2 && Function::named(word).is_some())
}

/// An alternative as messages show it: keywords and marks quoted, token names not.
fn quoted(alternative: &str) -> String {
    if alternative == "<EOF>" || alternative.chars().all(|c| c.is_ascii_uppercase()) {
        alternative.to_owned()
    } else {
        format!("'{alternative}'")
    }
}
