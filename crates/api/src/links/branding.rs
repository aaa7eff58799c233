//! The setting `branding`: what the pages for people are called and which colour they have.
//!
//! ```yaml
//! name: Lanternwick
//! accent: "#1f6f5c"
//! address: {en: "Lanternwick, 12 Mill Lane, Exampleton", fr: "Lanternwick, 12 Mill Lane, Exampleton"}
//! ```

use model::{Localized, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The workspace's setting.
pub const SETTING: &str = "branding";
/// The colour of pages without one.
const ACCENT: &str = "#1f4e79";
/// Least contrast of text, as WCAG 2.2 has it for level AA (1.4.3).
const CONTRAST_MIN: f64 = 4.5;

/// How a shop shows itself on pages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"name": "The mug shop", "accent": "#0a6640", "address": {"en": "1 Harbour Road, Brest", "fr": "1, rue du Port, Brest"}}))]
pub struct Branding {
    /// The shop's name: 1 to 80 characters.
    pub name: String,
    /// A colour, as in `#1f6f5c`. What stands on it is black or white, whichever is read better; links in it are made
    /// darker until they can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accent: Option<String>,
    /// Who the shop is, and where: at the foot of each page. At most 300 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub address: Option<Localized>,
}

impl Branding {
    /// Longest name, in characters.
    pub const NAME_LEN_MAX: usize = 80;
    /// Longest address, in characters.
    pub const ADDRESS_LEN_MAX: usize = 300;

    /// Of a setting; what cannot be read is as if it were not set.
    #[must_use]
    pub fn of(setting: Option<serde_json::Value>) -> Self {
        let read = |value| serde_json::from_value::<Self>(value).ok();
        setting.and_then(read).filter(|branding| branding.check().is_ok()).unwrap_or_default()
    }

    /// Whether it can be shown.
    ///
    /// # Errors
    /// `branding.name`, `branding.accent`, `branding.address`.
    pub fn check(&self) -> Result<(), Problem> {
        let long = |text: &str, most| text.chars().count() > most || text.chars().any(char::is_control);
        if long(&self.name, Self::NAME_LEN_MAX) {
            let problem = Problem::new("branding.name", "the name is too long, or has control characters");
            return Err(problem.field("name").cure(format!("use at most {} characters", Self::NAME_LEN_MAX)));
        }
        if let Some(accent) = self.accent.as_deref().filter(|accent| rgb(accent).is_none()) {
            let problem = Problem::new("branding.accent", format!("`{accent}` is no colour"));
            return Err(problem.field("accent").value(accent).cure("write six digits, as in #1f6f5c"));
        }
        let address = self.address.iter().flat_map(|address| [&address.en, &address.fr]).flatten();
        if address.into_iter().any(|text| long(text, Self::ADDRESS_LEN_MAX)) {
            let problem =
                Problem::new("branding.address", "the address is too long, or has control characters");
            let cure = format!("use one line of at most {} characters", Self::ADDRESS_LEN_MAX);
            return Err(problem.field("address").cure(cure));
        }
        Ok(())
    }

    /// The pages' style sheet.
    #[must_use]
    pub fn css(&self) -> String {
        let accent = self.accent.as_deref().unwrap_or(ACCENT);
        let colour = rgb(accent).unwrap_or_default();
        let on = if contrast(colour, [255; 3]) >= CONTRAST_MIN { "#ffffff" } else { "#000000" };
        let mut link = colour;
        while contrast(link, [255; 3]) < CONTRAST_MIN {
            link = link.map(|part| (u16::from(part) * 9 / 10) as u8);
        }
        let hex = |[r, g, b]: [u8; 3]| format!("#{r:02x}{g:02x}{b:02x}");
        include_str!("pages/page.css")
            .replace("#accent#", &hex(colour))
            .replace("#on-accent#", on)
            .replace("#link#", &hex(link))
    }
}

/// Red, green, blue of `#rrggbb`.
fn rgb(text: &str) -> Option<[u8; 3]> {
    let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.is_ascii())?;
    let part = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).ok();
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then_some([part(0)?, part(2)?, part(4)?])
}

/// WCAG's relative luminance.
fn luminance(colour: [u8; 3]) -> f64 {
    let linear = |part: u8| {
        let part = f64::from(part) / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    };
    let [r, g, b] = colour.map(linear);
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

fn contrast(one: [u8; 3], other: [u8; 3]) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_colour_text_can_be_read() {
        for accent in ["#ffffff", "#000000", "#ffcc00", "#1f6f5c", "#777777", "#ff0000", "#8080ff"] {
            let branding = Branding { accent: Some(accent.into()), ..Branding::default() };
            let css = branding.css();
            let value = |name: &str| {
                let rest = css.split_once(&format!("{name}: ")).unwrap().1;
                rgb(rest.split_once(';').unwrap().0).unwrap()
            };
            assert_eq!(value("--accent"), rgb(accent).unwrap());
            assert!(contrast(value("--accent"), value("--on-accent")) >= CONTRAST_MIN, "{accent}");
            assert!(contrast(value("--link"), [255; 3]) >= CONTRAST_MIN, "{accent}");
        }
        // Fixed colours of the sheet: text and quiet text on white and on the page's ground.
        for (text, ground) in
            [("#1d1d1b", "#f4f4f2"), ("#575753", "#f4f4f2"), ("#575753", "#ffffff"), ("#1d1d1b", "#fbefee")]
        {
            assert!(include_str!("pages/page.css").contains(text));
            assert!(contrast(rgb(text).unwrap(), rgb(ground).unwrap()) >= CONTRAST_MIN, "{text} on {ground}");
        }
    }

    #[test]
    fn what_cannot_be_shown_is_refused() {
        let name = |n: usize| Branding { name: "n".repeat(n), ..Branding::default() };
        assert!(name(Branding::NAME_LEN_MAX).check().is_ok());
        assert_eq!(name(Branding::NAME_LEN_MAX + 1).check().unwrap_err().code, "branding.name");
        let address =
            |n: usize| Branding { address: Some(Localized::same(&"a".repeat(n))), ..Branding::default() };
        assert!(address(Branding::ADDRESS_LEN_MAX).check().is_ok());
        assert_eq!(address(Branding::ADDRESS_LEN_MAX + 1).check().unwrap_err().code, "branding.address");
        for bad in ["red", "#fff", "#12345g", "#1234567", "#}{x;:}", "#+12345", "url(x)"] {
            let branding = Branding { accent: Some(bad.into()), ..Branding::default() };
            assert_eq!(branding.check().unwrap_err().code, "branding.accent", "{bad}");
            assert_eq!(Branding::of(Some(serde_json::json!({"accent": bad}))), Branding::default());
        }
    }
}
