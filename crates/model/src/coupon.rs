//! Coupon sets: one code for everybody, or a pool of codes that are each given once (spec §2.8, §3.7).
//!
//! ```yaml
//! format: 1
//! coupons: reactivation
//! name: {en: Reactivation, fr: Réactivation}
//! kind: single_use
//! valid_for: P30D
//! low_stock: 500
//! pattern: BACK-{8}
//! ```
//!
//! The set holds terms; its codes are imported or generated (`relance coupon`) and kept by the base.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Localized, Period, Problem, Problems, Slug, Timestamp, Zone,
    doc::{self, Fields, Node},
};

/// The only format so far.
pub const FORMAT: i64 = 1;

/// The terms of a coupon set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CouponSet {
    /// What it is known by.
    pub slug: Slug,
    /// What people call it.
    #[serde(default)]
    pub name: Localized,
    /// Whose codes.
    pub kind: CouponKind,
    /// When all its codes end (exclusive).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// How long a code is good for after it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_for: Option<Period>,
    /// How often codes of the set may be given in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// How many codes of the set one contact may be given, over all time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_contact: Option<u64>,
    /// With so many codes left or fewer, somebody is warned, once for each time that the set runs low.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_stock: Option<u64>,
    /// How codes are generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern>,
}

/// Whose the codes of a set are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CouponKind {
    /// One code for everybody.
    Shared {
        /// The code.
        code: String,
    },
    /// Many codes, each for one contact.
    SingleUse,
}

impl CouponSet {
    /// Most codes in a set, and the greatest limit of uses (spec §2.8).
    pub const CODES_MAX: u64 = 500_000;
    /// Longest code, in characters.
    pub const CODE_LEN_MAX: usize = 64;

    /// Reads a file's text. `stem` is the file's name without its ending: the slug where the file names none. A day alone
    /// as `expires_at` is the last day on which codes are good, in `zone`.
    ///
    /// # Errors
    /// Everything that is wrong: `doc.*`, `coupon.*`, `slug.invalid`, `period.invalid`, `time.*`, each with its place.
    pub fn parse(text: &str, stem: Option<&str>, zone: &Zone) -> Result<Self, Problems> {
        let node = doc::parse(text).map_err(|problem| vec![problem])?;
        let fields = node.fields("").map_err(|problem| {
            vec![
                problem
                    .cure("a coupon set's file begins with format: 1, coupons: its-name, kind: single_use"),
            ]
        })?;
        Reader { fields, problems: Problems::new(), zone }.read(stem)
    }

    /// Reads what was saved of one.
    ///
    /// # Errors
    /// `coupon.stored` when it does not read back.
    pub fn from_json(json: &serde_json::Value) -> Result<Self, Problem> {
        serde_json::from_value(json.clone()).map_err(|error| {
            Problem::new("coupon.stored", format!("a stored coupon set does not read back: {error}"))
        })
    }

    /// For saving.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        // Texts and numbers always can be written.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The code of a shared set.
    #[must_use]
    pub fn shared_code(&self) -> Option<&str> {
        match &self.kind {
            CouponKind::Shared { code } => Some(code),
            CouponKind::SingleUse => None,
        }
    }

    /// Whether the set as a whole has ended.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// When a code that is given at `at` ends: with the set, or its own time, whichever is earlier. None: never.
    #[must_use]
    pub fn expiry(&self, at: Timestamp) -> Option<Timestamp> {
        let own = self.valid_for.map(|period| period.after(at));
        match (self.expires_at, own) {
            (Some(set), Some(own)) => Some(set.min(own)),
            (set, own) => set.or(own),
        }
    }
}

/// The JSON Schema (2020-12) of a coupon set's file: `docs/schemas/coupons.json`, for editors.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    let count = || json!({"type": "integer", "minimum": 1, "maximum": CouponSet::CODES_MAX});
    let of_kind = |kind: &str, required: &[&str], key: &str, rule: serde_json::Value| {
        let properties = json!({
            "format": {"const": FORMAT},
            "coupons": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
            "name": Localized::json_schema(),
            "kind": {"const": kind},
            "expires_at": {"type": "string"},
            "valid_for": {"type": "string", "pattern": "^[Pp]"},
            "limit": count(),
            "per_contact": count(),
            "low_stock": count(),
            key: rule,
        });
        json!({
            "if": {"required": ["kind"], "properties": {"kind": {"const": kind}}},
            "then": {"type": "object", "required": required, "additionalProperties": false, "properties": properties},
        })
    };
    let code = json!({"type": ["string", "integer"], "maxLength": CouponSet::CODE_LEN_MAX});
    let pattern = json!({"type": "string", "pattern": r"^[^{}]*\{\d+\}[^{}]*$"});
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Relance: a coupon set",
        "type": "object",
        "required": ["format", "kind"],
        "properties": {"kind": {"enum": ["shared", "single_use"]}},
        "allOf": [
            of_kind("shared", &["code"], "code", code),
            of_kind("single_use", &[], "pattern", pattern),
        ],
    })
}

/// Checks a code as shops take them: visible characters without blanks. Codes compare without regard to ASCII case.
///
/// # Errors
/// `coupon.code_empty`, `coupon.code_too_long`, `coupon.code_invalid`.
pub fn check_code(code: &str) -> Result<(), Problem> {
    if code.is_empty() {
        return Err(Problem::new("coupon.code_empty", "the code is empty").field("code"));
    }
    if code.chars().count() > CouponSet::CODE_LEN_MAX {
        return Err(Problem::new(
            "coupon.code_too_long",
            format!("the code is longer than {} characters", CouponSet::CODE_LEN_MAX),
        )
        .field("code")
        .value(code)
        .cure("check the column: is this a code?"));
    }
    if code.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, ',' | ';' | '|' | '"')) {
        return Err(Problem::new(
            "coupon.code_invalid",
            format!("`{code}` holds a character that no code may hold"),
        )
        .field("code")
        .value(code)
        .cure("write codes without blanks, quotation marks and any of , ; |"));
    }
    Ok(())
}

/// How codes are generated: a text with one place for random characters, as in `SPRING-{8}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Pattern {
    before: String,
    random: usize,
    after: String,
}

/// The characters of generated codes: none that is taken for another (0 and O, 1 and I).
const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";

impl Pattern {
    /// Fewest random characters: 32⁶ is a thousand million codes, so that none is guessed.
    pub const RANDOM_MIN: usize = 6;
    /// Most random characters.
    pub const RANDOM_MAX: usize = 32;

    /// Reads a pattern.
    ///
    /// # Errors
    /// `coupon.pattern`.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let wrong = |why: String| {
            Problem::new("coupon.pattern", why).field("pattern").value(text).cure(format!(
                "write the number of random characters ({} to {}) in braces, once, as in SPRING-{{8}}",
                Self::RANDOM_MIN,
                Self::RANDOM_MAX
            ))
        };
        let parts = text.split_once('{').and_then(|(before, rest)| {
            let (number, after) = rest.split_once('}')?;
            Some((before, number.parse::<usize>().ok()?, after))
        });
        let Some((before, random, after)) = parts.filter(|(_, _, after)| !after.contains(['{', '}'])) else {
            return Err(wrong(format!("`{text}` is no pattern")));
        };
        if !(Self::RANDOM_MIN..=Self::RANDOM_MAX).contains(&random) {
            return Err(wrong(format!("{random} random characters")));
        }
        let pattern = Self { before: before.to_owned(), random, after: after.to_owned() };
        check_code(&pattern.code(&vec![0; random]))?;
        Ok(pattern)
    }

    /// How many random bytes one code takes.
    #[must_use]
    pub const fn random_len(&self) -> usize {
        self.random
    }

    /// The code of these random bytes, of which there are [`Pattern::random_len`].
    #[must_use]
    pub fn code(&self, random: &[u8]) -> String {
        let mut code = String::with_capacity(self.before.len() + self.random + self.after.len());
        code.push_str(&self.before);
        code.extend(random.iter().take(self.random).map(|byte| char::from(ALPHABET[usize::from(byte & 31)])));
        code.push_str(&self.after);
        code
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{{{}}}{}", self.before, self.random, self.after)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.to_string()
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).map_err(|problem| problem.message)
    }
}

struct Reader<'a> {
    fields: Fields<'a>,
    problems: Problems,
    zone: &'a Zone,
}

impl<'a> Reader<'a> {
    fn keep<T>(&mut self, read: Result<T, Problem>) -> Option<T> {
        read.map_err(|problem| self.problems.push(problem)).ok()
    }

    /// A scalar of the file, read by `read`.
    fn scalar<T>(&mut self, key: &'static str, read: impl Fn(&str) -> Result<T, Problem>) -> Option<T> {
        let node = self.fields.optional(key)?;
        let value = node
            .scalar()
            .ok_or_else(|| node.problem("doc.type", format!("expected a text, found {}", node.kind())))
            .and_then(|text| read(&text))
            .map_err(|problem| problem.field(key).at(node.place));
        self.keep(value)
    }

    fn count(&mut self, key: &'static str, max: u64) -> Option<u64> {
        self.scalar(key, |text| match text.parse::<u64>() {
            Ok(n) if (1..=max).contains(&n) => Ok(n),
            _ => Err(Problem::new("coupon.number", format!("`{text}` is no number from 1 to {max}"))
                .value(text)
                .cure(format!("write a whole number from 1 to {max}, or leave {key} out"))),
        })
    }

    fn read(mut self, stem: Option<&str>) -> Result<CouponSet, Problems> {
        let place = self.fields.place;
        match self.fields.optional("format").map(Node::integer) {
            Some(Some(FORMAT)) => {}
            found => {
                let what = if found.is_some() { "this format is not known" } else { "`format` is missing" };
                let code = if found.is_some() { "coupon.format" } else { "doc.missing" };
                let problem = Problem::new(code, what).field("format").at(place);
                self.problems.push(problem.cure(format!("write format: {FORMAT}")));
            }
        }
        let slug = match self.fields.optional("coupons") {
            Some(_) => self.scalar_again("coupons"),
            None => stem.map(str::to_owned),
        };
        let slug = slug.map_or_else(
            || Err(Problem::new("doc.missing", "`coupons` is missing").field("coupons").at(place)),
            |text| Slug::parse(&text).map_err(|problem| problem.field("coupons").at(place)),
        );
        let slug = self.keep(slug);
        let name = self.fields.optional("name").map(label).unwrap_or_default();
        let kind = self.kind();
        let zone = self.zone;
        let expires_at = self.scalar("expires_at", |text| {
            let at = Timestamp::parse(text, zone)?;
            // A day alone: codes are good until it is over.
            if text.trim().len() > 10 { Ok(at) } else { Ok(next_day(at, zone)) }
        });
        let valid_for = self.scalar("valid_for", |text| match Period::parse(text)? {
            period if period.is_zero() => {
                Err(Problem::new("coupon.valid_for", "a code must be good for some time")
                    .value(text)
                    .cure("write a period, as in P30D, or leave valid_for out"))
            }
            period => Ok(period),
        });
        let limit = self.count("limit", CouponSet::CODES_MAX);
        let per_contact = self.count("per_contact", CouponSet::CODES_MAX);
        let low_stock = self.count("low_stock", CouponSet::CODES_MAX);
        let pattern = self.scalar("pattern", Pattern::parse);
        if pattern.is_some() && matches!(kind, Some(CouponKind::Shared { .. })) {
            self.problems.push(
                Problem::new("coupon.pattern", "a set with one shared code generates none")
                    .field("pattern")
                    .at(place)
                    .cure("leave `pattern` out, or write kind: single_use"),
            );
        }
        let Self { fields, mut problems, .. } = self;
        problems.extend(fields.finish());
        match (slug, kind) {
            (Some(slug), Some(kind)) if !problems.iter().any(Problem::is_error) => Ok(CouponSet {
                slug,
                name,
                kind,
                expires_at,
                valid_for,
                limit,
                per_contact,
                low_stock,
                pattern,
            }),
            _ => Err(problems),
        }
    }

    fn scalar_again(&mut self, key: &'static str) -> Option<String> {
        self.scalar(key, |text| Ok(text.to_owned()))
    }

    fn kind(&mut self) -> Option<CouponKind> {
        let required = self.fields.required("kind");
        let node = self.keep(required)?;
        let word = node.scalar().unwrap_or_default();
        let code = self.scalar("code", |text| check_code(text).map(|()| text.to_owned()));
        let place = node.place;
        match word.as_str() {
            "shared" => {
                if code.is_none()
                    && self.problems.iter().all(|problem| problem.field.as_deref() != Some("code"))
                {
                    self.problems.push(
                        Problem::new("doc.missing", "`code` is missing")
                            .field("code")
                            .at(place)
                            .cure("a shared set has one code: write it, as in code: SPRING10"),
                    );
                }
                code.map(|code| CouponKind::Shared { code })
            }
            "single_use" => {
                if code.is_some() {
                    self.problems.push(
                        Problem::new("coupon.code", "a set of single-use codes has no code of its own")
                            .field("code")
                            .at(place)
                            .cure("write kind: shared, or import the codes with `relance coupon import`"),
                    );
                }
                Some(CouponKind::SingleUse)
            }
            _ => {
                self.problems.push(
                    node.problem("coupon.kind", format!("`{word}` is no kind of coupon set"))
                        .field("kind")
                        .suggest(&word, ["shared", "single_use"]),
                );
                None
            }
        }
    }
}

fn label(node: &Node) -> Localized {
    let text = |key: &str| node.get(key).and_then(Node::scalar);
    match node.scalar() {
        Some(same) => Localized::same(&same),
        None => Localized { en: text("en"), fr: text("fr") },
    }
}

/// The beginning of the next day in a zone.
fn next_day(at: Timestamp, zone: &Zone) -> Timestamp {
    let next = at.civil(zone).date().tomorrow().and_then(|day| day.to_zoned(zone.jiff().clone()));
    next.map_or(at, |day| Timestamp::from_jiff(day.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(keys: &str) -> Result<CouponSet, Vec<String>> {
        let zone = Zone::parse("Europe/Paris").unwrap();
        CouponSet::parse(&format!("format: 1\n{keys}\n"), Some("spring"), &zone)
            .map_err(|problems| problems.iter().map(|problem| problem.code.to_string()).collect())
    }

    #[test]
    fn a_file_and_back() {
        let set = read(
            "kind: single_use\nname: {fr: Printemps}\nexpires_at: 2026-03-28\nvalid_for: P1M\nlow_stock: 5\npattern: \"S-{8}\"",
        );
        let set = set.unwrap();
        assert_eq!((set.slug.as_str(), set.kind.clone()), ("spring", CouponKind::SingleUse));
        let end = Timestamp::parse("2026-03-28T23:00:00Z", &Zone::UTC).unwrap();
        assert_eq!(set.expires_at, Some(end), "its last day is over at midnight of the zone");
        assert!(!set.is_over(end.plus(-1)) && set.is_over(end));
        assert_eq!(set.expiry(end.plus_days(-2)), Some(end), "the set ends before the code");
        let early = end.plus_days(-60);
        assert_eq!(set.expiry(early), Some(Period::parse("P1M").unwrap().after(early)));
        assert_eq!(CouponSet::from_json(&set.to_json()), Ok(set));
    }

    #[test]
    fn mistakes_have_codes() {
        for (keys, code) in [
            ("kind: shared", "doc.missing"),
            ("kind: shared\ncode: \"A B\"", "coupon.code_invalid"),
            ("kind: single_use\ncode: A", "coupon.code"),
            ("kind: shared\ncode: A\npattern: \"S-{8}\"", "coupon.pattern"),
            ("kind: single_use\npattern: \"{8}{8}\"", "coupon.pattern"),
            ("kind: single_use\nlimit: 1.5", "coupon.number"),
            ("kind: single_use\nexpires_at: soon", "time.invalid"),
            ("kind: single_use\nunknown: 1", "doc.unknown_key"),
            ("coupons: A\nkind: single_use", "slug.invalid"),
        ] {
            let found = read(keys).unwrap_err();
            assert!(found.iter().any(|found| found == code), "{keys}: {found:?}");
        }
    }

    #[test]
    fn limits_at_the_edge_and_one_past_it() {
        let limit = |n: u64| read(&format!("kind: single_use\nlimit: {n}")).is_ok();
        assert!(limit(1) && limit(CouponSet::CODES_MAX));
        assert!(!limit(0) && !limit(CouponSet::CODES_MAX + 1));
        let random = |n: usize| Pattern::parse(&format!("{{{n}}}")).is_ok();
        assert!(random(Pattern::RANDOM_MIN) && random(Pattern::RANDOM_MAX));
        assert!(!random(Pattern::RANDOM_MIN - 1) && !random(Pattern::RANDOM_MAX + 1));
        let code = |n: usize| check_code(&"é".repeat(n)).is_ok();
        assert!(code(CouponSet::CODE_LEN_MAX) && !code(CouponSet::CODE_LEN_MAX + 1));
        let long = |n: usize| Pattern::parse(&format!("{}{{6}}", "x".repeat(n))).is_ok();
        assert!(long(CouponSet::CODE_LEN_MAX - 6) && !long(CouponSet::CODE_LEN_MAX - 5));
    }

    #[test]
    fn generated_codes_are_of_the_alphabet() {
        let pattern = Pattern::parse("A-{6}-Z").unwrap();
        assert_eq!(pattern.code(&[0, 31, 32, 63, 64, 255]), "A-2Z2Z2Z-Z");
        assert_eq!(pattern.to_string(), "A-{6}-Z");
    }
}
