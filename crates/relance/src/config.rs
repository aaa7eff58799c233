//! The file of options: TOML whose keys are the long options of `relance serve` without the dashes, as in
//! `listen = "127.0.0.1:8080"`. What a file says is put before what stands on the command line and gives way to the
//! environment, so that there is one list of options — clap's — for all three.

use std::{ffi::OsString, path::PathBuf};

use clap::{Arg, ArgAction, Command};
use model::Problem;

use crate::context::Failure;

/// The command whose options a file holds.
const COMMAND: &str = "serve";

/// The arguments with those of the file put in.
///
/// # Errors
/// `config.read`, `config.invalid`, `config.unknown`, `config.type`, each with the key.
pub fn arguments(cli: &Command, arguments: Vec<OsString>) -> Result<Vec<OsString>, Failure> {
    let Some(path) = file(&arguments) else { return Ok(arguments) };
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Problem::new("config.read", format!("the file of options cannot be read: {error}"))
            .field("--config")
            .value(&shown)
    })?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        Problem::new("config.invalid", error.message().to_owned()).in_file(&shown)
    })?;
    let serve = cli.find_subcommand(COMMAND);
    let known: Vec<&Arg> =
        cli.get_arguments().chain(serve.into_iter().flat_map(Command::get_arguments)).collect();
    // Options of the server mean nothing to other commands; what all take goes for all.
    let place = arguments.iter().position(|argument| argument == COMMAND);
    let (mut global, mut own) = (Vec::new(), Vec::new());
    for (key, value) in &table {
        let Some(argument) = known.iter().find(|argument| argument.get_long() == Some(key.as_str())) else {
            let names: Vec<&str> = known.iter().filter_map(|argument| argument.get_long()).collect();
            let problem = Problem::new("config.unknown", format!("there is no option `{key}`"));
            return Err(problem.field(key).in_file(&shown).suggest(key, names.iter().copied()).into());
        };
        if argument.get_env().is_some_and(|name| std::env::var_os(name).is_some()) {
            continue;
        }
        let put = if cli.get_arguments().any(|known| known.get_id() == argument.get_id()) {
            &mut global
        } else {
            &mut own
        };
        put.extend(given(argument, key, value).map_err(|problem| problem.in_file(&shown))?);
    }
    let mut all = arguments;
    if let Some(place) = place {
        all.splice(place + 1..place + 1, own);
    }
    let first = 1.min(all.len());
    all.splice(first..first, global);
    Ok(all)
}

/// The file that the command line or the environment names.
fn file(arguments: &[OsString]) -> Option<PathBuf> {
    let mut named = None;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let text = argument.to_string_lossy();
        if text == "--" {
            break;
        } else if text == "--config" {
            named = rest.next().map(PathBuf::from);
        } else if let Some(path) = text.strip_prefix("--config=") {
            named = Some(PathBuf::from(path));
        }
    }
    named.or_else(|| std::env::var_os("RELANCE_CONFIG").map(PathBuf::from))
}

/// A key and its value as arguments.
fn given(argument: &Arg, key: &str, value: &toml::Value) -> Result<Vec<OsString>, Problem> {
    let wrong = |wanted: &str| {
        Problem::new("config.type", format!("`{key}` is not {wanted}")).field(key).value(value.type_str())
    };
    let flag = format!("--{key}");
    if matches!(argument.get_action(), ArgAction::SetTrue) {
        return match value {
            toml::Value::Boolean(true) => Ok(vec![flag.into()]),
            toml::Value::Boolean(false) => Ok(Vec::new()),
            _ => Err(wrong("true or false")),
        };
    }
    let text = |value: &toml::Value| match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Float(number) => Ok(number.to_string()),
        _ => Err(wrong("a text or a number")),
    };
    let values = match value {
        toml::Value::Array(values) if matches!(argument.get_action(), ArgAction::Append) => {
            values.iter().map(text).collect::<Result<Vec<_>, _>>()?
        }
        one => vec![text(one)?],
    };
    Ok(values.into_iter().map(|value| format!("{flag}={value}").into()).collect())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn given_file(text: &str, line: &[&str]) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("relance.toml");
        std::fs::write(&path, text).unwrap();
        let mut all: Vec<OsString> = vec!["relance".into(), "--config".into(), path.into()];
        all.extend(line.iter().map(OsString::from));
        let all = arguments(&crate::Cli::command(), all).map_err(|failure| failure.to_string())?;
        Ok(all.into_iter().map(|argument| argument.into_string().unwrap()).collect())
    }

    #[test]
    fn what_the_file_says_stands_before_what_the_line_says() {
        let all = given_file(
            "listen = \"127.0.0.1:1\"\ntries = 3\ndatabase = \"sqlite:x.db\"\n",
            &["serve", "--tries", "4"],
        )
        .unwrap();
        let place = |text: &str| all.iter().position(|argument| argument == text).unwrap();
        assert!(place("--database=sqlite:x.db") < place("serve"));
        assert!(place("serve") < place("--listen=127.0.0.1:1"));
        assert!(place("--tries=3") < place("--tries"));
        let other = given_file("listen = \"127.0.0.1:1\"\ndatabase = \"sqlite:x.db\"\n", &["rfm"]).unwrap();
        assert!(other.iter().any(|argument| argument == "--database=sqlite:x.db"));
        assert!(!other.iter().any(|argument| argument.starts_with("--listen")));
    }

    #[test]
    fn what_is_wrong_in_a_file_is_named() {
        for (text, wanted) in [
            ("lisen = \"x\"", "did you mean `listen`?"),
            ("listen = ", "config.invalid"),
            ("listen = [\"a\"]", "config.type"),
            ("listen = {a = 1}", "config.type"),
        ] {
            let said = given_file(text, &["serve"]).unwrap_err();
            assert!(said.contains(wanted) && said.contains("relance.toml"), "{text}: {said}");
        }
    }
}
