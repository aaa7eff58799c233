//! A journey with what lies beside it — fields, segments, templates — read, checked and compiled; and what is saved of
//! it when it is published.

mod lists;
mod pinned;
mod uses;

use std::{collections::BTreeMap, sync::Arc};

use journey::{
    Beside, Document, Journey,
    check::{self, Content},
};
use model::{CouponSet, Currency, FieldDef, Problem, Problems, Slug, Timestamp, Value, Zone, doc};
use segment::{Condition, Known, Schema, SegmentFile};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use storage::{
    Result, StoreError,
    live::LifeRecord,
    people::PeopleStore,
    rfm::RfmStore,
    segments::SegmentStore,
    settings::{Definition, DefinitionKind, NewDefinition, SettingsStore, key},
};
use template::{CompileContext, Document as Page, Template};

pub use lists::known_lists;
pub use pinned::{Pinned, Versions, compile_pinned, pin};
pub use uses::{User, Uses, needs, uses};

use crate::segments;

/// A file as read: what it is called in messages, its slug, its text.
#[derive(Clone, Debug, Default)]
pub struct SourceFile {
    /// What messages call it: its path.
    pub file: String,
    /// Its name without ending.
    pub slug: String,
    /// What it holds.
    pub text: String,
}

/// A journey's folder.
#[derive(Clone, Debug, Default)]
pub struct Folder {
    /// The journey.
    pub journey: SourceFile,
    /// `fields.yaml`, if there is one.
    pub fields: Option<SourceFile>,
    /// The files in `segments/`.
    pub segments: Vec<SourceFile>,
    /// The files in `templates/`.
    pub templates: Vec<SourceFile>,
    /// The files in `coupons/`.
    pub coupons: Vec<SourceFile>,
}

/// What the workspace has already: it counts where the folder has no file of that name.
#[derive(Clone)]
pub struct Workspace {
    schema: Schema<'static>,
    zone: Zone,
    segments: Vec<Definition>,
    templates: Vec<Definition>,
    coupons: Vec<Definition>,
    journeys: Vec<String>,
    currency: Currency,
}

impl Default for Workspace {
    /// An empty one: what built-in names there are, euros, UTC.
    fn default() -> Self {
        Self {
            schema: Schema::with_fields([]),
            zone: Zone::UTC,
            segments: Vec::new(),
            templates: Vec::new(),
            coupons: Vec::new(),
            journeys: Vec::new(),
            currency: Currency::EUR,
        }
    }
}

impl Workspace {
    /// Loads it.
    ///
    /// # Errors
    /// What the database says; a definition that does not read back.
    pub async fn load<S: SettingsStore + SegmentStore + RfmStore + PeopleStore + Sync>(
        store: &S,
    ) -> Result<Self> {
        let mut workspace = Self::of_versions(store).await?;
        workspace.schema.lists = known_lists(store).await?;
        Ok(workspace)
    }

    /// The same, which takes every name of a list.
    async fn of_versions<S: SettingsStore + SegmentStore + RfmStore + Sync>(store: &S) -> Result<Self> {
        let known = segments::Workspace::load(store).await?;
        let currency = store.load_setting(key::CURRENCY.to_owned()).await?;
        Ok(Self {
            schema: known.schema,
            zone: known.zone,
            segments: store.load_definitions(DefinitionKind::Segment).await?,
            templates: templates(store).await?,
            coupons: store.load_definitions(DefinitionKind::CouponSet).await?,
            journeys: store
                .load_definitions(DefinitionKind::Journey)
                .await?
                .into_iter()
                .map(|definition| definition.slug.to_string())
                .collect(),
            currency: currency.and_then(|json| Currency::parse(json.as_str()?).ok()).unwrap_or(Currency::EUR),
        })
    }
}

/// What the names of templates begin with that were kept for a test run: see [`crate::simulate::rehearse`].
pub const TEST_TEMPLATE: &str = "test--";

/// The name under which a test run keeps a draft's template.
///
/// # Errors
/// None: what is cut from a slug is a slug.
pub fn test_template(slug: &Slug) -> std::result::Result<Slug, Problem> {
    let rest: String = slug.as_str().chars().take(Slug::LEN_MAX - TEST_TEMPLATE.len()).collect();
    Slug::parse(&format!("{TEST_TEMPLATE}{rest}"))
}

/// The last version of each template, those of test runs left aside.
///
/// # Errors
/// What the database says.
pub async fn templates<S: SettingsStore + Sync>(store: &S) -> Result<Vec<Definition>> {
    let mut templates = store.load_definitions(DefinitionKind::Template).await?;
    templates.retain(|definition| !definition.slug.as_str().starts_with(TEST_TEMPLATE));
    Ok(templates)
}

/// A journey that can be run, with all that it reads.
#[derive(Debug)]
pub struct Rules {
    /// The journey.
    pub journey: Journey,
    /// Custom fields, of the folder and of the workspace.
    pub fields: Vec<FieldDef>,
    /// Segments, of the folder and of the workspace, by slug.
    pub segments: BTreeMap<String, Condition>,
    /// Hash of the journey and of what it uses: a run is known by it.
    pub hash: String,
    /// Currency of prices.
    pub currency: Currency,
    /// The zone in which days begin.
    pub zone: Zone,
    /// What publishing saves, the journey last.
    pub definitions: Vec<NewDefinition>,
    /// Worth knowing; nothing is refused.
    pub warnings: Problems,
}

/// A version that was published.
#[derive(Clone, Debug)]
pub struct Published {
    /// The journey's version.
    pub version: u32,
    /// Versions of its templates.
    pub templates: BTreeMap<String, u32>,
}

/// Reads, checks and compiles a folder.
///
/// # Errors
/// Everything that is wrong in any of its files, by file.
pub fn compile(folder: &Folder, workspace: &Workspace) -> std::result::Result<Rules, Problems> {
    let mut found = Found::default();
    let fields = found.fields(folder, workspace);
    let mut schema = workspace.schema.clone();
    schema.fields = fields.iter().map(|field| (field.slug.to_string(), field.clone())).collect();
    let own = folder.segments.iter().map(|source| source.slug.clone());
    let stored = workspace.segments.iter().map(|definition| definition.slug.to_string());
    schema.segments = own.chain(stored).collect();
    if let (Known::Only(names), Ok(tree)) = (&mut schema.lists, doc::parse(&folder.journey.text)) {
        names.extend(lists::made_by(&tree.to_json()));
    }
    let segments = found.segments(folder, workspace, &schema);
    let templates = found.templates(folder, workspace, &schema);
    let event_kinds = match &workspace.schema.event_kinds {
        Known::Only(kinds) => kinds.iter().cloned().collect(),
        Known::Any => Vec::new(),
    };
    let beside = Beside {
        fields: fields.clone(),
        segments: segments.keys().cloned().collect(),
        templates,
        coupons: found.coupons(folder, workspace),
        journeys: workspace.journeys.clone(),
        event_kinds,
        lists: schema.lists.clone(),
        zone: Some(workspace.zone.clone()),
    };
    let file = &folder.journey.file;
    let document = match Document::parse(&folder.journey.text, file) {
        Ok(document) => Some(document),
        Err(problems) => {
            found.problems.extend(problems);
            None
        }
    };
    let compiled = document.as_ref().and_then(|document| match check::compile(document, &beside) {
        Ok((journey, warnings)) => {
            found.problems.extend(warnings.into_iter().map(|problem| problem.in_file(file)));
            Some(journey)
        }
        Err(problems) => {
            found.problems.extend(problems.into_iter().map(|problem| problem.in_file(file)));
            None
        }
    });
    match (document, compiled) {
        (Some(document), Some(journey)) if !found.problems.iter().any(Problem::is_error) => {
            let (definitions, hash) = found.definitions(&document, &journey, workspace);
            let (currency, zone, warnings) = (workspace.currency, workspace.zone.clone(), found.problems);
            Ok(Rules { journey, fields, segments, hash, currency, zone, definitions, warnings })
        }
        _ => Err(found.problems),
    }
}

/// What was read so far.
#[derive(Default)]
struct Found {
    problems: Problems,
    definitions: Vec<NewDefinition>,
}

impl Found {
    fn keep<T>(&mut self, read: std::result::Result<T, Problems>) -> Option<T> {
        read.map_err(|problems| self.problems.extend(problems)).ok()
    }

    fn define(&mut self, kind: DefinitionKind, slug: &Slug, content: Json) {
        self.definitions.push(NewDefinition { kind, slug: slug.clone(), content });
    }

    /// The slug and the tree of a file.
    fn tree(&mut self, source: &SourceFile) -> Option<(Slug, doc::Node)> {
        let read = Slug::parse(&source.slug)
            .map_err(|problem| problem.cure("rename the file"))
            .and_then(|slug| doc::parse(&source.text).map(|tree| (slug, tree)))
            .map_err(|problem| vec![problem.in_file(&source.file)]);
        self.keep(read)
    }

    fn fields(&mut self, folder: &Folder, workspace: &Workspace) -> Vec<FieldDef> {
        let source = folder.fields.as_ref();
        let own = source.and_then(|source| self.keep(journey::fields::parse(&source.text, &source.file)));
        let own = own.unwrap_or_default();
        for field in &own {
            // A definition of ours always can be written as JSON.
            self.define(DefinitionKind::Field, &field.slug, serde_json::to_value(field).unwrap_or_default());
        }
        let stored = workspace.schema.fields.values();
        let others = stored.filter(|known| own.iter().all(|field| field.slug != known.slug));
        own.iter().chain(others).cloned().collect()
    }

    fn segments(
        &mut self,
        folder: &Folder,
        workspace: &Workspace,
        schema: &Schema<'_>,
    ) -> BTreeMap<String, Condition> {
        let mut segments = BTreeMap::new();
        for definition in &workspace.segments {
            // A stored one that cannot be read any more is as good as none.
            if let Ok(file) = SegmentFile::from_json(&definition.content, schema) {
                segments.insert(definition.slug.to_string(), file.condition);
            }
        }
        for source in &folder.segments {
            let read = SegmentFile::parse(&source.text, Some(&source.slug), schema);
            let read = read.map_err(|problems| in_file(problems, &source.file));
            let Some((mut file, warnings)) = self.keep(read) else { continue };
            self.problems.extend(in_file(warnings, &source.file));
            if let Some(map) = file.source.as_object_mut() {
                map.entry("segment").or_insert_with(|| json!(file.slug));
            }
            self.define(DefinitionKind::Segment, &file.slug, file.source);
            segments.insert(file.slug.to_string(), file.condition);
        }
        segments
    }

    fn templates(
        &mut self,
        folder: &Folder,
        workspace: &Workspace,
        schema: &Schema<'_>,
    ) -> BTreeMap<String, Content> {
        let context =
            CompileContext { currency: workspace.currency, schema: schema.clone(), published: false };
        let mut templates = BTreeMap::new();
        for definition in &workspace.templates {
            let content = match read_template(&definition.source(), definition.slug.as_str(), &context) {
                Ok(template) => Content::Ready(Arc::new(template)),
                Err(_) => Content::Broken,
            };
            templates.insert(definition.slug.to_string(), content);
        }
        for source in &folder.templates {
            let Some((slug, tree)) = self.tree(source) else { continue };
            let read = read_template(&source.text, &source.file, &context);
            let content = match self.keep(read) {
                Some(template) => {
                    let warnings = template.warnings().iter().cloned();
                    self.problems.extend(warnings.map(|problem| problem.in_file(&source.file)));
                    self.define(DefinitionKind::Template, &slug, tree.to_json());
                    Content::Ready(Arc::new(template))
                }
                None => Content::Broken,
            };
            templates.insert(slug.to_string(), content);
        }
        templates
    }

    /// Slugs of the coupon sets, of the folder and of the workspace.
    fn coupons(&mut self, folder: &Folder, workspace: &Workspace) -> Vec<String> {
        let mut slugs: Vec<String> =
            workspace.coupons.iter().map(|definition| definition.slug.to_string()).collect();
        for source in &folder.coupons {
            let read = CouponSet::parse(&source.text, Some(&source.slug), &workspace.zone);
            let Some(set) = self.keep(read.map_err(|problems| in_file(problems, &source.file))) else {
                // The set is there, only broken: its journey's references to it are not reported too.
                slugs.push(source.slug.clone());
                continue;
            };
            let slug = set.slug.clone();
            self.define(DefinitionKind::CouponSet, &slug, set.to_json());
            slugs.push(slug.to_string());
        }
        slugs.sort();
        slugs.dedup();
        slugs
    }

    /// What publishing saves, and the hash of the journey with all that it uses. A file beside it that it does not use
    /// is saved, but does not make another journey of it.
    fn definitions(
        &mut self,
        document: &Document,
        journey: &Journey,
        workspace: &Workspace,
    ) -> (Vec<NewDefinition>, String) {
        let source = document.source.to_string();
        let is_used = |kind: DefinitionKind, slug: &Slug| match kind {
            DefinitionKind::Segment => journey.segments.contains(slug),
            DefinitionKind::Template => journey.templates.contains(slug),
            DefinitionKind::CouponSet => journey.coupons.contains(slug),
            _ => source.contains(slug.as_str()),
        };
        // By name, so that the order of files does not matter; the folder's own go before the stored ones.
        let mut used = BTreeMap::new();
        for stored in workspace.segments.iter().chain(&workspace.templates).chain(&workspace.coupons) {
            if is_used(stored.kind, &stored.slug) {
                used.insert(format!("{}/{}", word(stored.kind), stored.slug), hash(&stored.content));
            }
        }
        for own in &self.definitions {
            if is_used(own.kind, &own.slug) {
                used.insert(format!("{}/{}", word(own.kind), own.slug), hash(&own.content));
            }
        }
        let content = json!({ "journey": document.source, "uses": used });
        let hash = hash(&content);
        self.define(DefinitionKind::Journey, &document.slug, content);
        (std::mem::take(&mut self.definitions), hash)
    }
}

const fn word(kind: DefinitionKind) -> &'static str {
    match kind {
        DefinitionKind::Field => "fields",
        DefinitionKind::Segment => "segments",
        DefinitionKind::Template => "templates",
        DefinitionKind::CouponSet => "coupons",
        DefinitionKind::Journey => "journeys",
        DefinitionKind::RfmModel => "rfm",
    }
}

fn hash(content: &Json) -> String {
    let bytes = Sha256::digest(content.to_string().as_bytes());
    bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn in_file(problems: Problems, file: &str) -> Problems {
    problems.into_iter().map(|problem| problem.in_file(file)).collect()
}

fn read_template(
    text: &str,
    file: &str,
    context: &CompileContext<'_>,
) -> std::result::Result<Template, Problems> {
    Page::parse(text, file).and_then(|page| {
        Template::compile(&page, context)
            .map_err(|problems| problems.into_iter().map(|problem| problem.in_file(file)).collect())
    })
}

impl Rules {
    /// Values of custom fields for contacts that were given none.
    #[must_use]
    pub fn defaults(&self) -> Vec<(String, Value)> {
        let with_default = |field: &FieldDef| Some((field.slug.to_string(), field.default.clone()?));
        self.fields.iter().filter_map(with_default).collect()
    }

    /// The RFM models that the segments of the journey ask for.
    #[must_use]
    pub fn rfm_models(&self) -> Vec<String> {
        let mut open: Vec<String> = self.journey.segments.iter().map(ToString::to_string).collect();
        let (mut seen, mut models) = (Vec::new(), Vec::new());
        while let Some(slug) = open.pop() {
            let Some(rule) = self.segments.get(&slug).filter(|_| !seen.contains(&slug)) else { continue };
            let reads = rule.reads();
            models.extend(reads.rfm_models);
            open.extend(reads.segments);
            seen.push(slug);
        }
        models.sort();
        models.dedup();
        models
    }
}

/// Saves a journey and the files beside it in one transaction. What has not changed keeps its version.
///
/// # Errors
/// What the database says.
pub async fn publish<S: SettingsStore + Sync>(store: &S, rules: &Rules, now: Timestamp) -> Result<Published> {
    let versions = store.save_definitions(rules.definitions.clone(), now).await?;
    let mut templates = BTreeMap::new();
    let mut version = 0;
    for (definition, saved) in rules.definitions.iter().zip(versions) {
        match definition.kind {
            DefinitionKind::Template => {
                templates.insert(definition.slug.to_string(), saved);
            }
            DefinitionKind::Journey => version = saved,
            _ => {}
        }
    }
    for definition in store.load_definitions(DefinitionKind::Template).await? {
        templates.entry(definition.slug.to_string()).or_insert(definition.version);
    }
    Ok(Published { version, templates })
}

/// A version that cannot be compiled any more, without what it used: good for taking out those inside. None when not even
/// its shape can be read.
///
/// # Errors
/// What the database says.
pub async fn bare<S: SettingsStore + Sync>(store: &S, record: &LifeRecord) -> Result<Option<Rules>> {
    let journey = match stored_journey(store, record.journey.clone(), record.version).await {
        Ok(journey) => journey,
        Err(StoreError::Inconsistent { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Some(Rules {
        journey,
        fields: Vec::new(),
        segments: BTreeMap::new(),
        hash: String::new(),
        currency: Currency::EUR,
        zone: Zone::UTC,
        definitions: Vec::new(),
        warnings: Problems::new(),
    }))
}

/// A published version of a journey, for reading what its runs left behind: names of segments and templates are taken
/// as they stand.
///
/// # Errors
/// What the database says; a version that does not read back.
pub async fn stored_journey<S: SettingsStore + Sync>(store: &S, slug: Slug, version: u32) -> Result<Journey> {
    let bad = |why: String| StoreError::Inconsistent {
        table: "definitions",
        row: format!("journey {slug}, version {version}"),
        why,
    };
    let definition = store.load_definition(DefinitionKind::Journey, slug.clone(), version).await?;
    let content = definition.ok_or_else(|| bad("missing".into()))?.content;
    let text = content.get("journey").unwrap_or(&content).to_string();
    let first = |problems: Problems| bad(problems.first().map(ToString::to_string).unwrap_or_default());
    let document = Document::parse(&text, "journey").map_err(first)?;
    check::skeleton(&document).map_err(first)
}
