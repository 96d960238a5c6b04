//! `vouchsafe endorsements status`: what a service has, and for how long.

use std::path::PathBuf;

use clap::Args;
use evidence::dcap::formats;
use serde_json::{Value, json};
use server::store::{self, StoredEndorsement};
use time::OffsetDateTime;

use super::{data_dir, open};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::input;
use crate::output::{self, Table};

/// Show the endorsements in a service's database
///
/// They are shown as they are and not verified; the service verifies them whenever it loads them.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// The data directory of the service [default: vouchsafe in the user's data directory]
    #[arg(long, value_name = "DIR", env = "VOUCHSAFE_DATA_DIR")]
    data_dir: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let data_dir = data_dir(self.data_dir)?;
        if !data_dir.join(store::FILE).is_file() {
            return Err(Failure::usage(format!(
                "`{}` is no data directory of a service",
                data_dir.display()
            ))
            .hint("`vouchsafe serve` and `vouchsafe endorsements import` make one"));
        }
        let store = open(&data_dir)?;
        let failed = |error: store::StoreError| Failure::failed(error.to_string());
        let now = OffsetDateTime::now_utc();
        let mut rows = Vec::new();
        for (name, kept) in store.endorsements().map_err(failed)? {
            let highest = store.watermark(&name).map_err(failed)?;
            rows.push(Row::new(name, kept, highest, now));
        }
        if self.json {
            let rows: Vec<Value> = rows.iter().map(Row::document).collect();
            output::json(&json!({ "data_dir": data_dir, "endorsements": rows }))?;
        } else if rows.is_empty() {
            output::line(&format!("`{}` has no endorsements yet", data_dir.display()))?;
        } else {
            rows.iter().try_for_each(Row::print)?;
        }
        Ok(Exit::Yes)
    }
}

/// One item.
struct Row {
    name: String,
    source: String,
    fetched_at: OffsetDateTime,
    highest_number_seen: Option<u64>,
    /// What the item says of itself; none if it cannot be read.
    says: Option<Says>,
}

struct Says {
    number: u64,
    issued_at: OffsetDateTime,
    next_update: OffsetDateTime,
    /// Whole days until then; negative once it has passed.
    days_left: i64,
}

impl Row {
    fn new(
        name: String,
        kept: StoredEndorsement,
        highest_number_seen: Option<u64>,
        now: OffsetDateTime,
    ) -> Self {
        let says = formats::Item::new(kept.body, None).ok().map(|item| Says {
            number: item.unverified_number,
            issued_at: item.unverified_validity.not_before,
            next_update: item.unverified_validity.not_after,
            days_left: (item.unverified_validity.not_after - now).whole_seconds().div_euclid(SECONDS_PER_DAY),
        });
        Self { name, source: kept.source, fetched_at: kept.fetched_at, highest_number_seen, says }
    }

    fn document(&self) -> Value {
        json!({
            "item": self.name,
            "source": self.source,
            "fetched_at": input::show_time(self.fetched_at),
            "number": self.says.as_ref().map(|says| says.number),
            "highest_number_seen": self.highest_number_seen,
            "issued_at": self.says.as_ref().map(|says| input::show_time(says.issued_at)),
            "next_update": self.says.as_ref().map(|says| input::show_time(says.next_update)),
            "days_left": self.says.as_ref().map(|says| says.days_left),
        })
    }

    fn print(&self) -> Result<(), Failure> {
        output::line(&output::printable(&self.name))?;
        let mut table = Table::default();
        match &self.says {
            None => _ = table.row("unreadable", "the service will fetch it anew"),
            Some(says) => {
                let left = if says.days_left < 0 {
                    "EXPIRED".to_owned()
                } else {
                    format!("{} days left", says.days_left)
                };
                table.row(
                    if self.name.contains("crl") { "CRL number" } else { "evaluation number" },
                    says.number,
                );
                table.row("issued", input::show_time(says.issued_at));
                table.row("next update", format!("{} ({left})", input::show_time(says.next_update)));
            }
        }
        table.row("from", format!("{} at {}", self.source, input::show_time(self.fetched_at)));
        table.print()
    }
}

const SECONDS_PER_DAY: i64 = 86_400;
