//! Product and cart blocks: planned once as parts with gaps, filled per message without going through minijinja.
//!
//! A grid is responsive without being written twice: cards are inline blocks as wide as the phone's columns, a media
//! query makes them as wide as the desktop's, and Outlook (which knows neither) gets a table between conditional
//! comments. A card that only one of the two shapes shows is hidden in the other.

use crate::{
    build::Build,
    document::{CartBlock, Element, Grid, Layout, Shape, Text},
    escape,
    labels::Labels,
};

/// A part of a card.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Html(String),
    /// Opens the link to the product, or what stands for it when there is none; with the attributes after `href`.
    Open(String),
    Close,
    Name,
    Image,
    Initial,
    Price,
    Original,
    Discount,
    Brand,
    Description,
    Rating,
    Quantity,
    Total,
    /// A fragment of the marketer's own.
    Fragment(usize),
    /// The first when there is such a thing, else the second.
    If(Has, Vec<Part>, Vec<Part>),
}

/// What a product may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Has {
    Image,
    Price,
    Original,
    Brand,
    Description,
    Rating,
}

/// A product grid, ready to be filled.
#[derive(Clone, Debug)]
pub(crate) struct GridPlan {
    pub variable: String,
    pub desktop: Shape,
    pub mobile: Shape,
    pub incomplete_rows: bool,
    pub card: Vec<Part>,
    /// Width of a card on a desktop, in pixels, for Outlook.
    pub cell: u32,
    pub labels: &'static Labels,
}

/// A cart's lines, ready to be filled.
#[derive(Clone, Debug)]
pub(crate) struct CartPlan {
    pub variable: String,
    pub limit: usize,
    pub line: Vec<Part>,
    pub total: bool,
    pub labels: &'static Labels,
    pub muted: String,
}

impl GridPlan {
    /// How many of `count` products each shape shows: desktop, mobile.
    pub fn shown(&self, count: usize) -> (usize, usize) {
        let fit = |shape: Shape| {
            let places = count.min(shape.rows * shape.columns);
            if self.incomplete_rows { places } else { places - places % shape.columns }
        };
        (fit(self.desktop), fit(self.mobile))
    }
}

/// Letters of a card, in pixels.
const NAME_SIZE: u32 = 14;
/// Lines of a name that are shown.
const NAME_LINES: u32 = 2;

/// Plans a grid for a block of so many pixels.
pub(crate) fn plan(build: &mut Build<'_>, grid: &Grid, width: u32) -> usize {
    let cell = width / grid.desktop.columns.max(1) as u32;
    let pad = 8;
    let card = match grid.layout {
        Layout::Vertical => vertical(build, grid, cell.saturating_sub(2 * pad)),
        side => beside(build, grid, side == Layout::ImageRight),
    };
    let mut parts =
        vec![Part::Html(format!("<div style=\"padding:{pad}px;font-size:{NAME_SIZE}px;line-height:20px\">"))];
    if grid.whole_card {
        parts.push(Part::Open(" style=\"display:block;color:inherit;text-decoration:none\"".into()));
    }
    parts.extend(card);
    if grid.whole_card {
        parts.push(Part::Close);
    }
    parts.push(Part::Html("</div>".into()));
    build.grids.push(GridPlan {
        variable: grid.products.clone(),
        desktop: grid.desktop,
        mobile: grid.mobile,
        incomplete_rows: grid.incomplete_rows,
        card: joined(parts),
        cell,
        labels: build.labels,
    });
    build.grids.len() - 1
}

/// Neighbouring literal parts as one.
fn joined(parts: Vec<Part>) -> Vec<Part> {
    let mut out: Vec<Part> = Vec::with_capacity(parts.len());
    for part in parts {
        match (part, out.last_mut()) {
            (Part::Html(html), Some(Part::Html(last))) => last.push_str(&html),
            (Part::If(has, yes, no), _) => out.push(Part::If(has, joined(yes), joined(no))),
            (part, _) => out.push(part),
        }
    }
    out
}

fn vertical(build: &mut Build<'_>, grid: &Grid, width: u32) -> Vec<Part> {
    let mut parts = Vec::new();
    elements(build, grid, &grid.card, width, &mut parts);
    parts
}

/// Picture on one side, everything else on the other.
fn beside(build: &mut Build<'_>, grid: &Grid, right: bool) -> Vec<Part> {
    let (pictures, words): (Vec<Element>, Vec<Element>) =
        grid.card.iter().cloned().partition(|element| matches!(element, Element::Image));
    let mut picture =
        vec![Part::Html("<td width=\"40%\" valign=\"top\" style=\"width:40%;vertical-align:top\">".into())];
    elements(build, grid, &pictures, 120, &mut picture);
    picture.push(Part::Html("</td>".into()));
    let gap = if right { "padding-right:12px" } else { "padding-left:12px" };
    let mut rest = vec![Part::Html(format!("<td valign=\"top\" style=\"vertical-align:top;{gap}\">"))];
    elements(build, grid, &words, 0, &mut rest);
    rest.push(Part::Html("</td>".into()));
    let mut parts = vec![Part::Html(
        "<table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\"><tr>"
            .into(),
    )];
    if right {
        parts.extend(rest);
        parts.extend(picture);
    } else {
        parts.extend(picture);
        parts.extend(rest);
    }
    parts.push(Part::Html("</tr></table>".into()));
    parts
}

fn elements(build: &mut Build<'_>, grid: &Grid, elements: &[Element], width: u32, parts: &mut Vec<Part>) {
    let is_price =
        |element: &Element| matches!(element, Element::Price | Element::OriginalPrice | Element::Discount);
    let mut in_price = false;
    let mut skip = false;
    for (i, element) in elements.iter().enumerate() {
        if std::mem::take(&mut skip) {
            continue;
        }
        if let (Element::Image, Some(Element::Name), false) = (element, elements.get(i + 1), grid.whole_card)
        {
            picture_and_name(build, width, parts);
            skip = true;
            continue;
        }
        if is_price(element) != in_price {
            in_price = !in_price;
            let open = "<div style=\"margin-top:4px;min-height:20px;font-size:15px;line-height:20px\">";
            parts.push(Part::Html(if in_price { open } else { "</div>" }.into()));
        }
        one(build, grid, element, width, parts);
    }
    if in_price {
        parts.push(Part::Html("</div>".into()));
    }
}

/// A picture with the name below it is one link: shorter, and said once to those who listen.
fn picture_and_name(build: &Build<'_>, width: u32, parts: &mut Vec<Part>) {
    let theme = build.theme();
    let style = format!(" class=\"r-a\" style=\"display:block;color:{};text-decoration:none\"", theme.text);
    parts.push(Part::Open(style));
    image(build, None, width, parts);
    let height = 20 * NAME_LINES;
    parts.push(Part::Html(format!(
        "<span style=\"display:block;margin-top:10px;height:{height}px;overflow:hidden\">"
    )));
    parts.push(Part::Name);
    parts.push(Part::Html("</span>".into()));
    parts.push(Part::Close);
}

fn one(build: &mut Build<'_>, grid: &Grid, element: &Element, width: u32, parts: &mut Vec<Part>) {
    let theme = build.theme();
    let html = |text: String| Part::Html(text);
    let linked = !grid.whole_card;
    match element {
        Element::Image => image(build, Some(linked), width, parts),
        Element::Name => {
            let height = 20 * NAME_LINES;
            parts.push(html(format!("<div class=\"r-n\" style=\"margin-top:10px;height:{height}px;overflow:hidden\">")));
            open(linked, &format!(" class=\"r-a\" style=\"color:{};text-decoration:none\"", theme.text), parts);
            parts.push(Part::Name);
            close(linked, parts);
            parts.push(html("</div>".into()));
        }
        Element::Price => parts.push(Part::If(
            Has::Price,
            vec![html(format!("<strong style=\"color:{}\">", theme.accent)), Part::Price, html("</strong> ".into())],
            vec![html("&nbsp;".into())],
        )),
        Element::OriginalPrice => parts.push(Part::If(
            Has::Original,
            vec![
                html(format!("<s style=\"color:{};font-size:13px\">", theme.muted)),
                Part::Original,
                html("</s> ".into()),
            ],
            Vec::new(),
        )),
        Element::Discount => parts.push(Part::If(
            Has::Original,
            vec![
                html(format!(
                    "<span style=\"background:{};color:{};border-radius:3px;padding:0 5px;font-size:12px;line-height:16px;display:inline-block;vertical-align:top;margin-top:2px\">",
                    theme.accent, theme.on_accent
                )),
                Part::Discount,
                html("</span>".into()),
            ],
            Vec::new(),
        )),
        Element::Brand => parts.push(muted(Has::Brand, Part::Brand, &theme.muted)),
        Element::Description => parts.push(muted(Has::Description, Part::Description, &theme.muted)),
        Element::Rating => parts.push(Part::If(
            Has::Rating,
            vec![html(format!("<div style=\"color:{}\">★ ", theme.muted)), Part::Rating, html("</div>".into())],
            Vec::new(),
        )),
        Element::Button => button(build, grid.button.as_ref(), linked, parts),
        Element::Text(text) => {
            parts.push(html(format!("<div style=\"margin-top:4px;color:{}\">", theme.muted)));
            let part = text_part(build, text);
            parts.push(part);
            parts.push(html("</div>".into()));
        }
        Element::Quantity | Element::Total => {}
    }
}

fn muted(has: Has, part: Part, color: &str) -> Part {
    let open = format!("<div style=\"margin-top:4px;font-size:12px;line-height:16px;color:{color}\">");
    Part::If(has, vec![Part::Html(open), part, Part::Html("</div>".into())], Vec::new())
}

fn open(linked: bool, attributes: &str, parts: &mut Vec<Part>) {
    parts.push(if linked {
        Part::Open(attributes.to_owned())
    } else {
        Part::Html(format!("<span{attributes}>"))
    });
}

fn close(linked: bool, parts: &mut Vec<Part>) {
    parts.push(if linked { Part::Close } else { Part::Html("</span>".into()) });
}

/// A picture, or the product's first letter where there is none. `linked` says whether it is a link of its own; none
/// when a link around it names the product already.
fn image(build: &Build<'_>, linked: Option<bool>, width: u32, parts: &mut Vec<Part>) {
    let theme = build.theme();
    let radius = theme.radius;
    if let Some(linked) = linked {
        open(linked, " style=\"display:block;text-decoration:none\"", parts);
    }
    let mut picture = vec![Part::Html("<img src=\"".into()), Part::Image, Part::Html("\" alt=\"".into())];
    if linked.is_some() {
        picture.push(Part::Name);
    }
    picture.push(Part::Html(format!(
        "\" width=\"{width}\" style=\"display:block;width:100%;height:auto;border-radius:{radius}px\">"
    )));
    let side = width.clamp(60, 160);
    let initial = vec![
        Part::Html(format!(
            "<span style=\"display:block;background:{};color:{};border-radius:{radius}px;height:{side}px;\
             line-height:{side}px;text-align:center;font-size:44px\">",
            theme.line, theme.muted
        )),
        Part::Initial,
        Part::Html("</span>".into()),
    ];
    parts.push(Part::If(Has::Image, joined(picture), initial));
    if let Some(linked) = linked {
        close(linked, parts);
    }
}

fn button(build: &mut Build<'_>, label: Option<&Text>, linked: bool, parts: &mut Vec<Part>) {
    let theme = build.theme();
    let style = format!(
        " style=\"display:block;margin-top:10px;padding:9px 8px;background:{};color:{};border-radius:{}px;\
         font-size:13px;line-height:18px;font-weight:700;text-align:center;text-decoration:none\"",
        theme.accent, theme.on_accent, theme.radius
    );
    open(linked, &style, parts);
    let part = match label {
        Some(label) => text_part(build, label),
        None => Part::Html(escape::html_text(build.labels.view_product)),
    };
    parts.push(part);
    close(linked, parts);
}

/// A text inside a card: literal, or a fragment when it has expressions.
fn text_part(build: &mut Build<'_>, text: &Text) -> Part {
    let tokens = build.tokens_in(text, true);
    let html = escape::html_text(&tokens);
    if !crate::ink::has_token(&html) {
        return Part::Html(html);
    }
    let source = build.ink.finish(&html);
    Part::Fragment(build.fragment(source, true))
}

/// Plans a cart's lines.
pub(crate) fn plan_cart(build: &mut Build<'_>, cart: &CartBlock) -> usize {
    let theme = build.theme();
    let mut line = vec![Part::Html("<tr>".into())];
    let has = |wanted: fn(&Element) -> bool| cart.line.iter().any(wanted);
    let cell = format!("padding:10px 0;border-bottom:1px solid {};vertical-align:middle", theme.line);
    if has(|element| matches!(element, Element::Image)) {
        line.push(Part::Html(format!("<td width=\"72\" style=\"width:72px;{cell}\">")));
        image(build, Some(true), 64, &mut line);
        line.push(Part::Html("</td>".into()));
    }
    line.push(Part::Html(format!("<td style=\"padding-left:12px;{cell}\">")));
    for element in &cart.line {
        match element {
            Element::Name => {
                line.push(Part::Open(format!(
                    " class=\"r-a\" style=\"color:{};text-decoration:none\"",
                    theme.text
                )));
                line.push(Part::Name);
                line.push(Part::Close);
            }
            Element::Brand => line.push(muted(Has::Brand, Part::Brand, &theme.muted)),
            Element::Quantity => {
                line.push(Part::Html(format!(
                    "<div style=\"font-size:13px;color:{}\">{} ",
                    theme.muted,
                    escape::html_text(build.labels.quantity)
                )));
                line.push(Part::Quantity);
                line.push(Part::Html("</div>".into()));
            }
            _ => {}
        }
    }
    line.push(Part::Html("</td>".into()));
    if has(|element| matches!(element, Element::Price | Element::Total)) {
        line.push(Part::Html(format!(
            "<td align=\"right\" style=\"text-align:right;white-space:nowrap;{cell}\">"
        )));
        let part = if has(|element| matches!(element, Element::Total)) { Part::Total } else { Part::Price };
        line.push(Part::If(Has::Price, vec![part], Vec::new()));
        line.push(Part::Html("</td>".into()));
    }
    line.push(Part::Html("</tr>".into()));
    build.carts.push(CartPlan {
        variable: cart.cart.clone(),
        limit: cart.products,
        line: joined(line),
        total: cart.total,
        labels: build.labels,
        muted: theme.muted.clone(),
    });
    build.carts.len() - 1
}
