//! Random journeys that make sense, written as files: they go through the real reader and checker.

use std::fmt::Write as _;

use engine::rules::{Folder, SourceFile};
use model::Dice;

use crate::sending::Sending;

/// Conditions that segments are made of; `#` stands for a chosen number.
const SEGMENTS: &[&str] = &[
    "{did: Product Viewed, within: P2D}",
    "{did: Product Viewed, count: {at_least: 2}, within: PT6H}",
    "{did_not: Product Viewed, within: P1D}",
    "{did: Order Completed, within: P3D}",
    "{did: Order Completed, count: {at_least: 2}}",
    "{field: order_total, at_least: 50}",
    "{field: country, is: France}",
    "{consent: newsletter, is: subscribed}",
    "{list: vip}",
    "{field: visits, at_least: 2}",
    "{cart: {state: abandoned, total: {greater_than: 9}}}",
    "{rfm: {model: classic-11, group: [champions, loyal_customers, potentially_loyal]}}",
    "{rfm: {model: classic-11, group: none}}",
    "{field: last_order_at, within_last: P1D}",
    "{did: Level Up, within: PT12H}",
];

/// Conditions that nodes ask.
const CONDITIONS: &[&str] = &[
    "{did: Product Viewed, within: P1D}",
    "{did: Product Viewed, count: {at_least: 2}, where: {property: product_id, is: B}}",
    "{did_not: Order Completed, within: P1D}",
    "{did: Order Completed, sum: total, greater_than: 60, within: P30D}",
    "{did: Order Completed, since: {ref: run.entered_at}}",
    "{field: country, one_of: [France, Spain]}",
    "{field: visits, greater_than: 1}",
    "{consent: newsletter, is: subscribed}",
    "{list: vip}",
    "{cart: {state: abandoned}, within: P2D}",
    "{any: [{field: order_count, at_least: 2}, {did: Points Earned}]}",
    "{not: {did: Email Sent, within: PT12H}}",
];

/// One language: what is written is the room `template`'s to prove, and compiling it is what a story spends time on.
const MAIL: &str = "format: 1
template: hello
subject: {en: 'Hello {{ who }}'}
languages: [en]
variables:
  who: {type: text, optional: true}
  products: {type: products, optional: true}
blocks:
  - {kind: text, text: {en: 'Hello {{ who }}'}}
  - {kind: footer, address: 'Shop, Street 1'}
";
const PUSH: &str = "format: 1
template: ping
channel: push
languages: [en]
title: {en: Your cart}
body: {en: It is waiting.}
url: 'https://shop.example/cart'
";
const SMS: &str = "format: 1
template: short
channel: sms
text: 'Your cart is waiting.'
";
const FIELDS: &str = "fields:
  visits: {type: integer, default: 0, max: 5}
  note: {type: text}
  interests: {type: checkbox, options: [tea, mugs]}
";

/// Coupon sets of the workspace: slug, terms, how many codes at the beginning.
pub const COUPONS: &[(&str, &str, usize)] =
    &[("few", "kind: single_use", 3), ("many", "kind: single_use\nvalid_for: P2D", 40)];

/// Segments that every workspace has.
pub const SEGMENT_COUNT: usize = 4;

/// Everything that journeys of one shop share.
pub struct Grammar {
    segments: Vec<String>,
    /// Whether caps may be ignored: where there are some to look at, they hold for all.
    free: bool,
}

/// What a node knows of the way that leads to it.
#[derive(Clone, Default)]
struct Way {
    /// Nodes that sent a mail.
    sent: Vec<String>,
    /// Nodes that chose products.
    chosen: Vec<String>,
    /// Waits to which a loop may lead back.
    waits: Vec<String>,
    /// So many of these are another branch's, which may lead back to them: two would multiply.
    taken: usize,
    depth: usize,
}

struct Growing<'a> {
    dice: &'a mut Dice,
    nodes: String,
    links: String,
    count: usize,
    keyed: bool,
    /// Nodes that read nothing of the way to them: other ways may lead there.
    pure: Vec<String>,
    /// Whether loops may be.
    loops: bool,
    free: bool,
    journeys: usize,
}

/// What products a node may ask for.
const PRODUCTS: &[&str] = &[
    "{case: manual, quantity: 2, products: [C, A]}",
    "{case: best_selling, quantity: 2, period: last_month}",
    "{case: most_visited, quantity: 2, period: last_week}",
    "{case: last_visited, quantity: 3}",
    "{case: last_added_not_bought, quantity: 1}",
    "{case: last_purchased, quantity: 2}",
    "{case: contact_affinity, quantity: 2}",
    "{case: own_repeats, quantity: 1}",
    "{case: filtered, quantity: 3, where: {field: unit_price, greater_than: 12}, order: price_descending}",
    "{case: filtered, quantity: 2, shuffle: true}",
];

fn pick<'t>(dice: &mut Dice, of: &[&'t str]) -> &'t str {
    of[dice.below(of.len() as u64) as usize]
}

fn segment(dice: &mut Dice) -> String {
    format!("s{}", dice.below(SEGMENT_COUNT as u64))
}

impl Grammar {
    /// Chooses the segments of a shop.
    pub fn new(sending: &Sending, dice: &mut Dice) -> Self {
        let mut all: Vec<&str> = SEGMENTS.to_vec();
        dice.shuffle(&mut all);
        let segments = all.into_iter().take(SEGMENT_COUNT).map(str::to_owned).collect();
        Self { segments, free: sending.cap.is_none() }
    }

    /// The files of a journey; `few`: a small one.
    pub fn folder(&self, name: &str, journeys: usize, dice: &mut Dice) -> Folder {
        let source = |slug: &str, text: String| SourceFile {
            file: format!("{slug}.yaml"),
            slug: slug.to_owned(),
            text,
        };
        let segments = self.segments.iter().enumerate();
        Folder {
            journey: source("journey", self.journey(name, journeys, dice)),
            fields: Some(source("fields", FIELDS.to_owned())),
            segments: segments
                .map(|(n, text)| {
                    let slug = format!("s{n}");
                    source(&slug, format!("format: 1\nsegment: {slug}\ncondition: {text}\n"))
                })
                .collect(),
            templates: vec![
                source("hello", MAIL.to_owned()),
                source("short", SMS.to_owned()),
                source("ping", PUSH.to_owned()),
            ],
            coupons: Vec::new(),
        }
    }
}

/// What starts a journey: lines of its file, and whether its runs have a key.
fn triggers(dice: &mut Dice) -> (String, bool) {
    let one = |dice: &mut Dice| match dice.below(21) {
        0 | 1 | 12 | 13 => "{on: event, event: Product Viewed}".to_owned(),
        2 => format!("{{segment_entered: {}}}", segment(dice)),
        3 => format!("{{segment_exited: {}}}", segment(dice)),
        4 => "{schedule: day, at: \"10:00\"}".to_owned(),
        5 => "{on: date, field: birth_date, every: year, days: 0, at: \"09:00\"}".to_owned(),
        6 => "{on: rfm_changed, model: classic-11}".to_owned(),
        7 => "api".to_owned(),
        8 => "{event: Level Up}".to_owned(),
        9 | 16 => pick(dice, &["price_drop", "{on: price_drop, percent: 10, within: P9D}"]).to_owned(),
        17 => "{on: back_in_stock, interest: [subscribed, viewed]}".to_owned(),
        18 => "back_in_stock".to_owned(),
        19 => "{on: low_stock, at_most: 1, interest: [viewed, added, checkout]}".to_owned(),
        20 => "{event: Product Added}".to_owned(),
        10 => "{event: Points Earned, late: PT2H}".to_owned(),
        _ => "{event: Order Completed}".to_owned(),
    };
    match dice.below(10) {
        0 | 1 => {
            let after = pick(dice, &["PT30M", "PT1H", "PT3H"]);
            (format!("triggers: [{{cart_abandoned: {after}}}]\n"), true)
        }
        2 | 3 => {
            let total = 10 * dice.below(6);
            let text = format!(
                "triggers:\n  - {{on: event, event: Checkout Left, where: {{ref: trigger.total, greater_than: {total}}}, key: trigger.cart_id, properties: {{total: integer, cart_id: text}}}}\n"
            );
            (text, true)
        }
        4 => (String::new(), false),
        5 => {
            let (a, b) = (one(dice), one(dice));
            (if a == b { format!("triggers: [{a}]\n") } else { format!("triggers: [{a}, {b}]\n") }, false)
        }
        _ => {
            let a = one(dice);
            (format!("triggers: [{a}]\n"), false)
        }
    }
}

impl Grammar {
    fn journey(&self, name: &str, journeys: usize, dice: &mut Dice) -> String {
        let (triggers, keyed) = triggers(dice);
        let who = pick(
            dice,
            &["all", "all", "all", "all", "with_email", "with_email", "with_phone", "push_subscribers"],
        );
        let source = if triggers.is_empty() {
            pick(dice, &["existing", "existing_and_new", "new"])
        } else {
            "existing_and_new"
        };
        let mut text =
            format!("format: 1\njourney: {name}\naudience: {{who: {who}, source: {source}}}\n{triggers}");
        let reentry = match dice.below(6) {
            0 => "never",
            1 => "{after: PT12H}",
            2 if keyed => "per_key",
            _ if triggers.is_empty() => "never",
            _ => "after_exit",
        };
        let _ = writeln!(text, "reentry: {reentry}");
        let mut exits: Vec<String> = Vec::new();
        if dice.below(4) == 0 {
            exits.push(if keyed && dice.below(2) == 0 {
                "{event: Order Completed, key: trigger.cart_id}".into()
            } else {
                "{event: Order Completed}".into()
            });
        }
        if dice.below(4) == 0 {
            exits.push("{event: Unsubscribed, where: {ref: trigger.purpose, is: newsletter}}".into());
        }
        if dice.below(5) == 0 {
            exits.push(format!("{{segment_exited: {}}}", segment(dice)));
        }
        if !exits.is_empty() {
            let _ = writeln!(text, "exit:\n  - {}", exits.join("\n  - "));
        }
        if dice.below(4) == 0 {
            text.push_str("goal: {event: Order Completed, share: 10, within: P2D}\n");
        }
        if dice.below(8) == 0 {
            let condition = match dice.below(3) {
                0 => "{did_not: Order Completed, within: P1D}".to_owned(),
                1 => format!("{{segment: {}}}", segment(dice)),
                _ => "{field: country, is_not: Spain}".to_owned(),
            };
            let otherwise = pick(dice, &["skip", "skip", "leave"]);
            let _ = writeln!(text, "while: {{condition: {condition}, otherwise: {otherwise}}}");
        }
        let most = 2 + dice.below(14) as usize;
        let mut growing = Growing {
            nodes: String::new(),
            links: String::new(),
            count: 0,
            keyed,
            pure: Vec::new(),
            loops: dice.below(4) == 0,
            free: self.free,
            journeys,
            dice,
        };
        let (first, _) = growing.grow(&Way::default(), most, true);
        let Growing { nodes, links, .. } = growing;
        let _ = write!(text, "nodes:\n{nodes}links:\n  - {{from: start, to: {first}}}\n{links}");
        text
    }
}

impl Growing<'_> {
    /// A node with all that follows it: its id, and whether other ways may lead to it.
    /// About so many nodes are made.
    fn grow(&mut self, way: &Way, most: usize, first: bool) -> (String, bool) {
        let id = format!("n{}", self.count);
        self.count += 1;
        let leaf = most <= 1 || way.depth > 9;
        let mut here = Way { depth: way.depth + 1, ..way.clone() };
        let mut pure = true;
        let (node, outcomes) = if first && self.dice.below(8) == 0 {
            ("kind: holdout, share: 30".to_owned(), vec!["held", "go_on"])
        } else if leaf {
            (self.leaf(), Vec::new())
        } else {
            self.node(&id, &mut here, &mut pure)
        };
        let share = (most.saturating_sub(1)).div_ceil(outcomes.len().max(1));
        let limits = match self.dice.below(25) {
            0 if !node.contains("kind: end") => ", limits: {per_contact: 2}",
            1 if !node.contains("kind: end") => ", limits: {per_contact: 3, in_total: 4}",
            _ => "",
        };
        let _ = writeln!(self.nodes, "  {id}: {{{node}{limits}}}");
        for (place, outcome) in outcomes.iter().enumerate() {
            let ways = if self.dice.below(8) == 0 { 2 } else { 1 };
            let mut returns = false;
            for n in 0..ways {
                // The first answer always leads somewhere, so that journeys do not end at once.
                if place + n > 0 && self.dice.below(4) == 0 {
                    continue;
                }
                here.taken = if n > 0 && returns { here.waits.len() } else { way.taken };
                let before = std::mem::replace(&mut pure, true);
                let to = self.next(&here, &mut pure, share, place + n == 0);
                returns = !pure;
                pure &= before;
                let Some(to) = to else { continue };
                let when =
                    if *outcome == "always" { String::new() } else { format!(", when: \"{outcome}\"") };
                let link = format!("  - {{from: {id}, to: {to}{when}}}\n");
                if !self.links.contains(&link) {
                    self.links.push_str(&link);
                }
            }
        }
        if pure {
            self.pure.push(id.clone());
        }
        (id, pure)
    }

    fn next(&mut self, here: &Way, pure: &mut bool, share: usize, must: bool) -> Option<String> {
        if self.loops && !here.waits.is_empty() && self.dice.below(6) == 0 {
            let to = self.dice.below(here.waits.len() as u64) as usize;
            if to >= here.taken {
                *pure = false;
                return Some(here.waits[to].clone());
            }
        }
        if !self.pure.is_empty() && self.dice.below(7) == 0 {
            return Some(self.pure[self.dice.below(self.pure.len() as u64) as usize].clone());
        }
        if share > 0 || must {
            let (id, own) = self.grow(here, share, false);
            *pure &= own;
            return Some(id);
        }
        None
    }

    fn leaf(&mut self) -> String {
        match self.dice.below(8) {
            0 => "kind: exit, reason: enough".into(),
            1 => "kind: end".into(),
            2 => "kind: goal".into(),
            3 => "kind: set_field, field: visits, operator: add, value: 1".into(),
            4 => self.go_to(),
            _ => self.mail(None),
        }
    }

    fn go_to(&mut self) -> String {
        let to = self.dice.below(self.journeys as u64);
        format!("kind: go_to, journey: j{to}, data: {{plan: gold}}")
    }

    fn mail(&mut self, chosen: Option<&String>) -> String {
        let purpose = pick(self.dice, &["newsletter", "newsletter", "promo", "transactional"]);
        let all = ["", "", "", ", expires_after: PT6H", ", smart_sending: PT2H", ", ignore_caps: true"];
        let more = pick(self.dice, if self.free { &all } else { &all[..5] });
        if self.dice.below(5) == 0 {
            return format!("kind: send_sms, template: short, purpose: {purpose}{more}");
        }
        if self.dice.below(6) == 0 {
            return format!("kind: send_push, template: ping, purpose: {purpose}{more}");
        }
        let products =
            chosen.map_or_else(String::new, |id| format!(", products: {{ref: nodes.{id}.products}}"));
        format!(
            "kind: send_email, template: hello, purpose: {purpose}, variables: {{who: {{ref: contact.first_name}}{products}}}{more}"
        )
    }

    fn event(&mut self) -> String {
        let key = if self.keyed && self.dice.below(3) == 0 { ", key: false" } else { "" };
        match self.dice.below(5) {
            0 => format!("event: Order Completed{key}"),
            1 => format!("event: Order Completed, where: {{property: total, greater_than: 20}}{key}"),
            2 => "event: Product Viewed".to_owned(),
            3 => "event: Level Up".to_owned(),
            _ => "event: Points Earned, where: {property: points, at_least: 50}".to_owned(),
        }
    }

    fn node(&mut self, id: &str, here: &mut Way, pure: &mut bool) -> (String, Vec<&'static str>) {
        let always = || vec!["always"];
        let yes_no = || vec!["yes", "no"];
        match self.dice.below(33) {
            0..=3 => {
                let wait = match self.dice.below(8) {
                    0 => "until: {at: \"09:00\"}".to_owned(),
                    1 => "until: {weekday: tuesday, at: \"10:00\"}".to_owned(),
                    2 => "for: PT1H, at: \"10:00\"".to_owned(),
                    3 => format!("for: P{}D", 1 + self.dice.below(2)),
                    4 => format!("for: PT{}M", 1 + self.dice.below(50)),
                    _ => format!("for: PT{}H", 1 + self.dice.below(30)),
                };
                here.waits.push(id.to_owned());
                (format!("kind: wait, {wait}"), always())
            }
            4 => {
                let wait = "kind: wait, until: {ref: contact.birth_date, yearly: true, at: \"09:00\"}";
                (wait.to_owned(), vec!["reached", "no_date"])
            }
            5..=7 => {
                let limit = pick(self.dice, &["PT30M", "PT2H", "PT12H", "P1D", "P2D"]);
                if !here.sent.is_empty() && self.dice.below(2) == 0 {
                    *pure = false;
                    let of = here.sent[self.dice.below(here.sent.len() as u64) as usize].clone();
                    let is = pick(self.dice, &["sent", "opened", "clicked"]);
                    return (format!("kind: wait_for, message: {of}, is: {is}, limit: {limit}"), yes_no());
                }
                if self.dice.below(4) == 0 {
                    let segment = segment(self.dice);
                    return (format!("kind: wait_for, segment: {segment}, limit: {limit}"), yes_no());
                }
                if self.dice.below(4) == 0 {
                    let (event, segment) = (self.event(), segment(self.dice));
                    let any = format!("any_of: {{one: {{{event}}}, two: {{segment: {segment}}}}}");
                    return (format!("kind: wait_for, {any}, limit: {limit}"), vec!["one", "two", "no"]);
                }
                let event = self.event();
                (format!("kind: wait_for, {event}, limit: {limit}"), yes_no())
            }
            8 => (format!("kind: check_value, condition: {}", pick(self.dice, CONDITIONS)), yes_no()),
            9 => (format!("kind: in_segment, segment: {}", segment(self.dice)), yes_no()),
            10 => {
                let (a, b) = (pick(self.dice, CONDITIONS), pick(self.dice, CONDITIONS));
                (format!("kind: branch, branches: {{one: {a}, two: {b}}}"), vec!["one", "two", "else"])
            }
            11 => ("kind: split, branches: {a: 30, b: 70}".into(), vec!["a", "b"]),
            12 => {
                let metric = pick(self.dice, &["opens", "clicks", "purchases"]);
                let test = format!("kind: ab_test, variants: [a, b], metric: {metric}, within: P1D, significance: none, end: {{after: P2D}}");
                (test, vec!["a", "b"])
            }
            13 => {
                let set = match self.dice.below(5) {
                    0 => "operator: clear",
                    1 => "value: seen",
                    2 => "operator: append, value: '; again'",
                    _ => return ("kind: set_field, field: visits, operator: add, value: 1".into(), always()),
                };
                (format!("kind: set_field, field: note, {set}"), always())
            }
            14 => (format!("kind: {}, list: vip", pick(self.dice, &["add_to_list", "remove_from_list"])), always()),
            15 | 16 => {
                let set = pick(self.dice, &["few", "few, otherwise: many", "many", "many, reuse: true"]);
                (format!("kind: assign_coupon, set: {set}"), vec!["assigned", "none_left"])
            }
            17 => ("kind: raise_event, event: Level Up, properties: {level: gold}".into(), always()),
            18 => (self.go_to(), always()),
            19 => match self.dice.below(4) {
                0 => ("kind: webhook, url: \"https://crm.example.com/hook\", body: {who: {ref: contact.email}}".into(), always()),
                1 => ("kind: alert, to: [sales@example.com], template: hello, variables: {who: {ref: contact.email}}".into(), always()),
                2 => ("kind: get_last_cart, state: any".into(), yes_no()),
                _ => ("kind: get_purchase_data, of: purchase, within: P30D".into(), yes_no()),
            },
            20 => ("kind: goal".into(), always()),
            21 | 22 => {
                let main = pick(self.dice, PRODUCTS);
                let more = match self.dice.below(3) {
                    0 => format!(", additional: {}", pick(self.dice, PRODUCTS)),
                    1 => ", fill_up: false".to_owned(),
                    _ => String::new(),
                };
                here.chosen.push(id.to_owned());
                (format!("kind: get_products, total: 2, main: {main}{more}"), yes_no())
            }
            _ => {
                let chosen = here.chosen.last().filter(|_| self.dice.below(2) == 0).cloned();
                let mail = self.mail(chosen.as_ref());
                *pure &= !mail.contains("ref: nodes.");
                if mail.contains("send_email") {
                    here.sent.push(id.to_owned());
                }
                let outcomes = if self.dice.below(2) == 0 { vec!["always"] } else { vec!["sent", "not_sent"] };
                (mail, outcomes)
            }
        }
    }
}
