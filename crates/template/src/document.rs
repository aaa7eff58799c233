//! What a template file holds.

use model::{Channel, Localized, Place, Problem, Problems, Slug, doc};

use crate::{limits::FILE_LEN_MAX, locale::language, read, short::Short};

/// A block document as read from its file, not yet checked against data.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its name in journeys: the file's name without extension.
    pub slug: Slug,
    /// What people call it.
    pub name: Localized,
    /// What carries its messages.
    pub channel: Channel,
    /// Languages in which it is written, as in `en`, `fr`; the first is what everybody else gets.
    pub languages: Vec<String>,
    /// What the sending node has to hand over.
    pub variables: Vec<Variable>,
    /// The file, for messages.
    pub file: String,
    /// The subject, or the title of a push.
    pub(crate) subject: Text,
    /// What a mailbox shows after the subject.
    pub(crate) preheader: Text,
    pub(crate) theme: Theme,
    pub(crate) blocks: Vec<Block>,
    /// What a text message or a push says instead of blocks.
    pub(crate) short: Option<Short>,
}

impl Document {
    /// Reads a template file, YAML or JSON.
    ///
    /// # Errors
    /// Everything that is wrong with its shape, with line, column and cure: `doc.*`, `template.*`.
    pub fn parse(text: &str, file: &str) -> Result<Self, Problems> {
        let named = |problem: Problem| problem.in_file(file);
        if text.len() > FILE_LEN_MAX {
            let problem =
                Problem::new("template.file_too_large", format!("the file has {} bytes", text.len()))
                    .cure(format!("keep it under {FILE_LEN_MAX}"));
            return Err(vec![named(problem)]);
        }
        let root = doc::parse(text).map_err(|problem| vec![named(problem)])?;
        read::document(&root, file).map_err(|problems| problems.into_iter().map(named).collect())
    }
}

/// A datum that a sending node hands over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Letters, digits, `-` and `_`.
    pub name: String,
    /// What it is.
    pub kind: VariableType,
    /// Whether the sending node must map it: what has no default, and is no list of products.
    pub required: bool,
    /// What stands for it when it is missing or empty, by language.
    pub default: Option<Text>,
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

/// A text in one or several languages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Where it stands.
    pub place: Place,
    /// Its path in the file.
    pub field: String,
    /// By language; an empty language means all.
    pub(crate) all: Vec<(String, String)>,
}

impl Text {
    /// The text for a language, else the first.
    #[must_use]
    pub fn get(&self, wanted: &str) -> &str {
        self.all
            .iter()
            .find(|(own, _)| own.is_empty() || language(own) == wanted)
            .or_else(|| self.all.first())
            .map_or("", |(_, text)| text)
    }

    pub(crate) const fn none(place: Place) -> Self {
        Self { place, field: String::new(), all: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.iter().all(|(_, text)| text.is_empty())
    }
}

/// Colours and letters of the whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Theme {
    pub width: u32,
    pub background: String,
    pub surface: String,
    pub text: String,
    pub muted: String,
    pub accent: String,
    pub on_accent: String,
    pub line: String,
    pub font: String,
    pub radius: u32,
}

impl Default for Theme {
    fn default() -> Self {
        Self {
            width: 640,
            background: "#f3f1ee".into(),
            surface: "#ffffff".into(),
            text: "#26282b".into(),
            muted: "#6d7075".into(),
            accent: "#1f6f5c".into(),
            on_accent: "#ffffff".into(),
            line: "#e6e3de".into(),
            font: "Helvetica,Arial,sans-serif".into(),
            radius: 6,
        }
    }
}

/// A piece of content.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// Its path in the file, as in `blocks.3`.
    pub field: String,
    /// When it is shown; always when none.
    pub show: Option<doc::Node>,
    pub background: Option<String>,
    /// Vertical padding above and below, in pixels.
    pub padding: Option<(u32, u32)>,
    pub align: Align,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Align {
    #[default]
    Left,
    Center,
    Right,
}

impl Align {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Center => "center",
            Self::Right => "right",
        }
    }
}

/// A link of a block: where to, and what it is called in `utm_content`.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub url: Text,
    pub title: Option<Text>,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Header {
        text: Option<Text>,
        image: Option<Image>,
        link: Option<Target>,
        view_in_browser: bool,
        color: Option<String>,
    },
    Text {
        text: Text,
        color: Option<String>,
        size: u32,
    },
    Image(Image, Option<Target>),
    Button {
        text: Text,
        link: Target,
        full_width: bool,
    },
    Columns {
        columns: Vec<Column>,
        stack: bool,
    },
    Divider {
        color: Option<String>,
        thickness: u32,
    },
    Spacer {
        height: u32,
    },
    Social {
        links: Vec<(String, Target)>,
    },
    Html {
        html: Text,
        text: Option<Text>,
    },
    Products(Grid),
    Cart(CartBlock),
    Coupon {
        code: Text,
        text: Option<Text>,
        link: Option<Target>,
        button: Option<Text>,
    },
    Footer {
        text: Option<Text>,
        address: Text,
        unsubscribe: bool,
        preferences: bool,
    },
}

impl Kind {
    /// The kinds' words in files.
    pub const WORDS: [&'static str; 13] = [
        "header", "text", "image", "button", "columns", "divider", "spacer", "social", "html", "products",
        "cart", "coupon", "footer",
    ];
}

#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub src: Text,
    pub alt: Text,
    pub width: Option<u32>,
}

#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// Share of the width in percent.
    pub width: Option<u32>,
    pub blocks: Vec<Block>,
}

/// Rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub rows: usize,
    pub columns: usize,
}

/// The product block.
#[derive(Clone, Debug)]
pub(crate) struct Grid {
    /// The variable that holds the products.
    pub products: String,
    pub desktop: Shape,
    pub mobile: Shape,
    pub incomplete_rows: bool,
    pub whole_card: bool,
    pub layout: Layout,
    pub card: Vec<Element>,
    pub button: Option<Text>,
    pub title: Option<Text>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Picture above.
    #[default]
    Vertical,
    /// Picture on the left.
    ImageLeft,
    /// Picture on the right.
    ImageRight,
}

/// What a product card or a cart line shows.
#[derive(Clone, Debug)]
pub(crate) enum Element {
    Image,
    Name,
    Brand,
    Description,
    Price,
    OriginalPrice,
    Discount,
    Rating,
    Quantity,
    Total,
    Button,
    /// A line of the marketer's own, with `{{ product.… }}`.
    Text(Text),
}

impl Element {
    /// The words of the ready ones.
    pub const WORDS: [&'static str; 9] =
        ["image", "name", "brand", "description", "price", "original_price", "discount", "rating", "button"];
    /// The words in cart lines.
    pub const CART_WORDS: [&'static str; 6] = ["image", "name", "brand", "quantity", "price", "total"];
}

/// The cart block.
#[derive(Clone, Debug)]
pub(crate) struct CartBlock {
    /// The variable that holds the cart.
    pub cart: String,
    /// Most lines; further ones are counted.
    pub products: usize,
    pub line: Vec<Element>,
    pub total: bool,
    pub button: Option<Text>,
    pub title: Option<Text>,
}
