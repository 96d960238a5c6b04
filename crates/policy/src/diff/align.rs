//! Which rule of one policy corresponds to which of another.

use std::ops::Range;

use super::uses;
use crate::outcome::Section;
use crate::policy::Policy;

/// Comparisons of rules in the middle of a section before the search for common ones is given up: two thousand
/// new rules against as many old ones.
const MAX_COMPARISONS: usize = 4_000_000;

/// Rules by their places in the earlier and in the later policy.
pub(super) type Pair = (Option<usize>, Option<usize>);

/// Pairs the rules of each section: those that are the same, in the longest common order, and between them those that
/// do the same thing, one after the other. What is left was removed or added.
pub(super) fn align(before: &Policy, after: &Policy) -> Vec<Pair> {
    let (before, after) = (uses(before), uses(after));
    let mut pairs = Vec::new();
    for section in [Section::ConfigurationRules, Section::AuthorizationRules, Section::IssuanceRules] {
        let part = |uses: &[super::Use<'_>]| -> Range<usize> {
            let start = uses.partition_point(|used| order(used.rule.section) < order(section));
            start..uses.partition_point(|used| order(used.rule.section) <= order(section))
        };
        let (a, b) = (part(&before), part(&after));
        let same = |a: usize, b: usize| match (before.get(a), after.get(b)) {
            (Some(a), Some(b)) => a.normal == b.normal,
            _ => false,
        };
        let alike = |a: usize, b: usize| match (before.get(a), after.get(b)) {
            (Some(a), Some(b)) => verb(&a.normal) == verb(&b.normal),
            _ => false,
        };
        let (mut at_a, mut at_b) = (a.start, b.start);
        for (anchor_a, anchor_b) in common(a.clone(), b.clone(), &same).into_iter().chain([(a.end, b.end)]) {
            while at_a < anchor_a && at_b < anchor_b && alike(at_a, at_b) {
                pairs.push((Some(at_a), Some(at_b)));
                at_a += 1;
                at_b += 1;
            }
            pairs.extend((at_a..anchor_a).map(|a| (Some(a), None)));
            pairs.extend((at_b..anchor_b).map(|b| (None, Some(b))));
            if anchor_a < a.end && anchor_b < b.end {
                pairs.push((Some(anchor_a), Some(anchor_b)));
            }
            (at_a, at_b) = (anchor_a + 1, anchor_b + 1);
        }
    }
    pairs
}

const fn order(section: Section) -> u8 {
    match section {
        Section::ConfigurationRules => 0,
        Section::AuthorizationRules => 1,
        Section::IssuanceRules => 2,
    }
}

/// What a rule does, by its tokens.
fn verb(normal: &str) -> &str {
    let action = normal.rsplit("\n=>\n").next().unwrap_or(normal);
    action.trim_start_matches("=>\n").split('\n').next().unwrap_or(action)
}

/// The longest common subsequence of two ranges of rules.
fn common(
    mut a: Range<usize>,
    mut b: Range<usize>,
    same: &impl Fn(usize, usize) -> bool,
) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    while !a.is_empty() && !b.is_empty() && same(a.start, b.start) {
        pairs.push((a.start, b.start));
        (a.start, b.start) = (a.start + 1, b.start + 1);
    }
    let mut tail = Vec::new();
    while !a.is_empty() && !b.is_empty() && same(a.end - 1, b.end - 1) {
        (a.end, b.end) = (a.end - 1, b.end - 1);
        tail.push((a.end, b.end));
    }
    if a.len().saturating_mul(b.len()) <= MAX_COMPARISONS {
        pairs.extend(middle(a, b, same));
    }
    pairs.extend(tail.into_iter().rev());
    pairs
}

/// By the table of lengths of common subsequences of the ends.
fn middle(a: Range<usize>, b: Range<usize>, same: &impl Fn(usize, usize) -> bool) -> Vec<(usize, usize)> {
    let width = b.len() + 1;
    let mut lengths = vec![0_usize; (a.len() + 1) * width];
    let at = |lengths: &[usize], row: usize, column: usize| {
        lengths.get(row * width + column).copied().unwrap_or(0)
    };
    for row in (0..a.len()).rev() {
        for column in (0..b.len()).rev() {
            let length = if same(a.start + row, b.start + column) {
                at(&lengths, row + 1, column + 1) + 1
            } else {
                at(&lengths, row + 1, column).max(at(&lengths, row, column + 1))
            };
            if let Some(slot) = lengths.get_mut(row * width + column) {
                *slot = length;
            }
        }
    }
    let (mut row, mut column) = (0, 0);
    let mut pairs = Vec::new();
    while row < a.len() && column < b.len() {
        if same(a.start + row, b.start + column) {
            pairs.push((a.start + row, b.start + column));
            (row, column) = (row + 1, column + 1);
        } else if at(&lengths, row + 1, column) >= at(&lengths, row, column + 1) {
            row += 1;
        } else {
            column += 1;
        }
    }
    pairs
}
