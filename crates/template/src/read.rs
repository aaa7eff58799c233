//! Reads the tree of a template file into a [`Document`]. Goes on after a mistake, so that one run names them all.

use model::{
    Channel, Localized, Problem, Problems, Slug,
    doc::{Data, Fields, Node},
};

use crate::{
    document::{Block, Document, Text, Theme, Variable, VariableType},
    ink::without_tokens,
    limits::{LANGUAGES_MAX, VARIABLES_MAX},
    read_blocks,
    short::{self, Short},
};

/// The format's number.
pub(crate) const FORMAT: i64 = 1;

/// Names that a variable cannot have.
const RESERVED: [&str; 12] =
    ["contact", "product", "cart_line", "now", "today", "loop", "self", "true", "false", "none", "in", "not"];

pub(crate) struct Reader {
    pub problems: Problems,
    pub languages: Vec<String>,
    pub blocks: usize,
}

pub(crate) fn document(root: &Node, file: &str) -> Result<Document, Problems> {
    let mut reader = Reader { problems: Vec::new(), languages: Vec::new(), blocks: 0 };
    let mut fields = root.fields("").map_err(|problem| vec![problem])?;
    if let Some(Some(format)) = reader.ok(fields.required("format").map(Node::integer))
        && format != FORMAT
    {
        reader.problems.push(
            Problem::new("template.format", format!("format {format} is not known"))
                .field("format")
                .cure(format!("write `format: {FORMAT}`, or use a newer Relance")),
        );
    }
    let slug =
        fields.required_text("template").and_then(|text| Slug::parse(text).map_err(|p| p.field("template")));
    let slug = reader.ok(slug);
    reader.languages = reader.languages(&mut fields);
    let name = fields.optional("name").map_or_else(Localized::default, |node| reader.localized(node));
    let channel = short::channel(&mut reader, &mut fields);
    let variables = reader.variables(&mut fields);
    let nothing = || Text::none(root.place);
    let mut parts = Parts { preheader: nothing(), theme: Theme::default(), blocks: Vec::new(), short: None };
    let subject = if channel == Channel::Email {
        let subject = reader.required_text(&mut fields, "subject");
        parts.preheader = reader.text(&mut fields, "preheader").unwrap_or_else(nothing);
        parts.theme = reader.theme(&mut fields);
        let blocks = reader.ok(fields.required("blocks"));
        let blocks = blocks.map(|node| read_blocks::blocks(&mut reader, node, "blocks", true));
        subject.zip(blocks).map(|(subject, blocks)| {
            parts.blocks = blocks;
            subject
        })
    } else {
        short::read(&mut reader, &mut fields, channel).map(|(title, short)| {
            parts.short = Some(short);
            title.unwrap_or_else(nothing)
        })
    };
    reader.problems.extend(fields.finish());
    let Parts { preheader, theme, blocks, short } = parts;
    match (slug, subject) {
        (Some(slug), Some(subject)) if !reader.problems.iter().any(Problem::is_error) => Ok(Document {
            slug,
            name,
            channel,
            languages: reader.languages,
            variables,
            file: file.to_owned(),
            subject,
            preheader,
            theme,
            blocks,
            short,
        }),
        _ => Err(reader.problems),
    }
}

/// What channels have in their own way.
struct Parts {
    preheader: Text,
    theme: Theme,
    blocks: Vec<Block>,
    short: Option<Short>,
}

impl Reader {
    /// Keeps the problem, gives the value.
    pub fn ok<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.problems.push(problem)).ok()
    }

    pub fn error(
        &mut self,
        node: &Node,
        field: impl Into<String>,
        code: &'static str,
        message: impl Into<String>,
    ) {
        self.problems.push(node.problem(code, message).field(field));
    }

    fn languages(&mut self, fields: &mut Fields<'_>) -> Vec<String> {
        let Some(node) = fields.optional("languages") else { return vec!["en".into()] };
        let items = node.items().unwrap_or(std::slice::from_ref(node));
        let mut languages: Vec<String> = Vec::new();
        for item in items {
            let text = item.text().unwrap_or_default();
            let valid = (2..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase());
            if !valid || languages.iter().any(|known| known == text) {
                self.problems.push(
                    item.problem("template.language", "not a language, or there twice")
                        .field("languages")
                        .cure("list ISO 639 codes, as in [en, fr]"),
                );
                continue;
            }
            languages.push(text.to_owned());
        }
        if languages.is_empty() || languages.len() > LANGUAGES_MAX {
            self.error(
                node,
                "languages",
                "template.language",
                format!("give 1 to {LANGUAGES_MAX} languages"),
            );
        }
        languages
    }

    fn localized(&mut self, node: &Node) -> Localized {
        let mut out = Localized::default();
        if let Some(text) = node.text() {
            return Localized::same(text);
        }
        for entry in node.entries().unwrap_or_default() {
            let text = entry.value.text().map(str::to_owned);
            match entry.key.as_str() {
                "en" => out.en = text,
                "fr" => out.fr = text,
                other => self.problems.push(
                    Problem::new("template.language", format!("names are in en and fr, not `{other}`"))
                        .at(entry.place)
                        .field("name"),
                ),
            }
        }
        out
    }

    /// A text, or a mapping of languages to texts that has each of the document's languages.
    pub fn localized_text(&mut self, node: &Node, field: String) -> Option<Text> {
        let Some(entries) = node.entries() else {
            let Some(text) = node.scalar() else {
                self.error(node, field, "doc.type", format!("expected a text, found {}", node.kind()));
                return None;
            };
            return Some(Text {
                place: node.place,
                field,
                all: vec![(String::new(), without_tokens(&text))],
            });
        };
        let mut all = Vec::with_capacity(entries.len());
        for entry in entries {
            if !self.languages.contains(&entry.key) {
                let languages = self.languages.clone();
                self.problems.push(
                    Problem::new("template.language", format!("`{}` is none of the languages", entry.key))
                        .field(&*field)
                        .at(entry.place)
                        .suggest(&entry.key, languages.iter().map(String::as_str)),
                );
            }
            match entry.value.scalar() {
                Some(text) => all.push((entry.key.clone(), without_tokens(&text))),
                None => self.error(&entry.value, &*field, "doc.type", "expected a text"),
            }
        }
        let missing: Vec<&String> =
            self.languages.iter().filter(|language| !all.iter().any(|(own, _)| own == *language)).collect();
        if !missing.is_empty() {
            let list = missing.iter().map(|l| l.as_str()).collect::<Vec<_>>().join(", ");
            self.problems.push(
                Problem::new("template.translation", format!("the text is missing in {list}"))
                    .field(&*field)
                    .at(node.place)
                    .cure("write it in each of the languages, or once for all"),
            );
        }
        Some(Text { place: node.place, field, all })
    }

    pub fn text(&mut self, fields: &mut Fields<'_>, key: &'static str) -> Option<Text> {
        let field = fields.path_of(key);
        fields.optional(key).and_then(|node| self.localized_text(node, field))
    }

    pub fn required_text(&mut self, fields: &mut Fields<'_>, key: &'static str) -> Option<Text> {
        let field = fields.path_of(key);
        let node = self.ok(fields.required(key))?;
        let text = self.localized_text(node, field.clone())?;
        if text.all.iter().any(|(_, text)| text.trim().is_empty()) {
            self.error(node, field, "template.empty", format!("`{key}` is empty"));
        }
        Some(text)
    }

    /// A whole number between bounds, both included.
    pub fn number(&mut self, fields: &mut Fields<'_>, key: &'static str, low: i64, high: i64) -> Option<u32> {
        let field = fields.path_of(key);
        let node = fields.optional(key)?;
        match node.integer() {
            Some(n) if (low..=high).contains(&n) => u32::try_from(n).ok(),
            _ => {
                self.problems.push(
                    node.problem(
                        "template.number",
                        format!("`{key}` is no whole number from {low} to {high}"),
                    )
                    .field(field)
                    .cure(format!("give a number from {low} to {high}")),
                );
                None
            }
        }
    }

    pub fn boolean(&mut self, fields: &mut Fields<'_>, key: &'static str, default: bool) -> bool {
        let read = fields.boolean(key);
        self.ok(read).flatten().unwrap_or(default)
    }

    /// A colour: `#rgb` or `#rrggbb`.
    pub fn color(&mut self, fields: &mut Fields<'_>, key: &'static str) -> Option<String> {
        let field = fields.path_of(key);
        let node = fields.optional(key)?;
        let text = node.text().unwrap_or_default();
        let hex = text.strip_prefix('#').unwrap_or_default();
        if matches!(hex.len(), 3 | 6) && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Some(text.to_owned());
        }
        self.problems.push(
            node.problem("template.color", "not a colour")
                .field(field)
                .cure("write it as in \"#1f6f5c\", in quotes"),
        );
        None
    }

    /// One word out of several.
    pub fn word<'w>(&mut self, node: &Node, field: String, words: &[&'w str]) -> Option<&'w str> {
        let text = node.scalar().unwrap_or_default();
        let found = words.iter().find(|word| **word == text).copied();
        if found.is_none() {
            self.problems.push(
                node.problem("template.word", format!("`{text}` is not known here"))
                    .field(field)
                    .suggest(&text, words.iter().copied()),
            );
        }
        found
    }

    fn theme(&mut self, fields: &mut Fields<'_>) -> Theme {
        let mut theme = Theme::default();
        let Some(node) = fields.optional("theme") else { return theme };
        let Some(mut fields) = self.ok(node.fields("theme")) else { return theme };
        let colors = [
            ("background", &mut theme.background),
            ("surface", &mut theme.surface),
            ("text", &mut theme.text),
            ("muted", &mut theme.muted),
            ("accent", &mut theme.accent),
            ("on_accent", &mut theme.on_accent),
            ("line", &mut theme.line),
        ];
        for (key, target) in colors {
            if let Some(color) = self.color(&mut fields, key) {
                *target = color;
            }
        }
        if let Some(width) = self.number(&mut fields, "width", 320, 900) {
            theme.width = width;
        }
        if let Some(radius) = self.number(&mut fields, "radius", 0, 40) {
            theme.radius = radius;
        }
        if let Some(font) = self.ok(fields.text("font")).flatten() {
            if font.chars().all(|c| c.is_alphanumeric() || " ,'-".contains(c)) && !font.is_empty() {
                theme.font = font.to_owned();
            } else {
                self.problems.push(
                    Problem::new(
                        "template.font",
                        "a list of font families is letters, blanks, commas and single quotes",
                    )
                    .field("theme.font")
                    .value(font),
                );
            }
        }
        self.problems.extend(fields.finish());
        theme
    }

    fn variables(&mut self, fields: &mut Fields<'_>) -> Vec<Variable> {
        let Some(node) = fields.optional("variables") else { return Vec::new() };
        let Some(entries) = node.entries() else {
            self.error(node, "variables", "doc.type", "expected a mapping of names");
            return Vec::new();
        };
        if entries.len() > VARIABLES_MAX {
            self.error(
                node,
                "variables",
                "template.variables",
                format!("more than {VARIABLES_MAX} variables"),
            );
        }
        let mut variables = Vec::with_capacity(entries.len());
        for entry in entries {
            let field = format!("variables.{}", entry.key);
            let good = entry.key.starts_with(|c: char| c.is_ascii_alphabetic())
                && entry.key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && !RESERVED.contains(&entry.key.as_str());
            if !good {
                self.problems.push(
                    Problem::new("template.variable", format!("`{}` cannot name a variable", entry.key))
                        .field(&*field)
                        .at(entry.place)
                        .cure("use letters, digits and `_`, beginning with a letter"),
                );
            }
            if let Some(mut variable) = self.variable(&entry.value, &entry.key, field) {
                variable.place = entry.place;
                variables.push(variable);
            }
        }
        variables
    }

    fn variable(&mut self, node: &Node, name: &str, field: String) -> Option<Variable> {
        let words = VariableType::ALL.map(VariableType::word);
        let kind_of = |word: &str| VariableType::ALL.into_iter().find(|kind| kind.word() == word);
        let new = |kind: VariableType, default: Option<Text>, optional: bool| Variable {
            name: name.to_owned(),
            kind,
            required: !optional && default.is_none() && kind != VariableType::Products,
            default,
            place: node.place,
        };
        if !matches!(node.data, Data::Map(_)) {
            let kind = kind_of(self.word(node, field, &words)?)?;
            return Some(new(kind, None, false));
        }
        let mut fields = self.ok(node.fields(&field))?;
        let kind = self.ok(fields.required("type")).and_then(|node| {
            let word = self.word(node, format!("{field}.type"), &words)?;
            kind_of(word)
        });
        let default = self.text(&mut fields, "default");
        let optional = self.boolean(&mut fields, "optional", false);
        self.problems.extend(fields.finish());
        let kind = kind?;
        if default.is_some()
            && matches!(kind, VariableType::Product | VariableType::Products | VariableType::Cart)
        {
            self.error(
                node,
                field,
                "template.variable",
                format!("a variable of type {} has no default", kind.word()),
            );
        }
        Some(new(kind, default, optional))
    }
}
