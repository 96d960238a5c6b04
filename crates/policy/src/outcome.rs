//! What an evaluation answers: permitted with claims, or denied and by which rule.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::Map;

use crate::claim::Value;
use crate::span::Span;

/// The decision of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The evidence is acceptable.
    Permitted(Permit),
    /// It is not.
    Denied(Denial),
}

/// A permission with everything the policy says about the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    /// The claims to put into the token, in the order they were issued, repetitions included.
    pub issued: Vec<Issued>,
    /// What `issueproperty` said in the issuance rules.
    pub properties: Properties,
    /// The first rule that permitted.
    pub rule: RuleRef,
}

/// A claim that the policy issued to the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Its name.
    pub claim_type: Arc<str>,
    /// Its value.
    pub value: Value,
}

/// A refusal; no failure, but an answer. Displays as the service words it to clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Denial {
    /// A `deny` rule fired.
    Explicit {
        /// The first one that did.
        rule: RuleRef,
    },
    /// No `permit` rule fired.
    NoPermit,
}

impl Denial {
    /// The rule that denied, if one did.
    #[must_use]
    pub const fn rule(&self) -> Option<RuleRef> {
        match self {
            Self::Explicit { rule } => Some(*rule),
            Self::NoPermit => None,
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Explicit { .. } => "A Deny claim was issued, authorization failed.",
            Self::NoPermit => {
                "No Permit claim was issued in the authorizationrules section, authorization failed."
            }
        })
    }
}

/// Points at one rule of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RuleRef {
    /// The section it stands in.
    pub section: Section,
    /// Its place there, counted from 1.
    pub index: u32,
    /// The whole rule, from its first condition to its semicolon.
    pub span: Span,
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {} of {} (line {})", self.index, self.section, self.span.line)
    }
}

/// The sections of a policy, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Section {
    /// Decide how evidence is checked; from version 1.1.
    ConfigurationRules,
    /// Permit or deny.
    AuthorizationRules,
    /// Say what the token carries.
    IssuanceRules,
}

impl Section {
    /// The keyword that opens it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConfigurationRules => "configurationrules",
            Self::AuthorizationRules => "authorizationrules",
            Self::IssuanceRules => "issuancerules",
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What `issueproperty` said: names with one value each, the last one said.
///
/// Unknown names are kept and mean nothing to the service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    entries: Vec<(Arc<str>, Value)>,
}

impl Properties {
    /// The value of the property `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.entries.iter().find(|(entry, _)| **entry == *name).map(|(_, value)| value)
    }

    /// All of them, in the order in which they were first said.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(name, value)| (&**name, value))
    }

    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn set(&mut self, name: Arc<str>, value: Value) {
        match self.entries.iter_mut().find(|(entry, _)| *entry == name) {
            Some((_, old)) => *old = value,
            None => self.entries.push((name, value)),
        }
    }
}

/// An object: the names with their values.
impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

/// Renders issued claims as members of a token: the distinct values of a name, one as it is and several
/// as an array in the order in which they were first issued.
#[must_use]
pub fn to_json_map(issued: &[Issued]) -> Map<String, serde_json::Value> {
    let mut grouped: Vec<(&str, Vec<&Value>)> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    let mut places = std::collections::HashMap::new();
    for claim in issued {
        if !seen.insert((&*claim.claim_type, &claim.value)) {
            continue;
        }
        let place = *places.entry(&*claim.claim_type).or_insert(grouped.len());
        match grouped.get_mut(place) {
            Some((_, values)) => values.push(&claim.value),
            None => grouped.push((&claim.claim_type, vec![&claim.value])),
        }
    }
    grouped
        .into_iter()
        .map(|(name, values)| {
            let json = match values.as_slice() {
                [value] => value.to_json(),
                several => several.iter().map(|value| value.to_json()).collect(),
            };
            (name.to_owned(), json)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issued(claim_type: &str, value: impl Into<Value>) -> Issued {
        Issued { claim_type: claim_type.into(), value: value.into() }
    }

    #[test]
    fn one_value_is_a_scalar_and_several_are_an_array() {
        let map = to_json_map(&[
            issued("b", true),
            issued("a", 2_i64),
            issued("b", true),
            issued("a", "2"),
            issued("a", 1_i64),
            issued("flags", u64::MAX),
        ]);
        let json = serde_json::Value::Object(map).to_string();
        assert_eq!(json, r#"{"a":[2,"2",1],"b":true,"flags":18446744073709551615}"#);
    }

    #[test]
    fn the_last_value_of_a_property_counts() {
        let mut properties = Properties::default();
        assert!(properties.is_empty());
        properties.set("x".into(), Value::from(1_i64));
        properties.set("y".into(), Value::from(2_i64));
        properties.set("x".into(), Value::from(3_i64));
        let all: Vec<_> = properties.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(all, ["x=3", "y=2"]);
        assert_eq!(properties.get("z"), None);
    }
}
