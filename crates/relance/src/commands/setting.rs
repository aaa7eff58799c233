//! `relance setting`: what holds for the workspace as a whole. Each setting is checked before it is kept.

use std::{
    fs,
    io::{self, Read},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use api::links::branding;
use clap::Subcommand;
use engine::{live::book, live::nightly, segments::ZONE_SETTING};
use model::{Problem, Problems, Zone, doc};
use serde_json::Value;
use storage::settings::{SettingsStore, key};

use crate::context::{Common, Failure, SystemClock};

/// Options of `relance setting`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// What to do.
#[derive(Subcommand)]
enum What {
    /// List the settings, with what each holds
    List,
    /// Print a setting
    Get {
        /// Its name
        name: String,
    },
    /// Set a setting, to a value or to what a file holds (YAML or JSON)
    Set {
        /// Its name
        name: String,
        /// The value, as in Europe/Paris
        #[arg(required_unless_present = "file", conflicts_with = "file")]
        value: Option<String>,
        /// The file that holds it; `-` for standard input
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

/// A setting that can be set.
struct Setting {
    name: &'static str,
    about: &'static str,
    check: fn(&doc::Node, &str) -> Result<(), Problems>,
}

const SETTINGS: &[Setting] = &[
    Setting { name: key::CURRENCY, about: "the workspace's currency, as in EUR", check: currency },
    Setting {
        name: nightly::SETTING,
        about: "minutes after midnight, UTC, at which the night's work begins",
        check: minute,
    },
    Setting {
        name: policy::SETTING,
        about: "caps, smart sending, quiet hours and limits: docs/sending.md",
        check: sending,
    },
    Setting {
        name: policy::PURPOSES_SETTING,
        about: "why the shop writes, and what it needs for that: docs/consent.md",
        check: purposes,
    },
    Setting {
        name: branding::SETTING,
        about: "name, colour and address on the pages for people: docs/links.md",
        check: branding,
    },
    Setting { name: ZONE_SETTING, about: "the zone in which days begin, as in Europe/Paris", check: zone },
    Setting {
        name: delivery::webhook::SETTING,
        about: "secrets of webhooks, and whether they may call our own network",
        check: webhooks,
    },
];

fn text(node: &doc::Node) -> String {
    node.scalar().unwrap_or_default()
}

fn currency(node: &doc::Node, _: &str) -> Result<(), Problems> {
    model::Currency::parse(&text(node)).map(drop).map_err(|problem| vec![problem])
}

fn zone(node: &doc::Node, _: &str) -> Result<(), Problems> {
    Zone::parse(&text(node)).map(drop).map_err(|problem| vec![problem])
}

fn minute(node: &doc::Node, _: &str) -> Result<(), Problems> {
    let minutes = 0..24 * 60;
    if node.integer().is_some_and(|minute| minutes.contains(&minute)) {
        return Ok(());
    }
    let problem = node.problem("setting.minute", "expected minutes after midnight, from 0 to 1439");
    Err(vec![problem.cure("60 is 01:00 UTC")])
}

fn sending(_: &doc::Node, source: &str) -> Result<(), Problems> {
    policy::SendingRules::parse(source).map(drop)
}

fn purposes(_: &doc::Node, source: &str) -> Result<(), Problems> {
    policy::Purposes::parse(source).map(drop)
}

fn branding(node: &doc::Node, _: &str) -> Result<(), Problems> {
    let read: Result<branding::Branding, _> = serde_json::from_value(node.to_json());
    let unread = |error: serde_json::Error| node.problem("branding.invalid", error.to_string());
    read.map_err(unread).and_then(|branding| branding.check()).map_err(|problem| vec![problem])
}

fn webhooks(node: &doc::Node, _: &str) -> Result<(), Problems> {
    let checked = delivery::Webhooks::new(Some(&node.to_json()), Arc::new(SystemClock));
    checked.map(drop).map_err(|problem| vec![problem])
}

fn find(name: &str) -> Result<&'static Setting, Problem> {
    SETTINGS.iter().find(|setting| setting.name == name).ok_or_else(|| {
        Problem::new("setting.unknown", format!("there is no setting `{name}`"))
            .value(name)
            .suggest(name, SETTINGS.iter().map(|setting| setting.name))
    })
}

/// Runs it.
///
/// # Errors
/// See [`Failure`].
pub async fn run(args: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let store = common.open()?;
    match &args.what {
        What::List => {
            for setting in SETTINGS {
                let value = store.load_setting(setting.name.to_owned()).await?;
                let value = value.map_or_else(|| "(not set)".to_owned(), |value| value.to_string());
                println!("{:<16} {value}\n                 {}", setting.name, setting.about);
            }
        }
        What::Get { name } => {
            let setting = find(name)?;
            let Some(value) = store.load_setting(setting.name.to_owned()).await? else {
                return Err(Problem::new("setting.not_set", format!("`{name}` is not set"))
                    .value(name)
                    .into());
            };
            println!("{}", serde_json::to_string_pretty(&value).unwrap_or_default());
        }
        What::Set { name, value, file } => {
            let setting = find(name)?;
            let source = match (value, file) {
                (Some(value), _) => value.clone(),
                (None, Some(path)) if path.as_os_str() == "-" => {
                    let mut text = String::new();
                    io::stdin().read_to_string(&mut text)?;
                    text
                }
                (None, Some(path)) => fs::read_to_string(path)
                    .map_err(|error| Failure::Other(format!("{}: {error}", path.display())))?,
                (None, None) => String::new(),
            };
            let node = doc::parse(&source)?;
            (setting.check)(&node, &source)?;
            let json: Value = node.to_json();
            store.save_setting(setting.name.to_owned(), json).await?;
            book::touch_rules(&store).await?;
            eprintln!("{name} is set; engines at work take it up with their next turn");
        }
    }
    Ok(ExitCode::SUCCESS)
}
