//! Evaluation with an eye on everything: the same machine, stopped between the halves of each rule to look at the
//! claims. What it looks at is charged to a budget of its own, so that the decision stays the same.

use std::mem;

use super::condition::compare;
use super::{Machine, Said, Verdict, failed};
use crate::budget::Budget;
use crate::claim::{Claim, Value};
use crate::error::{EvalError, Fault};
use crate::explanation::{
    ConditionReport, FailedTest, Listed, MadeClaim, NearMiss, RuleReport, RuleState, SeenClaim, short,
};
use crate::limits::Limits;
use crate::outcome::{Denial, Outcome, Permit, Properties, RuleRef};
use crate::program::{Action, Condition, Destination, Expression, Program, Recipe, Rule};
use crate::span::Span;
use crate::suggest;
use crate::value::{Set, Val, View};

/// As [`super::configure`], with what became of each rule.
pub(crate) fn configure(
    program: &Program,
    limits: &Limits,
) -> (Result<Properties, EvalError>, Vec<RuleReport>) {
    let mut observer = match Observer::new(program, &[], limits) {
        Ok(observer) => observer,
        Err(error) => return (Err(error), program.configuration.iter().map(unreached).collect()),
    };
    for (place, rule) in program.configuration.iter().enumerate() {
        if let Err(error) = observer.step(rule) {
            return (Err(error), observer.reports_with(program.configuration.iter().skip(place + 1)));
        }
    }
    (Ok(observer.said.properties), observer.reports)
}

/// As [`super::evaluate`], with what became of each rule.
pub(crate) fn evaluate(
    program: &Program,
    incoming: &[Claim],
    limits: &Limits,
) -> (Result<Outcome, EvalError>, Vec<RuleReport>) {
    let rules = || program.authorization.iter().chain(&program.issuance);
    let mut observer = match Observer::new(program, incoming, limits) {
        Ok(observer) => observer,
        Err(error) => return (Err(error), rules().map(unreached).collect()),
    };
    let outcome = observer.decide(program);
    let left = rules().skip(observer.reports.len());
    (outcome, observer.reports_with(left))
}

struct Observer<'a> {
    machine: Machine<'a>,
    said: Said,
    /// Pays for looking.
    budget: Budget,
    /// For each claim of the incoming set, the rule that made it.
    makers: Vec<Option<RuleRef>>,
    reports: Vec<RuleReport>,
}

impl<'a> Observer<'a> {
    fn new(program: &'a Program, incoming: &'a [Claim], limits: &Limits) -> Result<Self, EvalError> {
        let machine = Machine::new(program, incoming, limits, true)?;
        let makers = vec![None; machine.claims.len()];
        Ok(Self { machine, said: Said::default(), budget: Budget::new(*limits), makers, reports: Vec::new() })
    }

    /// The same steps as [`super::evaluate`].
    fn decide(&mut self, program: &'a Program) -> Result<Outcome, EvalError> {
        let mut permit = None;
        for rule in &program.authorization {
            match self.step(rule)? {
                Verdict::Deny => return Ok(Outcome::Denied(Denial::Explicit { rule: rule.at })),
                Verdict::Permit => {
                    permit.get_or_insert(rule.at);
                }
                Verdict::Silent => {}
            }
        }
        let Some(rule) = permit else { return Ok(Outcome::Denied(Denial::NoPermit)) };
        for rule in &program.issuance {
            self.step(rule)?;
        }
        let said = mem::take(&mut self.said);
        Ok(Outcome::Permitted(Permit { issued: said.issued, properties: said.properties, rule }))
    }

    /// Runs one rule and reports it.
    fn step(&mut self, rule: &'a Rule) -> Result<Verdict, EvalError> {
        let applies = self.machine.applies(rule);
        let conditions = self.conditions(rule, applies != Ok(false));
        let before = self.machine.claims.len();
        let (state, verdict) = match applies {
            Ok(false) => (RuleState::NotFired, Ok(Verdict::Silent)),
            Ok(true) => match self.machine.act(rule, &mut self.said) {
                Ok(verdict) => (RuleState::Fired, Ok(verdict)),
                Err(fault) => (RuleState::Failed, Err(failed(rule, fault))),
            },
            Err(fault) => (RuleState::Failed, Err(failed(rule, fault))),
        };
        self.makers.resize(self.machine.claims.len(), Some(rule.at));
        let claims = self.made(rule, before);
        self.reports.push(RuleReport { state, conditions, claims, ..unreached(rule) });
        verdict
    }

    /// The conditions of a rule that were decided, the last of which did not hold unless `all_hold`.
    fn conditions(&mut self, rule: &'a Rule, all_hold: bool) -> Vec<ConditionReport> {
        let decided = self.machine.matches.len();
        let kept = self.machine.read.len();
        mem::swap(&mut self.machine.budget, &mut self.budget);
        let mut reports = Vec::with_capacity(decided);
        for (place, condition) in rule.conditions.iter().take(decided).enumerate() {
            let mut report = ConditionReport {
                text: String::new(),
                span: Span::default(),
                holds: all_hold || place + 1 < decided,
                negated: condition.negated,
                claims: Listed::default(),
                missed: Listed::default(),
                hint: None,
                truncated: false,
            };
            if self.condition(condition, &mut report).is_err() {
                (report.claims, report.missed, report.truncated) =
                    (Listed::default(), Listed::default(), true);
            }
            reports.push(report);
        }
        mem::swap(&mut self.machine.budget, &mut self.budget);
        self.machine.read.truncate(kept);
        reports
    }

    /// Looks at every claim that a condition may mean. Fails when the budget for looking is spent.
    fn condition(&mut self, condition: &'a Condition, report: &mut ConditionReport) -> Result<(), Fault> {
        let wanted = !report.holds && !condition.negated;
        let mut operands: Vec<Option<Set<'a>>> = Vec::new();
        let mut missed: Vec<(usize, usize)> = Vec::new();
        let mut at = self.machine.claims.first(condition.symbol);
        while let Some(index) = at {
            self.machine.budget.charge(1)?;
            if operands.len() < condition.tests.len() {
                operands = self.operands(condition)?;
            }
            match self.failed_tests(index, condition, &operands)? {
                0 => report.claims.push(|| self.seen(index)),
                failed if wanted => missed.push((failed, index)),
                _ => {}
            }
            at = self.machine.claims.next(condition.symbol, index);
        }
        // The nearest first, otherwise in their order.
        missed.sort_by_key(|(failed, _)| *failed);
        for (_, index) in missed {
            report.missed.push(|| NearMiss {
                claim: self.seen(index),
                failed: self.told_tests(index, condition, &operands),
            });
        }
        if wanted && report.missed.total == 0 {
            report.hint = self.hint(condition);
        }
        Ok(())
    }

    /// What the tests of a condition compare with; none where that cannot be evaluated.
    fn operands(&mut self, condition: &'a Condition) -> Result<Vec<Option<Set<'a>>>, Fault> {
        let mut operands = Vec::with_capacity(condition.tests.len());
        for test in &condition.tests {
            operands.push(match self.machine.expression(&test.operand) {
                Ok(set) => Some(set),
                Err(fault @ Fault::OutOfSteps { .. }) => return Err(fault),
                Err(_) => None,
            });
        }
        Ok(operands)
    }

    /// How many tests of a condition a claim fails.
    fn failed_tests(
        &mut self,
        index: usize,
        condition: &Condition,
        operands: &[Option<Set<'a>>],
    ) -> Result<usize, Fault> {
        let mut failed = 0;
        for (test, operand) in condition.tests.iter().zip(operands) {
            let Some(claim) = self.machine.claims.get(index) else { continue };
            let left = claim.property(test.property);
            let mut passes = false;
            for value in operand.as_ref().map_or(&[][..], Set::as_slice) {
                self.machine.budget.charge(1)?;
                passes |= compare(left, test.operator, value.view(), &mut self.machine.budget)?;
            }
            failed += usize::from(!passes);
        }
        Ok(failed)
    }

    fn told_tests(
        &self,
        index: usize,
        condition: &Condition,
        operands: &[Option<Set<'a>>],
    ) -> Vec<FailedTest> {
        let mut tests = Vec::new();
        let Some(claim) = self.machine.claims.get(index) else { return tests };
        for (test, operand) in condition.tests.iter().zip(operands) {
            let left = claim.property(test.property);
            let values = operand.as_ref().map_or(&[][..], Set::as_slice);
            // Paid for by `failed_tests`.
            let mut free = Budget::new(Limits::DEFAULT);
            let passes = |value: &Val<'_>| compare(left, test.operator, value.view(), &mut free) == Ok(true);
            if values.iter().any(passes) {
                continue;
            }
            let mut expected = Listed::default();
            for value in values {
                expected.push(|| told(value.view()));
            }
            let (property, operator) = (test.property.as_str(), test.operator.as_str());
            tests.push(FailedTest { property, operator, expected, actual: told(left) });
        }
        tests
    }

    fn seen(&self, index: usize) -> SeenClaim {
        let made_by = self.makers.get(index).copied().flatten();
        match self.machine.claims.get(index) {
            Some(claim) => SeenClaim {
                claim_type: short(&claim.claim_type),
                value: told(claim.value.view()),
                issuer: claim.issuer,
                made_by,
            },
            // Places come from the set itself, which never shrinks.
            None => SeenClaim {
                claim_type: String::new(),
                value: Value::Boolean(false),
                issuer: crate::claim::Issuer::AttestationPolicy,
                made_by,
            },
        }
    }

    /// A claim with nearly the name that a condition asks for.
    fn hint(&mut self, condition: &Condition) -> Option<String> {
        let asked = self.machine.program.symbols.get(condition.symbol?)?;
        // Comparing names letter by letter is the most that an explanation does.
        self.machine
            .budget
            .charge(2 * asked.len() * self.machine.claims.len().min(suggest::MAX_CANDIDATES))
            .ok()?;
        let types = (0..self.machine.claims.len()).filter_map(|index| self.machine.claims.get(index));
        suggest::hint(asked, types.map(|claim| &*claim.claim_type))
    }

    /// The claims that a rule made, which are those from `before` on.
    fn made(&self, rule: &Rule, before: usize) -> Listed<MadeClaim> {
        let mut made = Listed::default();
        let Action::Make(_, recipe) = &rule.action else { return made };
        for (place, index) in (before..self.machine.claims.len()).enumerate() {
            made.push(|| {
                let mut sources = Listed::default();
                match recipe {
                    Recipe::Copy(condition) => {
                        if let Some(source) = self.matched(*condition).get(place) {
                            sources.push(|| self.seen(*source));
                        }
                    }
                    Recipe::New { claim_type, value, .. } => {
                        let mut conditions = Vec::new();
                        references(claim_type, &mut conditions);
                        references(value, &mut conditions);
                        conditions.sort_unstable();
                        conditions.dedup();
                        for source in conditions.iter().flat_map(|condition| self.matched(*condition)) {
                            sources.push(|| self.seen(*source));
                        }
                    }
                }
                let SeenClaim { claim_type, value, .. } = self.seen(index);
                MadeClaim { claim_type, value, sources }
            });
        }
        made
    }

    /// The claims that a condition of the present rule matched, if they were kept.
    fn matched(&self, condition: usize) -> &[usize] {
        let range = self.machine.matches.get(condition).cloned().unwrap_or_default();
        self.machine.matched.get(range).unwrap_or_default()
    }

    fn reports_with(self, left: impl Iterator<Item = &'a Rule>) -> Vec<RuleReport> {
        let mut reports = self.reports;
        reports.extend(left.map(unreached));
        reports
    }
}

/// The conditions whose claims an expression reads.
fn references(expression: &Expression, conditions: &mut Vec<usize>) {
    match expression {
        Expression::Literal(_) => {}
        Expression::Property(condition, _) => conditions.push(*condition),
        Expression::Search(json, _) => references(json, conditions),
        Expression::Call(_, arguments) => {
            for argument in arguments {
                references(argument, conditions);
            }
        }
    }
}

fn unreached(rule: &Rule) -> RuleReport {
    RuleReport {
        rule: rule.at,
        text: String::new(),
        state: RuleState::NotReached,
        action: match rule.action {
            Action::Deny => "deny",
            Action::Permit => "permit",
            Action::Make(Destination::Incoming, _) => "add",
            Action::Make(Destination::Properties, _) => "issueproperty",
            Action::Make(Destination::Token, _) => "issue",
        },
        conditions: Vec::new(),
        claims: Listed::default(),
    }
}

fn told(value: View<'_>) -> Value {
    match value {
        View::Boolean(value) => Value::Boolean(value),
        View::Integer(value) => Value::Integer(value),
        View::Text(text) => Value::String(short(text)),
    }
}
