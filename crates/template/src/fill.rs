//! Fills product and cart blocks for one message.

use minijinja::Value;
use model::Problem;
use serde_json::{Map, Value as Json};

use crate::{
    condition::{number_of, products_of},
    escape,
    grid::{CartPlan, GridPlan, Has, Part},
    link,
    locale::Locale,
    page::percent_of,
};

/// A block's content for both parts of the message.
#[derive(Debug, Default)]
pub(crate) struct Filled {
    pub html: String,
    pub text: String,
}

/// What filling needs of the message.
pub(crate) struct Message<'a> {
    pub locale: &'static Locale,
    pub currency: &'a str,
    /// Makes the address of a link final: campaign parameters, counting.
    pub finish: &'a mut dyn FnMut(&str, &str, Option<&str>) -> String,
    /// Fills a fragment of the marketer's own for a product.
    pub fragment: &'a dyn Fn(usize, &Value) -> Result<String, Problem>,
}

/// A product with everything about it written out.
struct Card<'a> {
    json: &'a Map<String, Json>,
    name: &'a str,
    href: String,
    image: Option<&'a str>,
    price: String,
    original: String,
    discount: String,
    value: Option<Value>,
}

fn text<'a>(json: &'a Map<String, Json>, key: &str) -> Option<&'a str> {
    json.get(key).and_then(Json::as_str).map(str::trim).filter(|text| !text.is_empty())
}

impl<'a> Card<'a> {
    fn new(json: &'a Json, message: &mut Message<'_>) -> Option<Self> {
        let json = json.as_object()?;
        let name = text(json, "name").unwrap_or_default();
        let url = text(json, "url").filter(|url| link::is_safe(url));
        let external_id = text(json, "external_id");
        let href = url.map(|url| (message.finish)(url, name, external_id)).unwrap_or_default();
        let currency = text(json, "currency").unwrap_or(message.currency);
        let (mut price, mut original, mut discount) = (String::new(), String::new(), String::new());
        let now = json.get("unit_price").and_then(number_of);
        if let Some(now) = now {
            message.locale.money(&mut price, now.0, currency);
        }
        let before = json.get("original_price").and_then(number_of);
        if let (Some(now), Some(before)) = (now, before)
            && before > now
            && before.0 > 0
        {
            message.locale.money(&mut original, before.0, currency);
            // The share saved in ten-thousandths, rounded; below half a percent nothing is claimed.
            let saved = i128::from(before.0 - now.0) * 10_000 / i128::from(before.0);
            if saved >= 50 {
                message.locale.percent(&mut discount, -i64::try_from(saved).unwrap_or(10_000), 0);
            }
        }
        let image = text(json, "image_url").filter(|url| link::is_safe_image(url));
        Some(Self { json, name, href, image, price, original, discount, value: None })
    }

    fn has(&self, has: Has) -> bool {
        match has {
            Has::Image => self.image.is_some(),
            Has::Price => !self.price.is_empty(),
            Has::Original => !self.original.is_empty(),
            Has::Brand => text(self.json, "brand").is_some(),
            Has::Description => text(self.json, "description").is_some(),
            Has::Rating => self.json.get("rating").and_then(number_of).is_some(),
        }
    }

    fn write(&mut self, out: &mut String, parts: &[Part], message: &Message<'_>) -> Result<(), Problem> {
        for part in parts {
            match part {
                Part::Html(html) => out.push_str(html),
                Part::Open(attributes) if self.href.is_empty() => {
                    out.push_str("<span");
                    out.push_str(attributes);
                    out.push('>');
                }
                Part::Open(attributes) => {
                    out.push_str("<a href=\"");
                    escape::html(out, &self.href);
                    out.push('"');
                    out.push_str(attributes);
                    out.push('>');
                }
                Part::Close => out.push_str(if self.href.is_empty() { "</span>" } else { "</a>" }),
                Part::Name => escape::html(out, self.name),
                Part::Image => escape::html(out, self.image.unwrap_or_default()),
                Part::Initial => {
                    let initial: String = self.name.chars().take(1).flat_map(char::to_uppercase).collect();
                    escape::html(out, &initial);
                }
                Part::Price => escape::html(out, &self.price),
                Part::Original => escape::html(out, &self.original),
                Part::Discount => out.push_str(&self.discount),
                Part::Brand => escape::html(out, text(self.json, "brand").unwrap_or_default()),
                Part::Description => {
                    let description = text(self.json, "description").unwrap_or_default();
                    let short: String = description.chars().take(140).collect();
                    escape::html(out, &short);
                    if short.len() < description.len() {
                        out.push('…');
                    }
                }
                Part::Rating => self.number(out, "rating", message),
                Part::Quantity => self.number(out, "quantity", message),
                Part::Total => {
                    if let Some(total) = self.json.get("line_total").and_then(number_of) {
                        let currency = text(self.json, "currency").unwrap_or(message.currency);
                        message.locale.money(out, total.0, currency);
                    }
                }
                Part::Fragment(number) => {
                    let value =
                        self.value.get_or_insert_with(|| to_value(&Json::Object(self.json.clone()), 0));
                    out.push_str(&(message.fragment)(*number, value)?);
                }
                Part::If(has, yes, no) => self.write(out, if self.has(*has) { yes } else { no }, message)?,
            }
        }
        Ok(())
    }

    fn number(&self, out: &mut String, key: &str, message: &Message<'_>) {
        if let Some(number) = self.json.get(key).and_then(number_of) {
            message.locale.number(out, number.0, 0, 1);
        }
    }

    fn plain(&self, out: &mut String, was: &str) {
        out.push_str("- ");
        out.push_str(&escape::one_line(self.name, 200));
        if !self.price.is_empty() {
            out.push_str(" — ");
            out.push_str(&self.price);
        }
        if !self.original.is_empty() {
            out.push_str(" (");
            out.push_str(was);
            out.push(' ');
            out.push_str(&self.original);
            out.push(')');
        }
        out.push('\n');
        if !self.href.is_empty() {
            out.push_str("  ");
            out.push_str(&self.href);
            out.push('\n');
        }
    }
}

/// Fills a grid; nothing when there are no products.
pub(crate) fn grid(
    plan: &GridPlan,
    json: Option<&Json>,
    message: &mut Message<'_>,
) -> Result<Filled, Problem> {
    let products = json.map(products_of).unwrap_or_default();
    let (desktop, mobile) = plan.shown(products.len());
    let mut filled = Filled::default();
    let shown = desktop.max(mobile);
    if shown == 0 {
        return Ok(filled);
    }
    filled.html.reserve(shown * 1_600);
    let share = percent_of(plan.mobile.columns);
    let columns = plan.desktop.columns;
    filled.html.push_str("<div style=\"font-size:0;text-align:left\">");
    filled.html.push_str("<!--[if mso]><table role=\"presentation\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\"><tr><![endif]-->");
    for (i, json) in products.into_iter().take(shown).enumerate() {
        let Some(mut card) = Card::new(json, message) else { continue };
        // Outlook shows what a desktop shows.
        let outlook = i < desktop;
        if outlook {
            filled.html.push_str("<!--[if mso]>");
            if i > 0 && i % columns == 0 {
                filled.html.push_str("</tr><tr>");
            }
            filled.html.push_str(&format!(
                "<td width=\"{}\" valign=\"top\" style=\"font-family:Arial,sans-serif\"><![endif]-->",
                plan.cell
            ));
        } else {
            filled.html.push_str("<!--[if !mso]><!-->");
        }
        let (class, display) = match (i < desktop, i < mobile) {
            (true, false) => (" r-do", "none"),
            (false, true) => (" r-mo", "inline-block"),
            _ => ("", "inline-block"),
        };
        filled.html.push_str(&format!(
            "<div class=\"r-{columns}{class}\" style=\"display:{display};vertical-align:top;width:{share}%\">"
        ));
        card.write(&mut filled.html, &plan.card, message)?;
        filled.html.push_str(if outlook {
            "</div><!--[if mso]></td><![endif]-->"
        } else {
            "</div><!--<![endif]-->"
        });
        card.plain(&mut filled.text, plan.labels.was);
    }
    filled.html.push_str("<!--[if mso]></tr></table><![endif]--></div>");
    Ok(filled)
}

/// Fills a cart's lines and total; nothing when it is empty.
pub(crate) fn cart(
    plan: &CartPlan,
    json: Option<&Json>,
    message: &mut Message<'_>,
) -> Result<Filled, Problem> {
    let mut filled = Filled::default();
    let lines = json.filter(|json| json.get("lines").is_some()).map(products_of).unwrap_or_default();
    let Some(json) = json.and_then(Json::as_object).filter(|_| !lines.is_empty()) else { return Ok(filled) };
    filled.html.push_str(
        "<table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" \
         style=\"width:100%;font-size:15px;line-height:20px\">",
    );
    let more = lines.len().saturating_sub(plan.limit);
    for line in lines.into_iter().take(plan.limit) {
        let Some(mut card) = Card::new(line, message) else { continue };
        card.write(&mut filled.html, &plan.line, message)?;
        card.plain(&mut filled.text, plan.labels.was);
    }
    if more > 0 {
        let label = plan.labels.more.replace("{n}", &more.to_string());
        filled.html.push_str(&format!(
            "<tr><td colspan=\"3\" style=\"padding:10px 0;color:{}\">{}</td></tr>",
            plan.muted,
            escape::html_text(&label)
        ));
        filled.text.push_str(&format!("{label}\n"));
    }
    let currency = text(json, "currency").unwrap_or(message.currency);
    if let (true, Some(total)) = (plan.total, json.get("total").and_then(number_of)) {
        let mut amount = String::new();
        message.locale.money(&mut amount, total.0, currency);
        filled.html.push_str(&format!(
            "<tr><td colspan=\"3\" align=\"right\" style=\"padding:12px 0;text-align:right;font-size:17px\">{} \
             <strong>{}</strong></td></tr>",
            escape::html_text(plan.labels.total),
            escape::html_text(&amount)
        ));
        filled.text.push_str(&format!("{}: {amount}\n", plan.labels.total));
    }
    filled.html.push_str("</table>");
    Ok(filled)
}

/// JSON as an expression sees it, within limits.
pub(crate) fn to_value(json: &Json, depth: usize) -> Value {
    use crate::limits::{PRODUCTS_MAX, VALUE_LEN_MAX};
    match json {
        Json::Null => Value::from(()),
        Json::Bool(b) => Value::from(*b),
        Json::Number(number) => match number.as_i64() {
            Some(n) => Value::from(n),
            None => Value::from(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) if text.len() <= VALUE_LEN_MAX => Value::from(text.as_str()),
        Json::String(text) => Value::from(text.chars().take(VALUE_LEN_MAX).collect::<String>()),
        _ if depth > 8 => Value::UNDEFINED,
        Json::Array(list) => Value::from(
            list.iter().take(PRODUCTS_MAX).map(|one| to_value(one, depth + 1)).collect::<Vec<_>>(),
        ),
        Json::Object(map) => {
            Value::from_pairs(map.iter().map(|(key, one)| (key.as_str(), to_value(one, depth + 1))))
        }
    }
}
