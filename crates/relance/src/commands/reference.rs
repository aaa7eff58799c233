//! `relance reference`: docs/configuration.md, made from the options themselves, so that it cannot go stale.

use std::{fmt::Write, process::ExitCode};

use clap::{Arg, ArgAction, Command, CommandFactory};

use crate::context::Failure;

/// Prints it.
///
/// # Errors
/// What standard output says.
pub fn run() -> Result<ExitCode, Failure> {
    print!("{}", text(&crate::Cli::command()));
    Ok(ExitCode::SUCCESS)
}

/// What stands above the table.
const INTRODUCTION: &str = "\
# Options of the server

Each option of `relance serve` can be given on the command line, in the environment where a name is listed, or in a file
of options (`--config FILE` or `RELANCE_CONFIG`), in TOML, under its name without the dashes:

```toml
database = \"sqlite:/var/lib/relance/relance.db\"
listen = \"127.0.0.1:8080\"
public-url = \"https://mail.shop.example\"
from = \"My shop <news@shop.example>\"
```

The command line goes before the environment, the environment before the file. An option that does not exist is an error
that names the nearest one. Secrets (`RELANCE_SMTP` holds a password) are best given in the environment.

This page is printed by `relance reference`; a test compares.

";

/// The page.
pub(crate) fn text(cli: &Command) -> String {
    let mut page = String::from(INTRODUCTION);
    page.push_str("| option | environment | default | meaning |\n| --- | --- | --- | --- |\n");
    let serve = cli.find_subcommand("serve");
    let own = serve.into_iter().flat_map(Command::get_arguments);
    for argument in cli.get_arguments().chain(own) {
        line(&mut page, argument);
    }
    page
}

fn line(page: &mut String, argument: &Arg) {
    let Some(long) = argument.get_long().filter(|long| !matches!(*long, "help" | "version")) else { return };
    let value = match argument.get_action() {
        ArgAction::SetTrue => String::new(),
        _ => argument.get_value_names().and_then(|names| names.first()).map_or_else(
            || {
                let values = argument.get_possible_values();
                let names: Vec<&str> = values.iter().map(|value| value.get_name()).collect();
                if names.is_empty() { " VALUE".to_owned() } else { format!(" {}", names.join("/")) }
            },
            |name| format!(" {name}"),
        ),
    };
    let environment =
        argument.get_env().map_or_else(String::new, |name| format!("`{}`", name.to_string_lossy()));
    let defaults: Vec<String> = match argument.get_action() {
        ArgAction::SetTrue => Vec::new(),
        _ => argument
            .get_default_values()
            .iter()
            .map(|value| format!("`{}`", value.to_string_lossy()))
            .collect(),
    };
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default().replace('|', "\\|");
    // Writing into a text cannot fail.
    let _ = writeln!(page, "| `--{long}{value}` | {environment} | {} | {help} |", defaults.join(", "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_as_the_options_are() {
        let kept = include_str!("../../../../docs/configuration.md");
        assert!(
            kept == text(&crate::Cli::command()),
            "write it anew: relance reference > docs/configuration.md"
        );
    }
}
