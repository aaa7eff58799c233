//! `GET /api/v1/rfm/{model}/migrations`: who went from which group to which between two instants.

use axum::{Json, extract::State};
use model::Problem;
use serde::{Deserialize, Serialize};
use storage::{Storage, rfm::GroupFlow};
use utoipa::{IntoParams, ToSchema};

use super::find;
use crate::{
    ApiResult, App,
    access::Viewer,
    extract::{Asked, Named},
    said::At,
};

/// Between which instants.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Between {
    /// The earlier instant.
    from: At,
    /// The later one; now by default.
    to: Option<At>,
}

/// So many contacts went this way.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Flow {
    /// The group at the earlier instant; none for those who had never been placed.
    from: Option<String>,
    /// The group at the later one.
    to: String,
    /// How many, those who stayed included (`from` is `to`).
    contacts: u64,
}

/// The flows.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Flows {
    /// The earlier instant.
    from: At,
    /// The later one.
    to: At,
    /// By group, the earlier one first.
    flows: Vec<Flow>,
}

/// Counts contacts by their group at two instants, from the history of their moves.
#[utoipa::path(
    get,
    path = "/api/v1/rfm/{model}/migrations",
    operation_id = "getRfmMigrations",
    params(("model" = String, Path, description = "What it is known by, as in classic-11"), Between),
    responses((status = 200, body = Flows))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Viewer,
    Named(model): Named<String>,
    Asked(between): Asked<Between>,
) -> ApiResult<Json<Flows>> {
    let slug = find(&app.store, &model).await?.slug;
    let (from, to) = (between.from.0, between.to.map_or_else(|| app.now(), |at| at.0));
    if from > to {
        return Err(Problem::new("time.order", "the earlier instant is after the later one")
            .field("from")
            .value(from)
            .cure("swap `from` and `to`")
            .into());
    }
    let flows = app.store.count_group_flows(slug, from, to).await?;
    let flow = |one: GroupFlow| Flow { from: one.from, to: one.to, contacts: one.contacts };
    Ok(Json(Flows { from: from.into(), to: to.into(), flows: flows.into_iter().map(flow).collect() }))
}
