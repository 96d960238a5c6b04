//! An analyzed policy: the only thing that can run.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::analyze;
use crate::claim::Claim;
use crate::diagnostic::{Diagnostic, Diagnostics, Problem};
use crate::error::EvalError;
use crate::eval;
use crate::explanation::Explanation;
use crate::limits::Limits;
use crate::outcome::{Outcome, Properties, RuleRef};
use crate::program::{Action, Destination, Expression, Literal, Program, Recipe};
use crate::span::Span;

/// A policy that analysis has accepted, compiled, with its exact text.
///
/// Analysis happens once per text; evaluation neither parses nor looks up names again.
///
/// Only [`Policy::analyze`] makes one; this does not compile:
///
/// ```compile_fail
/// let forged = policy::Policy { text: "".into(), hash: "".into() };
/// ```
#[derive(Debug)]
pub struct Policy {
    text: String,
    hash: String,
    program: Program,
    limits: Limits,
    warnings: Vec<Diagnostic>,
}

impl Policy {
    /// Analyzes `text` under the limits of the service.
    ///
    /// # Errors
    /// Everything found wrong: the first syntax error, or else every broken rule of the reference.
    pub fn analyze(text: &str) -> Result<Self, Diagnostics> {
        Self::analyze_within(text, Limits::DEFAULT)
    }

    /// Analyzes the bytes of a policy as received.
    ///
    /// # Errors
    /// As [`Self::analyze`], and when the bytes are not UTF-8.
    pub fn analyze_bytes(bytes: &[u8]) -> Result<Self, Diagnostics> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let at = error.valid_up_to();
            Diagnostic {
                problem: Problem::NotUtf8 { at },
                span: Span { line: 1, column: 0, start: at, end: at },
                symbol: String::new(),
                grammar_rule: "policy".to_owned(),
                expected: Vec::new(),
                hint: Some("save the policy as UTF-8".to_owned()),
            }
        })?;
        Self::analyze(text)
    }

    /// Analyzes `text` under other limits, which also bound its evaluation.
    ///
    /// # Errors
    /// As [`Self::analyze`].
    pub fn analyze_within(text: &str, limits: Limits) -> Result<Self, Diagnostics> {
        let analysis = analyze::analyze(text, &limits)?;
        Ok(Self {
            text: text.to_owned(),
            hash: hash(text),
            program: analysis.program,
            limits,
            warnings: analysis.warnings,
        })
    }

    /// The text, byte for byte.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The claim `x-ms-policy-hash`: base64url of the SHA-256 of the base64url of the text, unpadded.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The version of the language that the text declares.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.program.version
    }

    /// Every rule in its order, with its text.
    pub(crate) fn rule_texts(&self) -> impl Iterator<Item = (RuleRef, &str)> {
        let Program { configuration, authorization, issuance, .. } = &self.program;
        let rules = configuration.iter().chain(authorization).chain(issuance);
        rules.map(|rule| (rule.at, self.text.get(rule.at.span.start..rule.at.span.end).unwrap_or_default()))
    }

    #[cfg(test)]
    pub(crate) const fn program(&self) -> &Program {
        &self.program
    }

    /// What is legal in the text and yet hardly meant.
    #[must_use]
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Warnings about conditions on claims that neither `provided` names nor the policy itself makes;
    /// `provided` are the names of the claims that evidence of this attestation type yields.
    #[must_use]
    pub fn unknown_claims(&self, provided: &[&str]) -> Vec<Diagnostic> {
        analyze::unknown_claims(&self.text, &self.limits, provided)
    }

    /// Whether a rule of the policy adds a claim with this very name, for other rules to read. Names that rules compute
    /// are not known, and claims that are issued to the token only do not count.
    #[must_use]
    pub fn adds_claim(&self, name: &str) -> bool {
        self.program.authorization.iter().chain(&self.program.issuance).any(|rule| match &rule.action {
            Action::Make(Destination::Incoming, Recipe::New { claim_type, .. }) => {
                matches!(claim_type, Expression::Literal(Literal::Text(made)) if **made == *name)
            }
            _ => false,
        })
    }

    /// Runs the configuration rules, which say how evidence is to be checked. They see no evidence.
    ///
    /// # Errors
    /// [`EvalError`] when a rule fails or a limit is met.
    pub fn configure(&self) -> Result<Properties, EvalError> {
        eval::configure(&self.program, &self.limits)
    }

    /// Decides about `incoming`, in one pass over the rules in their order.
    ///
    /// # Errors
    /// [`EvalError`] when a rule fails or a limit is met before a `deny` was recorded.
    pub fn evaluate(&self, incoming: &[Claim]) -> Result<Outcome, EvalError> {
        eval::evaluate(&self.program, incoming, &self.limits)
    }

    /// Decides about `incoming` as [`Self::evaluate`] does and tells why, rule by rule.
    ///
    /// This costs several times as much as evaluation, and at most twice its steps.
    #[must_use]
    pub fn explain(&self, incoming: &[Claim]) -> Explanation {
        let (configuration, mut rules) = eval::observe::configure(&self.program, &self.limits);
        let (outcome, others) = eval::observe::evaluate(&self.program, incoming, &self.limits);
        rules.extend(others);
        Explanation::of(&self.text, &self.limits, configuration, outcome, rules)
    }
}

fn hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(crypto::sha256(URL_SAFE_NO_PAD.encode(text).as_bytes()))
}

/// The versions of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Version {
    /// Authorization and issuance rules.
    #[serde(rename = "1.0")]
    V1_0,
    /// Configuration rules too.
    #[serde(rename = "1.1")]
    V1_1,
    /// The absence test `!`, functions, and JSON evidence claims.
    #[serde(rename = "1.2")]
    V1_2,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
        })
    }
}
