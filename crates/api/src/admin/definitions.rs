//! What segments, templates, coupon sets and RFM models have in common: each is a file that is put under a slug, gets
//! versions, is used by others, and can be taken back when nothing uses it.

use axum::http::StatusCode;
use engine::{
    live::book,
    rules::{self, User, Uses},
};
use model::{Problem, Problems, Slug};
use serde::Deserialize;
use serde_json::{Value, json};
use storage::{
    Storage, StoreError,
    retire::Retirement,
    settings::{Definition, DefinitionKind, NewDefinition},
};
use utoipa::ToSchema;

use super::journeys::folder::FolderBody;
use crate::{
    ApiError, ApiResult, App,
    access::Principal,
    audit, said,
    tag::{Precondition, Tag},
};

/// How often a definition is looked at anew when something changes while its uses are looked for.
const TRIES: usize = 5;

/// A kind of definitions, and what it is called.
#[derive(Debug)]
pub(crate) struct Kind {
    pub kind: DefinitionKind,
    /// In sentences.
    pub what: &'static str,
    /// Where its file names itself.
    pub field: &'static str,
    /// What the audit log calls it, before its slug.
    pub object: &'static str,
    /// The code when its file names itself otherwise.
    pub misnamed: &'static str,
    /// What the audit log calls saving it.
    pub saved: &'static str,
    /// What the audit log calls taking it back.
    pub removed: &'static str,
}

/// Segments.
pub(crate) const SEGMENT: Kind = Kind {
    kind: DefinitionKind::Segment,
    what: "segment",
    field: "segment",
    object: "segment",
    misnamed: "segment.name",
    saved: "segment.save",
    removed: "segment.delete",
};
/// Templates.
pub(crate) const TEMPLATE: Kind = Kind {
    kind: DefinitionKind::Template,
    what: "template",
    field: "template",
    object: "template",
    misnamed: "template.name",
    saved: "template.save",
    removed: "template.delete",
};
/// Coupon sets.
pub(crate) const COUPONS: Kind = Kind {
    kind: DefinitionKind::CouponSet,
    what: "coupon set",
    field: "coupons",
    object: "coupons",
    misnamed: "coupon.name",
    saved: "coupons.save",
    removed: "coupons.delete",
};

/// RFM models.
pub(crate) const RFM: Kind = Kind {
    kind: DefinitionKind::RfmModel,
    what: "RFM model",
    field: "model",
    object: "rfm",
    misnamed: "rfm.name",
    saved: "rfm.save",
    removed: "rfm.delete",
};

/// A definition as it is put: one of the two.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutDefinition {
    /// What its file holds, as a tree.
    #[schema(value_type = Option<Object>)]
    definition: Option<Value>,
    /// The file's text, YAML or JSON: problems then say line and column.
    source: Option<String>,
}

impl PutDefinition {
    /// The text of the definition, whichever way it is given.
    ///
    /// # Errors
    /// `definition.missing`.
    pub fn text(self) -> Result<String, Problem> {
        text(self.definition, self.source)
    }
}

/// The text of a definition that is given one way or the other.
///
/// # Errors
/// `definition.missing`.
pub(crate) fn text(definition: Option<Value>, source: Option<String>) -> Result<String, Problem> {
    match (definition, source) {
        (Some(tree), None) => Ok(tree.to_string()),
        (None, Some(text)) => Ok(text),
        _ => Err(Problem::new("definition.missing", "exactly one of `definition` and `source` is needed")
            .field("definition")
            .cure("give the tree as `definition`, or the file's text as `source`")),
    }
}

impl Kind {
    /// The last version, if there is one that was not taken back.
    pub async fn last<S: Storage>(&self, store: &S, slug: &Slug) -> ApiResult<Option<Definition>> {
        let all = store.load_definitions(self.kind).await?;
        Ok(all.into_iter().find(|definition| definition.slug == *slug))
    }

    /// The last version of what a path names.
    ///
    /// # Errors
    /// 404 `not_found`, 422 `slug.invalid`.
    pub async fn find<S: Storage>(&self, store: &S, name: &str) -> ApiResult<Definition> {
        let last = self.last(store, &said::slug(name)?).await?;
        last.ok_or_else(|| ApiError::not_found(self.what, name))
    }

    /// The slug and the text of what is to be put, once it is sure that nothing is overwritten unseen.
    ///
    /// # Errors
    /// `slug.invalid`, `definition.missing`, and those of [`Precondition::require`].
    pub async fn incoming<S: Storage>(
        &self,
        store: &S,
        name: &str,
        precondition: &Precondition,
        given: PutDefinition,
    ) -> ApiResult<(Slug, String)> {
        let slug = said::slug(name)?;
        let there = self.last(store, &slug).await?;
        precondition.require(there.as_ref().map(tag).as_ref())?;
        Ok((slug, given.text()?))
    }

    /// Refuses a file that calls itself otherwise than its path does.
    ///
    /// # Errors
    /// As [`Kind::misnamed`] says.
    pub fn named(&self, slug: &Slug, own: &Slug) -> Result<(), Problem> {
        if slug == own {
            return Ok(());
        }
        Err(Problem::new(self.misnamed, format!("the definition is of `{own}`"))
            .field(format!("definition.{}", self.field))
            .value(own)
            .cure(format!("write `{}: {slug}`", self.field)))
    }

    /// Saves a definition that was checked: journeys and the engine take it from now on.
    ///
    /// # Errors
    /// What the database says.
    pub async fn save<S: Storage>(
        &self,
        app: &App<S>,
        by: &Principal,
        slug: &Slug,
        content: Value,
    ) -> ApiResult<Definition> {
        let new = NewDefinition { kind: self.kind, slug: slug.clone(), content };
        app.store.save_definitions(vec![new], app.now()).await?;
        book::touch_rules(&app.store).await?;
        app.engine_bell.notify_one();
        let saved = self.find(&app.store, slug.as_str()).await?;
        self.note(app, by, slug, json!({ "version": saved.version })).await?;
        Ok(saved)
    }

    /// Writes down that a definition was saved.
    ///
    /// # Errors
    /// What the database says.
    pub async fn note<S: Storage>(
        &self,
        app: &App<S>,
        by: &Principal,
        slug: &Slug,
        details: Value,
    ) -> ApiResult<()> {
        audit::note(app, by, self.saved, format!("{}:{slug}", self.object), details).await
    }

    /// Takes a definition back, unless something uses it.
    ///
    /// # Errors
    /// 404 `not_found`; 409 `definition.in_use`, a problem for each that uses it; those of [`Precondition::require`].
    pub async fn remove<S: Storage>(
        &self,
        app: &App<S>,
        by: &Principal,
        name: &str,
        precondition: &Precondition,
    ) -> ApiResult<StatusCode> {
        for _ in 0..TRIES {
            // Taken before anything is looked at: what changes meanwhile is noticed by it.
            let mark = app.store.rules_mark().await?;
            let there = self.find(&app.store, name).await?;
            precondition.require(Some(&tag(&there)))?;
            self.unused(app, &there.slug).await?;
            let object = format!("{}:{}", self.object, there.slug);
            let deed = audit::deed(app, by, self.removed, object, json!({ "version": there.version }));
            let retirement = Retirement {
                kind: self.kind,
                slug: there.slug,
                version: there.version,
                mark,
                deed,
                at: app.now(),
            };
            if app.store.retire_definition(retirement).await? {
                app.engine_bell.notify_one();
                return Ok(StatusCode::NO_CONTENT);
            }
        }
        let problem =
            Problem::new("definition.busy", "too much is being changed to be sure that nothing uses it")
                .cure("try again in a moment");
        Err(ApiError { retry_after: Some(1), ..ApiError::new(StatusCode::CONFLICT, problem) })
    }

    /// Refuses when something uses a definition: segments, templates, journeys at work, drafts.
    async fn unused<S: Storage>(&self, app: &App<S>, slug: &Slug) -> ApiResult<()> {
        let uses = rules::uses(&app.store, self.kind, slug).await?;
        let mut problems: Problems = uses.users.iter().map(|user| self.in_use(slug, user)).collect();
        for draft in self.drafts(app, slug, &uses).await? {
            problems.push(self.refusal(
                slug,
                &format!("the draft of the journey `{draft}`"),
                "journeys",
                &draft,
            ));
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(ApiError { status: StatusCode::CONFLICT, problems, retry_after: None })
    }

    /// Journeys whose drafts could not be published without it.
    async fn drafts<S: Storage>(&self, app: &App<S>, slug: &Slug, uses: &Uses) -> ApiResult<Vec<Slug>> {
        let mut drafts = app.store.load_drafts(DefinitionKind::Journey).await?;
        drafts.retain(|draft| uses.may_occur_in(&draft.content.to_string()));
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        let workspace = rules::Workspace::load(&app.store).await?;
        let (kind, slug) = (self.kind, slug.clone());
        let found = tokio::task::spawn_blocking(move || {
            let needs = |draft: &storage::desk::Draft| {
                let body: Result<FolderBody, _> = serde_json::from_value(draft.content.clone());
                body.is_ok_and(|body| rules::needs(&body.folder(), &workspace, kind, &slug))
            };
            drafts.retain(needs);
            drafts.into_iter().map(|draft| draft.slug).collect()
        });
        Ok(found.await.map_err(|error| StoreError::Driver(format!("the checking thread ended: {error}")))?)
    }

    fn in_use(&self, slug: &Slug, user: &User) -> Problem {
        match user {
            User::Journey { slug: by, version } => {
                self.refusal(slug, &format!("version {version} of the journey `{by}`"), "journeys", by)
            }
            User::Segment(by) => self.refusal(slug, &format!("the segment `{by}`"), "segments", by),
            User::Template(by) => self.refusal(slug, &format!("the template `{by}`"), "templates", by),
        }
    }

    fn refusal(&self, slug: &Slug, user: &str, field: &'static str, by: &Slug) -> Problem {
        let cure = match field {
            "journeys" => "stop that journey, or publish it without; change its draft, or throw it away",
            _ => "change that first, or delete it",
        };
        Problem::new("definition.in_use", format!("the {} `{slug}` is used by {user}", self.what))
            .field(field)
            .value(by)
            .cure(cure)
    }
}

/// The version of a definition, as an `ETag`.
pub(crate) fn tag(definition: &Definition) -> Tag {
    Tag::new(&definition.hash)
}
