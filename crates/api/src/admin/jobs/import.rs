//! `POST /api/v1/imports`: a file is taken, as the body or as a part of a form, and imported as a job.

use std::{io::Write, path::PathBuf};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode},
};
use connect::source::Source;
use futures_util::{Stream, StreamExt};
use model::{Problem, Problems};
use serde::Deserialize;
use storage::Storage;

use super::{
    IMPORT, JobBody, ask,
    importing::{Importing, KindWord, hex},
    parts::{self, ImportForm},
};
use crate::{ApiError, ApiResult, App, access::Editor};

/// The longest name of a file that is kept, in characters.
const NAME_MAX: usize = 200;
/// Pieces that wait for the disk.
const PIECES_AHEAD: usize = 8;

/// How the file is to be read. What is left out is found in the file, or is as `relance import` has it.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImportQuery {
    /// What its rows are. It has to be said, here or in the form.
    #[param(inline, required = false)]
    kind: KindWord,
    /// What to call the file.
    name: Option<String>,
    /// Columns by field, as in `order_id=InvoiceNo,contact=CustomerID`.
    map: Option<String>,
    /// A mapping file: its text, YAML or JSON. What is said beside it goes before it.
    mapping: Option<String>,
    /// Currency of amounts without one.
    currency: Option<String>,
    /// Zone of times without one.
    timezone: Option<String>,
    /// How contacts are named: `external_id` or `email`.
    contact_key: Option<String>,
    /// `utf-8` or `latin1`.
    encoding: Option<String>,
    /// What separates cells: a character, or `tab`.
    delimiter: Option<String>,
    /// How dates are written.
    date_format: Option<String>,
    /// Amounts have a decimal comma.
    decimal_comma: Option<bool>,
    /// Orders whose id begins with this are cancellations.
    cancellation_prefix: Option<String>,
    /// What negative quantities are: `refund` or `reject`.
    negative: Option<String>,
    /// What becomes of orders with a rejected row: `import` or `hold`.
    incomplete_orders: Option<String>,
    /// It happens now: journeys and segments hear of everything new in the file.
    #[serde(default)]
    live: bool,
}

/// Takes a file (CSV, JSON Lines, Parquet; plain, gzip or zstd) as the request's body, or as the part `file` of a form, and
/// imports it as a job. A form's other parts are settings: each is said there or behind the question mark. The same file
/// imported again changes nothing that is known already. Rows that are not taken are in the job's file `rejects`.
#[utoipa::path(
    post,
    path = "/api/v1/imports",
    operation_id = "import",
    params(ImportQuery),
    request_body(content((String = "application/octet-stream"), (ImportForm = "multipart/form-data"))),
    responses((status = 202, body = JobBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(editor): Editor,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<(StatusCode, Json<JobBody>)> {
    let query = query.unwrap_or_default();
    let boundary = parts::boundary(&headers)?;
    let mut random = [0; 12];
    app.chance.fill(&mut random);
    let file = format!("upload-{}", hex(&random));
    let folder = app.config.desk.folder.clone();
    let place = Place { path: folder.join(&file), folder, max: app.config.desk.upload_max };
    let taken = match boundary {
        None => taken_bare(&query, file, body, &place).await,
        Some(boundary) => taken_of_form(&query, file, (body, boundary), &place).await,
    };
    let asked = match taken {
        Ok(request) => match look(place.path.clone(), request.name.clone()).await {
            Ok(()) => ask(&app, &editor, IMPORT, &request).await,
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    if asked.is_err() {
        drop(tokio::task::spawn_blocking(move || std::fs::remove_file(place.path)).await);
    }
    asked
}

/// The body is the file.
async fn taken_bare(query: &str, file: String, body: Body, place: &Place) -> ApiResult<Importing> {
    let unreadable = |error: serde_urlencoded::de::Error| {
        let problem = Problem::new("query.invalid", error.to_string());
        ApiError::new(StatusCode::BAD_REQUEST, problem.field("query"))
    };
    let asked: ImportQuery = serde_urlencoded::from_str(query).map_err(unreadable)?;
    // What is wrong is said before anything is taken.
    let request = asked.importing(file, None)?;
    take(place, body.into_data_stream().map(|piece| piece.map_err(|_| cut_off()))).await?;
    Ok(request)
}

/// The file is a part of a form. What is wrong with its settings is known when all of them have come.
async fn taken_of_form(
    query: &str,
    file: String,
    (body, boundary): (Body, String),
    place: &Place,
) -> ApiResult<Importing> {
    let unreadable = |error: String| {
        ApiError::new(StatusCode::BAD_REQUEST, Problem::new("body.invalid", error).field("form"))
    };
    let said = serde_urlencoded::from_str(query).map_err(|error| unreadable(error.to_string()))?;
    let form = parts::read(body, boundary, said, place).await?;
    let text = serde_urlencoded::to_string(form.settings).map_err(|error| unreadable(error.to_string()))?;
    let asked: ImportQuery =
        serde_urlencoded::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    Ok(asked.importing(file, form.file_name)?)
}

impl ImportQuery {
    /// What is asked for, if it can be done. A name that is said goes before the one that the sender has for the file.
    fn importing(self, file: String, sent_as: Option<String>) -> Result<Importing, Problems> {
        let request = Importing {
            kind: self.kind,
            name: file_name(self.name.or(sent_as).as_deref())?,
            file,
            map: self.map,
            mapping: self.mapping,
            currency: self.currency,
            timezone: self.timezone,
            contact_key: self.contact_key,
            encoding: self.encoding,
            delimiter: self.delimiter,
            date_format: self.date_format,
            decimal_comma: self.decimal_comma.unwrap_or_default(),
            cancellation_prefix: self.cancellation_prefix,
            negative: self.negative,
            incomplete_orders: self.incomplete_orders,
            live: self.live,
        };
        request.options()?;
        Ok(request)
    }
}

fn file_name(name: Option<&str>) -> Result<String, Problems> {
    let name = name.unwrap_or("upload");
    let plain = !name.chars().any(char::is_control) && !name.is_empty() && name.chars().count() <= NAME_MAX;
    if plain {
        return Ok(name.to_owned());
    }
    let cure = format!("use 1 to {NAME_MAX} characters without control characters");
    Err(vec![Problem::new("import.name", "the file's name cannot be used").field("name").cure(cure)])
}

/// Where a file is written to.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub folder: PathBuf,
    pub path: PathBuf,
    /// The largest file, in bytes.
    pub max: u64,
}

/// The sender hung up.
pub(super) fn cut_off() -> ApiError {
    let problem = Problem::new("upload.broken", "the file did not come to its end");
    ApiError::new(StatusCode::BAD_REQUEST, problem.cure("send it again"))
}

/// Writes what comes into a file.
pub(super) async fn take(
    place: &Place,
    mut stream: impl Stream<Item = ApiResult<Bytes>> + Unpin,
) -> ApiResult<()> {
    let (pieces, mut waiting) = tokio::sync::mpsc::channel::<Bytes>(PIECES_AHEAD);
    let Place { folder, path, max } = place.clone();
    let writing = tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(&folder)?;
        let mut file = std::fs::File::create_new(&path)?;
        while let Some(piece) = waiting.blocking_recv() {
            file.write_all(&piece)?;
        }
        // The job is acknowledged: its file must outlive a power cut.
        file.sync_all()
    });
    let (mut length, mut broken) = (0_u64, None);
    while let Some(piece) = stream.next().await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => {
                broken = Some(error);
                break;
            }
        };
        length += piece.len() as u64;
        if length > max {
            let problem = Problem::new("upload.too_large", format!("more than {max} bytes were sent"))
                .cure("pack it with gzip or zstd, send it in parts, or use `relance import` on the server");
            broken = Some(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, problem));
            break;
        }
        if pieces.send(piece).await.is_err() {
            break;
        }
    }
    drop(pieces);
    // Whoever removes the file removes it when it is there: a thread that has not begun yet would make it afterwards.
    let written = writing.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    if let Some(error) = broken {
        return Err(error);
    }
    written.map_err(|error| {
        tracing::error!(%error, "a file that was sent cannot be kept");
        let full = error.kind() == std::io::ErrorKind::StorageFull;
        let problem = Problem::new("upload.unwritable", "the server cannot keep the file")
            .cure("its log says why: the disk may be full");
        let status = if full { StatusCode::INSUFFICIENT_STORAGE } else { StatusCode::INTERNAL_SERVER_ERROR };
        ApiError::new(status, problem)
    })
}

/// Looks whether it is a file that can be read at all.
async fn look(path: PathBuf, name: String) -> ApiResult<()> {
    let looked = tokio::task::spawn_blocking(move || Source::open(&path, &name).map(drop)).await;
    looked.map_err(|error| storage::StoreError::Driver(format!("the reading thread ended: {error}")))??;
    Ok(())
}
