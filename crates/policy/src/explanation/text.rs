//! Explanations for people.

use std::fmt::{self, Display, Formatter};

use super::{
    ConditionReport, Explanation, FailedTest, Listed, MadeClaim, NearMiss, RuleReport, RuleState, SeenClaim,
};
use crate::outcome::{Outcome, Section};

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Ok(Outcome::Permitted(permit)) => writeln!(f, "permitted by {}", permit.rule)?,
            Ok(Outcome::Denied(denial)) => match denial.rule() {
                Some(rule) => writeln!(f, "denied by {rule}: {denial}")?,
                None => writeln!(f, "denied: {denial}")?,
            },
            Err(error) => writeln!(f, "failed: {error}")?,
        }
        if let Err(error) = &self.configuration {
            writeln!(f, "configuration failed: {error}")?;
        }
        let mut section: Option<Section> = None;
        for rule in &self.rules {
            if section != Some(rule.rule.section) {
                section = Some(rule.rule.section);
                writeln!(f, "{}", rule.rule.section)?;
            }
            write!(f, "{rule}")?;
        }
        Ok(())
    }
}

impl Display for RuleReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (index, line, action) = (self.rule.index, self.rule.span.line, self.action);
        match self.state {
            RuleState::Failed => writeln!(f, "  rule {index} (line {line}) failed")?,
            RuleState::Fired => writeln!(f, "  rule {index} (line {line}) fired: {action}")?,
            RuleState::NotFired => writeln!(f, "  rule {index} (line {line}) did not fire")?,
            RuleState::NotReached => writeln!(f, "  rule {index} (line {line}) was not reached")?,
        }
        for condition in &self.conditions {
            write!(f, "{condition}")?;
        }
        for MadeClaim { claim_type, value, sources } in &self.claims.first {
            write!(f, "    makes {claim_type} = {value}")?;
            for (place, source) in sources.first.iter().enumerate() {
                write!(f, "{}{source}", if place == 0 { ", from " } else { " and " })?;
            }
            writeln!(f, "{}", more(sources))?;
        }
        if self.claims.total > self.claims.first.len() {
            writeln!(f, "    {}", more(&self.claims).trim_start())?;
        }
        Ok(())
    }
}

impl Display for ConditionReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let verdict = match (self.holds, self.negated) {
            (true, false) => "holds for",
            (true, true) => "holds, there is none",
            (false, false) => "does not hold",
            (false, true) => "does not hold, there is",
        };
        writeln!(f, "    {} {verdict}", one_line(&self.text))?;
        if self.truncated {
            writeln!(f, "      (the explanation has used up its steps)")?;
        }
        for claim in &self.claims.first {
            writeln!(f, "      {claim}")?;
        }
        if self.claims.total > self.claims.first.len() {
            writeln!(f, "      {}", more(&self.claims).trim_start())?;
        }
        for NearMiss { claim, failed } in &self.missed.first {
            writeln!(f, "      {claim}")?;
            for FailedTest { property, operator, expected, actual } in failed {
                write!(f, "        {property} is {actual}, and {operator}")?;
                match expected.first.as_slice() {
                    [] => write!(f, " was compared with nothing")?,
                    [one] => write!(f, " {one}")?,
                    several => {
                        write!(f, " one of")?;
                        for (place, value) in several.iter().enumerate() {
                            write!(f, "{} {value}", if place == 0 { "" } else { "," })?;
                        }
                    }
                }
                writeln!(f, "{} was asked for", more(expected))?;
            }
        }
        if self.missed.total > self.missed.first.len() {
            writeln!(f, "      {}", more(&self.missed).trim_start())?;
        }
        if !self.holds && !self.negated && self.missed.total == 0 && !self.truncated {
            writeln!(f, "      there is no such claim")?;
        }
        if let Some(hint) = &self.hint {
            writeln!(f, "      hint: {hint}")?;
        }
        Ok(())
    }
}

impl Display for SeenClaim {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.claim_type, self.value)?;
        match &self.made_by {
            Some(rule) => write!(f, " (made by {rule})"),
            None => write!(f, " ({})", self.issuer),
        }
    }
}

/// How many entries were left out.
fn more<T>(listed: &Listed<T>) -> String {
    match listed.total - listed.first.len().min(listed.total) {
        0 => String::new(),
        left_out => format!(" and {left_out} more"),
    }
}

/// White space of several lines as single blanks.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
