//! Why a policy decided as it did: which rules fired, which did not and for want of what, and where each claim
//! came from.

mod text;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::claim::{Issuer, Value};
use crate::error::EvalError;
use crate::limits::Limits;
use crate::outcome::{Denial, Outcome, Permit, Properties, RuleRef, to_json_map};
use crate::parser;
use crate::span::{Lines, Range, Span};

/// What [`crate::Policy::explain`] tells. Displays for people, serializes for programs.
///
/// Its size is bounded: of each list at most [`MAX_LISTED`] entries are told, with their number, and of each text at
/// most [`MAX_TEXT_CHARACTERS`] characters.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// What the configuration rules said; they run on their own, before there are claims.
    pub configuration: Result<Properties, EvalError>,
    /// What [`crate::Policy::evaluate`] answers for the same claims.
    pub outcome: Result<Outcome, EvalError>,
    /// Every rule of the policy in its order.
    pub rules: Vec<RuleReport>,
}

/// Most entries of a list in an explanation; people compare a handful of claims.
pub const MAX_LISTED: usize = 8;

/// Most characters of a text in an explanation; measurements have 128, logs have a million.
pub const MAX_TEXT_CHARACTERS: usize = 256;

/// What became of one rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleReport {
    /// Which one.
    #[serde(flatten)]
    pub rule: RuleRef,
    /// Its text, shortened.
    pub text: String,
    /// Whether it fired.
    pub state: RuleState,
    /// What it does when it fires.
    pub action: &'static str,
    /// Its conditions up to the first that did not hold.
    pub conditions: Vec<ConditionReport>,
    /// The claims it made.
    pub claims: Listed<MadeClaim>,
}

/// Whether a rule fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleState {
    /// It ended the evaluation with an error, which is the explanation's outcome.
    Failed,
    /// All its conditions held and it did what it says.
    Fired,
    /// A condition did not hold.
    NotFired,
    /// The evaluation ended before it.
    NotReached,
}

/// Entries of a list that may have been too long to tell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listed<T> {
    /// The first of them.
    pub first: Vec<T>,
    /// How many there are.
    pub total: usize,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { first: Vec::new(), total: 0 }
    }
}

impl<T> Listed<T> {
    pub(crate) fn push(&mut self, entry: impl FnOnce() -> T) {
        self.total += 1;
        if self.first.len() < MAX_LISTED {
            self.first.push(entry());
        }
    }
}

/// What became of one condition.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConditionReport {
    /// As written, shortened.
    pub text: String,
    /// Where it stands.
    pub span: Span,
    /// Whether it let its rule go on.
    pub holds: bool,
    /// Whether it is an absence test, which holds when no claim satisfies it.
    pub negated: bool,
    /// The claims that satisfy it.
    pub claims: Listed<SeenClaim>,
    /// When none does and one should: the claims that come nearest, and what they lack.
    pub missed: Listed<NearMiss>,
    /// A claim with nearly the name asked for, when there is none with it.
    pub hint: Option<String>,
    /// The explanation used up its own steps and tells no claims here.
    pub truncated: bool,
}

/// A claim as a rule saw it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeenClaim {
    /// Its name, shortened.
    #[serde(rename = "type")]
    pub claim_type: String,
    /// Its value; text is shortened.
    pub value: Value,
    /// Who made it.
    pub issuer: Issuer,
    /// The rule that made it, if the policy did.
    pub made_by: Option<RuleRef>,
}

/// A claim that does not satisfy a condition, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NearMiss {
    /// The claim.
    pub claim: SeenClaim,
    /// The tests that it does not pass.
    pub failed: Vec<FailedTest>,
}

/// A test that a claim does not pass.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FailedTest {
    /// The property compared: `type`, `value`, `valueType` or `issuer`.
    pub property: &'static str,
    /// The operator as written.
    pub operator: &'static str,
    /// What it was compared with. One match is enough; it may be empty.
    pub expected: Listed<Value>,
    /// What the claim has.
    pub actual: Value,
}

/// A claim or property that a rule made, and what it was made of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MadeClaim {
    /// Its name, shortened.
    #[serde(rename = "type")]
    pub claim_type: String,
    /// Its value; text is shortened.
    pub value: Value,
    /// The claims whose properties are in it; none if it is constant.
    pub sources: Listed<SeenClaim>,
}

impl Explanation {
    /// The rule that decided: the one that denied, permitted or failed.
    #[must_use]
    pub const fn deciding_rule(&self) -> Option<RuleRef> {
        match &self.outcome {
            Ok(Outcome::Permitted(permit)) => Some(permit.rule),
            Ok(Outcome::Denied(denial)) => denial.rule(),
            Err(error) => error.rule,
        }
    }

    /// Where the claims of the token come from: each rule that issued, with what it issued.
    pub fn issuing_rules(&self) -> impl Iterator<Item = &RuleReport> {
        self.rules.iter().filter(|rule| rule.state == RuleState::Fired && rule.action == "issue")
    }

    /// Puts the texts of the rules and conditions to what was observed of them.
    pub(crate) fn of(
        text: &str,
        limits: &Limits,
        configuration: Result<Properties, EvalError>,
        outcome: Result<Outcome, EvalError>,
        mut rules: Vec<RuleReport>,
    ) -> Self {
        let lines = Lines::new(text);
        let piece = |range: Range| short(text.get(range.start..range.end).unwrap_or_default());
        // The text has been accepted before.
        if let Ok(tree) = parser::parse(text, &lines, limits) {
            let written = tree.configuration.iter().chain(&tree.authorization).chain(&tree.issuance);
            for (report, rule) in rules.iter_mut().zip(written) {
                report.text = piece(rule.range);
                for (report, condition) in report.conditions.iter_mut().zip(&rule.conditions) {
                    report.text = piece(condition.range);
                    report.span = lines.span(condition.range);
                }
            }
        }
        Self { configuration, outcome, rules }
    }
}

/// A text that fits an explanation.
pub(crate) fn short(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT_CHARACTERS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// `decision` (`permitted`, `denied`, `failed`), `message`, `rule`, the token's `claims` and `properties`,
/// `configuration`, `rules`.
impl Serialize for Explanation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("decision", self.decision())?;
        match &self.outcome {
            Ok(Outcome::Permitted(Permit { issued, properties, .. })) => {
                map.serialize_entry("claims", &to_json_map(issued))?;
                map.serialize_entry("properties", properties)?;
            }
            Ok(Outcome::Denied(denial)) => map.serialize_entry("message", &denial.to_string())?,
            Err(error) => {
                map.serialize_entry("code", error.fault.code())?;
                map.serialize_entry("message", &error.to_string())?;
            }
        }
        map.serialize_entry("rule", &self.deciding_rule())?;
        match &self.configuration {
            Ok(properties) => map.serialize_entry("configuration", properties)?,
            Err(error) => map.serialize_entry("configuration_error", &error.to_string())?,
        }
        map.serialize_entry("rules", &self.rules)?;
        map.end()
    }
}

impl Explanation {
    /// `permitted`, `denied` or `failed`.
    #[must_use]
    pub const fn decision(&self) -> &'static str {
        match &self.outcome {
            Ok(Outcome::Permitted(_)) => "permitted",
            Ok(Outcome::Denied(Denial::Explicit { .. } | Denial::NoPermit)) => "denied",
            Err(_) => "failed",
        }
    }
}
