//! `POST /api/v1/imports`: a file is taken, and imported as a job.

use std::{io::Write, path::PathBuf};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::StatusCode,
};
use connect::source::Source;
use futures_util::StreamExt;
use model::Problem;
use serde::Deserialize;
use storage::Storage;

use super::{
    IMPORT, JobBody, ask,
    importing::{Importing, KindWord, hex},
};
use crate::{ApiError, ApiResult, App, access::Editor, extract::Asked};

/// The longest name of a file that is kept, in characters.
const NAME_MAX: usize = 200;
/// Pieces that wait for the disk.
const PIECES_AHEAD: usize = 8;

/// How the file is to be read. What is left out is found in the file, or is as `relance import` has it.
#[derive(Clone, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImportQuery {
    /// What its rows are.
    #[param(inline)]
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

/// Takes a file (CSV, JSON Lines, Parquet; plain, gzip or zstd) as the request's body, and imports it as a job. The same
/// file imported again changes nothing that is known already. Rows that are not taken are in the job's file `rejects`.
#[utoipa::path(
    post,
    path = "/api/v1/imports",
    operation_id = "import",
    params(ImportQuery),
    request_body(content = String, content_type = "application/octet-stream"),
    responses((status = 202, body = JobBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(editor): Editor,
    Asked(asked): Asked<ImportQuery>,
    body: Body,
) -> ApiResult<(StatusCode, Json<JobBody>)> {
    let name = file_name(asked.name.as_deref())?;
    let mut request = Importing {
        kind: asked.kind,
        name,
        file: String::new(),
        map: asked.map,
        mapping: asked.mapping,
        currency: asked.currency,
        timezone: asked.timezone,
        contact_key: asked.contact_key,
        encoding: asked.encoding,
        delimiter: asked.delimiter,
        date_format: asked.date_format,
        decimal_comma: asked.decimal_comma.unwrap_or_default(),
        cancellation_prefix: asked.cancellation_prefix,
        negative: asked.negative,
        incomplete_orders: asked.incomplete_orders,
        live: asked.live,
    };
    // What is wrong is said before anything is taken.
    request.options()?;
    let mut random = [0; 12];
    app.chance.fill(&mut random);
    request.file = format!("upload-{}", hex(&random));
    let path = app.config.desk.folder.join(&request.file);
    let taken = take(&app, path.clone(), body).await;
    let checked = match taken {
        Ok(()) => look(path.clone(), request.name.clone()).await,
        Err(error) => Err(error),
    };
    let asked = match checked {
        Ok(()) => ask(&app, &editor, IMPORT, &request).await,
        Err(error) => Err(error),
    };
    if asked.is_err() {
        drop(tokio::task::spawn_blocking(move || std::fs::remove_file(path)).await);
    }
    asked
}

fn file_name(name: Option<&str>) -> Result<String, Problem> {
    let name = name.unwrap_or("upload");
    let plain = !name.chars().any(char::is_control) && !name.is_empty() && name.chars().count() <= NAME_MAX;
    if plain {
        return Ok(name.to_owned());
    }
    Err(Problem::new("import.name", "the file's name cannot be used")
        .field("name")
        .cure(format!("use 1 to {NAME_MAX} characters without control characters")))
}

/// Writes the body into a file.
async fn take<S: Storage>(app: &App<S>, path: PathBuf, body: Body) -> ApiResult<()> {
    let (pieces, mut waiting) = tokio::sync::mpsc::channel::<Bytes>(PIECES_AHEAD);
    let folder = app.config.desk.folder.clone();
    let writing = tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(&folder)?;
        let mut file = std::fs::File::create_new(&path)?;
        while let Some(piece) = waiting.blocking_recv() {
            file.write_all(&piece)?;
        }
        // The job is acknowledged: its file must outlive a power cut.
        file.sync_all()
    });
    let (mut stream, mut length, max) = (body.into_data_stream(), 0_u64, app.config.desk.upload_max);
    let mut broken = None;
    while let Some(piece) = stream.next().await {
        let Ok(piece) = piece else {
            let problem = Problem::new("upload.broken", "the file did not come to its end");
            broken = Some(ApiError::new(StatusCode::BAD_REQUEST, problem.cure("send it again")));
            break;
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
