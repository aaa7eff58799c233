//! Reading a model from YAML or JSON, with problems that say where and what to do.

use model::{
    Localized, Period, Problem, Problems, Slug,
    doc::{self, Fields, Node},
};

use crate::{Cuts, Group, Measure, NO_GROUP, Ratio, RfmModel};

const NO_ENTRY: u8 = u8::MAX;

impl RfmModel {
    /// Reads a model from YAML or JSON.
    ///
    /// # Errors
    /// Those of the document (`doc.…`), `slug.invalid`, `period.invalid`, `rfm.format`, `rfm.levels`, `rfm.cuts` (both
    /// or neither way of cutting), `rfm.cut_count`, `rfm.cut_value`, `rfm.cut_order`, `rfm.measure`,
    /// `rfm.group_count`, `rfm.group_twice`, `rfm.group_reserved`, `rfm.code_invalid`, `rfm.code_twice`,
    /// `rfm.code_missing`; as many of them as can be told at once.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let root = doc::parse(text).map_err(|problem| vec![problem])?;
        let mut reader = Reader { problems: Vec::new(), levels: 0 };
        let model = reader.model(&root);
        match model {
            Some(model) if reader.problems.is_empty() => Ok(model),
            _ => Err(reader.problems),
        }
    }

    /// Reads a window: `all`, or an ISO 8601 duration of more than nothing.
    ///
    /// # Errors
    /// `period.invalid`.
    pub fn parse_window(text: &str) -> Result<Option<Period>, Problem> {
        if text == "all" {
            return Ok(None);
        }
        match Period::parse(text) {
            Ok(period) if !period.is_zero() => Ok(Some(period)),
            _ => Err(Problem::new("period.invalid", format!("`{text}` is not a window"))
                .value(text)
                .cure("use `all` or an ISO 8601 duration, as in P2Y or P180D")),
        }
    }
}

struct Reader {
    problems: Problems,
    levels: u8,
}

impl Reader {
    /// The value, or none and the problem noted.
    fn note<T>(&mut self, answer: Result<T, Problem>) -> Option<T> {
        answer.map_err(|problem| self.problems.push(problem)).ok()
    }

    fn model(&mut self, root: &Node) -> Option<RfmModel> {
        let mut fields = self.note(root.fields(""))?;
        let format = self.note(fields.integer("format")).flatten();
        if format.is_some_and(|format| format != 1) {
            let problem = Problem::new("rfm.format", "only format 1 is known").field("format").at(root.place);
            self.problems.push(problem);
        }
        let slug = self.note(fields.required("model")).and_then(|node| self.slug(node, "model"));
        let name = fields.optional("name").and_then(|node| self.localized(node, "name")).unwrap_or_default();
        let window = self.window(&mut fields);
        let Some(levels) = self.levels_of(&mut fields) else {
            // Nothing else can be read without it, but a misspelt key can be told.
            for key in ["recency", "frequency", "monetary", "positive_orders_only", "groups"] {
                fields.optional(key);
            }
            self.problems.extend(fields.finish());
            return None;
        };
        self.levels = levels;
        let recency = self.dimension(&mut fields, "recency", "days", 1);
        let frequency = self.dimension(&mut fields, "frequency", "values", 1);
        let monetary = self.dimension(&mut fields, "monetary", "values", 10_000);
        let positive = self.note(fields.boolean("positive_orders_only")).flatten().unwrap_or(false);
        let groups = self.note(fields.required("groups")).and_then(|node| self.groups(node));
        self.problems.extend(fields.finish());
        let ((recency, _), (frequency, _), (monetary, measure)) = (recency?, frequency?, monetary?);
        let (groups, table) = groups?;
        Some(RfmModel {
            slug: slug?,
            name,
            window: window?,
            levels: self.levels,
            recency,
            frequency,
            monetary,
            measure,
            positive_orders_only: positive,
            groups,
            table,
        })
    }

    fn slug(&mut self, node: &Node, path: &str) -> Option<Slug> {
        let slug = Slug::parse(&node.scalar().unwrap_or_default());
        self.note(slug.map_err(|problem| problem.field(path).at(node.place)))
    }

    /// One text, or `{en: …, fr: …}`.
    fn localized(&mut self, node: &Node, path: &str) -> Option<Localized> {
        if let Some(text) = node.text() {
            return Some(Localized::same(text));
        }
        let mut fields = self.note(node.fields(path))?;
        let (en, fr) = (self.note(fields.text("en"))?, self.note(fields.text("fr"))?);
        self.problems.extend(fields.finish());
        Some(Localized { en: en.map(str::to_owned), fr: fr.map(str::to_owned) })
    }

    fn window(&mut self, fields: &mut Fields<'_>) -> Option<Option<Period>> {
        let node = self.note(fields.required("window"))?;
        let window = RfmModel::parse_window(node.text().unwrap_or_default());
        self.note(window.map_err(|problem| problem.field("window").at(node.place)))
    }

    fn levels_of(&mut self, fields: &mut Fields<'_>) -> Option<u8> {
        let (least, most) = (i64::from(RfmModel::LEVELS_MIN), i64::from(RfmModel::LEVELS_MAX));
        let node = self.note(fields.required("levels"))?;
        match node.integer() {
            Some(levels) if (least..=most).contains(&levels) => Some(levels as u8),
            _ => {
                let message = format!("levels must be a whole number from {least} to {most}");
                self.problems.push(node.problem("rfm.levels", message).field("levels"));
                None
            }
        }
    }

    /// `{quantiles: […]}` or `{<values>: […]}`; `monetary` also has `measure`.
    fn dimension(
        &mut self,
        fields: &mut Fields<'_>,
        key: &'static str,
        values: &'static str,
        scale: i128,
    ) -> Option<(Cuts, Measure)> {
        let node = self.note(fields.required(key))?;
        let mut inner = self.note(node.fields(key))?;
        let measure = if key == "monetary" { self.measure(&mut inner) } else { Some(Measure::Sum) };
        let (quantiles, fixed) = (inner.optional("quantiles"), inner.optional(values));
        let cuts = match (quantiles, fixed) {
            (Some(list), None) => self.quantiles(list, &format!("{key}.quantiles")).map(Cuts::Quantiles),
            (None, Some(list)) => self.fixed(list, &format!("{key}.{values}"), scale).map(Cuts::Values),
            _ => {
                let message = format!("give either `quantiles` or `{values}`");
                self.problems.push(Problem::new("rfm.cuts", message).field(key).at(node.place));
                None
            }
        };
        self.problems.extend(inner.finish());
        Some((cuts?, measure?))
    }

    fn measure(&mut self, fields: &mut Fields<'_>) -> Option<Measure> {
        match fields.optional("measure") {
            None => Some(Measure::Average),
            Some(node) => match node.text() {
                Some("average") => Some(Measure::Average),
                Some("sum") => Some(Measure::Sum),
                other => {
                    let problem = node.problem("rfm.measure", "that is no measure").field("monetary.measure");
                    self.problems.push(problem.suggest(other.unwrap_or_default(), ["average", "sum"]));
                    None
                }
            },
        }
    }

    fn quantiles(&mut self, list: &Node, path: &str) -> Option<Vec<Ratio>> {
        let inside = |share: &Ratio| {
            *share > Ratio::whole(0)
                && *share < Ratio::whole(1)
                && share.reduced().denominator() <= RfmModel::QUANTILE_DENOMINATOR_MAX
        };
        let cure = "write shares between 0 and 1, as in 1/5 or 0.2";
        self.cut_list(list, path, |text| Ratio::parse(text).filter(inside), cure)
    }

    fn fixed(&mut self, list: &Node, path: &str, scale: i128) -> Option<Vec<Ratio>> {
        let read = |text: &str| {
            let value = Ratio::parse(text)?;
            Ratio::new(value.numerator() * scale, value.denominator()).map(Ratio::reduced)
        };
        self.cut_list(list, path, read, "write a number, as in 180 or 49.90")
    }

    fn cut_list(
        &mut self,
        list: &Node,
        path: &str,
        read: impl Fn(&str) -> Option<Ratio>,
        cure: &str,
    ) -> Option<Vec<Ratio>> {
        let Some(items) = list.items() else {
            let problem = list.problem("doc.type", format!("expected a list, found {}", list.kind()));
            self.problems.push(problem.field(path));
            return None;
        };
        let wanted = usize::from(self.levels) - 1;
        if items.len() != wanted {
            let message = format!("{} levels need {wanted} cut points, not {}", self.levels, items.len());
            self.problems.push(Problem::new("rfm.cut_count", message).field(path).at(list.place));
            return None;
        }
        let mut cuts: Vec<Ratio> = Vec::with_capacity(wanted);
        for item in items {
            let Some(cut) = item.scalar().as_deref().and_then(&read) else {
                let problem = item.problem("rfm.cut_value", "that is no cut point").field(path).cure(cure);
                self.problems.push(problem);
                return None;
            };
            if cuts.last().is_some_and(|last| *last >= cut) {
                let problem = item.problem("rfm.cut_order", "cut points must ascend").field(path);
                self.problems.push(problem.cure("sort them, each once"));
                return None;
            }
            cuts.push(cut);
        }
        Some(cuts)
    }

    fn groups(&mut self, list: &Node) -> Option<(Vec<Group>, Vec<u8>)> {
        let items = list.items().unwrap_or_default();
        if items.is_empty() || items.len() > RfmModel::GROUPS_MAX {
            let message = format!("give a list of 1 to {} groups", RfmModel::GROUPS_MAX);
            self.problems.push(list.problem("rfm.group_count", message).field("groups"));
            return None;
        }
        let mut groups: Vec<Group> = Vec::new();
        let mut table = vec![NO_ENTRY; usize::from(self.levels).pow(3)];
        for (i, item) in items.iter().enumerate() {
            let path = format!("groups.{i}");
            let mut fields = self.note(item.fields(&path))?;
            let slug_node = self.note(fields.required("slug"))?;
            let slug = self.slug(slug_node, &format!("{path}.slug"))?;
            let refused = if slug.as_str() == NO_GROUP {
                Some(("rfm.group_reserved", "that name is kept for contacts without an order in the window"))
            } else {
                let twice = groups.iter().any(|group| group.slug == slug);
                twice.then_some(("rfm.group_twice", "that group stands twice"))
            };
            if let Some((code, message)) = refused {
                self.problems.push(slug_node.problem(code, message).field(format!("{path}.slug")));
            }
            let name_path = format!("{path}.name");
            let name = fields.optional("name").and_then(|node| self.localized(node, &name_path));
            let codes = self.note(fields.required("codes"))?;
            self.codes(codes, &format!("{path}.codes"), i as u8, &mut table);
            self.problems.extend(fields.finish());
            let name = name.unwrap_or_else(|| Localized::same(slug.as_str()));
            groups.push(Group { slug, name });
        }
        self.missing_codes(list, &table);
        Some((groups, table))
    }

    fn codes(&mut self, list: &Node, path: &str, group: u8, table: &mut [u8]) {
        let levels = usize::from(self.levels);
        let digit = |b: u8| Some(usize::from(b.checked_sub(b'1')?)).filter(|d| *d < levels);
        let Some(items) = list.items() else {
            let problem = list.problem("doc.type", format!("expected a list, found {}", list.kind()));
            self.problems.push(problem.field(path));
            return;
        };
        for item in items {
            let text = item.scalar().unwrap_or_default();
            let place = match text.as_bytes() {
                [r, f, m] => digit(*r).zip(digit(*f)).zip(digit(*m)),
                _ => None,
            };
            let Some(((r, f), m)) = place else {
                let problem = item.problem("rfm.code_invalid", format!("`{text}` is no code")).field(path);
                self.problems.push(problem.cure(format!(
                    "write three digits from 1 to {levels}: recency, frequency, monetary, as in 1{levels}1"
                )));
                continue;
            };
            let entry = &mut table[(r * levels + f) * levels + m];
            if *entry == NO_ENTRY {
                *entry = group;
            } else {
                let problem = item.problem("rfm.code_twice", format!("code {text} stands twice")).field(path);
                self.problems.push(problem);
            }
        }
    }

    fn missing_codes(&mut self, list: &Node, table: &[u8]) {
        let levels = usize::from(self.levels);
        let text =
            |i: usize| format!("{}{}{}", i / levels / levels + 1, i / levels % levels + 1, i % levels + 1);
        let missing: Vec<String> =
            table.iter().enumerate().filter(|(_, group)| **group == NO_ENTRY).map(|(i, _)| text(i)).collect();
        if !missing.is_empty() {
            let shown = missing[..missing.len().min(10)].join(", ");
            let rest = if missing.len() > 10 { ", …" } else { "" };
            let message =
                format!("{} of {} codes are in no group: {shown}{rest}", missing.len(), table.len());
            let problem = Problem::new("rfm.code_missing", message).field("groups").at(list.place);
            self.problems.push(problem.cure("put every code into one group"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_models_are_complete_and_go_round() {
        for (slug, groups, codes) in [("classic-11", 11, 125), ("groups-6", 6, 27)] {
            let model = RfmModel::built_in(slug).unwrap();
            assert_eq!((model.slug.as_str(), model.groups.len()), (slug, groups));
            assert_eq!(model.codes().count(), codes);
            assert_eq!(RfmModel::parse(&model.to_json().to_string()).unwrap(), model);
        }
        assert!(RfmModel::built_in("classic-12").is_none());
        assert_eq!(RfmModel::BUILT_IN.map(|slug| RfmModel::built_in(slug).is_some()), [true, true]);
    }

    #[test]
    fn published_oddities_are_kept() {
        let model = RfmModel::built_in("classic-11").unwrap();
        let mut counts = vec![0; 11];
        for (_, group) in model.codes() {
            counts[group] += 1;
        }
        assert_eq!(counts, [7, 8, 24, 7, 16, 8, 5, 22, 8, 14, 6]);
        for ((r, f, m), slug) in [
            ((5, 3, 5), "need_attention"),
            ((5, 4, 3), "loyal_customers"),
            ((3, 3, 2), "hibernating"),
            ((3, 3, 1), "about_to_sleep"),
            ((1, 5, 5), "cant_lose_them"),
            ((1, 5, 3), "at_risk"),
            ((1, 5, 1), "lost"),
        ] {
            assert_eq!(model.groups[model.group_of(r, f, m)].slug.as_str(), slug);
        }
    }

    const SMALL: &str = "model: two
window: P1Y
levels: 2
recency: {days: [30]}
frequency: {values: [1.5]}
monetary: {measure: sum, values: [49.90]}
groups:
  - {slug: good, name: {en: Good, fr: Bon}, codes: [222, 221, 212, 122]}
  - {slug: rest, codes: [211, 121, 112, 111]}
";

    #[test]
    fn own_models_are_read() {
        let two = RfmModel::parse(SMALL).unwrap();
        assert_eq!(two.monetary, Cuts::Values(vec![Ratio::whole(499_000)]));
        assert_eq!(two.label("good", model::Lang::Fr), "Bon");
        assert_eq!(two.label("rest", model::Lang::Fr), "rest");
        assert_eq!(RfmModel::parse(&two.to_json().to_string()).unwrap(), two);
    }

    #[test]
    fn problems_say_where_and_what() {
        for (from, to, code) in [
            ("levels: 2", "levels: 1", "rfm.levels"),
            ("levels: 2", "levels: 10", "rfm.levels"),
            ("levels: 2", "levels: 3", "rfm.cut_count"),
            ("window: P1Y", "window: 1 year", "period.invalid"),
            ("window: P1Y", "windw: P1Y", "doc.missing"),
            ("window: P1Y", "window: P0D", "period.invalid"),
            ("days: [30]", "days: [thirty]", "rfm.cut_value"),
            ("days: [30]", "days: 30", "doc.type"),
            ("days: [30]", "quantiles: [1]", "rfm.cut_value"),
            ("days: [30]", "quantiles: [0.00000001]", "rfm.cut_value"),
            ("days: [30]", "days: [30], quantiles: [0.5]", "rfm.cuts"),
            ("measure: sum", "measure: totl", "rfm.measure"),
            ("slug: rest", "slug: good", "rfm.group_twice"),
            ("slug: rest", "slug: none", "rfm.group_reserved"),
            ("slug: rest", "slug: Rest", "slug.invalid"),
            ("121, 112", "121, 131", "rfm.code_invalid"),
            ("121, 112", "121, 121", "rfm.code_twice"),
            ("121, 112", "121", "rfm.code_missing"),
            ("codes: [211", "code: [211", "doc.missing"),
            ("model: two", "format: 2\nmodel: two", "rfm.format"),
            ("model: two", "model: two\ncolour: red", "doc.unknown_key"),
        ] {
            let text = SMALL.replacen(from, to, 1);
            let problems = RfmModel::parse(&text).unwrap_err();
            assert!(problems.iter().any(|problem| problem.code == code), "{from} → {to}: {problems:?}");
            assert!(problems.iter().all(|problem| problem.place.is_some()), "{problems:?}");
        }
    }

    #[test]
    fn cut_points_ascend() {
        let three = "levels: 3\nrecency: {days: [30, 30]}";
        let text = SMALL.replacen("levels: 2\nrecency: {days: [30]}", three, 1);
        assert!(RfmModel::parse(&text).unwrap_err().iter().any(|problem| problem.code == "rfm.cut_order"));
    }
}
