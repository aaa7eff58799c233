//! `relance user`: who may sign in, from the machine itself.

use std::{
    io::{self, IsTerminal, Read},
    process::ExitCode,
};

use api::access::{password, users};
use clap::Subcommand;
use model::Problem;
use serde_json::{Value, json};
use storage::{
    audit::Deed,
    users::{NewUser, User, UserChange, UserStore},
};
use storage_sqlite::Sqlite;

use super::serve::SystemChance;
use crate::{
    context::{Common, Failure},
    output::Listing,
};

/// Options of `relance user`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// What to do.
#[derive(Subcommand)]
enum What {
    /// Make a user, and print the password that was made for them
    Create {
        /// The mail address
        email: String,
        /// What they may do: viewer, editor or owner
        #[arg(long, default_value = "viewer")]
        role: String,
        /// What they are called
        #[arg(long, default_value = "")]
        name: String,
        /// The language of mails to them: en or fr
        #[arg(long, default_value = "en")]
        locale: String,
        /// Read the password from standard input instead of making one
        #[arg(long)]
        password_stdin: bool,
    },
    /// List the users
    List,
    /// Say what a user may do
    Role {
        /// The mail address
        email: String,
        /// viewer, editor or owner
        role: String,
    },
    /// Let a user in no longer, and end their sessions
    Disable {
        /// The mail address
        email: String,
    },
    /// Let a disabled user in again
    Enable {
        /// The mail address
        email: String,
    },
    /// Give a user another password, print it, and end their sessions
    ResetPassword {
        /// The mail address
        email: String,
        /// Read the password from standard input instead of making one
        #[arg(long)]
        password_stdin: bool,
        /// Also forget their one-time codes
        #[arg(long)]
        forget_totp: bool,
    },
}

/// Runs it.
///
/// # Errors
/// See [`Failure`].
pub async fn run(args: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let store = common.open()?;
    match &args.what {
        What::Create { email, role, name, locale, password_stdin } => {
            let email = users::email(email)?;
            let (hash, made) = choose(&email, *password_stdin)?;
            let user = NewUser {
                name: users::name(name)?,
                locale: users::locale(locale)?,
                role: users::role(role)?,
                password: Some(hash),
                subject: None,
                created_at: common.clock()?.now(),
                email,
            };
            let deed = deed(common, "user.create", &user.email, json!({"role": user.role.word()}))?;
            let email = user.email.clone();
            store.add_user(user, false, deed).await?;
            eprintln!("{email} may sign in");
            show(made);
        }
        What::List => list(&store, common).await?,
        What::Role { email, role } => {
            let change = UserChange { role: Some(users::role(role)?), ..UserChange::default() };
            let details = json!({"role": role});
            let user = change_user(&store, common, email, change, details).await?;
            eprintln!("{} is {} now", user.is.email, user.is.role.word());
        }
        What::Disable { email } => disable(&store, common, email, true).await?,
        What::Enable { email } => disable(&store, common, email, false).await?,
        What::ResetPassword { email, password_stdin, forget_totp } => {
            let user = find(&store, email).await?;
            let (hash, made) = choose(&user.is.email, *password_stdin)?;
            store
                .set_password(user.id, hash, deed(common, "user.password", &user.is.email, json!({}))?)
                .await?;
            if *forget_totp {
                let change = UserChange { forget_totp: true, ..UserChange::default() };
                change_user(&store, common, email, change, json!({"forget_totp": true})).await?;
            }
            eprintln!("{} has another password; all sessions have ended", user.is.email);
            show(made);
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(store: &Sqlite, common: &Common) -> Result<(), Failure> {
    let mut listing = Listing::new(&["email", "role", "name", "state", "codes", "signed_in"], &[]);
    for user in store.list_users().await? {
        let state = match (user.disabled_at, &user.is.password, &user.is.subject) {
            (Some(_), ..) => "disabled",
            (None, None, None) => "invited",
            _ => "active",
        };
        listing.rows.push(vec![
            user.is.email,
            user.is.role.word().to_owned(),
            user.is.name,
            state.to_owned(),
            if user.totp.is_some() { "yes" } else { "no" }.to_owned(),
            user.signed_in_at.map(|at| at.to_string()).unwrap_or_default(),
        ]);
    }
    Ok(listing.print(common.format)?)
}

async fn disable(store: &Sqlite, common: &Common, email: &str, disabled: bool) -> Result<(), Failure> {
    let change = UserChange { disabled: Some(disabled), ..UserChange::default() };
    let user = change_user(store, common, email, change, json!({"disabled": disabled})).await?;
    eprintln!("{} {}", user.is.email, if disabled { "is let in no longer" } else { "may sign in again" });
    Ok(())
}

async fn change_user(
    store: &Sqlite,
    common: &Common,
    email: &str,
    change: UserChange,
    details: Value,
) -> Result<User, Failure> {
    let user = find(store, email).await?;
    let deed = deed(common, "user.change", &user.is.email, details)?;
    let changed = store.change_user(user.id, change, deed).await?;
    changed.ok_or_else(|| unknown(email).into())
}

async fn find(store: &Sqlite, email: &str) -> Result<User, Failure> {
    let found = store.find_user(email.trim().to_lowercase()).await?;
    found.ok_or_else(|| unknown(email).into())
}

fn unknown(email: &str) -> Problem {
    Problem::new("user.unknown", format!("there is no user `{email}`"))
        .value(email)
        .cure("see: relance user list")
}

fn deed(common: &Common, action: &str, email: &str, details: Value) -> Result<Deed, Failure> {
    Ok(Deed {
        at: common.clock()?.now(),
        who: "command line".to_owned(),
        action: action.to_owned(),
        object: format!("user:{email}"),
        details,
        client: None,
    })
}

/// The hash of a password: the first line of standard input, or one that is made here and shown once.
fn choose(email: &str, from_stdin: bool) -> Result<(String, Option<String>), Failure> {
    let (chosen, made) = if from_stdin {
        if io::stdin().is_terminal() {
            eprintln!("password (it is shown as you type; end with Enter and Ctrl-D):");
        }
        let mut text = String::new();
        io::stdin().take(8 * password::LEN_MAX as u64).read_to_string(&mut text)?;
        (text.lines().next().unwrap_or_default().to_owned(), None)
    } else {
        let made = password::generate(&SystemChance);
        (made.clone(), Some(made))
    };
    password::check(&chosen, email)?;
    Ok((password::hash(&chosen, &password::salt(&SystemChance))?, made))
}

/// A password that was made, alone on standard output.
fn show(made: Option<String>) {
    if let Some(made) = made {
        println!("{made}");
    }
}
