//! `relance contact`: shows a person, joins two, hands over everything that is kept of one, erases one.

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::Subcommand;
use model::{ContactId, Problem};
use serde_json::json;
use storage::{
    audit::{AuditStore, Deed},
    contacts::{ContactStore, IdentifierKind},
    people::{Merged, PeopleStore},
};
use storage_sqlite::Sqlite;

use super::journey::life::existing;
use crate::context::{Common, Failure};

/// Options of `relance contact`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// What to do. A contact is named by its external id, an address, a phone number, an anonymous id, or id: and its number.
#[derive(Subcommand)]
enum What {
    /// Print a profile with what follows from its history, as JSON
    Show {
        /// Who
        contact: String,
    },
    /// Make one contact part of another; it cannot be taken back
    Merge {
        /// The one that stays
        winner: String,
        /// The one that is no more afterwards
        loser: String,
    },
    /// Write everything that is kept of a person, as one JSON document
    Export {
        /// Who
        contact: String,
        /// Into this file; to standard output without it
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Erase a person; it cannot be taken back
    Erase {
        /// Who
        contact: String,
        /// Say that it is meant
        #[arg(long)]
        yes: bool,
        /// Also rewrite the file, so that no copy of before is left in it: nobody else can write meanwhile
        #[arg(long)]
        scrub: bool,
    },
}

/// Runs it.
///
/// # Errors
/// `contact.unknown`, `contact.same`, `erase.unconfirmed`; what storage says.
pub async fn run(args: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let store = existing(common)?;
    let now = common.clock()?.now();
    match &args.what {
        What::Show { contact } => {
            let id = find(&store, contact).await?;
            let document = engine::people::export(&store, id, now).await?.ok_or_else(|| unknown(contact))?;
            let shown = ["contact", "identifiers", "merged", "rfm", "segments", "suppressions"];
            let part: serde_json::Map<_, _> =
                shown.iter().map(|name| ((*name).to_owned(), document[*name].clone())).collect();
            print(&json!(part))?;
        }
        What::Merge { winner, loser } => {
            let (own, other) = (find(&store, winner).await?, find(&store, loser).await?);
            match store.merge_contacts(own, other, now).await? {
                Merged::Done => {
                    note(&store, "contact.merge", own, json!({ "merged": other }), now).await?;
                    eprintln!("{loser} is part of {winner} now");
                }
                Merged::Already => eprintln!("{loser} was part of {winner} before"),
                Merged::Same => {
                    return Err(Problem::new("contact.same", "both names lead to the same contact")
                        .value(loser)
                        .cure("name another contact")
                        .into());
                }
                Merged::Unknown(id) => return Err(unknown(&format!("id:{id}")).into()),
            }
        }
        What::Export { contact, to } => {
            let id = find(&store, contact).await?;
            let document = engine::people::export(&store, id, now).await?.ok_or_else(|| unknown(contact))?;
            note(&store, "contact.export", id, json!({}), now).await?;
            match to {
                None => print(&document)?,
                Some(path) => {
                    let text = serde_json::to_string_pretty(&document)
                        .map_err(|error| Failure::Other(error.to_string()))?;
                    std::fs::write(path, text + "\n")
                        .map_err(|error| Failure::Other(format!("{}: {error}", path.display())))?;
                }
            }
        }
        What::Erase { contact, yes, scrub } => {
            let id = find(&store, contact).await?;
            if !yes {
                return Err(Problem::new(
                    "erase.unconfirmed",
                    format!("`{contact}` would be erased for good"),
                )
                .value(contact)
                .cure("say that it is meant: add --yes")
                .into());
            }
            store.erase_contact(id, now).await?;
            note(&store, "contact.erase", id, json!({}), now).await?;
            if *scrub {
                store.scrub().await?;
            }
            eprintln!("erased; orders stay without a name, addresses stay on the suppression list as hashes");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The contact that a text names, as it is today.
async fn find(store: &Sqlite, text: &str) -> Result<ContactId, Failure> {
    let number = text.strip_prefix("id:").and_then(|number| number.parse().ok()).map(ContactId);
    let found = match number {
        Some(id) => store.successors(vec![id]).await?.first().copied(),
        None => {
            let kinds = IdentifierKind::ALL.map(|kind| (kind, text.to_owned()));
            store.resolve(kinds.to_vec()).await?.into_iter().flatten().next()
        }
    };
    let known = store.load_contacts(found.into_iter().collect()).await?;
    known.first().map(|contact| contact.id).ok_or_else(|| unknown(text).into())
}

fn unknown(text: &str) -> Problem {
    Problem::new("contact.unknown", format!("nobody is known as `{text}`"))
        .value(text)
        .cure("give an external id, an address, a phone number, an anonymous id, or id: and a number")
}

fn print(document: &serde_json::Value) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(document).map_err(|error| Failure::Other(error.to_string()))?;
    writeln!(std::io::stdout().lock(), "{text}").map_err(|error| Failure::Other(error.to_string()))
}

async fn note(
    store: &Sqlite,
    action: &str,
    contact: ContactId,
    details: serde_json::Value,
    now: model::Timestamp,
) -> Result<(), Failure> {
    let deed = Deed {
        at: now,
        who: "command line".into(),
        action: action.into(),
        object: format!("contact:{contact}"),
        details,
        client: None,
    };
    Ok(store.append_audit(vec![deed]).await?)
}
