//! The environment in which expressions run: only what is listed here, escaped by default, with fuel.

use std::sync::Arc;

use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value,
    value::{Object, ValueKind},
};
use model::{Amount, Zone};

use crate::{
    escape,
    limits::{FUEL, VALUE_LEN_MAX},
    link::{self, Campaign},
    locale::{DateStyle, Locale, parse_when},
};

/// Filters that an expression may use, for checking and suggestions.
pub(crate) const FILTERS: [&str; 20] = [
    "abs",
    "capitalize",
    "date",
    "default",
    "first",
    "int",
    "join",
    "last",
    "length",
    "lower",
    "money",
    "number",
    "percent",
    "replace",
    "round",
    "time",
    "title",
    "trim",
    "truncate",
    "upper",
];
/// Filters that the compiler puts in.
const OWN_FILTERS: [&str; 3] = ["urlencode", "_href", "_src"];

/// How values are written for the contact.
#[derive(Debug)]
pub(crate) struct Format {
    pub locale: &'static Locale,
    pub zone: Zone,
    pub currency: String,
    pub campaign: Option<Campaign>,
}

impl Object for Format {}

/// Whether a filter exists.
pub(crate) fn is_known(name: &str) -> bool {
    FILTERS.contains(&name) || OWN_FILTERS.contains(&name)
}

/// The environment: no globals, no includes, no filters but ours.
pub(crate) fn environment() -> Environment<'static> {
    let mut env = Environment::empty();
    env.set_fuel(Some(FUEL));
    env.set_undefined_behavior(UndefinedBehavior::Chainable);
    env.set_auto_escape_callback(
        |name| if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None },
    );
    env.set_formatter(write);
    env.add_filter("abs", |value: Value| scaled(&value).map(|n| to_value(n.saturating_abs())));
    env.add_filter("capitalize", |text: &str| {
        let mut chars = text.chars();
        chars.next().map_or_else(String::new, |c| {
            c.to_uppercase().chain(chars.flat_map(char::to_lowercase)).collect()
        })
    });
    env.add_filter("date", date);
    env.add_filter("default", |value: Value, other: Option<Value>| {
        if is_blank(&value) { other.unwrap_or_else(|| Value::from("")) } else { value }
    });
    env.add_filter("first", |value: Value| nth(&value, 0));
    env.add_filter("last", |value: Value| {
        value.len().map_or(Value::UNDEFINED, |n| nth(&value, n.saturating_sub(1)))
    });
    env.add_filter("int", |value: Value| scaled(&value).map(|n| n / Amount::SCALE));
    env.add_filter("join", join);
    env.add_filter("length", |value: Value| value.len().unwrap_or(0));
    env.add_filter("lower", |text: &str| text.to_lowercase());
    env.add_filter("upper", |text: &str| text.to_uppercase());
    env.add_filter("title", |text: &str| title(text));
    env.add_filter("trim", |text: &str| text.trim().to_owned());
    env.add_filter("truncate", truncate);
    env.add_filter("replace", replace);
    env.add_filter("money", money);
    env.add_filter("number", number);
    env.add_filter("percent", percent);
    env.add_filter("round", |value: Value, decimals: Option<u32>| {
        scaled(&value).map(|n| {
            let unit = 10_i64.pow(4 - decimals.unwrap_or(0).min(4));
            to_value((n + unit / 2 * n.signum()) / unit * unit)
        })
    });
    env.add_filter("time", time);
    env.add_filter("urlencode", |value: Value| {
        let mut out = String::new();
        escape::percent(&mut out, &value.to_string());
        out
    });
    env.add_filter("_href", |state: &State, value: Value| {
        let url = value.to_string();
        if !link::is_safe(&url) {
            return "#".to_owned();
        }
        let format = format(state);
        format.and_then(|f| f.campaign.as_ref().map(|campaign| campaign.append(&url, ""))).unwrap_or(url)
    });
    env.add_filter("_src", |value: Value| {
        let url = value.to_string();
        if link::is_safe_image(&url) { url } else { String::new() }
    });
    env
}

/// Source for an address inside a loop: its expressions as in a text, the whole made safe.
pub(crate) fn inline_url(url: &str, filter: &str) -> String {
    let mut parts = Vec::new();
    let mut rest = url;
    while let Some((before, tail)) = rest.split_once("{{") {
        let end = crate::ink::end_of(tail, "}}").unwrap_or(tail.len());
        if !before.is_empty() {
            parts.push(format!("'{}'", before.replace(['\'', '\\'], "")));
        }
        let encode = if parts.is_empty() { "" } else { "|urlencode" };
        parts.push(format!("(({}){encode})", tail[..end].trim()));
        rest = tail.get(end + 2..).unwrap_or_default();
    }
    if !rest.is_empty() {
        parts.push(format!("'{}'", rest.replace(['\'', '\\'], "")));
    }
    format!("{{{{ ({}) | {filter} }}}}", parts.join(" ~ "))
}

/// Missing values are nothing; texts are escaped in HTML.
fn write(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if value.is_undefined() || value.is_none() {
        return Ok(());
    }
    let text = value.as_str().map_or_else(|| value.to_string().into(), std::borrow::Cow::Borrowed);
    if value.is_safe() || matches!(state.auto_escape(), AutoEscape::None) {
        out.write_str(&text).map_err(Error::from)
    } else {
        escape::write_html(out, &text).map_err(Error::from)
    }
}

fn format(state: &State<'_, '_>) -> Option<Arc<Format>> {
    state.lookup("_f")?.downcast_object::<Format>()
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// Whether there is nothing to show.
pub(crate) fn is_blank(value: &Value) -> bool {
    value.is_undefined() || value.is_none() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// A number in ten-thousandths; nothing counts as nought.
fn scaled(value: &Value) -> Result<i64, Error> {
    if is_blank(value) {
        return Ok(0);
    }
    let problem = |value: &Value| wrong(format!("`{value}` is not a number"));
    if let Some(text) = value.as_str() {
        return Amount::parse(text).map(|amount| amount.0).map_err(|_| problem(value));
    }
    if value.kind() != ValueKind::Number {
        return Err(problem(value));
    }
    if let Some(n) = value.as_i64() {
        return n.checked_mul(Amount::SCALE).ok_or_else(|| problem(value));
    }
    let float = f64::try_from(value.clone())?;
    Amount::from_f64(float).map(|amount| amount.0).map_err(|_| problem(value))
}

fn to_value(scaled: i64) -> Value {
    if scaled % Amount::SCALE == 0 {
        Value::from(scaled / Amount::SCALE)
    } else {
        Value::from(Amount(scaled).to_f64())
    }
}

fn nth(value: &Value, i: usize) -> Value {
    value.get_item_by_index(i).unwrap_or(Value::UNDEFINED)
}

fn join(value: &Value, with: Option<&str>) -> Result<String, Error> {
    let mut out = String::new();
    for (i, one) in value.try_iter()?.enumerate() {
        if i > 0 {
            out.push_str(with.unwrap_or(", "));
        }
        out.push_str(&one.to_string());
        if out.len() > VALUE_LEN_MAX * 4 {
            return Err(wrong("the joined text is too long".into()));
        }
    }
    Ok(out)
}

fn replace(text: &str, from: &str, to: &str) -> Result<String, Error> {
    let times = if from.is_empty() { text.len() } else { text.matches(from).count() };
    if text.len() + times * to.len() > VALUE_LEN_MAX * 4 {
        return Err(wrong("the replaced text is too long".into()));
    }
    Ok(text.replace(from, to))
}

fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut begins = true;
    for c in text.chars() {
        if begins {
            out.extend(c.to_uppercase());
        } else {
            out.extend(c.to_lowercase());
        }
        begins = !c.is_alphanumeric() && c != '\'' && c != '’';
    }
    out
}

fn truncate(text: &str, length: Option<usize>) -> String {
    let length = length.unwrap_or(80);
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let cut: String = text.chars().take(length.saturating_sub(1)).collect();
    // At a blank, if there is one not too far back.
    let at = cut.rfind(' ').filter(|at| *at > cut.len() / 2).unwrap_or(cut.len());
    format!("{}…", cut[..at].trim_end())
}

fn money(state: &State<'_, '_>, value: &Value, currency: Option<&str>) -> Result<String, Error> {
    let mut out = String::new();
    if let (Some(format), false) = (format(state), is_blank(value)) {
        format.locale.money(&mut out, scaled(value)?, currency.unwrap_or(&format.currency));
    }
    Ok(out)
}

fn number(state: &State<'_, '_>, value: &Value, decimals: Option<usize>) -> Result<String, Error> {
    let mut out = String::new();
    if let (Some(format), false) = (format(state), is_blank(value)) {
        let (least, most) = decimals.map_or((0, 3), |n| (n.min(4), n.min(4)));
        format.locale.number(&mut out, scaled(value)?, least, most);
    }
    Ok(out)
}

fn percent(state: &State<'_, '_>, value: &Value, decimals: Option<usize>) -> Result<String, Error> {
    let mut out = String::new();
    if let (Some(format), false) = (format(state), is_blank(value)) {
        format.locale.percent(&mut out, scaled(value)?, decimals.unwrap_or(1));
    }
    Ok(out)
}

fn date(state: &State<'_, '_>, value: &Value, style: Option<&str>) -> Result<String, Error> {
    let mut out = String::new();
    if let (Some(format), false) = (format(state), is_blank(value)) {
        let word = style.unwrap_or("long");
        let style = DateStyle::parse(word).ok_or_else(|| {
            wrong(format!("`{word}` is no style of a date: use {}", DateStyle::WORDS.join(", ")))
        })?;
        let text = value.to_string();
        let when = parse_when(&text, &format.zone).ok_or_else(|| wrong(format!("`{text}` is not a date")))?;
        format.locale.date(&mut out, when.date(), style);
    }
    Ok(out)
}

fn time(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    if let (Some(format), false) = (format(state), is_blank(value)) {
        let text = value.to_string();
        let when = parse_when(&text, &format.zone).ok_or_else(|| wrong(format!("`{text}` is not a time")))?;
        format.locale.time(&mut out, when.time());
    }
    Ok(out)
}

/// Names of filters in an expression, outside quotes.
pub(crate) fn filters_in(expression: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(pipe) = crate::ink::end_of(&expression[at..], "|") {
        let tail = expression[at + pipe + 1..].trim_start();
        let end = tail.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(tail.len());
        found.push(&tail[..end]);
        at += pipe + 1;
    }
    found
}
