//! What a published version of a journey uses, with versions; and the version compiled again with the very same.
//!
//! A life keeps [`Pinned`]: the version of every field, segment, template and coupon set whose name occurs in the
//! journey or in something that it uses. Too many names do no harm; a missing one would make the version unreadable, so
//! a name counts wherever its text occurs.

use std::collections::{BTreeMap, HashMap};

use model::{Currency, FieldDef, Problem, Problems, Slug, Zone};
use segment::{Known, Schema};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use storage::{
    Result, StoreError,
    live::LifeRecord,
    rfm::RfmStore,
    segments::SegmentStore,
    settings::{Definition, DefinitionKind, NewDefinition, SettingsStore},
};

use super::{Folder, Rules, SourceFile, Workspace, compile, uses};

/// Kinds of definitions that a journey uses.
const USED: [DefinitionKind; 4] =
    [DefinitionKind::Field, DefinitionKind::Segment, DefinitionKind::Template, DefinitionKind::CouponSet];

/// Versions that a journey was published with, by slug.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pinned {
    /// Of custom fields.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, u32>,
    /// Of segments.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub segments: BTreeMap<String, u32>,
    /// Of templates.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub templates: BTreeMap<String, u32>,
    /// Of coupon sets.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub coupons: BTreeMap<String, u32>,
    /// The groups of the RFM models that it reads, best first.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rfm: BTreeMap<String, Vec<String>>,
    /// IANA name of the zone in which days begin.
    pub zone: String,
    /// Currency of prices.
    pub currency: String,
}

impl Pinned {
    fn of_kind(&self, kind: DefinitionKind) -> &BTreeMap<String, u32> {
        match kind {
            DefinitionKind::Field => &self.fields,
            DefinitionKind::Segment => &self.segments,
            DefinitionKind::Template => &self.templates,
            _ => &self.coupons,
        }
    }

    fn of_kind_mut(&mut self, kind: DefinitionKind) -> &mut BTreeMap<String, u32> {
        match kind {
            DefinitionKind::Field => &mut self.fields,
            DefinitionKind::Segment => &mut self.segments,
            DefinitionKind::Template => &mut self.templates,
            _ => &mut self.coupons,
        }
    }

    /// As a life keeps it.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        // Maps with text keys always can be written.
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// The last version of each definition, loaded once for many journeys; earlier ones are loaded where one is asked for.
#[derive(Debug, Default)]
pub struct Versions {
    last: HashMap<(DefinitionKind, String), Definition>,
    /// The last versions of those that were taken back.
    retired: HashMap<(DefinitionKind, String), (Slug, u32)>,
    rfm: BTreeMap<String, Vec<String>>,
}

impl Versions {
    /// Loads the last versions, and the groups of RFM models.
    ///
    /// # Errors
    /// What the database says.
    pub async fn load<S: SettingsStore + RfmStore + Sync>(store: &S) -> Result<Self> {
        let mut versions = Self { rfm: Schema::with_fields([]).rfm, ..Self::default() };
        for kind in USED.into_iter().chain([DefinitionKind::Journey]) {
            for definition in store.load_definitions(kind).await? {
                versions.last.insert((kind, definition.slug.to_string()), definition);
            }
            for (slug, version) in store.load_retired(kind).await? {
                versions.retired.insert((kind, slug.to_string()), (slug, version));
            }
        }
        for model in store.load_rfm_models().await? {
            let groups = store.load_rfm_groups(model.model.clone()).await?;
            // Numbers 0 and 1 are nobody's and `none`.
            versions.rfm.insert(model.model.to_string(), groups.into_iter().skip(2).collect());
        }
        Ok(versions)
    }

    /// One version of a definition.
    ///
    /// # Errors
    /// What the database says.
    pub async fn get<S: SettingsStore + Sync>(
        &self,
        store: &S,
        kind: DefinitionKind,
        slug: &str,
        version: u32,
    ) -> Result<Option<Definition>> {
        let name = (kind, slug.to_owned());
        match (self.last.get(&name), self.retired.get(&name)) {
            (Some(last), _) if last.version == version => Ok(Some(last.clone())),
            (Some(last), _) if last.version > version => {
                store.load_definition(kind, last.slug.clone(), version).await
            }
            (None, Some((slug, gone))) if *gone > version => {
                store.load_definition(kind, slug.clone(), version).await
            }
            _ => Ok(None),
        }
    }

    /// Slugs of the journeys.
    fn journeys(&self) -> Vec<String> {
        let journeys = self.last.keys().filter(|(kind, _)| *kind == DefinitionKind::Journey);
        journeys.map(|(_, slug)| slug.clone()).collect()
    }

    /// The versions that saving these definitions will give them, in their order.
    #[must_use]
    pub fn foresee(&self, definitions: &[NewDefinition]) -> Vec<u32> {
        let one = |new: &NewDefinition| {
            let name = (new.kind, new.slug.to_string());
            match (self.last.get(&name), self.retired.get(&name)) {
                (Some(last), _) if last.hash == content_hash(new) => last.version,
                (Some(last), _) => last.version + 1,
                (None, Some((_, gone))) => gone + 1,
                (None, None) => 1,
            }
        };
        definitions.iter().map(one).collect()
    }
}

/// As storage computes it: versions differ where this differs.
fn content_hash(new: &NewDefinition) -> String {
    let digest = Sha256::digest(new.content.to_string().as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a journey that is about to be published uses: `versions` as they are before, `saved` the versions that its own
/// definitions get.
#[must_use]
pub fn pin(rules: &Rules, versions: &Versions, saved: &[u32]) -> Pinned {
    let mut known: BTreeMap<(DefinitionKind, String), (u32, String)> = versions
        .last
        .iter()
        .filter(|((kind, _), _)| *kind != DefinitionKind::Journey)
        .map(|(name, definition)| (name.clone(), (definition.version, definition.source().into_owned())))
        .collect();
    let mut open = vec![journey_text(rules)];
    for (definition, version) in rules.definitions.iter().zip(saved) {
        if definition.kind != DefinitionKind::Journey {
            let name = (definition.kind, definition.slug.to_string());
            known.insert(name, (*version, definition.content.to_string()));
        }
    }
    let zone = rules.zone.jiff().iana_name().unwrap_or("UTC").to_owned();
    let mut pinned = Pinned { zone, currency: rules.currency.to_string(), ..Pinned::default() };
    while let Some(text) = open.pop() {
        for (model, groups) in &versions.rfm {
            if text.contains(model.as_str()) {
                pinned.rfm.insert(model.clone(), groups.clone());
            }
        }
        let used: Vec<_> = known.keys().filter(|(_, slug)| text.contains(slug.as_str())).cloned().collect();
        for name in used {
            let Some((version, text)) = known.remove(&name) else { continue };
            pinned.of_kind_mut(name.0).insert(name.1, version);
            open.push(text);
        }
    }
    pinned
}

fn journey_text(rules: &Rules) -> String {
    let journey = rules.definitions.iter().rfind(|definition| definition.kind == DefinitionKind::Journey);
    journey.map(|definition| definition.content.to_string()).unwrap_or_default()
}

/// Compiles a version of a journey with what it was published with.
///
/// The outer result is the database's; the inner one says what is wrong with a version that cannot be compiled any more:
/// `journey.definition_gone` for something that was deleted, or whatever the checker finds.
///
/// # Errors
/// What the database says.
pub async fn compile_pinned<S: SettingsStore + SegmentStore + RfmStore + Sync>(
    store: &S,
    versions: &Versions,
    record: &LifeRecord,
) -> Result<std::result::Result<Rules, Problems>> {
    let of_run = |problem: Problem| problem.in_file(format!("{} version {}", record.journey, record.version));
    let slug = record.journey.as_str();
    let Some(definition) = versions.get(store, DefinitionKind::Journey, slug, record.version).await? else {
        return Ok(Err(vec![of_run(gone("journey", slug, record.version))]));
    };
    let (workspace, problems) = workspace(store, versions, &record.pinned).await?;
    if !problems.is_empty() {
        return Ok(Err(problems.into_iter().map(of_run).collect()));
    }
    Ok(compile(&folder(record, &definition), &workspace).map(|mut rules| {
        // It is known by what it was when it was published, whatever this program would make of it.
        rules.hash = super::hash(&definition.content);
        rules
    }))
}

/// A published version as a folder without files beside it.
fn folder(record: &LifeRecord, definition: &Definition) -> Folder {
    let content = &definition.content;
    let text = content.get("journey").unwrap_or(content).to_string();
    let file = format!("{} version {}", record.journey, record.version);
    Folder { journey: SourceFile { file, slug: record.journey.to_string(), text }, ..Folder::default() }
}

/// Whether a version of a journey uses a definition. One that cannot be compiled as it is uses all that it was published
/// with.
///
/// # Errors
/// What the database says.
pub(super) async fn needs<S: SettingsStore + SegmentStore + RfmStore + Sync>(
    store: &S,
    versions: &Versions,
    record: &LifeRecord,
    kind: DefinitionKind,
    slug: &Slug,
) -> Result<bool> {
    let names = match serde_json::from_value::<Pinned>(record.pinned.clone()) {
        Ok(pinned) if kind == DefinitionKind::RfmModel => pinned.rfm.contains_key(slug.as_str()),
        Ok(pinned) => pinned.of_kind(kind).contains_key(slug.as_str()),
        // Begun before versions were kept, or not to be read: it may.
        Err(_) => true,
    };
    if !names {
        return Ok(false);
    }
    let version =
        versions.get(store, DefinitionKind::Journey, record.journey.as_str(), record.version).await?;
    let (workspace, problems) = workspace(store, versions, &record.pinned).await?;
    Ok(match version {
        Some(definition) if problems.is_empty() => {
            let folder = folder(record, &definition);
            compile(&folder, &workspace).is_err() || uses::needs(&folder, &workspace, kind, slug)
        }
        _ => true,
    })
}

fn gone(what: &str, slug: &str, version: u32) -> Problem {
    Problem::new(
        "journey.definition_gone",
        format!("the {what} `{slug}` (version {version}) does not exist any more"),
    )
    .value(slug)
    .cure("publish the journey again; those inside can be moved: relance journey publish DIR --move")
}

/// The workspace as it was for the version.
async fn workspace<S: SettingsStore + SegmentStore + RfmStore + Sync>(
    store: &S,
    versions: &Versions,
    pinned: &serde_json::Value,
) -> Result<(Workspace, Problems)> {
    if pinned.is_null() {
        // Begun before versions were kept.
        return Ok((Workspace::of_versions(store).await?, Problems::new()));
    }
    let mut problems = Problems::new();
    let mut read = |result: std::result::Result<Pinned, String>| {
        result.unwrap_or_else(|why| {
            problems
                .push(Problem::new("journey.pinned", format!("the versions it uses cannot be read: {why}")));
            Pinned::default()
        })
    };
    let pinned = read(serde_json::from_value(pinned.clone()).map_err(|error| error.to_string()));
    let mut found: BTreeMap<DefinitionKind, Vec<Definition>> = BTreeMap::new();
    for kind in USED {
        for (slug, version) in pinned.of_kind(kind) {
            match versions.get(store, kind, slug, *version).await? {
                Some(definition) => found.entry(kind).or_default().push(definition),
                None => problems.push(gone(noun(kind), slug, *version)),
            }
        }
    }
    let mut fields = Vec::new();
    for definition in found.remove(&DefinitionKind::Field).unwrap_or_default() {
        let field: FieldDef =
            serde_json::from_value(definition.content).map_err(|error| StoreError::Inconsistent {
                table: "definitions",
                row: definition.slug.to_string(),
                why: error.to_string(),
            })?;
        fields.push(field);
    }
    let segments = found.remove(&DefinitionKind::Segment).unwrap_or_default();
    let mut schema = Schema::with_fields(fields);
    schema.rfm.extend(pinned.rfm);
    schema.segments = segments.iter().map(|definition| definition.slug.as_str()).collect();
    schema.event_kinds = Known::Any;
    let zone = Zone::parse(&pinned.zone).map_err(|problem| problems.push(problem)).unwrap_or(Zone::UTC);
    let workspace = Workspace {
        schema,
        zone,
        segments,
        templates: found.remove(&DefinitionKind::Template).unwrap_or_default(),
        coupons: found.remove(&DefinitionKind::CouponSet).unwrap_or_default(),
        journeys: versions.journeys(),
        currency: Currency::parse(&pinned.currency).unwrap_or(Currency::EUR),
    };
    Ok((workspace, problems))
}

const fn noun(kind: DefinitionKind) -> &'static str {
    match kind {
        DefinitionKind::Field => "field",
        DefinitionKind::Segment => "segment",
        DefinitionKind::Template => "template",
        DefinitionKind::CouponSet => "coupon set",
        DefinitionKind::Journey => "journey",
        DefinitionKind::RfmModel => "RFM model",
    }
}
