//! `relance key`: keys of programs. A new key is printed alone on standard output, once: only its hash is kept.

use std::process::ExitCode;

use api::access::key;
use clap::{Subcommand, ValueEnum};
use model::Problem;
use serde_json::json;
use storage::{
    access::{AccessStore, KeyScope},
    audit::{AuditStore, Deed},
};

use super::serve::SystemChance;
use crate::{
    context::{Common, Failure},
    output::Listing,
};

/// Longest name of a key, in characters.
const NAME_LEN_MAX: usize = 100;
/// Who makes and revokes keys here, in the audit log.
const WHO: &str = "command line";

/// Options of `relance key`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// What to do.
#[derive(Subcommand)]
enum What {
    /// Make a key and print it, alone and once
    Create {
        /// What it may do
        #[arg(long, value_enum)]
        scope: Scope,
        /// What it is for, as in "the shop's pages"
        #[arg(long, default_value = "")]
        name: String,
    },
    /// List the keys, without their secrets
    List,
    /// Close a key for good
    Revoke {
        /// The key's id, as `key list` shows it
        id: String,
    },
}

/// What a key may do.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scope {
    /// Write events and nothing else: it may stand in the shop's pages
    Track,
    /// Look at everything but secrets
    Read,
    /// Change contacts, content and journeys
    Write,
    /// Everything
    Admin,
}

impl Scope {
    fn scope(self) -> KeyScope {
        match self {
            Self::Track => KeyScope::Track,
            Self::Read => KeyScope::Read,
            Self::Write => KeyScope::Write,
            Self::Admin => KeyScope::Admin,
        }
    }
}

/// Runs it.
///
/// # Errors
/// `key.name`, `key.unknown`, see [`Failure`].
pub async fn run(args: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let store = common.open()?;
    let now = common.clock()?.now();
    let deed = |action: &str, id: &str, details| Deed {
        at: now,
        who: WHO.to_owned(),
        action: action.to_owned(),
        object: format!("key:{id}"),
        details,
        client: None,
    };
    match &args.what {
        What::Create { scope, name } => {
            check_name(name)?;
            let scope = scope.scope();
            let (key, text) = key::make(&SystemChance, scope, name, WHO, now);
            let id = key.id.clone();
            store.save_key(key).await?;
            let details = json!({ "scope": scope.word(), "name": name });
            store.append_audit(vec![deed("key.create", &id, details)]).await?;
            println!("{text}");
            eprintln!("this key is shown once; `relance key revoke -- {id}` closes it");
        }
        What::List => {
            let mut listing =
                Listing::new(&["id", "scope", "name", "created_at", "created_by", "revoked_at"], &[]);
            for key in store.list_keys().await? {
                let revoked = key.revoked_at.map(|at| at.to_string()).unwrap_or_default();
                let scope = key.scope.word().to_owned();
                let created = key.created_at.to_string();
                listing.rows.push(vec![key.id, scope, key.name, created, key.created_by, revoked]);
            }
            listing.print(common.format)?;
        }
        What::Revoke { id } => {
            if !store.revoke_key(id.clone(), now).await? {
                return Err(Problem::new("key.unknown", format!("there is no open key `{id}`"))
                    .value(id)
                    .cure("`relance key list` shows the ids")
                    .into());
            }
            store.append_audit(vec![deed("key.revoke", id, json!({}))]).await?;
            eprintln!("{id} is closed; servers at work take it up within seconds");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn check_name(name: &str) -> Result<(), Problem> {
    if name.chars().count() <= NAME_LEN_MAX && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Problem::new("key.name", "the name is too long, or holds control characters")
        .field("--name")
        .value(name.escape_debug())
        .cure(format!("name it in at most {NAME_LEN_MAX} characters")))
}
