//! Functions on booleans.

/// `NegateBool(b)`
pub(crate) const fn negate(value: bool) -> bool {
    !value
}
