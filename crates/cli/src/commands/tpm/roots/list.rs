//! `vouchsafe tpm roots list`: whom a directory of roots trusts.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use server::RootFile;
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

/// Something in a file of the directory.
struct Found<'f> {
    file: &'f RootFile,
    item: Item,
}

impl List {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let files = server::root_files(&self.directory).map_err(|error| Failure::usage(error.to_string()))?;
        let mut found = Vec::new();
        for file in &files {
            // A service takes them all, so none is left out here.
            found.extend(items(&file.bytes).into_iter().flatten().map(|item| Found { file, item }));
        }
        if self.json {
            let roots: Vec<_> = found.iter().map(|root| root.document(&found)).collect();
            output::json(&json!({ "roots": roots }))?;
            return Ok(Exit::Yes);
        }
        for role in [Role::Ek, Role::Aik] {
            let of_role: Vec<_> = found.iter().filter(|root| Role::of(root.file.role) == role).collect();
            let trusted =
                of_role.iter().filter(|root| matches!(root.kind(), "anchor" | "key" | "root")).count();
            let (name, count) = (role.name(), of_role.len());
            output::line(&format!("{name}: {trusted} of {count} are trusted by themselves"))?;
            let mut table = Table::default();
            for root in of_role {
                table.row(root.kind(), format!("{}{}", root.item.describe(), root.note(&found)));
            }
            table.print()?;
        }
        Ok(Exit::Yes)
    }
}

impl Found<'_> {
    fn kind(&self) -> &'static str {
        if self.file.is_anchor { "anchor" } else { self.item.kind() }
    }

    /// What keeps a certificate from vouching for anything.
    fn note(&self, all: &[Self]) -> String {
        let Item::Certificate(certificate) = &self.item else { return String::new() };
        if certificate.validity().not_after < OffsetDateTime::now_utc() {
            return " (has ended)".to_owned();
        }
        if self.lacks_issuer(all) {
            return format!(" (its issuer `{}` is not there)", certificate.issuer());
        }
        String::new()
    }

    /// Whether it needs an issuer, and no certificate there has that name; only signatures say which one it is.
    fn lacks_issuer(&self, all: &[Self]) -> bool {
        let Item::Certificate(certificate) = &self.item else { return false };
        let is_issuer = |other: &Self| match &other.item {
            Item::Certificate(issuer) => {
                other.file.role == self.file.role && issuer.subject() == certificate.issuer()
            }
            Item::Crl(_) | Item::Key(_) => false,
        };
        !self.file.is_anchor && !all.iter().any(is_issuer)
    }

    fn document(&self, all: &[Self]) -> Value {
        let mut document = self.item.document();
        if let Value::Object(members) = &mut document {
            members.insert("file".to_owned(), self.file.path.display().to_string().into());
            members.insert("issuerIsThere".to_owned(), (!self.lacks_issuer(all)).into());
            members.insert("kind".to_owned(), self.kind().into());
            members.insert("role".to_owned(), Role::of(self.file.role).name().into());
        }
        document
    }
}
