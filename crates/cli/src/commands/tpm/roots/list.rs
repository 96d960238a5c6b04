//! `vouchsafe tpm roots list`: whom a directory of roots trusts.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::Role;
use super::item::{Item, items};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Table};

/// List whom a directory of roots trusts, and check that a service can use it
#[derive(Debug, Args)]
pub(crate) struct List {
    /// The directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl List {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let files = server::root_files(&self.directory).map_err(|error| Failure::usage(error.to_string()))?;
        let mut found = Vec::new();
        for file in &files {
            // A service takes them all, so none is left out here.
            for item in items(&file.bytes).into_iter().flatten() {
                found.push((Role::of(file.role), &file.path, item));
            }
        }
        if self.json {
            let roots = found.iter().map(|(role, path, item)| {
                let mut document = item.document();
                if let Value::Object(members) = &mut document {
                    members.insert("role".to_owned(), role.name().into());
                    members.insert("file".to_owned(), path.display().to_string().into());
                }
                document
            });
            output::json(&json!({ "roots": roots.collect::<Vec<_>>() }))?;
            return Ok(Exit::Yes);
        }
        for role in [Role::Ek, Role::Aik] {
            let of_role = || found.iter().filter(|(other, ..)| *other == role).map(|(_, _, item)| item);
            let roots = of_role().filter(|item| matches!(item.kind(), "root" | "key")).count();
            output::line(&format!(
                "{}: {} of {} are trusted by themselves",
                role.name(),
                roots,
                of_role().count()
            ))?;
            let mut table = Table::default();
            for item in of_role() {
                let note = if has_ended(item) { " (has ended)" } else { "" };
                table.row(item.kind(), format!("{}{note}", item.describe()));
            }
            table.print()?;
        }
        Ok(Exit::Yes)
    }
}

fn has_ended(item: &Item) -> bool {
    match item {
        Item::Certificate(certificate) => certificate.validity().not_after < OffsetDateTime::now_utc(),
        Item::Crl(_) | Item::Key(_) => false,
    }
}
