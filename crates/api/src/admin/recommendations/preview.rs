//! `POST /api/v1/recommendations/preview`: the products for one contact.

use axum::{Json, extract::State};
use engine::catalogue::choose;
use model::{Dice, doc};
use recommend::GetProducts;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use storage::Storage;
use utoipa::ToSchema;

use crate::{
    ApiResult, App,
    access::Viewer,
    admin::products::ProductBody,
    extract::Body,
    said::{self, ContactName},
};

/// A *Get products* step and for whom.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"contact": "C-1042", "step": {"main": {"case": "filtered", "quantity": 2, "order": "price_descending"}}}))]
pub(crate) struct PreviewProducts {
    /// For whom: the shop's id, an email address, or `id:` and the contact's number.
    contact: String,
    /// The step as it stands in a journey. References to earlier nodes stand for nothing here.
    #[schema(value_type = Object, example = json!({"main": {"case": "best_sellers", "quantity": 6}}))]
    step: Value,
}

/// The products.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Chosen {
    /// For whom.
    contact: ContactName,
    /// Best first.
    products: Vec<ProductBody>,
}

/// Chooses products as the step would choose them for this contact now.
#[utoipa::path(
    post,
    path = "/api/v1/recommendations/preview",
    operation_id = "previewRecommendations",
    request_body = PreviewProducts,
    responses((status = 200, body = Chosen))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Viewer,
    Body(given): Body<PreviewProducts>,
) -> ApiResult<Json<Chosen>> {
    let node = doc::parse(&given.step.to_string())?;
    let step = GetProducts::parse(&node, "step")?;
    let contact = said::find_contact(&app.store, &given.contact).await?;
    let now = app.now();
    let mut dice = Dice::of(&[contact.id.0.unsigned_abs(), now.0.unsigned_abs()]);
    let products = choose(&app.store, &step, contact.id, now, &mut dice).await?;
    Ok(Json(Chosen {
        contact: said::name_of(contact.id, Some(&contact)),
        products: products.into_iter().map(ProductBody::from).collect(),
    }))
}
