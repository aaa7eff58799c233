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

use axum::{
    Router,
    handler::Handler,
    routing::{MethodFilter, on},
};
use storage::Storage;
use utoipa::{
    Path,
    openapi::{HttpMethod, OpenApi, PathItem, RefOr, Schema, schema::ComponentsBuilder},
};

use crate::App;

/// Operations that belong together.
pub struct Section<S> {
    tag: &'static str,
    router: Router<App<S>>,
    operations: Vec<(String, Vec<HttpMethod>, utoipa::openapi::path::Operation)>,
    schemas: Vec<(String, RefOr<Schema>)>,
}

/// Adds operations to a section: modules that hold a `handle`, generic over the storage.
#[macro_export]
macro_rules! operations {
    ($section:expr, $store:ident; $($module:ident),* $(,)?) => {{
        let section = $section;
        $(let section = section.operation::<$module::__path_handle, _, _>($module::handle::<$store>);)*
        section
    }};
}

impl<S: Storage> Section<S> {
    /// None yet; the tag groups its operations in the document.
    #[must_use]
    pub fn new(tag: &'static str) -> Self {
        Self { tag, router: Router::new(), operations: Vec::new(), schemas: Vec::new() }
    }

    /// With an operation: what `#[utoipa::path]` made of it, and the function itself.
    ///
    /// # Panics
    /// When the operation names no method, or one that is routed already: at the start of the program, in every test.
    #[must_use]
    pub fn operation<P, H, T>(mut self, handler: H) -> Self
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
pub(crate) fn document<S>(sections: &[Section<S>]) -> OpenApi {
    let mut document = OpenApi::default();
    document.info.title = "Relance".to_owned();
    document.info.description =
        Some("Customer journeys for shops: tracking, administration, links of messages.".to_owned());
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    let mut components = ComponentsBuilder::new();
    for section in sections {
        for (path, methods, operation) in &section.operations {
            let item = PathItem::from_http_methods(methods.clone(), operation.clone());
            match document.paths.paths.get_mut(path) {
                Some(known) => known.merge_operations(item),
                None => {
                    document.paths.paths.insert(path.clone(), item);
                }
            }
        }
        for (name, schema) in &section.schemas {
            components = components.schema(name.clone(), schema.clone());
        }
    }
    document.components = Some(components.build());
    document
}
