//! References to data that is known only when a condition is evaluated: `{ref: nodes.dearest.products.0.unit_price}`,
//! `{ref: contact.highest_price}`, `{ref: trigger.cart.total}`.

use std::fmt;

use model::{Problem, ProductId, Value, doc::Node};

/// A dotted path whose first part is `nodes`, `contact`, `trigger`, `run`, in templates
/// `variables`, or where an event is waited for `event`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefPath(Vec<String>);

/// What stands on the right of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A value written in the file.
    Literal(Value),
    /// Data of an earlier node, of the contact or of the trigger.
    Ref(RefPath),
    /// As `Ref`, but of a list (tags, options) only the entries that begin with a text, as in
    /// `{ref: trigger.product.tags, starting_with: "color:"}`.
    RefStarting(RefPath, String),
    /// The instant of evaluation.
    Now,
    /// The day of evaluation in the workspace's zone.
    Today,
}

/// Answers references. The journey implements it over what a contact's run has exported; a segment has none.
pub trait Data {
    /// The single value behind a path; none when there is none.
    fn value(&self, path: &RefPath) -> Option<Value>;
    /// The products behind a path (a list, a cart's products, one product); empty when there are none.
    fn products(&self, path: &RefPath) -> Vec<ProductId>;
}

/// No data at all.
pub struct NoData;

impl Data for NoData {
    fn value(&self, _: &RefPath) -> Option<Value> {
        None
    }
    fn products(&self, _: &RefPath) -> Vec<ProductId> {
        Vec::new()
    }
}

impl RefPath {
    /// The roots of a path.
    pub const ROOTS: [&'static str; 6] = ["nodes", "contact", "trigger", "run", "variables", "event"];

    /// Reads a dotted path.
    ///
    /// # Errors
    /// `ref.invalid` when it is empty, has an empty part, or begins with another root.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let parts: Vec<String> = text.split('.').map(str::to_owned).collect();
        let known = Self::ROOTS.contains(&parts[0].as_str());
        if !known || parts.len() < 2 || parts.iter().any(String::is_empty) {
            let problem = Problem::new("ref.invalid", format!("`{text}` is not a reference")).value(text);
            return Err(if known {
                problem.cure("write it as in nodes.last_cart.products or contact.first_name")
            } else {
                problem.suggest(&parts[0], Self::ROOTS)
            });
        }
        Ok(Self(parts))
    }

    /// Reads `{ref: path}`; none when the node is something else.
    ///
    /// # Errors
    /// `ref.invalid`, `doc.unknown_key`.
    pub fn from_node(node: &Node) -> Result<Option<Self>, Problem> {
        Self::from_node_but(node, &["ref"])
    }

    /// As [`RefPath::from_node`], with these keys allowed.
    fn from_node_but(node: &Node, keys: &[&str]) -> Result<Option<Self>, Problem> {
        let Some(path) = node.get("ref") else { return Ok(None) };
        if let Some(extra) =
            node.entries().unwrap_or_default().iter().find(|e| !keys.contains(&e.key.as_str()))
        {
            return Err(Problem::new(
                "doc.unknown_key",
                format!("`{}` is not known beside `ref`", extra.key),
            )
            .at(extra.place));
        }
        let text = path.text().unwrap_or_default();
        Self::parse(text).map(Some).map_err(|problem| problem.at(path.place))
    }

    /// Its parts, the root first.
    #[must_use]
    pub fn parts(&self) -> &[String] {
        &self.0
    }
}

impl Operand {
    /// Reads `{ref: path}` and `{ref: path, starting_with: text}`; none when the node is something else.
    ///
    /// # Errors
    /// `ref.invalid`, `doc.unknown_key`, `doc.type`.
    pub fn reference(node: &Node) -> Result<Option<Self>, Problem> {
        let Some(path) = RefPath::from_node_but(node, &["ref", "starting_with"])? else { return Ok(None) };
        let Some(start) = node.get("starting_with") else { return Ok(Some(Self::Ref(path))) };
        let start = start
            .text()
            .ok_or_else(|| start.problem("doc.type", "expected a text").field("starting_with"))?;
        Ok(Some(Self::RefStarting(path, start.to_owned())))
    }

    /// The path of a reference.
    #[must_use]
    pub const fn path(&self) -> Option<&RefPath> {
        match self {
            Self::Ref(path) | Self::RefStarting(path, _) => Some(path),
            Self::Literal(_) | Self::Now | Self::Today => None,
        }
    }
}

impl fmt::Display for RefPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}
