//! What two policies decide differently: over recorded claims, rule by rule.

mod align;
mod text;

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::claim::Claim;
use crate::explanation::{Explanation, Listed, RuleState, short};
use crate::outcome::{Outcome, Properties, RuleRef, to_json_map};
use crate::policy::Policy;
use align::align;

/// Claims that came in at some time, under a name that people know them by.
#[derive(Clone, Debug)]
pub struct ClaimSet {
    /// Their name, such as that of the file they were read from.
    pub name: String,
    /// The incoming set.
    pub claims: Vec<Claim>,
}

/// How one policy differs from another. Displays for people, serializes for programs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// How many sets of claims both were run over.
    pub sets: usize,
    /// The configuration properties that differ.
    pub configuration: Vec<Change>,
    /// The sets that come out differently: another decision, other claims or properties.
    pub changed: Vec<SetDifference>,
    /// The rules that are not in both policies, or fired for other sets, in the order of the later policy.
    pub rules: Vec<RuleDifference>,
}

/// What comes out differently for one set of claims.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SetDifference {
    /// The set.
    pub name: String,
    /// What the earlier policy decides.
    pub before: Decision,
    /// What the later one decides.
    pub after: Decision,
    /// The claims of the token that differ; all of one side, if only one permits.
    pub claims: Vec<Change>,
    /// The same of the properties.
    pub properties: Vec<Change>,
}

/// A decision in short.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decision {
    /// `permitted`, `denied` or `failed`.
    pub decision: &'static str,
    /// The rule that made it.
    pub rule: Option<RuleRef>,
    /// Why, if it is not to permit.
    pub message: Option<String>,
}

/// A name whose value differs; none where it has no value.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The claim or property.
    pub name: String,
    /// Its value under the earlier policy.
    pub before: Option<Json>,
    /// Its value under the later one.
    pub after: Option<Json>,
}

/// A rule of either policy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleDifference {
    /// How it came to be in the later policy.
    pub change: RuleChange,
    /// The rule in the earlier policy.
    pub before: Option<RuleUse>,
    /// The rule in the later one.
    pub after: Option<RuleUse>,
    /// The sets for which it fired in one policy only.
    pub differs_in: Listed<String>,
}

/// What happened to a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleChange {
    /// Only the later policy has it.
    Added,
    /// Another rule stands in its place.
    Changed,
    /// Only the earlier policy has it.
    Removed,
    /// It is the same, white space and comments aside.
    Same,
}

/// A rule and how often it fired.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleUse {
    /// Which one.
    #[serde(flatten)]
    pub rule: RuleRef,
    /// Its text, shortened.
    pub text: String,
    /// For how many sets it fired.
    pub fired: usize,
}

/// Runs both policies over every set of `corpus` and tells where they differ.
#[must_use]
pub fn diff(before: &Policy, after: &Policy, corpus: &[ClaimSet]) -> Difference {
    let mut uses = Uses { before: uses(before), after: uses(after) };
    let mut fired: Vec<(BTreeSet<usize>, BTreeSet<usize>)> = Vec::with_capacity(corpus.len());
    let mut changed = Vec::new();
    for set in corpus {
        let (earlier, later) = (before.explain(&set.claims), after.explain(&set.claims));
        fired.push((count(&earlier, &mut uses.before), count(&later, &mut uses.after)));
        changed.extend(set_difference(&set.name, &earlier, &later));
    }
    let configured =
        |policy: &Policy| policy.configure().map_or_else(|_| Map::new(), |said| properties(&said));
    let mut rules = Vec::new();
    for (earlier, later) in align(before, after) {
        let mut differs_in = Listed::default();
        for (set, (before, after)) in corpus.iter().zip(&fired) {
            let fires =
                |places: &BTreeSet<usize>, place: Option<usize>| place.is_some_and(|p| places.contains(&p));
            if fires(before, earlier) != fires(after, later) {
                differs_in.push(|| set.name.clone());
            }
        }
        let (before, after) =
            (earlier.and_then(|p| uses.before.get(p)), later.and_then(|p| uses.after.get(p)));
        let change = match (before, after) {
            (Some(before), Some(after)) if before.normal == after.normal => RuleChange::Same,
            (Some(_), Some(_)) => RuleChange::Changed,
            (Some(_), None) => RuleChange::Removed,
            (None, _) => RuleChange::Added,
        };
        if change != RuleChange::Same || differs_in.total > 0 {
            let (before, after) = (before.map(Use::told), after.map(Use::told));
            rules.push(RuleDifference { change, before, after, differs_in });
        }
    }
    let configuration = changes(&configured(before), &configured(after));
    Difference { sets: corpus.len(), configuration, changed, rules }
}

impl Difference {
    /// Whether no set of claims comes out differently, and no configuration property is another.
    #[must_use]
    pub fn decides_alike(&self) -> bool {
        self.changed.is_empty() && self.configuration.is_empty()
    }
}

struct Uses<'p> {
    before: Vec<Use<'p>>,
    after: Vec<Use<'p>>,
}

/// A rule while sets are counted.
struct Use<'p> {
    rule: RuleRef,
    text: &'p str,
    /// The text without white space and comments.
    normal: String,
    fired: usize,
}

impl Use<'_> {
    fn told(&self) -> RuleUse {
        RuleUse { rule: self.rule, text: short(self.text), fired: self.fired }
    }
}

fn uses(policy: &Policy) -> Vec<Use<'_>> {
    let used = |(rule, text)| Use { rule, text, normal: crate::format::tokens(text), fired: 0 };
    policy.rule_texts().map(used).collect()
}

/// The rules that fired, by their places.
fn count(explanation: &Explanation, uses: &mut [Use<'_>]) -> BTreeSet<usize> {
    let mut fired = BTreeSet::new();
    for (place, (report, used)) in explanation.rules.iter().zip(uses).enumerate() {
        if report.state == RuleState::Fired {
            used.fired += 1;
            fired.insert(place);
        }
    }
    fired
}

fn set_difference(name: &str, before: &Explanation, after: &Explanation) -> Option<SetDifference> {
    let said = |explanation: &Explanation| match &explanation.outcome {
        Ok(Outcome::Permitted(permit)) => (to_json_map(&permit.issued), properties(&permit.properties)),
        Ok(Outcome::Denied(_)) | Err(_) => (Map::new(), Map::new()),
    };
    let ((claims_before, properties_before), (claims_after, properties_after)) = (said(before), said(after));
    let claims = changes(&claims_before, &claims_after);
    let properties = changes(&properties_before, &properties_after);
    let differs = before.decision() != after.decision() || !claims.is_empty() || !properties.is_empty();
    let (before, after) = (Decision::of(before), Decision::of(after));
    differs.then(|| SetDifference { name: name.to_owned(), before, after, claims, properties })
}

impl Decision {
    fn of(explanation: &Explanation) -> Self {
        let message = match &explanation.outcome {
            Ok(Outcome::Permitted(_)) => None,
            Ok(Outcome::Denied(denial)) => Some(denial.to_string()),
            Err(error) => Some(error.to_string()),
        };
        Self { decision: explanation.decision(), rule: explanation.deciding_rule(), message }
    }
}

fn properties(properties: &Properties) -> Map<String, Json> {
    properties.iter().map(|(name, value)| (name.to_owned(), value.to_json())).collect()
}

fn changes(before: &Map<String, Json>, after: &Map<String, Json>) -> Vec<Change> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changes = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    changes
        .map(|name| Change {
            name: name.clone(),
            before: before.get(name).cloned(),
            after: after.get(name).cloned(),
        })
        .collect()
}

#[cfg(test)]
mod tests;
