//! The attestation policy language: text in, decision and claims out.
//!
//! `docs/policy.md` is the reference; it holds the grammar that the parser follows.
//!
//! text → `lexer` → `parser` → `ast` (with spans) → `analyze` → `program` → `eval`
//!
//! - What callers use: [`Policy`], [`Claim`], [`Outcome`], [`Diagnostics`], [`EvalError`], [`defaults`].
//! - From text to program: `lexer`, `parser`, `ast`, `analyze`, `suggest` (did you mean …?).
//! - Running it: `program` (the compiled form), `eval`, `functions` (a family a file).
//! - Why it decided so: [`explanation`].
//! - One layout for all: [`format`](fn@format).
//! - What another text would decide otherwise: [`diff`].
//! - JSON inside claims: `json` (bounded reading and printing), `jmespath` (queries on a budget).
//! - Every bound: [`limits`].
#![forbid(unsafe_code)]

mod analyze;
mod ast;
mod budget;
mod claim;
pub mod defaults;
mod diagnostic;
pub mod diff;
mod error;
mod eval;
pub mod explanation;
mod format;
mod functions;
mod jmespath;
mod json;
mod lexer;
pub mod limits;
mod outcome;
mod parser;
mod policy;
mod program;
mod properties;
mod span;
mod suggest;
mod value;

pub use claim::{Claim, Issuer, Kind, Value};
pub use diagnostic::{Diagnostic, Diagnostics, Problem};
pub use error::{EvalError, Fault, JsonError, QueryError};
pub use explanation::Explanation;
pub use format::format;
pub use limits::Limits;
pub use outcome::{Denial, Issued, Outcome, Permit, Properties, RuleRef, Section, to_json_map};
pub use policy::{Policy, Version};
pub use span::Span;
