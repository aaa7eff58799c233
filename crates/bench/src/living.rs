//! What `bench events` and `bench steps` share: a base with segments and a published journey, and its engine.

use std::sync::Arc;

use engine::{
    campaign::launch::Silent,
    live::{
        lives::{self, By, PublishOptions},
        work::Engine,
    },
    rules::{self, Folder, SourceFile, Workspace},
    segments,
};
use model::Timestamp;
use segment::SegmentFile;
use storage::StoreError;
use storage_sqlite::Sqlite;

use crate::synthetic::END;

/// The mail of the journeys.
const MAIL: &str = "
format: 1
template: reminder
subject: {en: Your cart, fr: Votre panier}
languages: [en, fr]
blocks:
  - {kind: text, text: {en: Still interested?, fr: Toujours intéressé ?}}
";

/// What storage says, as text.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(crate) fn said(error: StoreError) -> String {
    error.to_string()
}

/// Saves segments and builds them.
///
/// # Errors
/// What went wrong, in a sentence.
pub(crate) async fn build_segments(db: &Sqlite, definitions: &[(&str, &str)]) -> Result<(), String> {
    let workspace = segments::Workspace::load(db).await.map_err(said)?;
    let mut files = Vec::new();
    for (slug, condition) in definitions {
        let text = format!("format: 1\nsegment: {slug}\ncondition: {condition}\n");
        let (file, _) =
            SegmentFile::parse(&text, None, &workspace.schema).map_err(|problems| format!("{problems:?}"))?;
        files.push(file);
    }
    segments::save(db, &files, END).await.map_err(said)?;
    let workspace = Arc::new(segments::Workspace::load(db).await.map_err(said)?);
    for (slug, _) in definitions {
        segments::build(db, &workspace, slug, END, segments::silent()).await.map_err(said)?;
    }
    Ok(())
}

/// Publishes a journey, and opens its engine.
///
/// # Errors
/// What went wrong, in a sentence.
pub(crate) async fn publish(db: &Sqlite, journey: &str, now: Timestamp) -> Result<Engine<Sqlite>, String> {
    let source = |slug: &str, text: &str| SourceFile {
        file: format!("{slug}.yaml"),
        slug: slug.to_owned(),
        text: text.to_owned(),
    };
    let folder = Folder {
        journey: source("journey", journey),
        templates: vec![source("reminder", MAIL)],
        ..Folder::default()
    };
    let workspace = Workspace::load(db).await.map_err(said)?;
    let rules = rules::compile(&folder, &workspace)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let by = By::new("bench", now);
    lives::publish(db, &Arc::new(rules), &PublishOptions::default(), &by, &Silent).await.map_err(said)?;
    Engine::open(db.clone(), now).await.map_err(said)
}
