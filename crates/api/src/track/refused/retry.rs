//! `POST /api/v1/refused/retry`: refused messages once more.

use axum::{Json, extract::State, http::StatusCode};
use connect::segment_http::{Arrival, Call};
use model::Problem;
use serde::{Deserialize, Serialize};
use storage::{Storage, refused::Refused};
use utoipa::ToSchema;

use super::super::job::Job;
use crate::{
    ApiError, ApiResult, App,
    access::Editor,
    extract::Body,
    page::PAGE_MAX,
    problem::{ProblemBody, ProblemDetails},
};

/// Which.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(example = json!({"ids": [17, 18]}))]
pub(crate) struct Which {
    /// Their numbers: at most 500.
    pub ids: Vec<i64>,
}

impl Which {
    pub(super) fn checked(self) -> ApiResult<Vec<i64>> {
        if self.ids.len() <= PAGE_MAX {
            return Ok(self.ids);
        }
        let problem = Problem::new("list.too_long", format!("more than {PAGE_MAX} numbers"))
            .field("ids")
            .value(self.ids.len())
            .cure("send fewer at once");
        Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, problem))
    }
}

/// What became of them.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct Retried {
    /// Those that were taken: they are not refused any more.
    pub taken: Vec<i64>,
    /// Those that were refused again.
    pub refused: Vec<StillRefused>,
}

/// A message that was refused again.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct StillRefused {
    /// Its number.
    pub id: i64,
    /// Why, now.
    pub problem: ProblemBody,
}

/// Takes them as if they arrived again at the instant when they did: for when what was missing is there now. Numbers that
/// are not known are left out of the answer.
#[utoipa::path(
    post,
    path = "/api/v1/refused/retry",
    operation_id = "retry_refused",
    request_body = Which,
    responses((status = 200, body = Retried), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Editor,
    Body(which): Body<Which>,
) -> ApiResult<Json<Retried>> {
    let mut retried = Retried::default();
    for refused in app.store.load_refused(which.checked()?).await? {
        let no = refused.no;
        match again(&app, refused).await? {
            None => {
                // Dropped only when it is on disk as what it is. Should this fail, it is there twice and taken once: its
                // message id is known then.
                app.store.drop_refused(vec![no]).await?;
                retried.taken.push(no);
            }
            Some(problem) => {
                retried.refused.push(StillRefused { id: no, problem: (&problem).into() });
                app.store.update_refused(no, problem).await?;
            }
        }
    }
    Ok(Json(retried))
}

async fn again<S: Storage>(app: &App<S>, Refused { message, .. }: Refused) -> ApiResult<Option<Problem>> {
    let arrival = Arrival {
        received_at: message.received_at,
        sent_at: message.sent_at,
        call: message.call.as_deref().and_then(Call::parse),
    };
    let mapper = app.track.desk.mapper(app.now()).await?;
    let length = message.body.len();
    let room = app.track.queue.room(length)?;
    let messages = std::iter::once(0..length).collect();
    let job =
        Job::new(message.body.into(), messages, arrival, mapper, message.key, app.config.track.event_max);
    let refused = app.track.queue.commit(job.again(), room).await?;
    Ok(refused.into_iter().next().map(|(_, problem)| problem))
}
