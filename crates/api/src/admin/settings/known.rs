//! The settings that can be set, each with its check: for the command line and the API alike.

use std::sync::Arc;

use connect::segment_http::Rules;
use engine::{catalogue, live::nightly, people, segments::ZONE_SETTING};
use model::{Problem, Problems, Timestamp, Zone, doc, time::FixedClock};
use serde_json::Value;
use storage::settings::key;

use crate::links::branding::{self, Branding};

/// A setting that can be set.
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    check: fn(&doc::Node, &str) -> Result<(), Problems>,
}

impl Setting {
    /// Reads a value, YAML or JSON, and checks it: what is to be kept.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(&self, source: &str) -> Result<Value, Problems> {
        let node = doc::parse(source).map_err(|problem| vec![problem])?;
        (self.check)(&node, source)?;
        Ok(node.to_json())
    }
}

/// All of them.
pub const SETTINGS: &[Setting] = &[
    Setting { name: key::CURRENCY, about: "the workspace's currency, as in EUR", check: currency },
    Setting {
        name: nightly::SETTING,
        about: "minutes after midnight, UTC, at which the night's work begins",
        check: minute,
    },
    Setting {
        name: catalogue::MIN_STOCK,
        about: "units that must be left of a product that is recommended, 1 until it is set: docs/recommendations.md",
        check: min_stock,
    },
    Setting {
        name: policy::SETTING,
        about: "caps, smart sending, quiet hours and limits: docs/sending.md",
        check: sending,
    },
    Setting {
        name: storage::post::SETTING,
        about: "what soft and hard bounces and complaints lead to: docs/bounces.md",
        check: bounces,
    },
    Setting {
        name: people::RETENTION,
        about: "how many days what is kept, as in {events: 730}: docs/privacy.md",
        check: retention,
    },
    Setting {
        name: Rules::SETTING,
        about: "what ids, traits, groups and products of tracking are: docs/tracking.md",
        check: tracking,
    },
    Setting {
        name: policy::PURPOSES_SETTING,
        about: "why the shop writes, and what each purpose asks for: docs/privacy.md",
        check: purposes,
    },
    Setting {
        name: branding::SETTING,
        about: "what the pages for people are called, and their colour",
        check: brand,
    },
    Setting { name: ZONE_SETTING, about: "the zone in which days begin, as in Europe/Paris", check: zone },
    Setting {
        name: delivery::webhook::SETTING,
        about: "secrets of webhooks, and whether they may call our own network",
        check: webhooks,
    },
];

fn text(node: &doc::Node) -> String {
    node.scalar().unwrap_or_default()
}

fn currency(node: &doc::Node, _: &str) -> Result<(), Problems> {
    model::Currency::parse(&text(node)).map(drop).map_err(|problem| vec![problem])
}

fn zone(node: &doc::Node, _: &str) -> Result<(), Problems> {
    Zone::parse(&text(node)).map(drop).map_err(|problem| vec![problem])
}

fn minute(node: &doc::Node, _: &str) -> Result<(), Problems> {
    let minutes = 0..24 * 60;
    if node.integer().is_some_and(|minute| minutes.contains(&minute)) {
        return Ok(());
    }
    let problem = node.problem("setting.minute", "expected minutes after midnight, from 0 to 1439");
    Err(vec![problem.cure("60 is 01:00 UTC")])
}

fn min_stock(node: &doc::Node, _: &str) -> Result<(), Problems> {
    let units = recommend::MIN_STOCK_DEFAULT..=recommend::MIN_STOCK_MAX;
    if node.integer().is_some_and(|least| units.contains(&least)) {
        return Ok(());
    }
    Err(vec![recommend::step::min_stock_wrong(node)])
}

fn sending(_: &doc::Node, source: &str) -> Result<(), Problems> {
    policy::SendingRules::parse(source).map(drop)
}

fn bounces(_: &doc::Node, source: &str) -> Result<(), Problems> {
    storage::post::BounceRules::parse(source).map(drop)
}

fn retention(_: &doc::Node, source: &str) -> Result<(), Problems> {
    people::parse_retention(source).map(drop)
}

fn tracking(node: &doc::Node, _: &str) -> Result<(), Problems> {
    serde_json::from_value::<Rules>(node.to_json()).map(drop).map_err(|error| {
        vec![
            node.problem("setting.tracking", error.to_string())
                .cure("docs/tracking.md has what may stand here"),
        ]
    })
}

fn purposes(_: &doc::Node, source: &str) -> Result<(), Problems> {
    policy::Purposes::parse(source).map(drop)
}

fn brand(node: &doc::Node, _: &str) -> Result<(), Problems> {
    let read = serde_json::from_value::<Branding>(node.to_json());
    let read = read.map_err(|error| vec![node.problem("setting.branding", error.to_string())])?;
    read.check().map_err(|problem| vec![problem])
}

fn webhooks(node: &doc::Node, _: &str) -> Result<(), Problems> {
    let checked = delivery::Webhooks::new(Some(&node.to_json()), Arc::new(FixedClock(Timestamp(0))));
    checked.map(drop).map_err(|problem| vec![problem])
}

/// Finds one by its name.
///
/// # Errors
/// `setting.unknown`.
pub fn find(name: &str) -> Result<&'static Setting, Problem> {
    SETTINGS.iter().find(|setting| setting.name == name).ok_or_else(|| {
        Problem::new("setting.unknown", format!("there is no setting `{name}`"))
            .value(name)
            .suggest(name, SETTINGS.iter().map(|setting| setting.name))
    })
}
