//! Did you mean …?

/// More candidates are not worth the work of comparing.
pub(crate) const MAX_CANDIDATES: usize = 256;

/// The candidate that `word` most likely stands for, if one is near: the same but for upper and lower
/// case, or a few letters apart.
pub(crate) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // Longer words are no misspellings.
    const MAX_WORD_SIZE_BYTES: usize = 64;
    if word.len() > MAX_WORD_SIZE_BYTES {
        return None;
    }
    let allowed = word.chars().count() / 3;
    candidates
        .into_iter()
        .take(MAX_CANDIDATES)
        .filter(|candidate| candidate.len() <= MAX_WORD_SIZE_BYTES && *candidate != word)
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// `, did you mean …?` as a hint.
pub(crate) fn hint<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    nearest(word, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// Letters to insert, delete, replace or swap, ignoring case (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().map(|c| c.to_ascii_lowercase()).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut last_a = None;
    for (i, ca) in a.chars().map(|c| c.to_ascii_lowercase()).enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(i + 1);
        let mut last_b = None;
        for (j, cb) in b.iter().copied().enumerate() {
            let at = |line: &[usize], column: usize| line.get(column).copied().unwrap_or(usize::MAX / 2);
            let replaced = at(&row, j) + usize::from(ca != cb);
            let mut best = replaced.min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            if last_a == Some(cb) && last_b == Some(ca) && j > 0 {
                best = best.min(at(&before, j - 1) + 1);
            }
            next.push(best);
            last_b = Some(cb);
        }
        before = std::mem::replace(&mut row, next);
        last_a = Some(ca);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        let names = ["x-ms-sgx-is-debuggable", "x-ms-sgx-mrsigner", "permit"];
        assert_eq!(nearest("x-ms-sgx-is-debugable", names), Some("x-ms-sgx-is-debuggable"));
        assert_eq!(nearest("Permit", names), Some("permit"));
        assert_eq!(nearest("premit", names), Some("permit"));
        assert_eq!(nearest("allow", names), None);
        assert_eq!(nearest("permit", names), None);
        assert_eq!(distance("abcd", "badc"), 2);
    }
}
