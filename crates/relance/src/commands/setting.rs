//! `relance setting`: what holds for the workspace as a whole. Each setting is checked before it is kept.

use std::{
    fs,
    io::{self, Read},
    path::PathBuf,
    process::ExitCode,
};

use api::admin::settings::known::{SETTINGS, find};
use clap::Subcommand;
use engine::live::book;
use model::Problem;
use storage::settings::SettingsStore;

use crate::context::{Common, Failure};

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
            let json = setting.read(&source)?;
            store.save_setting(setting.name.to_owned(), json).await?;
            book::touch_rules(&store).await?;
            eprintln!("{name} is set; engines at work take it up with their next turn");
        }
    }
    Ok(ExitCode::SUCCESS)
}
