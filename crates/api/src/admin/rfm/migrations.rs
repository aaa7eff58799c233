//! `GET /api/v1/rfm/{model}/migrations`: who went from which group to which between two instants.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use model::{ContactId, Problem, Timestamp};
use serde::{Deserialize, Serialize};
use storage::{Storage, rfm::GroupMove};
use utoipa::{IntoParams, ToSchema};

use super::find;
use crate::{
    ApiResult, App,
    access::Viewer,
    extract::{Asked, Named},
    said::At,
};

/// Contacts whose moves are read at once.
const BATCH: i64 = 100_000;

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
    let (slug, _) = find(&app.store, &model).await?;
    let (from, to) = (between.from.0, between.to.map_or_else(|| app.now(), |at| at.0));
    if from > to {
        return Err(Problem::new("time.order", "the earlier instant is after the later one")
            .field("from")
            .value(from)
            .cure("swap `from` and `to`")
            .into());
    }
    let (_, ContactId(last)) = app.store.count_contacts().await?;
    let mut counts = BTreeMap::new();
    let mut first = 1;
    while first <= last {
        let end = last.min(first + BATCH - 1);
        let moves = app.store.load_group_moves(first..=end).await?;
        for of_one in moves.chunk_by(|a, b| a.contact == b.contact) {
            if let Some(way) = way(of_one, slug.as_str(), from, to) {
                *counts.entry(way).or_default() += 1;
            }
        }
        first = end + 1;
    }
    let flows = counts.into_iter().map(|((from, to), contacts)| Flow { from, to, contacts }).collect();
    Ok(Json(Flows { from: from.into(), to: to.into(), flows }))
}

/// Where a contact stood at both instants; none when it was not placed at the later one yet.
fn way(moves: &[GroupMove], model: &str, from: Timestamp, to: Timestamp) -> Option<(Option<String>, String)> {
    let at = |instant: Timestamp| {
        let before = moves.iter().filter(|one| one.model == model && one.at <= instant);
        before.max_by_key(|one| one.at).map(|one| one.to.clone())
    };
    Some((at(from), at(to)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_contact_stood_is_what_its_last_move_says() {
        let step = |at, from: Option<&str>, to: &str| GroupMove {
            contact: ContactId(1),
            model: "m".into(),
            at: Timestamp(at),
            from: from.map(str::to_owned),
            to: to.into(),
        };
        let moves = [step(10, None, "a"), step(20, Some("a"), "b")];
        let way = |from, to| way(&moves, "m", Timestamp(from), Timestamp(to));
        assert_eq!(way(5, 9), None);
        assert_eq!(way(5, 10), Some((None, "a".into())));
        assert_eq!(way(10, 19), Some((Some("a".into()), "a".into())));
        assert_eq!(way(19, 20), Some((Some("a".into()), "b".into())));
        assert_eq!(super::way(&moves, "other", Timestamp(5), Timestamp(30)), None);
    }
}
