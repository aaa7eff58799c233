//! Renders a template with sample data into files to look at: `cargo run -p template --example look -- FILE FOLDER`.

use std::{env, fs, path::PathBuf, process::ExitCode};

use model::{Currency, Timestamp, Zone};
use template::{CompileContext, Document, Links, RenderInput, Template, Utm};

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let (Some(file), Some(folder)) = (arguments.next(), arguments.next()) else {
        eprintln!("give a template and a folder");
        return ExitCode::FAILURE;
    };
    match look(&file, &PathBuf::from(folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn look(file: &str, folder: &std::path::Path) -> Result<(), String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let said = |problems: model::Problems| problems.iter().map(|p| format!("{p}\n")).collect::<String>();
    let document = Document::parse(&text, file).map_err(said)?;
    let template = Template::compile(&document, &CompileContext::default()).map_err(said)?;
    for warning in template.warnings() {
        eprintln!("{warning}");
    }
    let utm = Utm { source: "relance".into(), medium: "email".into(), campaign: template.slug().to_string() };
    let sample = env::var("SAMPLE").ok().and_then(|json| serde_json::from_str(&json).ok());
    let variables = sample.unwrap_or_else(|| template.sample());
    for language in template.languages() {
        let rendered = template
            .render(&RenderInput {
                variables: &variables,
                locale: language,
                zone: &Zone::UTC,
                currency: Currency::GBP,
                at: Timestamp(0),
                links: Links {
                    unsubscribe_url: "https://example.test/u/1",
                    preferences_url: "https://example.test/p/1",
                    view_in_browser_url: "https://example.test/v/1",
                    forward_url: "",
                },
                utm: Some(&utm),
                rewrite: None,
            })
            .map_err(|problem| problem.to_string())?;
        let name = format!("{}.{language}", template.slug());
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        for (extension, content) in [("html", &rendered.html), ("txt", &rendered.text)] {
            fs::write(folder.join(format!("{name}.{extension}")), content)
                .map_err(|error| error.to_string())?;
        }
        println!("{name}: {} ({} bytes of HTML)", rendered.subject, rendered.html.len());
    }
    Ok(())
}
