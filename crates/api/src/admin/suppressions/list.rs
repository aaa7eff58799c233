//! `GET /api/v1/suppressions`.

use axum::{Json, extract::State};
use serde::Deserialize;
use storage::Storage;

use super::{ReasonWord, SuppressionBody, hashes, hex, unhex};
use crate::{
    ApiResult, App,
    access::Viewer,
    admin::messages::ChannelWord,
    extract::Asked,
    page::{Page, PageQuery},
};

/// Which.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SuppressionsQuery {
    /// For this reason.
    #[param(inline)]
    reason: Option<ReasonWord>,
    /// Only this address, if it is suppressed now.
    address: Option<String>,
    /// The channel of `address`: email without it.
    #[param(inline)]
    channel: Option<ChannelWord>,
}

/// Lists addresses that must not be written to, by hash; periods that are over are listed until they are replaced.
#[utoipa::path(
    get,
    path = "/api/v1/suppressions",
    operation_id = "list_suppressions",
    params(SuppressionsQuery, PageQuery),
    responses((status = 200, body = Page<SuppressionBody>))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _viewer: Viewer,
    Asked(asked): Asked<SuppressionsQuery>,
    Asked(query): Asked<PageQuery>,
) -> ApiResult<Json<Page<SuppressionBody>>> {
    let (limit, after) = (query.limit()?, query.after::<String>()?);
    if let Some(address) = &asked.address {
        let one = hashes(asked.channel.unwrap_or(ChannelWord::Email), std::slice::from_ref(address))?;
        let found = app.store.suppressions(one, app.now()).await?;
        let found: Vec<SuppressionBody> = found.iter().flatten().map(SuppressionBody::from).collect();
        return Ok(Json(Page::next_at(found, None::<String>)));
    }
    let after = after.and_then(|text| unhex(&text));
    let found = app.store.browse_suppressions(after, asked.reason.map(Into::into), limit + 1).await?;
    let page = Page::cut(found, limit, |one| hex(&one.address));
    Ok(Json(page.map(|one| SuppressionBody::from(&one))))
}
