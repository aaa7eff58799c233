//! Puts a document together in one language: MJML and plain text with tokens, the links, the conditions, and the plans
//! of product and cart blocks.

use model::{Place, Problem, Problems};

use crate::{
    document::{Document, Target, Text, Theme},
    grid::{CartPlan, GridPlan},
    ink::{Ink, Piece, pieces, plain_words},
    labels::Labels,
    link,
};

/// Where a link leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LinkTarget {
    /// To an address of the file.
    Fixed(String),
    /// To an address that the numbered fragment makes.
    Fragment(usize),
    /// A picture's address that the numbered fragment makes.
    Picture(usize),
    Unsubscribe,
    Preferences,
    ViewInBrowser,
    /// The page on which a friend is told of the message.
    Forward,
}

/// A link of the page, `_l<n>` in the templates.
#[derive(Clone, Debug)]
pub(crate) struct LinkPlan {
    pub target: LinkTarget,
    /// `utm_content`.
    pub content: String,
}

/// The message's own links, as a marketer writes them.
const OWN_LINKS: [(&str, LinkTarget); 4] = [
    ("#unsubscribe", LinkTarget::Unsubscribe),
    ("#preferences", LinkTarget::Preferences),
    ("#view_in_browser", LinkTarget::ViewInBrowser),
    ("#forward", LinkTarget::Forward),
];

/// A condition of a block, `_s<n>` in the templates.
#[derive(Clone, Debug)]
pub(crate) struct ShowPlan {
    pub node: model::doc::Node,
    pub field: String,
}

/// A small template of its own.
#[derive(Clone, Debug)]
pub(crate) struct Fragment {
    pub source: String,
    /// Whether what it writes is escaped.
    pub html: bool,
}

pub(crate) struct Build<'a> {
    pub document: &'a Document,
    /// The language.
    pub language: &'a str,
    pub labels: &'static Labels,
    pub ink: Ink,
    pub links: Vec<LinkPlan>,
    pub shows: Vec<ShowPlan>,
    pub grids: Vec<GridPlan>,
    pub carts: Vec<CartPlan>,
    /// Sources of small templates of their own: dynamic links, texts in product cards.
    pub fragments: Vec<Fragment>,
    pub problems: Problems,
}

impl<'a> Build<'a> {
    pub fn new(document: &'a Document, language: &'a str) -> Self {
        Self {
            document,
            language,
            labels: Labels::of(language),
            ink: Ink::default(),
            links: Vec::new(),
            shows: Vec::new(),
            grids: Vec::new(),
            carts: Vec::new(),
            fragments: Vec::new(),
            problems: Vec::new(),
        }
    }

    pub fn theme(&self) -> &'a Theme {
        &self.document.theme
    }

    /// The text of this language with tokens for its expressions.
    pub fn tokens(&mut self, text: &Text) -> String {
        self.tokens_in(text, false)
    }

    pub fn tokens_in(&mut self, text: &Text, in_card: bool) -> String {
        let source = text.get(self.language);
        match self.ink.expressions(source, text.place, &text.field, in_card) {
            Ok(text) => text,
            Err(problem) => {
                self.problems.push(problem);
                String::new()
            }
        }
    }

    /// A token that begins what a condition shows, and one that ends it.
    pub fn show(&mut self, node: Option<&model::doc::Node>, field: &str) -> Option<(String, String)> {
        let node = node?;
        self.shows.push(ShowPlan { node: node.clone(), field: format!("{field}.show") });
        let number = self.shows.len() - 1;
        Some((self.ink.token(format!("{{% if _s{number} %}}")), self.ink.token("{% endif %}")))
    }

    /// A token for the `href` of a block's link.
    pub fn target(&mut self, target: &Target, label: &str) -> String {
        let title = target.title.as_ref().map(|title| self.tokens(title)).filter(|title| !title.is_empty());
        let content = title.unwrap_or_else(|| label.to_owned());
        let url = target.url.get(self.language).trim().to_owned();
        self.link(&url, target.url.place, &target.url.field, &content)
    }

    /// As [`Build::target`] for an address out of a text whose expressions are tokens already.
    pub fn link_of_token_text(&mut self, url: &str, text: &Text, content: &str) -> String {
        let url = self.ink.restore(url);
        self.link(&url, text.place, &text.field, content)
    }

    /// A token for an `href`.
    pub fn link(&mut self, url: &str, place: Place, field: &str, content: &str) -> String {
        let target = match self.target_of(url, place, field, false) {
            Ok(target) => target,
            Err(problem) => {
                self.problems.push(problem.field(field).at(place));
                return String::new();
            }
        };
        self.linked(target, content)
    }

    /// A token for a link that is known to be good.
    pub fn linked(&mut self, target: LinkTarget, content: &str) -> String {
        let content: String = plain_words(content).chars().take(100).collect();
        self.links.push(LinkPlan { target, content });
        let number = self.links.len() - 1;
        self.ink.token(format!("{{{{ _l{number} }}}}"))
    }

    /// A token for the `src` of a picture.
    pub fn picture(&mut self, url: &str, place: Place, field: &str) -> String {
        match self.target_of(url.trim(), place, field, true) {
            Ok(LinkTarget::Fixed(url)) => self.ink.token(crate::escape::html_text(&url)),
            Ok(target) => self.linked(target, ""),
            Err(problem) => {
                self.problems.push(problem.field(field).at(place));
                String::new()
            }
        }
    }

    /// Where a picture's address leads.
    pub fn picture_of(&mut self, url: &str, place: Place, field: &str) -> Result<LinkTarget, Problem> {
        self.target_of(url, place, field, true)
    }

    fn target_of(
        &mut self,
        url: &str,
        place: Place,
        field: &str,
        picture: bool,
    ) -> Result<LinkTarget, Problem> {
        if let Some((_, own)) = OWN_LINKS.iter().find(|(name, _)| *name == url) {
            return Ok(own.clone());
        }
        let parts = pieces(url, place, field)?;
        let literal = parts.iter().all(|part| matches!(part, Piece::Literal(_)));
        if literal {
            link::check(url).map_err(|problem| match url.strip_prefix('#') {
                Some(_) => problem.suggest(url, OWN_LINKS.iter().map(|(name, _)| *name)),
                None => problem,
            })?;
            if picture && !link::is_safe_image(url) {
                return Err(Problem::new(
                    "template.link",
                    "a picture needs an address that begins with https://",
                ));
            }
            return Ok(LinkTarget::Fixed(url.to_owned()));
        }
        // An expression at the very beginning is a whole address; further on it is a value inside one.
        let mut source = String::new();
        for (i, part) in parts.iter().enumerate() {
            match part {
                Piece::Literal(text) => source.push_str(&Ink::default().finish(text)),
                Piece::Expression(expression) => {
                    self.ink.note(expression, place, field, false)?;
                    let filter = if i == 0 { "" } else { " | urlencode" };
                    source.push_str(&format!("{{{{ ({expression}){filter} }}}}"));
                }
            }
        }
        let number = self.fragment(source, false);
        Ok(if picture { LinkTarget::Picture(number) } else { LinkTarget::Fragment(number) })
    }

    pub fn fragment(&mut self, source: String, html: bool) -> usize {
        self.fragments.push(Fragment { source, html });
        self.fragments.len() - 1
    }
}
