//! What a template file holds.

use model::{Localized, Place, Problem, Problems, Slug};

/// A block document as read from its file, not yet checked against data.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its name in journeys: the file's name without extension.
    pub slug: Slug,
    /// What people call it.
    pub name: Localized,
    /// Languages in which it is written, as in `en`, `fr`; the first is what everybody else gets.
    pub languages: Vec<String>,
    /// What the sending node has to hand over.
    pub variables: Vec<Variable>,
    /// The file, for messages.
    pub file: String,
}

/// A datum that a sending node hands over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Letters, digits, `-` and `_`.
    pub name: String,
    /// What it is.
    pub kind: VariableType,
    /// Whether the sending node must map it.
    pub required: bool,
    /// What stands for it when it is missing or empty.
    pub default: Option<String>,
    /// Where it stands in the file.
    pub place: Place,
}

/// What a variable can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VariableType {
    /// Characters.
    Text,
    /// A whole or decimal number.
    Number,
    /// An amount in the message's currency.
    Money,
    /// A calendar day or an instant.
    Date,
    /// True or false.
    Boolean,
    /// An address of a page or a picture.
    Url,
    /// One product; handed a list, it takes the first.
    Product,
    /// A list of products.
    Products,
    /// A cart with its lines.
    Cart,
}

impl VariableType {
    /// All, in the order of the documentation.
    pub const ALL: [Self; 9] = [
        Self::Text,
        Self::Number,
        Self::Money,
        Self::Date,
        Self::Boolean,
        Self::Url,
        Self::Product,
        Self::Products,
        Self::Cart,
    ];

    /// The word in files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Money => "money",
            Self::Date => "date",
            Self::Boolean => "boolean",
            Self::Url => "url",
            Self::Product => "product",
            Self::Products => "products",
            Self::Cart => "cart",
        }
    }
}

impl Document {
    /// Reads a template file, YAML or JSON.
    ///
    /// # Errors
    /// Everything that is wrong with its shape, with line, column and cure: `doc.*`, `template.*`.
    pub fn parse(text: &str, file: &str) -> Result<Self, Problems> {
        let _ = text;
        Err(vec![Problem::new("template.unfinished", "templates cannot be read yet").in_file(file)])
    }
}
