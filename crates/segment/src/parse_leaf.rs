//! Reading the tree and its leaves but activities.

use model::{
    ConsentState, Problem,
    doc::{Fields, Node},
};

use crate::{
    Kind, Leaf, RefPath, Tests, Tree,
    condition::RfmCondition,
    operator::Operator,
    parse::{Parser, ValueType},
    schema::Scope,
};

/// Answers of a consent by word.
const CONSENT_STATES: [(&str, ConsentState); 3] = [
    ("subscribed", ConsentState::Subscribed),
    ("not_subscribed", ConsentState::NotSubscribed),
    ("unsubscribed", ConsentState::Unsubscribed),
];

/// The keys that say what a leaf is.
pub(crate) const LEAF_KEYS: [&str; 9] =
    ["field", "ref", "consent", "rfm", "segment", "list", "did", "did_not", "cart"];

impl Parser<'_, '_> {
    /// Reads a tree.
    pub(crate) fn condition(&mut self, node: &Node, path: &str) -> Option<Tree> {
        if node.items().is_some() {
            return self.branches(node, path, Self::condition).map(Tree::All);
        }
        let entries = self.mapping(node, path)?;
        for (key, make) in [("all", Tree::All as fn(Vec<Tree>) -> Tree), ("any", Tree::Any)] {
            if let Some(inner) = node.get(key) {
                let alone = self.alone(entries, key, path);
                let parts = self.branches(inner, &format!("{path}.{key}"), Self::condition);
                return alone.then_some(make(parts?));
            }
        }
        if let Some(inner) = node.get("not") {
            let alone = self.alone(entries, "not", path);
            let part = self.condition(inner, &format!("{path}.not"));
            return alone.then_some(Tree::Not(Box::new(part?)));
        }
        self.count_leaf(node, path)?;
        self.leaf(node, path).map(Tree::Leaf)
    }

    fn leaf(&mut self, node: &Node, path: &str) -> Option<Leaf> {
        let Some(key) = LEAF_KEYS.iter().find(|key| node.get(key).is_some()) else {
            let first = node.entries()?.first()?;
            let problem = Problem::new("condition.unknown", format!("`{}` is not a condition", first.key));
            let words = LEAF_KEYS.iter().copied().chain(["all", "any", "not"]).collect::<Vec<_>>();
            self.report(problem.field(path).at(first.place).suggest(&first.key, words));
            return None;
        };
        let mut fields = self.fields(node, path)?;
        let leaf = match *key {
            "field" => self.field_leaf(&mut fields),
            "ref" => self.value_leaf(&mut fields),
            "consent" => self.consent_leaf(&mut fields),
            "rfm" => self.rfm_leaf(&mut fields),
            "segment" => self.member_leaf(&mut fields, "segment").map(Leaf::Segment),
            "list" => self.member_leaf(&mut fields, "list").map(Leaf::List),
            "cart" => self.in_scope(node, path).and_then(|()| self.cart_leaf(&mut fields)).map(Leaf::Cart),
            _ => self.in_scope(node, path).and_then(|()| self.activity_leaf(&mut fields)).map(Leaf::Activity),
        };
        self.finish_fields(fields);
        leaf
    }

    fn in_scope(&mut self, node: &Node, path: &str) -> Option<()> {
        if self.schema.scope == Scope::Full {
            return Some(());
        }
        let problem =
            node.problem("condition.not_here", "conditions about activity and carts are not possible here");
        self.report(problem.field(path).cure("make a segment of it and ask for the segment"));
        None
    }

    fn field_leaf(&mut self, fields: &mut Fields<'_>) -> Option<Leaf> {
        let node = self.need(fields.required("field"))?;
        let name = node.text().unwrap_or_default();
        let Some(kind) = self.schema.field_type(name) else {
            let problem = node.problem("field.unknown", format!("a contact has no field `{name}`"));
            let names = self.schema.field_names();
            self.report(problem.field(fields.path_of("field")).suggest(name, names));
            // The operators are asked for all the same, so that they are not called unknown.
            self.tests_or_none(fields, &ValueType::of(Kind::Any));
            return None;
        };
        let left = ValueType::of_field(kind);
        let tests = self.tests(fields, &left)?;
        Some(Leaf::Field { name: name.to_owned(), kind: left.kind, tests })
    }

    fn value_leaf(&mut self, fields: &mut Fields<'_>) -> Option<Leaf> {
        let text = self.need(fields.required("ref"))?;
        let path = RefPath::parse(text.text().unwrap_or_default())
            .and_then(|path| self.schema.ref_kind(&path).map(|kind| (path, kind)))
            .map_err(|problem| problem.at(text.place).field(fields.path_of("ref")));
        let found = self.need(path);
        let kind = found.as_ref().map_or(Kind::Any, |(_, kind)| *kind);
        let known = found.as_ref().and_then(|(path, _)| match path.parts() {
            [root, name] if root == "contact" => self.schema.field_type(name).map(ValueType::of_field),
            _ => None,
        });
        let tests = self.tests(fields, &known.unwrap_or_else(|| ValueType::of(kind)))?;
        let (path, kind) = found?;
        Some(Leaf::Value { path, kind, tests })
    }

    fn consent_leaf(&mut self, fields: &mut Fields<'_>) -> Option<Leaf> {
        let purpose = fields.required_text("consent");
        let purpose = self.need(purpose)?;
        let place = fields.optional("consent").map_or(fields.place, |node| node.place);
        if let Some(problem) = self.schema.check_purpose(purpose) {
            self.report(problem.at(place).field(fields.path_of("consent")));
        }
        let mut found = None;
        for (word, operator) in [
            ("is", Operator::Is),
            ("is_not", Operator::IsNot),
            ("one_of", Operator::OneOf),
            ("none_of", Operator::NoneOf),
        ] {
            let Some(node) = fields.optional(word) else { continue };
            let path = fields.path_of(word);
            let named = self.consent_states(node, operator.shape() == crate::operator::Shape::Many, &path)?;
            let negative = operator.positive_of_negative().is_some();
            let all = CONSENT_STATES.iter().map(|(_, state)| *state);
            found = Some(all.filter(|state| named.contains(state) != negative).collect());
        }
        let Some(states) = found else {
            let problem =
                Problem::new("condition.no_operator", "no operator says which answer").at(fields.place);
            self.report(problem.field(fields.path.clone()).cure("add is: subscribed"));
            return None;
        };
        Some(Leaf::Consent { purpose: purpose.to_owned(), states })
    }

    fn consent_states(&mut self, node: &Node, many: bool, path: &str) -> Option<Vec<ConsentState>> {
        let items = if many {
            node.items().unwrap_or(std::slice::from_ref(node))
        } else {
            std::slice::from_ref(node)
        };
        let mut states = Vec::new();
        for item in items {
            let word = item.text().unwrap_or_default();
            let Some((_, state)) = CONSENT_STATES.iter().find(|(own, _)| *own == word) else {
                let problem =
                    item.problem("consent.unknown_state", format!("`{word}` is no answer")).field(path);
                self.report(problem.suggest(word, CONSENT_STATES.iter().map(|(own, _)| *own)));
                return None;
            };
            states.push(*state);
        }
        Some(states)
    }

    fn member_leaf(&mut self, fields: &mut Fields<'_>, key: &'static str) -> Option<String> {
        let slug = fields.required_text(key);
        let slug = self.need(slug)?;
        let problem =
            if key == "segment" { self.schema.check_segment(slug) } else { self.schema.check_list(slug) };
        if let Some(problem) = problem {
            let place = fields.optional(key).map_or(fields.place, |node| node.place);
            let error = problem.is_error();
            self.report(problem.at(place).field(fields.path_of(key)));
            if error {
                return None;
            }
        }
        Some(slug.to_owned())
    }

    fn rfm_leaf(&mut self, fields: &mut Fields<'_>) -> Option<Leaf> {
        let path = fields.path_of("rfm");
        let node = self.need(fields.required("rfm"))?;
        let mut inner = self.fields(node, &path)?;
        let model = inner.text("model");
        let model = self.need(model)?;
        let groups = inner.optional("group");
        let previous = inner.optional("previous_group");
        let model = self.rfm_model(model, &inner, [groups, previous]);
        let mut read_groups = |node: Option<&Node>, key: &str| {
            let known = model.as_deref()?;
            node.map_or(Some(Vec::new()), |node| self.rfm_groups(node, known, &format!("{path}.{key}")))
        };
        let (groups, previous_groups) =
            (read_groups(groups, "group"), read_groups(previous, "previous_group"));
        let mut tests = |key: &'static str, kind: Kind| self.nested_tests(&mut inner, key, kind);
        let (recency, frequency, monetary, since) = (
            tests("recency", Kind::Number),
            tests("frequency", Kind::Number),
            tests("monetary", Kind::Number),
            tests("since", Kind::Instant),
        );
        self.finish_fields(inner);
        let rfm = RfmCondition {
            model: model?,
            groups: groups?,
            previous_groups: previous_groups?,
            recency: recency?,
            frequency: frequency?,
            monetary: monetary?,
            since: since?,
        };
        if rfm.is_only_group() && rfm.groups.is_empty() {
            let problem =
                node.problem("condition.no_operator", "nothing is asked of the RFM model").field(path);
            self.report(problem.cure("add group: [champions, …] or recency: {at_least: 4}"));
            return None;
        }
        Some(Leaf::Rfm(rfm))
    }

    /// The tests of a key whose value is a mapping of operators; none when the key is missing.
    pub(crate) fn nested_tests(
        &mut self,
        fields: &mut Fields<'_>,
        key: &'static str,
        kind: Kind,
    ) -> Option<Tests> {
        let path = fields.path_of(key);
        let Some(node) = fields.optional(key) else { return Some(Tests::default()) };
        let mut inner = self.fields(node, &path)?;
        let tests = self.tests(&mut inner, &ValueType::of(kind));
        self.finish_fields(inner);
        tests
    }

    /// The model that is named, or the only one that has these groups.
    fn rfm_model(
        &mut self,
        named: Option<&str>,
        inner: &Fields<'_>,
        groups: [Option<&Node>; 2],
    ) -> Option<String> {
        let known: Vec<&str> = self.schema.rfm.keys().map(String::as_str).collect();
        if let Some(model) = named {
            if self.schema.rfm.contains_key(model) {
                return Some(model.to_owned());
            }
            let problem =
                Problem::new("rfm.unknown_model", format!("there is no RFM model `{model}`")).value(model);
            self.report(problem.at(inner.place).field(inner.path_of("model")).suggest(model, known));
            return None;
        }
        let words: Vec<&str> = groups
            .into_iter()
            .flatten()
            .flat_map(|node| node.items().unwrap_or(std::slice::from_ref(node)))
            .filter_map(Node::text)
            .collect();
        let fitting: Vec<&String> = self
            .schema
            .rfm
            .iter()
            .filter(|(_, groups)| {
                words.iter().all(|word| *word == "none" || groups.iter().any(|g| g == word))
            })
            .map(|(model, _)| model)
            .collect();
        // A group that no model has is named later, by the first model.
        let first = self.schema.rfm.keys().next();
        match (fitting.as_slice(), known.len()) {
            ([only], _) => Some((*only).clone()),
            ([], 1..) => first.cloned(),
            _ => {
                let problem =
                    Problem::new("rfm.ambiguous", "several RFM models could be meant").at(inner.place);
                self.report(
                    problem.field(inner.path.clone()).cure(format!("add model: {}", known.join(" or "))),
                );
                None
            }
        }
    }

    fn rfm_groups(&mut self, node: &Node, model: &str, path: &str) -> Option<Vec<String>> {
        let known = self.schema.rfm.get(model).cloned().unwrap_or_default();
        let items = node.items().unwrap_or(std::slice::from_ref(node));
        let mut groups = Vec::new();
        for item in items {
            let word = item.text().unwrap_or_default();
            if word != "none" && !known.iter().any(|group| group == word) {
                let problem = item.problem("rfm.unknown_group", format!("`{model}` has no group `{word}`"));
                self.report(problem.field(path).suggest(word, known.iter().map(String::as_str)));
                return None;
            }
            groups.push(word.to_owned());
        }
        if groups.is_empty() {
            self.report(node.problem("condition.values", "the list of groups is empty").field(path));
            return None;
        }
        Some(groups)
    }
}
