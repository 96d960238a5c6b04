//! Differences for people.

use std::fmt::{self, Display, Formatter};

use super::{Change, Decision, Difference, RuleChange, RuleDifference, RuleUse, SetDifference};

impl Display for Difference {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for change in &self.configuration {
            writeln!(f, "configuration {change}")?;
        }
        for rule in &self.rules {
            write!(f, "{rule}")?;
        }
        for set in &self.changed {
            write!(f, "{set}")?;
        }
        writeln!(f, "{} of {} claim sets come out differently", self.changed.len(), self.sets)
    }
}

impl Display for RuleDifference {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let told = |f: &mut Formatter<'_>, mark: &str, used: &RuleUse| {
            let text = used.text.split_whitespace().collect::<Vec<_>>().join(" ");
            writeln!(f, "{mark} {}, fired {}: {text}", used.rule, times(used.fired))
        };
        match (self.change, &self.before, &self.after) {
            (RuleChange::Same, Some(before), Some(after)) => {
                told(f, " ", after)?;
                writeln!(f, "    in the earlier policy it fired {}", times(before.fired))?;
            }
            (_, before, after) => {
                for (mark, used) in [("-", before), ("+", after)] {
                    if let Some(used) = used {
                        told(f, mark, used)?;
                    }
                }
            }
        }
        if self.differs_in.total > 0 {
            let left_out = self.differs_in.total - self.differs_in.first.len();
            let more = if left_out > 0 { format!(" and {left_out} more") } else { String::new() };
            writeln!(f, "    differs in {}{more}", self.differs_in.first.join(", "))?;
        }
        Ok(())
    }
}

impl Display for SetDifference {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.before.decision == self.after.decision {
            writeln!(f, "{}: {} by both", self.name, self.before.decision)?;
        } else {
            writeln!(f, "{}: {}", self.name, self.after.decision)?;
            writeln!(f, "  before: {}", self.before)?;
            writeln!(f, "  after:  {}", self.after)?;
        }
        for change in &self.claims {
            writeln!(f, "  claim {change}")?;
        }
        for change in &self.properties {
            writeln!(f, "  property {change}")?;
        }
        Ok(())
    }
}

impl Display for Decision {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.decision)?;
        // The message of an error names its rule.
        if let Some(rule) = self.rule.filter(|_| self.decision != "failed") {
            write!(f, " by {rule}")?;
        }
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        Ok(())
    }
}

impl Display for Change {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => write!(f, "{}: {before} becomes {after}", self.name),
            (Some(before), None) => write!(f, "{}: {before} goes", self.name),
            (None, Some(after)) => write!(f, "{}: {after} comes", self.name),
            (None, None) => f.write_str(&self.name),
        }
    }
}

fn times(count: usize) -> String {
    match count {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}
