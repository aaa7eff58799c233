//! `/api/v1/rfm`: how recently, how often and for how much contacts bought.

mod get;
mod list;
mod migrations;
mod put;
mod remove;
mod run;

use ::rfm::{GroupFigures, RfmModel};
use engine::rfm::KnownModel;
use model::Timestamp;
use serde::Serialize;
use serde_json::Value;
use storage::{Storage, rfm::RunRecord};
use utoipa::ToSchema;

use crate::{
    ApiError, ApiResult, operations,
    said::{At, Names},
    section::Section,
};

/// Its operations.
#[must_use]
pub fn section<S: Storage>() -> Section<S> {
    operations!(Section::new("rfm"), S; list, get, put, remove, migrations, run)
}

/// A group and what its contacts come to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct GroupBody {
    /// What it is known by; `none` for those who have no order in the window.
    pub group: String,
    /// What people call it.
    pub name: Names,
    /// Contacts in it.
    pub contacts: u64,
    /// Their orders in the window.
    pub orders: u64,
    /// What those come to.
    #[schema(examples("4411130.56"))]
    pub revenue: String,
    /// Median of the whole days since the last order.
    pub median_days: f64,
    /// Median of the number of orders.
    pub median_orders: f64,
    /// Median of what a contact's orders come to.
    pub median_spent: f64,
}

/// A run of a model over the whole base.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RunBody {
    /// The instant that it scored for.
    pub at: At,
    /// First instant of its window; none when it looks at all time.
    pub since: Option<At>,
    /// Contacts that moved to another group.
    pub changed: u64,
    /// Cut points between scores, by measure.
    #[schema(value_type = Object)]
    pub cuts: Value,
    /// Figures of each group in the model's order, then of `none`.
    pub groups: Vec<GroupBody>,
}

/// How a model reads, as far as it can be read.
fn model_of(known: &KnownModel) -> Option<RfmModel> {
    known.model().ok().or_else(|| RfmModel::built_in(known.slug.as_str()))
}

fn run_body(model: Option<&RfmModel>, run: &RunRecord) -> RunBody {
    let figures: Vec<GroupFigures> = serde_json::from_value(run.summary.clone()).unwrap_or_default();
    let groups = figures.into_iter().map(|figures| group_body(model, figures)).collect();
    RunBody {
        at: run.at.into(),
        since: (run.since > Timestamp::MIN).then_some(At(run.since)),
        changed: run.changed,
        cuts: run.cuts.clone(),
        groups,
    }
}

fn group_body(model: Option<&RfmModel>, figures: GroupFigures) -> GroupBody {
    let spent: i128 = figures.spent.parse().unwrap_or_default();
    GroupBody {
        name: name_of(model, &figures.group),
        group: figures.group,
        contacts: figures.contacts,
        orders: figures.orders,
        revenue: decimal(spent),
        median_days: figures.median_days,
        median_orders: figures.median_orders,
        median_spent: figures.median_spent,
    }
}

fn name_of(model: Option<&RfmModel>, group: &str) -> Names {
    let label = |lang| model.map_or(group, |model| model.label(group, lang)).to_owned();
    Names { en: label(model::Lang::En), fr: label(model::Lang::Fr) }
}

/// Ten-thousandths as a decimal text; sums of a shop may not fit into an amount.
fn decimal(ten_thousandths: i128) -> String {
    let (sign, value) = if ten_thousandths < 0 { ("-", -ten_thousandths) } else { ("", ten_thousandths) };
    let (units, rest) = (value / 10_000, value % 10_000);
    let text = format!("{sign}{units}.{rest:04}");
    // At least two decimals, and no further zeros.
    let cut = text.len() - text.bytes().rev().take(2).take_while(|byte| *byte == b'0').count();
    text[..cut].to_owned()
}

async fn find<S: Storage>(store: &S, model: &str) -> ApiResult<KnownModel> {
    let slug = crate::said::slug(model)?;
    let known = engine::rfm::known(store).await?.into_iter().find(|known| known.slug == slug);
    known.ok_or_else(|| ApiError::not_found("saved or scored RFM model", model))
}

#[cfg(test)]
mod tests {
    #[test]
    fn decimals_keep_what_they_have() {
        for (value, text) in [
            (0, "0.00"),
            (10_000, "1.00"),
            (12_300, "1.23"),
            (12_345, "1.2345"),
            (-12_340, "-1.234"),
            (i128::from(i64::MAX) * 10, "9223372036854775.807"),
        ] {
            assert_eq!(super::decimal(value), text);
        }
    }
}
