//! `vouchsafe token`: what a relying party does with a token.

mod show;
mod verify;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Subcommand;
use serde_json::{Map, Value};
use std::path::Path;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::input;
use crate::output::{self, Table};

/// Verify a token as a relying party does, or just look into it
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    Show(show::Show),
    Verify(verify::Verify),
}

impl Token {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Show(command) => command.run(),
            Self::Verify(command) => command.run(),
        }
    }
}

/// A token taken apart for showing. Nothing in it has been checked.
pub(super) struct Decoded {
    pub(super) header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
}

impl Decoded {
    /// Takes a compact JWS (RFC 7515 §7.1) apart, signed or not.
    pub(super) fn of(token: &str) -> Result<Self, String> {
        let parts: Vec<&str> = token.split('.').collect();
        let [header, claims, _signature] = parts.as_slice() else {
            return Err(format!("a token has three parts separated by dots; this has {}", parts.len()));
        };
        Ok(Self { header: part("header", header)?, claims: part("body", claims)? })
    }
}

fn part(name: &str, text: &str) -> Result<Map<String, Value>, String> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| format!("the {name} is not base64url"))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("the {name} is not a JSON object: {error}"))
}

/// The TOKEN argument: the token itself, or standard input for `-` and for nothing.
fn read_token(argument: Option<String>) -> Result<String, Failure> {
    let token = match argument {
        Some(token) if token != "-" => token,
        _ => input::read_text(Path::new("-"))?,
    };
    Ok(token.trim().to_owned())
}

/// Prints claims for a person, nested values as compact JSON.
fn print_members(members: &Map<String, Value>) -> Result<(), Failure> {
    let mut table = Table::default();
    for (name, value) in members {
        match (name.as_str(), value) {
            ("exp" | "iat" | "nbf", Value::Number(seconds)) => {
                table.row(name, format!("{seconds} ({})", show_seconds(seconds)))
            }
            (_, Value::String(text)) => table.row(name, text),
            _ => table.row(name, value),
        };
    }
    table.print()
}

fn show_seconds(seconds: &serde_json::Number) -> String {
    let time = seconds.as_i64().and_then(|seconds| time::OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.map_or_else(|| "not a time".to_owned(), input::show_time)
}

/// A heading above a table.
fn heading(text: &str) -> Result<(), Failure> {
    output::line(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_taken_apart_without_trust() {
        // {"alg":"none"} and {"a":1}
        let decoded = Decoded::of("eyJhbGciOiJub25lIn0.eyJhIjoxfQ.").unwrap();
        assert_eq!(decoded.header.get("alg"), Some(&"none".into()));
        assert_eq!(decoded.claims.get("a").map(ToString::to_string), Some("1".to_owned()));
        assert!(Decoded::of("a.b").err().unwrap().contains("this has 2"));
        assert!(Decoded::of("!.e30.").err().unwrap().contains("header is not base64url"));
        assert!(Decoded::of("e30.W10.").err().unwrap().contains("body is not a JSON object"));
    }
}
