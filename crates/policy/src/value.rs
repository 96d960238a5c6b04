//! Values while a policy runs: borrowed from claims and literals wherever possible.

use std::ops::Deref;
use std::sync::Arc;

use crate::claim::{Kind, Value};
use crate::program::Literal;

/// Text that is borrowed, or shared if a function made it.
#[derive(Clone, Debug)]
pub(crate) enum Text<'a> {
    Borrowed(&'a str),
    Literal(&'a Arc<str>),
    Shared(Arc<str>),
}

impl Text<'_> {
    pub(crate) fn to_shared(&self) -> Arc<str> {
        match self {
            Self::Borrowed(text) => Arc::from(*text),
            Self::Literal(text) => Arc::clone(text),
            Self::Shared(text) => Arc::clone(text),
        }
    }
}

impl Deref for Text<'_> {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Literal(text) => text,
            Self::Shared(text) => text,
        }
    }
}

/// A claim value.
#[derive(Clone, Debug)]
pub(crate) enum Val<'a> {
    Boolean(bool),
    Integer(i128),
    Text(Text<'a>),
}

/// A claim value to look at: equal, and hashed equally, by kind and content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum View<'v> {
    Boolean(bool),
    Integer(i128),
    Text(&'v str),
}

impl<'a> Val<'a> {
    #[inline]
    pub(crate) fn view(&self) -> View<'_> {
        match self {
            Self::Boolean(value) => View::Boolean(*value),
            Self::Integer(value) => View::Integer(*value),
            Self::Text(text) => View::Text(text),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.view().kind()
    }

    pub(crate) fn of_claim(value: &'a Value) -> Self {
        match value {
            Value::Boolean(value) => Self::Boolean(*value),
            Value::Integer(value) => Self::Integer(*value),
            Value::String(text) => Self::Text(Text::Borrowed(text)),
        }
    }

    pub(crate) const fn of_literal(literal: &'a Literal) -> Self {
        match literal {
            Literal::Boolean(value) => Self::Boolean(*value),
            Literal::Integer(value) => Self::Integer(*value),
            Literal::Text(text) => Self::Text(Text::Literal(text)),
        }
    }

    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Boolean(value) => Value::Boolean(*value),
            Self::Integer(value) => Value::Integer(*value),
            Self::Text(text) => Value::String(String::from(&**text)),
        }
    }
}

impl View<'_> {
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Boolean(_) => Kind::Boolean,
            Self::Integer(_) => Kind::Integer,
            Self::Text(_) => Kind::String,
        }
    }
}

/// What an expression yields: any number of values, and whether they may reach the token.
#[derive(Debug)]
pub(crate) struct Set<'a> {
    pub(crate) values: Values<'a>,
    /// Derived from a read-only claim.
    pub(crate) read_only: bool,
}

/// One value without a list around it, or several.
#[derive(Debug)]
pub(crate) enum Values<'a> {
    Many(Vec<Val<'a>>),
    One(Val<'a>),
}

impl<'a> Set<'a> {
    pub(crate) const fn one(value: Val<'a>, read_only: bool) -> Self {
        Self { values: Values::One(value), read_only }
    }

    pub(crate) fn as_slice(&self) -> &[Val<'a>] {
        match &self.values {
            Values::Many(values) => values,
            Values::One(value) => std::slice::from_ref(value),
        }
    }
}
