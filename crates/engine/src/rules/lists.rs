//! Static lists that there are. A list is made by whoever is first put on it, so a name that nobody made is no more than
//! a warning.

use segment::Known;
use serde_json::Value as Json;
use storage::{
    Result,
    people::PeopleStore,
    settings::{DefinitionKind, SettingsStore},
};

/// Lists that were named, that somebody is on, or that a published journey puts contacts on.
///
/// # Errors
/// What the database says.
pub async fn known_lists<S: SettingsStore + PeopleStore + Sync>(store: &S) -> Result<Known> {
    let mut names: Vec<String> =
        store.load_lists().await?.into_iter().map(|list| list.slug.to_string()).collect();
    for definition in store.load_definitions(DefinitionKind::Journey).await? {
        names.extend(made_by(definition.content.get("journey").unwrap_or(&definition.content)));
    }
    Ok(names.into_iter().collect())
}

/// The lists that a journey's file puts contacts on.
pub(super) fn made_by(journey: &Json) -> Vec<String> {
    let nodes = journey.get("nodes").and_then(Json::as_object).into_iter().flatten();
    let adding = nodes.filter(|(_, node)| node["kind"] == "add_to_list");
    adding.filter_map(|(_, node)| node["list"].as_str().map(str::to_owned)).collect()
}
