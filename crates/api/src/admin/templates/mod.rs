//! `/api/v1/templates`: contents of messages.

mod get;
mod list;
mod preview;
mod put;
mod remove;
mod test;

use model::{Currency, Problems, Slug};
use serde::Serialize;
use serde_json::{Value, json};
use storage::{
    Storage,
    settings::{Definition, key},
};
use template::{CompileContext, Document, Template};
use utoipa::ToSchema;

use crate::{ApiResult, each_time, operations, problem::ProblemBody, said::At, section::Section};

/// Its operations.
#[must_use]
pub fn section<S: Storage>() -> Section<S> {
    let section = operations!(Section::new("templates"), S; list, get, put, remove, test);
    each_time!(section, S; preview)
}

/// A template's version.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TemplateBody {
    /// What it is known by.
    pub slug: String,
    /// Its version, from 1.
    pub version: u32,
    /// When that was saved.
    pub saved_at: At,
    /// `email`, `sms` or `web_push`; empty when it cannot be read any more.
    pub channel: String,
    /// Languages that it is written in.
    pub languages: Vec<String>,
    /// Names of the variables that it needs.
    pub variables: Vec<String>,
    /// What its file holds.
    #[schema(value_type = Object)]
    pub definition: Value,
    /// What is wrong with it now, and what is worth knowing.
    pub problems: Vec<ProblemBody>,
}

/// What templates are compiled with: the workspace's currency, fields and segments.
async fn context<S: Storage>(store: &S) -> ApiResult<CompileContext<'static>> {
    let schema = engine::segments::Workspace::load(store).await?.schema;
    Ok(CompileContext { currency: currency(store).await?, schema, published: false })
}

async fn currency<S: Storage>(store: &S) -> ApiResult<Currency> {
    let set = store.load_setting(key::CURRENCY.to_owned()).await?;
    Ok(set.and_then(|json| Currency::parse(json.as_str()?).ok()).unwrap_or(Currency::EUR))
}

/// Reads and compiles a template's file.
fn compile(text: &str, slug: &Slug, context: &CompileContext<'_>) -> Result<(Document, Template), Problems> {
    let file = format!("{slug}.yaml");
    let document = Document::parse(text, &file)?;
    let template = Template::compile(&document, context)?;
    Ok((document, template))
}

fn body(definition: &Definition, context: &CompileContext<'_>) -> TemplateBody {
    let text = definition.source();
    let tree = model::doc::parse(&text).map_or_else(|_| json!({}), |node| node.to_json());
    let (template, problems) = match compile(&text, &definition.slug, context) {
        Ok((_, template)) => {
            let warnings = template.warnings().to_vec();
            (Some(template), warnings)
        }
        Err(problems) => (None, problems),
    };
    TemplateBody {
        slug: definition.slug.to_string(),
        version: definition.version,
        saved_at: definition.created_at.into(),
        channel: template.as_ref().map(|template| template.channel().word().to_owned()).unwrap_or_default(),
        languages: template.iter().flat_map(|t| t.languages().map(str::to_owned)).collect(),
        variables: template.iter().flat_map(|t| t.variables().iter().map(|v| v.name.clone())).collect(),
        definition: tree,
        problems: problems.iter().map(ProblemBody::from).collect(),
    }
}
