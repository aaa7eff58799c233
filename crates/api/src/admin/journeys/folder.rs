//! A journey with the files beside it, as the API takes it: what a folder holds on disk.

use std::collections::BTreeMap;

use engine::rules::{self, Folder, Rules, SourceFile, Workspace};
use model::{Problem, Problems, Slug};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use storage::Storage;
use utoipa::ToSchema;

use crate::{ApiResult, App, problem::ProblemBody};

/// A file: its text (YAML or JSON, with places in problems), or what it holds as a tree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Source {
    /// The text, as it would stand in a file.
    Text(String),
    /// What it holds.
    #[schema(value_type = Object)]
    Tree(Value),
}

/// A journey and the files beside it. What the workspace has under the same name is left aside for this journey.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "journey": "format: 1\njourney: welcome\nname: Welcome\naudience: {who: with_email, source: new}\ntriggers: []\nreentry: never\nnodes:\n  hello: {kind: send_email, template: hello, purpose: newsletter, to: contact}\nlinks:\n  - {from: start, to: hello}\n",
    "templates": {"hello": {"format": 1, "subject": {"en": "Hello"}, "blocks": []}}
}))]
pub(crate) struct FolderBody {
    /// The journey.
    pub journey: Source,
    /// Custom fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Source>,
    /// Segments by slug.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub segments: BTreeMap<String, Source>,
    /// Templates by slug.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub templates: BTreeMap<String, Source>,
    /// Coupon sets by slug.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub coupons: BTreeMap<String, Source>,
}

/// What the check of a journey found.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct CheckBody {
    /// Whether it could be published.
    pub publishable: bool,
    /// What is wrong or worth knowing, by file, node and field.
    pub problems: Vec<ProblemBody>,
    /// What it is made of; only when it could be published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<SummaryBody>,
}

/// What a journey is made of.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct SummaryBody {
    /// Its slug.
    pub journey: String,
    /// Hash of the journey and of all that it uses: the same when nothing would change.
    pub hash: String,
    /// How many nodes it has.
    pub nodes: usize,
    /// Segments that it asks for.
    pub segments: Vec<String>,
    /// Templates that it sends.
    pub templates: Vec<String>,
    /// Coupon sets that it takes codes from.
    pub coupons: Vec<String>,
}

impl FolderBody {
    /// The files.
    pub fn folder(&self) -> Folder {
        self.files().0
    }

    fn files(&self) -> (Folder, Vec<String>) {
        let mut trees = Vec::new();
        let mut file = |name: String, slug: &str, source: &Source| {
            let text = match source {
                Source::Text(text) => text.clone(),
                Source::Tree(tree) => {
                    trees.push(name.clone());
                    tree.to_string()
                }
            };
            SourceFile { file: name, slug: slug.to_owned(), text }
        };
        let journey = file("journey.yaml".to_owned(), "journey", &self.journey);
        let fields = self.fields.as_ref().map(|source| file("fields.yaml".to_owned(), "fields", source));
        let mut all = |folder: &str, sources: &BTreeMap<String, Source>| -> Vec<SourceFile> {
            let one =
                |(slug, source): (&String, &Source)| file(format!("{folder}/{slug}.yaml"), slug, source);
            sources.iter().map(one).collect()
        };
        let segments = all("segments", &self.segments);
        let templates = all("templates", &self.templates);
        let coupons = all("coupons", &self.coupons);
        (Folder { journey, fields, segments, templates, coupons }, trees)
    }
}

/// Compiles a folder against the workspace; problems of trees have no places, for they have no lines.
///
/// # Errors
/// What the database says. The inner error is what is wrong with the folder.
pub(crate) async fn compile<S: Storage>(
    app: &App<S>,
    body: &FolderBody,
    slug: Option<&Slug>,
) -> ApiResult<Result<Rules, Problems>> {
    let workspace = Workspace::load(&app.store).await?;
    let (folder, trees) = body.files();
    let compiled = tokio::task::spawn_blocking(move || rules::compile(&folder, &workspace))
        .await
        .map_err(|error| storage::StoreError::Driver(format!("the checking thread ended: {error}")))?;
    let placeless = |mut problem: Problem| {
        if problem.file.as_ref().is_some_and(|file| trees.contains(file)) {
            problem.place = None;
        }
        problem
    };
    Ok(match compiled {
        Ok(mut rules) => {
            rules.warnings = rules.warnings.into_iter().map(placeless).collect();
            match slug.filter(|slug| **slug != rules.journey.slug) {
                Some(slug) => Err(vec![differs(slug, &rules.journey.slug)]),
                None => Ok(rules),
            }
        }
        Err(problems) => Err(problems.into_iter().map(placeless).collect()),
    })
}

fn differs(path: &Slug, own: &Slug) -> Problem {
    Problem::new("journey.slug", format!("the journey calls itself `{own}`, the path says `{path}`"))
        .field("journey")
        .value(own)
        .cure(format!("write `journey: {path}`, or use the path of `{own}`"))
}

impl From<&Result<Rules, Problems>> for CheckBody {
    fn from(compiled: &Result<Rules, Problems>) -> Self {
        match compiled {
            Err(problems) => Self {
                publishable: false,
                problems: problems.iter().map(ProblemBody::from).collect(),
                summary: None,
            },
            Ok(rules) => {
                let names = |slugs: &[Slug]| slugs.iter().map(ToString::to_string).collect();
                let journey = &rules.journey;
                Self {
                    publishable: true,
                    problems: rules.warnings.iter().map(ProblemBody::from).collect(),
                    summary: Some(SummaryBody {
                        journey: journey.slug.to_string(),
                        hash: rules.hash.clone(),
                        nodes: journey.nodes.len(),
                        segments: names(&journey.segments),
                        templates: names(&journey.templates),
                        coupons: names(&journey.coupons),
                    }),
                }
            }
        }
    }
}
