//! `fields.yaml` beside a journey: the custom fields of contacts that it uses.
//!
//! ```yaml
//! fields:
//!   highest_price: {name: {en: Highest price, fr: Prix le plus élevé}, type: decimal, min: 0, default: 0}
//! ```

use model::{
    Amount, FieldDef, FieldType, Localized, Problem, Problems, Slug, Value,
    contact::BUILT_IN_FIELDS,
    doc::{self, Fields},
    field::FieldOption,
};

/// Words of the types.
const TYPES: [&str; 10] =
    ["text", "email", "phone", "integer", "decimal", "date", "instant", "checkbox", "radio", "boolean"];

/// Reads the file, YAML or JSON; `file` is its name in messages.
///
/// # Errors
/// Everything that is wrong: `doc.*`, `slug.invalid`, `field.*`, `fields.too_many`, each with its place.
pub fn parse(text: &str, file: &str) -> Result<Vec<FieldDef>, Problems> {
    read(text).map_err(|problems| problems.into_iter().map(|problem| problem.in_file(file)).collect())
}

fn read(text: &str) -> Result<Vec<FieldDef>, Problems> {
    let one = |problem: Problem| vec![problem];
    let root = doc::parse(text).map_err(one)?;
    let mut keys = root.fields("").map_err(one)?;
    let node = keys.required("fields").map_err(one)?;
    let mut problems = Problems::new();
    let mut fields = Vec::new();
    match node.entries() {
        None => {
            let problem = node.problem("doc.type", format!("expected a mapping, found {}", node.kind()));
            problems.push(problem.field("fields").cure("write name: {type: decimal}"));
        }
        Some(entries) if entries.len() > FieldDef::COUNT_MAX => problems.push(
            node.problem("fields.too_many", format!("more than {} fields", FieldDef::COUNT_MAX))
                .field("fields"),
        ),
        Some(entries) => {
            for entry in entries {
                match read_field(entry) {
                    Ok(field) => fields.push(field),
                    Err(more) => problems.extend(more),
                }
            }
        }
    }
    problems.extend(keys.finish());
    if problems.is_empty() { Ok(fields) } else { Err(problems) }
}

fn read_field(entry: &doc::Entry) -> Result<FieldDef, Problems> {
    let one = |problem: Problem| vec![problem];
    let path = format!("fields.{}", entry.key);
    let slug = Slug::parse(&entry.key).map_err(|problem| one(problem.field("fields").at(entry.place)))?;
    if BUILT_IN_FIELDS.iter().any(|(name, _)| *name == entry.key) {
        return Err(one(Problem::new("field.built_in", format!("`{}` is a built-in field", entry.key))
            .field(path)
            .at(entry.place)
            .cure("choose another name")));
    }
    let mut fields = entry.value.fields(&path).map_err(one)?;
    let name = match fields.optional("name") {
        None => Localized::default(),
        Some(node) => label(node),
    };
    let kind = read_type(&mut fields).map_err(one)?;
    let required = fields.boolean("required").map_err(one)?.unwrap_or_default();
    let default =
        fields.optional("default").map(|node| read_default(node, &kind, &path)).transpose().map_err(one)?;
    if required && default.is_none() {
        return Err(one(Problem::new("field.no_default", "a required field needs a default")
            .field(path)
            .at(entry.place)
            .cure("give a default, or leave `required` out")));
    }
    let unknown = fields.finish();
    if unknown.is_empty() { Ok(FieldDef { slug, name, kind, required, default }) } else { Err(unknown) }
}

fn label(node: &doc::Node) -> Localized {
    let text = |key: &str| node.get(key).and_then(doc::Node::scalar);
    match node.scalar() {
        Some(same) => Localized::same(&same),
        None => Localized { en: text("en"), fr: text("fr") },
    }
}

fn read_type(fields: &mut Fields<'_>) -> Result<FieldType, Problem> {
    let node = fields.required("type")?;
    let word = node.scalar().unwrap_or_default();
    Ok(match word.as_str() {
        "text" => FieldType::Text,
        "email" => FieldType::Email,
        "phone" => FieldType::Phone,
        "integer" => FieldType::Integer { min: fields.integer("min")?, max: fields.integer("max")? },
        "decimal" => FieldType::Decimal { min: amount(fields, "min")?, max: amount(fields, "max")? },
        "date" => FieldType::Date,
        "instant" => FieldType::Instant,
        "checkbox" => FieldType::Checkbox { options: options(fields)? },
        "radio" => FieldType::Radio { options: options(fields)? },
        "boolean" => FieldType::Boolean,
        _ => {
            return Err(node
                .problem("field.unknown_type", format!("`{word}` is no type of field"))
                .field(fields.path_of("type"))
                .suggest(&word, TYPES));
        }
    })
}

fn amount(fields: &mut Fields<'_>, key: &'static str) -> Result<Option<Amount>, Problem> {
    let path = fields.path_of(key);
    let Some(node) = fields.optional(key) else { return Ok(None) };
    let text = node.scalar().unwrap_or_default();
    Amount::parse(&text).map(Some).map_err(|problem| problem.field(path).at(node.place))
}

fn options(fields: &mut Fields<'_>) -> Result<Vec<FieldOption>, Problem> {
    let path = fields.path_of("options");
    let node = fields.required("options")?;
    let wrong = || {
        node.problem("field.options", format!("expected 1 to {} options", FieldDef::OPTIONS_MAX))
            .field(&path)
            .cure("write them as in options: {red: Red, blue: {en: Blue, fr: Bleu}}, or as a list")
    };
    let options: Vec<FieldOption> = match (node.entries(), node.items()) {
        (Some(entries), _) => {
            entries.iter().map(|e| FieldOption { id: e.key.clone(), label: label(&e.value) }).collect()
        }
        (_, Some(items)) => items
            .iter()
            .map(|item| item.scalar().map(|id| FieldOption { id, label: Localized::default() }))
            .collect::<Option<_>>()
            .ok_or_else(wrong)?,
        _ => return Err(wrong()),
    };
    if options.is_empty() || options.len() > FieldDef::OPTIONS_MAX { Err(wrong()) } else { Ok(options) }
}

fn read_default(node: &doc::Node, kind: &FieldType, path: &str) -> Result<Value, Problem> {
    let list =
        node.items().map(|items| items.iter().filter_map(doc::Node::scalar).collect::<Vec<_>>().join("|"));
    let text = list.or_else(|| node.scalar()).unwrap_or_default();
    Value::parse(&text, kind).map_err(|problem| problem.field(format!("{path}.default")).at(node.place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_type_with_its_default() {
        let text = "
fields:
  highest_price: {name: {en: Highest price}, type: decimal, min: 0, default: 0}
  colour: {type: radio, options: {red: Red, blue: {en: Blue, fr: Bleu}}, required: true, default: red}
  likes: {type: checkbox, options: [tea, mugs], default: [tea, mugs]}
  points: {type: integer, max: 9, default: 9}
";
        let fields = parse(text, "fields.yaml").unwrap();
        assert_eq!(fields[0].kind, FieldType::Decimal { min: Some(Amount::ZERO), max: None });
        assert_eq!(fields[0].default, Some(Value::Decimal(Amount::ZERO)));
        assert_eq!(fields[1].default, Some(Value::Text("red".into())));
        assert_eq!(fields[2].default, Some(Value::Options(vec!["mugs".into(), "tea".into()])));
        assert_eq!(fields[3].default, Some(Value::Integer(9)));
    }

    #[test]
    fn names_what_is_wrong() {
        let many = |n: usize| (0..n).map(|i| format!("f{i}: {{type: text}}")).collect::<Vec<_>>().join(", ");
        for (body, code) in [
            ("x: {type: decimel}".to_owned(), "field.unknown_type"),
            ("x: {type: decimal, min: a}".to_owned(), "amount.invalid"),
            ("x: {type: decimal, min: 0, default: -1}".to_owned(), "field.out_of_range"),
            ("x: {type: text, required: true}".to_owned(), "field.no_default"),
            ("x: {type: text, defualt: a}".to_owned(), "doc.unknown_key"),
            ("x: {type: radio, options: []}".to_owned(), "field.options"),
            ("x: {type: radio, options: [a], default: b}".to_owned(), "field.unknown_option"),
            ("email: {type: text}".to_owned(), "field.built_in"),
            ("\"Bad Name\": {type: text}".to_owned(), "slug.invalid"),
            (many(FieldDef::COUNT_MAX), "ok"),
            (many(FieldDef::COUNT_MAX + 1), "fields.too_many"),
        ] {
            let got = parse(&format!("fields: {{{body}}}"), "fields.yaml");
            let found = got
                .map_or_else(|p| p.into_iter().map(|p| p.code.to_string()).collect(), |_| vec!["ok".into()]);
            assert!(found.iter().any(|found| found == code), "{body:.60}: {found:?}");
        }
    }
}
