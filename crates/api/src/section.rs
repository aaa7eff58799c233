//! Operations put together: a router and the part of the OpenAPI document that describes it, from one list, so that
//! neither can say what the other does not.
//!
//! One file holds one operation: an async function `handle` under `#[utoipa::path(...)]`. A section lists them:
//!
//! ```text
//! pub fn section<S: Storage>() -> Section<S> {
//!     operations!(Section::new("lists"), S; list, create, remove)
//! }
//! ```

use std::collections::BTreeMap;

use axum::{
    Router,
    handler::Handler,
    routing::{MethodFilter, on},
};
use storage::Storage;
use utoipa::{
    PartialSchema, Path, ToSchema,
    openapi::{
        Content, HttpMethod, OpenApi, PathItem, Ref, RefOr, ResponseBuilder, Schema, path::Operation,
        schema::ComponentsBuilder,
    },
};

use crate::{App, once::Once, problem::ProblemDetails};

/// What paths of the admin API begin with.
const ADMIN: &str = "/api/v1/";

/// Operations that belong together.
pub struct Section<S> {
    tag: &'static str,
    router: Router<App<S>>,
    operations: Vec<(String, Vec<HttpMethod>, Operation)>,
    schemas: Vec<(String, RefOr<Schema>)>,
}

/// Adds operations to a section: modules that hold a `handle`, generic over the storage. A POST of the admin API among
/// them is worked on once when it carries an `Idempotency-Key`: see [`mod@crate::once`].
#[macro_export]
macro_rules! operations {
    ($section:expr, $store:ident; $($module:ident),* $(,)?) => {{
        let section = $section;
        $(let section = section.operation::<$module::__path_handle, _, _>($module::handle::<$store>);)*
        section
    }};
}

/// Adds operations to a section that are worked on each time they are asked: what changes nothing, what somebody who has
/// not signed in asks, and what must not be kept, as a password.
#[macro_export]
macro_rules! each_time {
    ($section:expr, $store:ident; $($module:ident),* $(,)?) => {{
        let section = $section;
        $(let section = section.each_time::<$module::__path_handle, _, _>($module::handle::<$store>);)*
        section
    }};
}

impl<S: Storage> Section<S> {
    /// None yet; the tag groups its operations in the document.
    #[must_use]
    pub fn new(tag: &'static str) -> Self {
        Self { tag, router: Router::new(), operations: Vec::new(), schemas: Vec::new() }
    }

    /// With an operation: what `#[utoipa::path]` made of it, and the function itself. A POST of the admin API is worked
    /// on once for each `Idempotency-Key`.
    ///
    /// # Panics
    /// When the operation names no method, or one that is routed already: at the start of the program, in every test.
    #[must_use]
    pub fn operation<P, H, T>(self, handler: H) -> Self
    where
        P: Path + utoipa::__dev::SchemaReferences,
        H: Handler<T, App<S>>,
        T: 'static,
    {
        if P::methods() != [HttpMethod::Post] || !P::path().starts_with(ADMIN) {
            return self.each_time::<P, H, T>(handler);
        }
        let mut section = self.each_time::<P, _, T>(Once(handler));
        if let Some((_, _, operation)) = section.operations.last_mut() {
            crate::once::describe(operation);
        }
        section
    }

    /// With an operation that is worked on each time it is asked.
    ///
    /// # Panics
    /// As [`Section::operation`].
    #[must_use]
    pub fn each_time<P, H, T>(mut self, handler: H) -> Self
    where
        P: Path + utoipa::__dev::SchemaReferences,
        H: Handler<T, App<S>>,
        T: 'static,
    {
        let methods = P::methods();
        let filter =
            methods.iter().map(filter).reduce(MethodFilter::or).expect("an operation names its method");
        self.router = self.router.route(&P::path(), on(filter, handler));
        let mut operation = P::operation();
        operation.tags.get_or_insert_with(|| vec![self.tag.to_owned()]);
        self.operations.push((P::path(), methods, operation));
        P::schemas(&mut self.schemas);
        self
    }

    /// With what another section holds, under its own tag.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.operations.extend(other.operations);
        self.schemas.extend(other.schemas);
        self
    }

    /// With routes that the document does not describe: pages for people, assets.
    #[must_use]
    pub fn undocumented(mut self, router: Router<App<S>>) -> Self {
        self.router = self.router.merge(router);
        self
    }

    /// With a layer around all of its routes so far.
    #[must_use]
    pub fn map_router(mut self, change: impl FnOnce(Router<App<S>>) -> Router<App<S>>) -> Self {
        self.router = change(self.router);
        self
    }

    pub(crate) fn into_router(self) -> Router<App<S>> {
        self.router
    }
}

fn filter(method: &HttpMethod) -> MethodFilter {
    match method {
        HttpMethod::Get => MethodFilter::GET,
        HttpMethod::Post => MethodFilter::POST,
        HttpMethod::Put => MethodFilter::PUT,
        HttpMethod::Delete => MethodFilter::DELETE,
        HttpMethod::Options => MethodFilter::OPTIONS,
        HttpMethod::Head => MethodFilter::HEAD,
        HttpMethod::Patch => MethodFilter::PATCH,
        HttpMethod::Trace => MethodFilter::TRACE,
    }
}

/// The document of these sections.
///
/// # Panics
/// When two things have one name in it: at the start of the program, in every test.
pub(crate) fn document<S>(sections: &[Section<S>]) -> OpenApi {
    let mut document = OpenApi::default();
    document.info.title = "Relance".to_owned();
    document.info.description =
        Some("Customer journeys for shops: tracking, administration, links of messages.".to_owned());
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    let mut components = ComponentsBuilder::new();
    let mut schemas: Vec<(String, RefOr<Schema>)> = Vec::new();
    for section in sections {
        for (path, methods, operation) in &section.operations {
            let mut operation = operation.clone();
            if path.starts_with(ADMIN) {
                refusals(&mut operation);
            }
            problems_are_named(&mut operation);
            let item = PathItem::from_http_methods(methods.clone(), operation);
            match document.paths.paths.get_mut(path) {
                Some(known) => known.merge_operations(item),
                None => {
                    document.paths.paths.insert(path.clone(), item);
                }
            }
        }
        schemas.extend(section.schemas.iter().cloned());
    }
    <ProblemDetails as ToSchema>::schemas(&mut schemas);
    schemas.push((ProblemDetails::name().into_owned(), <ProblemDetails as PartialSchema>::schema()));
    let mut known: BTreeMap<String, RefOr<Schema>> = BTreeMap::new();
    for (name, schema) in schemas {
        let same = known.entry(name.clone()).or_insert_with(|| schema.clone()) == &schema;
        assert!(same, "two things are called `{name}`: name one of them with #[schema(as = …)]");
        components = components.schema(name, schema);
    }
    document.components = Some(components.build());
    document
}

/// Refusals have a media type of their own (RFC 9457), whatever an operation's own list says of its answers.
fn problems_are_named(operation: &mut Operation) {
    let problem = RefOr::Ref(Ref::from_schema_name(ProblemDetails::name()));
    for response in operation.responses.responses.values_mut() {
        let is_problem = |content: &RefOr<Content>| matches!(content, RefOr::T(content) if content.schema.as_ref() == Some(&problem));
        if let RefOr::T(response) = response
            && response.content.get("application/json").is_some_and(is_problem)
            && let Some(content) = response.content.shift_remove("application/json")
        {
            response.content.insert("application/problem+json".to_owned(), content);
        }
    }
}

/// What every operation of the admin API may answer beside what it says itself.
fn refusals(operation: &mut Operation) {
    let responses = &mut operation.responses.responses;
    for (status, about) in [("4XX", "Refused: the problems say why."), ("5XX", "The server has failed.")] {
        let content = Content::new(Some(Ref::from_schema_name(ProblemDetails::name())));
        let response = ResponseBuilder::new().description(about).content("application/problem+json", content);
        responses.entry(status.to_owned()).or_insert_with(|| response.build().into());
    }
}
