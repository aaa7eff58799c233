//! Who uses a definition: what could not be read, or not be sent, if it were gone.
//!
//! Segments and templates say what they read. A journey is asked by compiling it with the definition and without: it uses
//! what it cannot do without, directly or through what it uses. So nothing that a node of a new kind may name is
//! overlooked.

use std::collections::BTreeSet;

use model::{Problem, Problems, Slug};
use storage::{
    Result,
    live::LiveStore,
    rfm::RfmStore,
    segments::SegmentStore,
    settings::{DefinitionKind, SettingsStore, key},
};
use template::CompileContext;

use super::{Folder, Versions, Workspace, compile, pinned, read_template, templates};
use crate::segments;

/// Something that uses a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum User {
    /// A version of a journey whose life is not over.
    Journey {
        /// The journey.
        slug: Slug,
        /// The version.
        version: u32,
    },
    /// A segment whose condition refers to it.
    Segment(Slug),
    /// A template that shows or hides by it.
    Template(Slug),
}

/// Who uses a definition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// Those who name it themselves, and the journeys that cannot do without it.
    pub users: Vec<User>,
    /// Its own name, and those of all segments and templates that lead to it.
    names: BTreeSet<String>,
}

impl Uses {
    /// Whether a text names the definition, or something that leads to it: what does not, uses it not.
    #[must_use]
    pub fn may_occur_in(&self, text: &str) -> bool {
        self.names.iter().any(|name| text.contains(name))
    }
}

/// Whether a folder's journey uses a definition of the workspace. A file of its own under that name goes before it, and
/// then it does not.
#[must_use]
pub fn needs(folder: &Folder, workspace: &Workspace, kind: DefinitionKind, slug: &Slug) -> bool {
    let mistakes = |workspace: &Workspace| -> Problems {
        let found = compile(folder, workspace).err().unwrap_or_default();
        found.into_iter().filter(Problem::is_error).collect()
    };
    let known = mistakes(workspace);
    mistakes(&workspace.without(kind, slug)).iter().any(|problem| !known.contains(problem))
}

impl Workspace {
    /// The workspace as it would be without a definition.
    #[must_use]
    pub fn without(&self, kind: DefinitionKind, slug: &Slug) -> Self {
        let mut rest = self.clone();
        match kind {
            DefinitionKind::Segment => rest.segments.retain(|one| one.slug != *slug),
            DefinitionKind::Template => rest.templates.retain(|one| one.slug != *slug),
            DefinitionKind::CouponSet => rest.coupons.retain(|one| one.slug != *slug),
            DefinitionKind::Journey => rest.journeys.retain(|one| one != slug.as_str()),
            DefinitionKind::Field => drop(rest.schema.fields.remove(slug.as_str())),
            DefinitionKind::RfmModel => drop(rest.schema.rfm.remove(slug.as_str())),
        }
        rest
    }
}

/// Who uses a segment, a template, a coupon set or an RFM model now.
///
/// # Errors
/// What the database says.
pub async fn uses<S>(store: &S, kind: DefinitionKind, slug: &Slug) -> Result<Uses>
where
    S: SettingsStore + SegmentStore + RfmStore + LiveStore + Sync,
{
    let mut uses = Uses { users: Vec::new(), names: BTreeSet::from([slug.to_string()]) };
    let workspace = segments::Workspace::load(store).await?;
    let mut through: BTreeSet<String> = BTreeSet::new();
    for (name, file) in &workspace.segments {
        if names(&file.condition.reads(), kind, slug) {
            uses.users.push(User::Segment(file.slug.clone()));
            through.insert(name.clone());
        }
    }
    // Segments that refer to these, and so on.
    while let Some(more) = workspace
        .segments
        .iter()
        .find(|(name, file)| {
            !through.contains(*name) && !file.condition.reads().segments.is_disjoint(&through)
        })
        .map(|(name, _)| name.clone())
    {
        through.insert(more);
    }
    let currency = store.load_setting(key::CURRENCY.to_owned()).await?;
    let currency = currency.and_then(|json| model::Currency::parse(json.as_str()?).ok());
    let context = CompileContext {
        currency: currency.unwrap_or(model::Currency::EUR),
        schema: workspace.schema.clone(),
        published: false,
    };
    for definition in templates(store).await? {
        let file = definition.slug.as_str();
        let Ok(template) = read_template(&definition.source(), file, &context) else { continue };
        if names(template.reads(), kind, slug) {
            uses.users.push(User::Template(definition.slug.clone()));
        } else if template.reads().segments.is_disjoint(&through) {
            continue;
        }
        uses.names.insert(definition.slug.to_string());
    }
    uses.names.extend(through);
    let versions = Versions::load(store).await?;
    for record in store.load_lives(false).await? {
        if pinned::needs(store, &versions, &record, kind, slug).await? {
            uses.users.push(User::Journey { slug: record.journey, version: record.version });
        }
    }
    Ok(uses)
}

fn names(reads: &segment::Reads, kind: DefinitionKind, slug: &Slug) -> bool {
    match kind {
        DefinitionKind::Segment => reads.segments.contains(slug.as_str()),
        DefinitionKind::RfmModel => reads.rfm_models.contains(slug.as_str()),
        _ => false,
    }
}
