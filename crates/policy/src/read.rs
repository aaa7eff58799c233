//! Reads the setting `sending`, YAML or JSON, strictly: what is not known is named with its field and a cure.

use jiff::civil::{Date, Time};
use model::{
    Channel, Period, Problem, Problems, Slug, Timestamp, Zone,
    doc::{self, Fields, Node},
};

use crate::{
    purposes::Purposes,
    quiet::{DAY, Days, Quiet, Span, ZoneChoice},
    rules::{Cap, DomainLimit, Domains, Limit, Limits, Over, SendingRules, TopicConsent},
};

const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
/// Channels that reach a contact, as files write them.
const CHANNELS: [(&str, Channel); 3] =
    [("email", Channel::Email), ("sms", Channel::Sms), ("push", Channel::WebPush)];
/// Most quiet days in a row, as elsewhere (Microsoft's limit): with weekly hours a message is held 21 days at most.
pub(crate) const QUIET_DAYS_MAX: i32 = 14;

/// Most items of a list inside a rule.
pub(crate) const LIST_MAX: usize = 200;

type Read<T> = Result<T, Problem>;

impl SendingRules {
    /// Reads the settings `sending` and `purposes`, as far as they are set.
    ///
    /// # Errors
    /// As [`Self::parse`] and [`Purposes::parse`].
    pub fn of(sending: Option<&str>, purposes: Option<&str>) -> Result<Self, Problems> {
        let mut rules = sending.map(Self::parse).transpose()?.unwrap_or_default();
        rules.purposes = purposes.map(Purposes::parse).transpose()?.unwrap_or_default();
        Ok(rules)
    }

    /// Reads the setting, YAML or JSON. An empty text is no rules.
    ///
    /// # Errors
    /// Everything that is wrong, each with its field and place: `doc.*`, `sending.channel`, `sending.number`,
    /// `sending.window`, `sending.over`, `sending.hours`, `sending.date`, `sending.days`, `sending.always_quiet`,
    /// `sending.too_many`, `sending.topics`, `sending.domain`, `slug.invalid`, `period.invalid`, `zone.unknown`.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let root = doc::parse(text).map_err(|problem| vec![problem])?;
        // A file that was stored as a text.
        if let Some(text) = root.text() {
            return match doc::parse(text) {
                Ok(inner) if inner.text().is_none() => Self::parse(text),
                _ => Err(vec![root.problem("doc.type", "expected a mapping, found a text")]),
            };
        }
        if root.data == doc::Data::Null {
            return Ok(Self::default());
        }
        let mut fields = root.fields("").map_err(|problem| vec![problem])?;
        let mut reader = Reader::default();
        let mut rules = Self::default();
        reader.each(&mut fields, "caps", |reader, fields| {
            let cap = reader.cap(fields);
            rules.caps.extend(cap);
        });
        reader.smart(&mut fields, &mut rules.smart);
        reader.each(&mut fields, "quiet_hours", |reader, fields| {
            let quiet = reader.quiet(fields);
            rules.quiet.extend(quiet);
        });
        rules.limits = reader.limits(&mut fields);
        rules.domains = reader.domains(&mut fields);
        let topics = topics(&mut fields);
        rules.topics = reader.keep(topics).unwrap_or_default();
        reader.problems.extend(fields.finish());
        if reader.problems.is_empty() { Ok(rules) } else { Err(reader.problems) }
    }
}

#[derive(Default)]
struct Reader {
    problems: Problems,
}

fn wrong(node: &Node, code: &'static str, field: &str, message: &str, cure: &str) -> Problem {
    node.problem(code, message).field(field).cure(cure)
}

/// A period without months, of at most `most` microseconds.
pub(crate) fn window(node: &Node, field: &str, most: i64) -> Read<i64> {
    let text = node.text().unwrap_or_default();
    let period = Period::parse(text).map_err(|problem| problem.field(field).at(node.place))?;
    if period.months != 0 || period.micros <= 0 || period.micros > most {
        let message =
            format!("`{text}` is not a window of a fixed length up to {} days", most / Timestamp::DAY);
        return Err(wrong(
            node,
            "sending.window",
            field,
            &message,
            "write hours or days, as in PT16H or P30D",
        ));
    }
    Ok(period.micros)
}

fn channel(node: &Node, field: &str) -> Read<Channel> {
    let word = node.scalar().unwrap_or_default();
    CHANNELS.iter().find(|(known, _)| *known == word).map(|(_, channel)| *channel).ok_or_else(|| {
        node.problem("sending.channel", format!("`{word}` is no channel that reaches a contact"))
            .field(field)
            .suggest(&word, CHANNELS.map(|(known, _)| known))
    })
}

fn purpose(node: &Node, field: &str) -> Read<String> {
    let text = node.scalar().unwrap_or_default();
    Slug::purpose(&text).map(|slug| slug.to_string()).map_err(|problem| {
        problem.field(field).at(node.place).cure("name it as consents do, as in newsletter")
    })
}

fn number(node: &Node, field: &str) -> Read<u64> {
    node.integer().and_then(|n| u64::try_from(n).ok()).ok_or_else(|| {
        wrong(node, "sending.number", field, "expected a whole number, 0 or more", "write a number, as in 3")
    })
}

/// A domain's share: 1 to a million.
fn share(node: &Node, field: &str) -> Read<u32> {
    let share = node.integer().filter(|n| (1..=1_000_000).contains(n)).and_then(|n| u32::try_from(n).ok());
    share.ok_or_else(|| {
        let message = "expected a whole number from 1 to 1000000";
        wrong(node, "sending.number", field, message, "leave it out for no limit")
    })
}

/// A list, or one item that stands for a list of one.
fn items(node: &Node) -> Vec<&Node> {
    node.items().map_or_else(|| vec![node], |items| items.iter().collect())
}

impl Reader {
    fn keep<T>(&mut self, read: Read<T>) -> Option<T> {
        read.map_err(|problem| self.problems.push(problem)).ok()
    }

    /// Reads a list of mappings.
    fn each(
        &mut self,
        fields: &mut Fields<'_>,
        key: &'static str,
        mut read: impl FnMut(&mut Self, &mut Fields<'_>),
    ) {
        let path = fields.path_of(key);
        let Some(node) = fields.optional(key) else { return };
        let Some(items) = node.items() else {
            let message = format!("expected a list, found {}", node.kind());
            return self.problems.push(wrong(
                node,
                "doc.type",
                &path,
                &message,
                "begin each rule with a dash",
            ));
        };
        if items.len() > SendingRules::RULES_MAX {
            let message = format!("more than {} rules", SendingRules::RULES_MAX);
            return self.problems.push(wrong(node, "sending.too_many", &path, &message, "join some of them"));
        }
        for (i, item) in items.iter().enumerate() {
            if let Some(mut fields) = self.keep(item.fields(&format!("{path}.{i}"))) {
                read(self, &mut fields);
                self.problems.extend(fields.finish());
            }
        }
    }

    fn optional<T>(
        &mut self,
        fields: &mut Fields<'_>,
        key: &'static str,
        read: impl FnOnce(&Node, &str) -> Read<T>,
    ) -> Option<T> {
        let path = fields.path_of(key);
        let node = fields.optional(key)?;
        self.keep(read(node, &path))
    }

    fn list<T>(
        &mut self,
        fields: &mut Fields<'_>,
        key: &'static str,
        read: impl Fn(&Node, &str) -> Read<T>,
    ) -> Vec<T> {
        let path = fields.path_of(key);
        let Some(node) = fields.optional(key) else { return Vec::new() };
        if node.items().is_some_and(|items| items.len() > LIST_MAX) {
            let message = format!("more than {LIST_MAX} items");
            self.problems.push(wrong(
                node,
                "sending.too_many",
                &path,
                &message,
                "write ranges, or two rules",
            ));
            return Vec::new();
        }
        items(node).into_iter().filter_map(|item| self.keep(read(item, &path))).collect()
    }

    fn required<T>(
        &mut self,
        fields: &mut Fields<'_>,
        key: &'static str,
        read: impl FnOnce(&Node, &str) -> Read<T>,
    ) -> Option<T> {
        let path = fields.path_of(key);
        let node = fields.required(key);
        let node = self.keep(node)?;
        self.keep(read(node, &path))
    }

    fn cap(&mut self, fields: &mut Fields<'_>) -> Option<Cap> {
        let channel = self.optional(fields, "channel", channel);
        let purpose = self.optional(fields, "purpose", purpose);
        let most = self.required(fields, "most", |node, field| {
            u32::try_from(number(node, field)?).map_err(|_| {
                wrong(node, "sending.number", field, "the number is too large", "write a smaller one")
            })
        });
        let within =
            self.required(fields, "within", |node, field| window(node, field, SendingRules::WINDOW_MAX));
        let over = self.optional(fields, "over", |node, field| {
            let word = node.scalar().unwrap_or_default();
            match word.as_str() {
                "skip" => Ok(false),
                "hold" => Ok(true),
                _ => Err(node
                    .problem("sending.over", format!("`{word}` says nothing about messages over the cap"))
                    .field(field)
                    .suggest(&word, ["skip", "hold"])),
            }
        });
        let hold = self.optional(fields, "hold", |node, field| window(node, field, SendingRules::HOLD_MAX));
        let over = match (over, hold) {
            (Some(true), hold) => Over::Hold(hold.unwrap_or(SendingRules::HOLD_DEFAULT)),
            (_, None) => Over::Skip,
            (_, Some(_)) => {
                let problem = Problem::new("sending.over", "`hold` says how long, but the cap skips")
                    .field(fields.path_of("hold"))
                    .at(fields.place);
                self.problems.push(problem.cure("write over: hold, or leave `hold` out"));
                return None;
            }
        };
        Some(Cap { channel, purpose, most: most?, within: within?, over })
    }

    fn smart(&mut self, fields: &mut Fields<'_>, smart: &mut Vec<(Channel, i64)>) {
        let path = fields.path_of("smart_sending");
        let Some(node) = fields.optional("smart_sending") else { return };
        if node.data == doc::Data::Bool(true) {
            smart.extend(CHANNELS.map(|(_, channel)| (channel, SendingRules::smart_default(channel))));
            return;
        }
        if node.data == doc::Data::Bool(false) {
            return;
        }
        let opened = node
            .fields(&path)
            .map_err(|problem| problem.cure("write true, or windows, as in {email: PT16H}"));
        let Some(mut fields) = self.keep(opened) else { return };
        for (word, channel) in CHANNELS {
            let window = self.optional(&mut fields, word, |node, field| match node.data {
                doc::Data::Bool(true) => Ok(Some(SendingRules::smart_default(channel))),
                doc::Data::Bool(false) => Ok(None),
                _ => window(node, field, SendingRules::SMART_MAX).map(Some),
            });
            smart.extend(window.flatten().map(|window| (channel, window)));
        }
        self.problems.extend(fields.finish());
    }

    fn quiet(&mut self, fields: &mut Fields<'_>) -> Option<Quiet> {
        let before = self.problems.len();
        let transactional = fields.boolean("transactional");
        let quiet = Quiet {
            channels: self.list(fields, "channel", channel),
            purposes: self.list(fields, "purpose", purpose),
            countries: self.list(fields, "country", |node, field| {
                node.scalar().filter(|text| !text.trim().is_empty()).ok_or_else(|| {
                    wrong(
                        node,
                        "doc.type",
                        field,
                        "expected a country",
                        "write a code or a name, as in FR or France",
                    )
                })
            }),
            transactional: self.keep(transactional).flatten().unwrap_or_default(),
            zone: self.optional(fields, "zone", zone).unwrap_or_default(),
            weekly: self.spans(fields),
            days: self.list(fields, "dates", days),
        };
        let path = fields.path.clone();
        let place = fields.place;
        let problem =
            |code, message: &str, cure: &str| Problem::new(code, message).field(&path).at(place).cure(cure);
        if self.problems.len() > before {
            return None;
        }
        if quiet.weekly.is_empty() && quiet.days.is_empty() {
            self.problems.push(problem(
                "sending.hours",
                "the rule names no hours and no dates",
                "write hours: [{from: \"21:00\", to: \"08:00\"}], or dates: [12-25]; to leave some messages free of a \
                 later rule write hours: none",
            ));
        } else if !leaves_room(&quiet.weekly) {
            self.problems.push(problem(
                "sending.always_quiet",
                "the hours leave no minute of the week in which a message may leave",
                "leave at least some minutes free, or pause the journey",
            ));
        } else if longest_run(&quiet.days) > QUIET_DAYS_MAX {
            let message = format!("more than {QUIET_DAYS_MAX} quiet days in a row");
            self.problems.push(problem("sending.days", &message, "shorten them, or pause the journeys"));
        }
        (self.problems.len() == before).then_some(quiet)
    }

    fn spans(&mut self, fields: &mut Fields<'_>) -> Vec<Span> {
        let path = fields.path_of("hours");
        let Some(node) = fields.optional("hours") else { return Vec::new() };
        if node.text() == Some("none") {
            // A span of no length: it is there, and never quiet.
            return vec![Span { weekdays: [false; 7], from: 0, to: DAY }];
        }
        let mut spans = Vec::new();
        for (i, item) in items(node).into_iter().take(LIST_MAX).enumerate() {
            let Some(mut fields) = self.keep(item.fields(&format!("{path}.{i}"))) else { continue };
            let from = self.optional(&mut fields, "from", minute);
            let to = self.optional(&mut fields, "to", minute);
            let named = self.list(&mut fields, "days", weekdays);
            self.problems.extend(fields.finish());
            let mut on = [named.is_empty(); 7];
            named.into_iter().flatten().for_each(|day| on[day] = true);
            let (from, to) = (from.unwrap_or(0), to.unwrap_or(DAY));
            if from == DAY || from == to {
                let cure = "write two different times, as in {from: \"21:00\", to: \"08:00\"}; a whole day needs none";
                self.problems.push(wrong(
                    item,
                    "sending.hours",
                    &format!("{path}.{i}"),
                    "the time has no length",
                    cure,
                ));
                continue;
            }
            spans.push(Span { weekdays: on, from, to });
        }
        spans
    }

    fn limits(&mut self, fields: &mut Fields<'_>) -> Limits {
        let mut limits = Limits::default();
        let path = fields.path_of("limits");
        let Some(node) = fields.optional("limits") else { return limits };
        let Some(mut fields) = self.keep(node.fields(&path)) else { return limits };
        limits.all = self.limit(&mut fields);
        limits.hold =
            self.optional(&mut fields, "hold", |node, field| window(node, field, SendingRules::HOLD_MAX));
        let path = fields.path_of("journeys");
        if let Some(node) = fields.optional("journeys") {
            let opened = node.fields(&path);
            self.keep(opened);
            for entry in node.entries().unwrap_or_default() {
                let path = format!("{path}.{}", entry.key);
                let slug = Slug::parse(&entry.key).map_err(|problem| problem.field(&path).at(entry.place));
                let (Some(slug), Some(mut fields)) = (self.keep(slug), self.keep(entry.value.fields(&path)))
                else {
                    continue;
                };
                let limit = self.limit(&mut fields);
                self.problems.extend(fields.finish());
                limits.journeys.push((slug.to_string(), limit));
            }
        }
        self.problems.extend(fields.finish());
        limits
    }

    /// Domains by name; `default` is each that is not named.
    fn domains(&mut self, fields: &mut Fields<'_>) -> Domains {
        let mut domains = Domains::default();
        let path = fields.path_of("domains");
        let Some(node) = fields.optional("domains") else { return domains };
        let opened = node.fields(&path);
        self.keep(opened);
        let entries = node.entries().unwrap_or_default();
        if entries.len() > LIST_MAX {
            let message = format!("more than {LIST_MAX} domains");
            self.problems.push(wrong(
                node,
                "sending.too_many",
                &path,
                &message,
                "leave the small ones to `default`",
            ));
        }
        for entry in entries.iter().take(LIST_MAX) {
            let path = format!("{path}.{}", entry.key);
            let name = entry.key.to_ascii_lowercase();
            let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
            if name != "default" && !(name.contains('.') && plain) {
                let problem = Problem::new("sending.domain", format!("`{}` is no domain", entry.key));
                let cure = "write it as in gmail.com, or default for all that are not named";
                self.problems.push(problem.field(&path).at(entry.place).cure(cure));
                continue;
            }
            let Some(mut fields) = self.keep(entry.value.fields(&path)) else { continue };
            let limit = DomainLimit {
                per_minute: self.optional(&mut fields, "per_minute", share),
                connections: self.optional(&mut fields, "connections", share),
            };
            self.problems.extend(fields.finish());
            if name == "default" { domains.each = limit } else { domains.of.push((name, limit)) }
        }
        domains
    }

    fn limit(&mut self, fields: &mut Fields<'_>) -> Limit {
        Limit {
            per_hour: self.optional(fields, "per_hour", number),
            per_day: self.optional(fields, "per_day", number),
        }
    }
}

fn topics(fields: &mut Fields<'_>) -> Read<TopicConsent> {
    let path = fields.path_of("topics");
    let Some(node) = fields.optional("topics") else { return Ok(TopicConsent::Follow) };
    let word = node.scalar().unwrap_or_default();
    match word.as_str() {
        "follow" => Ok(TopicConsent::Follow),
        "ask" => Ok(TopicConsent::Ask),
        _ => Err(node
            .problem("sending.topics", format!("`{word}` says nothing about topics"))
            .field(path)
            .suggest(&word, ["follow", "ask"])),
    }
}

fn zone(node: &Node, field: &str) -> Read<ZoneChoice> {
    match node.text().unwrap_or_default() {
        "contact" => Ok(ZoneChoice::Contact),
        "workspace" => Ok(ZoneChoice::Workspace),
        name => Zone::parse(name).map(ZoneChoice::Fixed).map_err(|problem| {
            problem.field(field).at(node.place).cure("write contact, workspace, or an IANA name")
        }),
    }
}

/// Minutes of the day: `HH:MM`, 24:00 for its end.
fn minute(node: &Node, field: &str) -> Read<u16> {
    let text = node.text().unwrap_or_default();
    if text == "24:00" {
        return Ok(DAY);
    }
    let time = (text.len() == 5).then(|| text.parse::<Time>().ok()).flatten();
    time.map(|time| time.hour() as u16 * 60 + time.minute() as u16).ok_or_else(|| {
        wrong(
            node,
            "sending.hours",
            field,
            "expected a time of the day",
            "write it in quotes, as in \"21:00\"",
        )
    })
}

/// Days of the week by name: three letters will do. `weekdays` and `weekend` stand for several.
fn weekdays(node: &Node, field: &str) -> Read<Vec<usize>> {
    let word = node.scalar().unwrap_or_default();
    match word.as_str() {
        "weekdays" => return Ok((0..5).collect()),
        "weekend" => return Ok(vec![5, 6]),
        _ => {}
    }
    let known = |name: &&str| word.len() >= 3 && name.starts_with(word.to_ascii_lowercase().as_str());
    WEEKDAYS.iter().position(known).map(|day| vec![day]).ok_or_else(|| {
        node.problem("sending.hours", format!("`{word}` is no day of the week"))
            .field(field)
            .suggest(&word, WEEKDAYS)
    })
}

/// `2026-12-25`, `2026-12-24/2026-12-26`, or `12-25` for every year.
fn days(node: &Node, field: &str) -> Read<Days> {
    let bad = || {
        let cure = "write 2026-12-25, 2026-12-24/2026-12-26, or 12-25 for every year";
        wrong(node, "sending.date", field, "expected a date", cure)
    };
    let text = node.scalar().ok_or_else(bad)?;
    let date = |text: &str| text.parse::<Date>().ok().filter(|_| text.len() == 10);
    let days = match text.split_once('/') {
        Some((first, last)) => date(first).zip(date(last)).map(|(first, last)| Days::Dates(first, last)),
        None => date(&text).map(|date| Days::Dates(date, date)).or_else(|| {
            let leap = date(&format!("2028-{text}"))?;
            Some(Days::Yearly(leap.month(), leap.day()))
        }),
    };
    days.filter(|days| !matches!(days, Days::Dates(first, last) if first > last)).ok_or_else(bad)
}

/// Whether a minute of the week is free.
fn leaves_room(weekly: &[Span]) -> bool {
    let week = 7 * usize::from(DAY);
    let mut quiet = vec![false; week];
    for span in weekly {
        for day in (0..7).filter(|day| span.weekdays[*day]) {
            let from = day * usize::from(DAY) + usize::from(span.from);
            (from..from + usize::from(span.minutes())).for_each(|minute| quiet[minute % week] = true);
        }
    }
    quiet.contains(&false)
}

/// The longest run of quiet days.
fn longest_run(days: &[Days]) -> i32 {
    let fixed = days.iter().filter_map(|days| match days {
        Days::Dates(first, last) => Some([i32::from(first.year()), i32::from(last.year())]),
        Days::Yearly(..) => None,
    });
    // A range over years is too long whatever the rest is; a leap year and the next stand for those without dates.
    let mut years: Vec<i32> =
        fixed.flatten().flat_map(|year| [year - 1, year, year + 1]).chain([2028, 2029]).collect();
    years.sort_unstable();
    years.dedup();
    let (mut longest, mut run) = (0, 0);
    let mut before = i32::MIN;
    for year in years {
        let Ok(mut date) = Date::new(year as i16, 1, 1) else { continue };
        run = if before == year - 1 { run } else { 0 };
        before = year;
        while i32::from(date.year()) == year {
            run = if days.iter().any(|days| days.hold(date)) { run + 1 } else { 0 };
            longest = longest.max(run);
            let Ok(next) = date.tomorrow() else { break };
            date = next;
        }
    }
    longest
}
