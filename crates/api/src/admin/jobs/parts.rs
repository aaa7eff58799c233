//! A file that comes as a part of a form (`multipart/form-data`), with its settings as parts beside it.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Poll, ready},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode, header},
};
use futures_util::{Stream, StreamExt, future::poll_fn, stream};
use model::Problem;
use multer::{Field, Multipart};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{
        KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, schema::AdditionalProperties, schema::Type,
    },
};

use super::import::{ImportQuery, Place, cut_off, take};
use crate::{ApiError, ApiResult};

/// The part that is the file.
const FILE: &str = "file";
/// All settings of a form together, names and values, in bytes: 1 MiB.
const SETTINGS_MAX: usize = 1 << 20;
/// What may stand before a part's content (its own headers, or what stands before the first part), in bytes: 16 KiB.
const HEAD_MAX: u64 = 16 << 10;

/// What a form held.
#[derive(Debug)]
pub(super) struct Form {
    /// The settings: those that were said before, then those of the parts.
    pub settings: Vec<(String, String)>,
    /// What the sender calls the file.
    pub file_name: Option<String>,
}

/// What ends the parts of the body, where it is a form.
///
/// # Errors
/// A form that does not say what ends its parts.
pub(super) fn boundary(headers: &HeaderMap) -> ApiResult<Option<String>> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    match kind.map(multer::parse_boundary) {
        Some(Ok(boundary)) => Ok(Some(boundary)),
        Some(Err(multer::Error::NoBoundary)) => Err(unreadable(
            "the form does not say what ends its parts",
            "send `Content-Type: multipart/form-data; boundary=…`, as clients do by themselves",
        )),
        // What is no form is the file itself, whatever it calls itself.
        _ => Ok(None),
    }
}

/// Takes a form: writes its file to its place, and keeps its settings. Neither waits in memory for the other: parts may
/// come in any order.
///
/// # Errors
/// A form without a file, or with two; parts that nothing knows, that come twice or are too large; whatever [`take`]
/// refuses.
pub(super) async fn read(
    body: Body,
    boundary: String,
    said: Vec<(String, String)>,
    place: &Place,
) -> ApiResult<Form> {
    let handed = Arc::new(AtomicU64::new(0));
    let mut parts = Multipart::new(pieces(body, Arc::clone(&handed)), boundary);
    let mut form = Form { settings: said, file_name: None };
    let (mut has_file, mut left) = (false, SETTINGS_MAX);
    while let Some(part) = next(&mut parts, &handed).await? {
        let name = part.name().unwrap_or_default().to_owned();
        if name == FILE {
            if has_file {
                return Err(Problem::new("import.two_files", "the form has two files")
                    .field(FILE)
                    .cure("import them one after the other")
                    .into());
            }
            has_file = true;
            form.file_name = part.file_name().filter(|name| !name.is_empty()).map(str::to_owned);
            take(place, part.map(|piece| piece.map_err(broken))).await?;
        } else {
            known(&name, &form.settings)?;
            let value = text(part, &name, &mut left).await?;
            form.settings.push((name, value));
        }
    }
    if has_file {
        return Ok(form);
    }
    Err(Problem::new("import.no_file", "the form has no file")
        .field(FILE)
        .cure("send it as the part `file`")
        .into())
}

/// The body, piece by piece. The reader of the parts takes whatever is ready before it hands anything on: it is told
/// after each piece that there is nothing more just now, so that no more than one waits in memory.
fn pieces(body: Body, handed: Arc<AtomicU64>) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send {
    let (mut body, mut has_given) = (body.into_data_stream(), false);
    stream::poll_fn(move |context| {
        if std::mem::take(&mut has_given) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = ready!(body.poll_next_unpin(context));
        if let Some(Ok(piece)) = &piece {
            has_given = true;
            handed.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        Poll::Ready(piece)
    })
}

/// The next part. Its head is looked for in what has come so far, which must not grow for ever.
async fn next(parts: &mut Multipart<'static>, handed: &AtomicU64) -> ApiResult<Option<Field<'static>>> {
    let before = handed.load(Ordering::Relaxed);
    let next = poll_fn(|context| match parts.poll_next_field(context) {
        Poll::Pending if handed.load(Ordering::Relaxed) - before >= HEAD_MAX => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
        Poll::Ready(next) => Poll::Ready(Some(next)),
    });
    match next.await {
        Some(next) => next.map_err(broken),
        None => Err(unreadable(
            format!("a part does not begin within {HEAD_MAX} bytes"),
            "send shorter headers of parts, and nothing before the first",
        )),
    }
}

/// Whether a part is a setting, and was not said before.
fn known(name: &str, settings: &[(String, String)]) -> Result<(), Problem> {
    let names: Vec<String> = ImportQuery::into_params(|| None).into_iter().map(|known| known.name).collect();
    if !names.iter().any(|known| known == name) {
        let candidates = names.iter().map(String::as_str).chain([FILE]);
        return Err(Problem::new("import.unknown_part", "the form has a part that means nothing")
            .field("form")
            .value(name)
            .suggest(name, candidates));
    }
    if settings.iter().any(|(said, _)| said == name) {
        return Err(Problem::new("import.said_twice", format!("`{name}` is said twice"))
            .field(name)
            .cure("say it once: behind the question mark, or as a part"));
    }
    Ok(())
}

/// A part that is a text.
async fn text(mut part: Field<'static>, name: &str, left: &mut usize) -> ApiResult<String> {
    let too_large = || {
        Problem::new("import.settings_too_large", format!("the settings are more than {SETTINGS_MAX} bytes"))
            .field(name)
            .cure("send what is to be imported as the part `file`")
    };
    *left = left.checked_sub(name.len()).ok_or_else(too_large)?;
    let mut bytes = Vec::new();
    while let Some(piece) = part.next().await {
        let piece = piece.map_err(broken)?;
        *left = left.checked_sub(piece.len()).ok_or_else(too_large)?;
        bytes.extend_from_slice(&piece);
    }
    String::from_utf8(bytes).map_err(|_| unreadable(format!("`{name}` is no text"), "send UTF-8"))
}

/// What cannot be read at all is a bad request.
fn unreadable(why: impl Into<String>, cure: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, Problem::new("body.invalid", why).field("form").cure(cure))
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
fn broken(error: multer::Error) -> ApiError {
    use multer::Error::{IncompleteFieldData, IncompleteHeaders, IncompleteStream, StreamReadFailed};
    let is_cut = matches!(
        error,
        IncompleteFieldData { .. } | IncompleteHeaders | IncompleteStream | StreamReadFailed(_)
    );
    if is_cut {
        cut_off()
    } else {
        unreadable(error.to_string(), "send the form as clients make it by themselves")
    }
}

/// How the document describes a form: the file, and the settings as they stand behind the question mark.
pub(crate) struct ImportForm;

impl PartialSchema for ImportForm {
    fn schema() -> RefOr<Schema> {
        let binary = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
            .description(Some("The file. What it is called is kept, unless `name` says otherwise."));
        let mut form = ObjectBuilder::new().property(FILE, binary).required(FILE);
        for setting in ImportQuery::into_params(|| None) {
            let mut schema = setting.schema.unwrap_or_default();
            if let RefOr::T(Schema::Object(object)) = &mut schema {
                object.description = setting.description;
            }
            form = form.property(setting.name, schema);
        }
        form.additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false))).into()
    }
}

impl ToSchema for ImportForm {
    fn name() -> Cow<'static, str> {
        "ImportForm".into()
    }
}
