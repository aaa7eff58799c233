//! `GET /api/v1/contacts/{contact}`: one contact.

use axum::{extract::State, response::Response};
use serde::Serialize;
use storage::Storage;
use utoipa::ToSchema;

use super::{
    ContactBody,
    body::{ScoreBody, TotalsBody},
    named,
};
use crate::{
    ApiResult, App,
    access::Viewer,
    extract::Named,
    tag::{Known, Tag},
};

/// A contact with what follows from its history.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct OneContact {
    #[serde(flatten)]
    contact: ContactBody,
    /// What its orders come to.
    totals: TotalsBody,
    /// Where it stands in each RFM model.
    rfm: Vec<ScoreBody>,
    /// Segments that it is in.
    segments: Vec<String>,
}

/// One contact: `id:42` (its number), the shop's id, an email address; `email:`, `external_id:`, `phone:` and
/// `anonymous_id:` say which. The number of a contact that was merged leads to the one that it is part of. The `ETag` is
/// that of the profile.
#[utoipa::path(
    get,
    path = "/api/v1/contacts/{contact}",
    operation_id = "get_contact",
    tag = "contacts",
    params(("contact" = String, Path)),
    responses((status = 200, body = OneContact), (status = 304), (status = 404, body = crate::problem::ProblemDetails))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Viewer,
    Named(name): Named<String>,
    known: Known,
) -> ApiResult<Response> {
    let contact = named(&app, &name).await?;
    let ids = vec![contact.id];
    let totals = app.store.load_totals(ids.clone()).await?;
    let placed = app.store.load_placements(ids.clone()).await?.into_iter().next().unwrap_or_default();
    let segments = app.store.load_memberships(ids).await?.into_iter().next().unwrap_or_default();
    let body = OneContact {
        contact: ContactBody::from(&contact),
        totals: totals.first().map(TotalsBody::from).unwrap_or_else(|| TotalsBody::from(&Default::default())),
        rfm: placed.into_iter().map(ScoreBody::from).collect(),
        segments: segments.iter().map(ToString::to_string).collect(),
    };
    Ok(known.answer(Tag::of(&contact), body))
}
