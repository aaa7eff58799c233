//! `/api/v1/fields`: custom fields of contacts.

mod list;
mod put;

use model::{FieldDef, Value};
use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use storage::Storage;
use utoipa::ToSchema;

use crate::{operations, said::Names, section::Section};

/// Its operations.
#[must_use]
pub fn section<S: Storage>() -> Section<S> {
    operations!(Section::new("fields"), S; list, put)
}

/// A field.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct FieldBody {
    /// What it is known by.
    slug: String,
    /// What people call it.
    name: Names,
    /// Its type: `text`, `email`, `phone`, `integer`, `decimal`, `date`, `instant`, `checkbox`, `radio`, `boolean`.
    #[serde(rename = "type")]
    kind: String,
    /// Whether it comes with Relance: it cannot be changed.
    built_in: bool,
    /// What a type needs to know beside its name, as in `fields.yaml`: `min`, `max`, `options`, `required`, `default`.
    #[schema(value_type = Object)]
    terms: Map<String, Json>,
}

impl From<&FieldDef> for FieldBody {
    fn from(field: &FieldDef) -> Self {
        let mut terms = serde_json::to_value(&field.kind).unwrap_or_default();
        let mut terms = terms.as_object_mut().map(std::mem::take).unwrap_or_default();
        terms.remove("type");
        terms.insert("required".into(), json!(field.required));
        terms.insert("default".into(), field.default.as_ref().map_or(Json::Null, plain));
        Self {
            slug: field.slug.to_string(),
            name: Names::from(&field.name),
            kind: field.kind.word().to_owned(),
            built_in: false,
            terms,
        }
    }
}

fn plain(value: &Value) -> Json {
    engine::people::plain(value)
}
