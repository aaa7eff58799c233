//! The work of a simulation.

use std::sync::Arc;

use engine::{
    campaign::launch::Tell,
    simulate::{self, Group, Options, Simulation},
};
use model::{ContactId, Slug, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use storage::Storage;

use super::worker::{Failed, Teller};
use crate::{
    App,
    admin::journeys::{
        counts::nodes,
        folder::{FolderBody, compile},
        trace::{refused, steps},
    },
};

/// What is to be played.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Simulating {
    pub journey: Slug,
    pub folder: FolderBody,
    pub from: Timestamp,
    pub to: Timestamp,
    pub sample: Option<u64>,
    pub contact: Option<ContactId>,
    pub open_rate: f64,
    pub click_rate: f64,
    pub within_days: u16,
    pub seed: u64,
}

impl Tell for Teller {
    fn phase(&self, text: &str) {
        self.say(text, 0, 0);
    }

    fn note(&self, _: &str) {}

    fn progress(&self, done: u64, total: u64) {
        self.step(done, total);
    }
}

/// Plays a draft.
pub(super) async fn run<S: Storage>(
    app: &App<S>,
    request: Simulating,
    teller: Arc<Teller>,
) -> Result<Value, Failed> {
    let rules = compile(app, &request.folder, Some(&request.journey)).await.map_err(Failed::refused)??;
    let options = Options {
        from: request.from,
        to: request.to,
        seed: request.seed,
        sample: request.sample,
        contact: request.contact,
        keep: request.contact.is_some(),
        explain: request.contact.is_some(),
        open_rate: request.open_rate,
        click_rate: request.click_rate,
        within_days: i64::from(request.within_days),
        ..Options::before(request.to)
    };
    let played = simulate::run(&app.store, rules, options, &*teller).await?;
    Ok(told(&played))
}

fn told(played: &Simulation) -> Value {
    let (journey, options) = (played.journey(), &played.options);
    let waiting = |id: &str| {
        let node = journey.number(id);
        node.and_then(|node| played.waiting.get(&node)).copied().unwrap_or_default()
    };
    let messages = played
        .messages
        .iter()
        .map(|(node, (sent, held))| json!({"node": journey.node(*node).id, "sent": sent, "held": held}));
    let triggers = played
        .by_trigger
        .iter()
        .map(|(place, entered)| json!({"trigger": place.map(|place| place + 1), "entered": entered}));
    let coupons = played
        .coupons
        .iter()
        .map(|(set, (needed, free))| json!({"set": set.as_str(), "needed": needed, "free_now": free}));
    let bought = played.purchases;
    let mut told = json!({
        "journey": journey.slug.as_str(),
        "from": options.from,
        "to": options.to,
        "seed": options.seed,
        "sample": options.sample,
        "contacts": played.contacts,
        "played": played.played,
        "people": played.people,
        "entered": played.entered,
        "goals": played.goals,
        "triggers": triggers.collect::<Value>(),
        "nodes": nodes(journey, &played.counts, &waiting),
        "messages": messages.collect::<Value>(),
        "coupons": coupons.collect::<Value>(),
        "bought": {
            "within_days": options.within_days,
            "currency": played.rules().currency.code(),
            "entered": group(bought.entered),
            "messaged": group(bought.messaged),
            "held_out": group(bought.held_out),
            "others": group(bought.others),
        },
        "notes": played.notes.iter().map(|(code, text)| json!({"code": code, "text": text})).collect::<Value>(),
    });
    if let Some(part) = played.parts.first().filter(|_| options.contact.is_some()) {
        let ways = part.enrolments.iter().map(|own| steps(journey, &own.trace, model::Lang::En));
        told["ways"] = json!(ways.collect::<Vec<_>>());
        told["did_not_enter"] = json!(refused(part));
    }
    told
}

/// No proof of cause: who enters differs from who does not.
fn group(group: Group) -> Value {
    json!({"people": group.people, "orders": group.orders, "revenue": group.revenue})
}
