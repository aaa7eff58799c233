//! Blocks to MJML and to plain text, both with tokens.

use crate::{
    build::{Build, LinkTarget},
    document::{Align, Block, Column, Image, Kind, Target, Text},
    escape, grid, html, markdown,
    page_ends::{footer, header},
};

/// Space left and right of content, in pixels.
pub(crate) const SIDE: u32 = 28;
/// Width below which a message is laid out for a phone, in pixels.
pub(crate) const BREAKPOINT: u32 = 480;

/// A page in one language.
#[derive(Debug)]
pub(crate) struct Page {
    pub mjml: String,
    pub text: String,
}

/// Puts the page together.
pub(crate) fn page(build: &mut Build<'_>) -> Page {
    let theme = build.theme();
    let document = build.document;
    let mut text = String::new();
    let mut body = String::new();
    let mut rest = document.blocks.as_slice();
    while let Some(first) = rest.first() {
        let run = rest.iter().take_while(|block| joins(block)).count().max(1);
        let (blocks, later) = rest.split_at(run);
        rest = later;
        if joins(first) {
            let mut column = String::new();
            for block in blocks {
                leaf(build, block, content_width(theme.width), &mut column, &mut text);
            }
            section(&mut body, &theme.surface, "r-s", &format!("<mj-column>{column}</mj-column>"));
        } else {
            outer(build, first, &mut body, &mut text);
        }
    }
    let head = head(build);
    let language = build.language;
    let mjml = format!(
        "<mjml lang=\"{language}\" dir=\"ltr\"><mj-head>{head}</mj-head><mj-body width=\"{}px\" background-color=\"{}\" \
         css-class=\"r-b\">{body}</mj-body></mjml>",
        theme.width, theme.background
    );
    text.truncate(text.trim_end().len());
    text.push('\n');
    Page { mjml, text }
}

pub(crate) const fn content_width(width: u32) -> u32 {
    width.saturating_sub(2 * SIDE)
}

/// Whether a block shares a section with its neighbours.
fn joins(block: &Block) -> bool {
    block.background.is_none()
        && !matches!(block.kind, Kind::Columns { .. } | Kind::Header { .. } | Kind::Footer { .. })
}

pub(crate) fn section(body: &mut String, color: &str, class: &str, inner: &str) {
    let class = if class.is_empty() { String::new() } else { format!(" css-class=\"{class}\"") };
    body.push_str(&format!(
        "<mj-section padding=\"0\" background-color=\"{color}\"{class}>{inner}</mj-section>"
    ));
}

fn head(build: &mut Build<'_>) -> String {
    let theme = build.theme();
    let subject = build.ink.token("{{ _subject }}");
    let meta = build.ink.token(
        "<meta name=\"color-scheme\" content=\"light dark\">\
         <meta name=\"supported-color-schemes\" content=\"light dark\">\
         <meta name=\"format-detection\" content=\"telephone=no,date=no,address=no,email=no\">",
    );
    let style = style(build);
    let style = build.ink.wrap(&style);
    let preview = if build.document.preheader.is_empty() {
        String::new()
    } else {
        // What follows keeps mailboxes from showing the beginning of the page after the preheader.
        let token = build.ink.token(format!("{{{{ _preheader }}}}{}", "&#847; &zwnj; ".repeat(12)));
        format!("<mj-preview>{token}</mj-preview>")
    };
    format!(
        "<mj-title>{subject}</mj-title>{preview}<mj-breakpoint width=\"{BREAKPOINT}px\"/><mj-attributes>\
         <mj-all font-family=\"{}\"/><mj-text color=\"{}\" font-size=\"16px\" line-height=\"1.55\" \
         padding=\"10px {SIDE}px\"/></mj-attributes><mj-style>{style}</mj-style><mj-raw>{meta}</mj-raw>",
        theme.font, theme.text
    )
}

/// Styles that cannot be written at the elements: both widths, and the dark.
fn style(build: &Build<'_>) -> String {
    let mut columns: Vec<usize> = build.grids.iter().map(|grid| grid.desktop.columns).collect();
    columns.sort_unstable();
    columns.dedup();
    let mut style = format!(
        ":root{{color-scheme:light dark;supported-color-schemes:light dark}}\
         @media only screen and (min-width:{BREAKPOINT}px){{"
    );
    for n in columns {
        style.push_str(&format!(".r-{n}{{width:{}%!important}}", percent_of(n)));
    }
    style.push_str(".r-do{display:inline-block!important}.r-mo{display:none!important}}");
    style.push_str(&format!(
        "@media only screen and (max-width:{}px){{.r-p{{padding-left:16px!important;padding-right:16px!important}}\
         .r-g{{padding-left:8px!important;padding-right:8px!important}}}}",
        BREAKPOINT - 1
    ));
    style.push_str(
        "@media (prefers-color-scheme:dark){body,.r-b{background:#141517!important}\
         .r-s,.r-s>table{background:#1f2124!important}.r-t,.r-t div,.r-t p,.r-t li,.r-t h1,.r-t h2,.r-t h3,.r-a\
         {color:#f1efec!important}.r-q,.r-q div,.r-q p,.r-q a{color:#b6b3ae!important}}",
    );
    style
}

/// The share of one of `n` columns, in percent, rounded down so that a row always fits.
pub(crate) fn percent_of(n: usize) -> String {
    let share = 100_000 / n.max(1);
    let text = format!("{}.{:03}", share / 1_000, share % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A block that is a section of its own.
fn outer(build: &mut Build<'_>, block: &Block, body: &mut String, text: &mut String) {
    let theme = build.theme();
    let show = build.show(block.show.as_ref(), &block.field);
    if let Some((begin, _)) = &show {
        body.push_str(&format!("<mj-raw>{begin}</mj-raw>"));
        text.push_str(begin);
    }
    match &block.kind {
        Kind::Header { text: words, image, link, view_in_browser, color } => {
            header(
                build,
                block,
                (words.as_ref(), image.as_ref(), link.as_ref(), *view_in_browser, color),
                body,
                text,
            );
        }
        Kind::Footer { text: words, address, unsubscribe, preferences } => {
            footer(build, block, (words.as_ref(), address, *unsubscribe, *preferences), body, text);
        }
        Kind::Columns { columns: list, stack } => columns(build, block, list, *stack, body, text),
        _ => {
            let mut column = String::new();
            let plain = Block { show: None, ..block.clone() };
            leaf(build, &plain, content_width(theme.width), &mut column, text);
            let color = block.background.as_deref().unwrap_or(&theme.surface);
            section(body, color, "", &format!("<mj-column>{column}</mj-column>"));
        }
    }
    if let Some((_, end)) = show {
        body.push_str(&format!("<mj-raw>{end}</mj-raw>"));
        text.push_str(&end);
    }
}

fn columns(
    build: &mut Build<'_>,
    block: &Block,
    list: &[Column],
    stack: bool,
    body: &mut String,
    text: &mut String,
) {
    let theme = build.theme();
    let even = 100 / list.len().max(1) as u32;
    let mut inner = String::new();
    for column in list {
        let share = column.width.unwrap_or(even);
        let width = theme.width * share / 100;
        let mut content = String::new();
        for block in &column.blocks {
            leaf(build, block, content_width(width), &mut content, text);
        }
        let attribute = column.width.map(|share| format!(" width=\"{share}%\"")).unwrap_or_default();
        inner.push_str(&format!("<mj-column vertical-align=\"top\"{attribute}>{content}</mj-column>"));
    }
    if !stack {
        inner = format!("<mj-group>{inner}</mj-group>");
    }
    let color = block.background.as_deref().unwrap_or(&theme.surface);
    section(body, color, if block.background.is_some() { "" } else { "r-s" }, &inner);
}

pub(crate) fn image(
    build: &mut Build<'_>,
    picture: &Image,
    href: Option<String>,
    (align, above, below): (&str, u32, u32),
    width: u32,
    column: &mut String,
) {
    let src = build.picture(picture.src.get(build.language), picture.src.place, &picture.src.field);
    let alt = build.tokens(&picture.alt);
    let alt = build.ink.wrap(&escape::html_text(&alt));
    let width = picture.width.unwrap_or(width).min(width);
    let href = href.map(|href| format!(" href=\"{href}\"")).unwrap_or_default();
    column.push_str(&format!(
        "<mj-image css-class=\"r-p\" src=\"{src}\" alt=\"{alt}\"{href} width=\"{width}px\" align=\"{align}\" border-radius=\"{}px\" \
         padding=\"{above}px {SIDE}px {below}px\"/>",
        build.theme().radius
    ));
}

/// A block inside a column.
fn leaf(build: &mut Build<'_>, block: &Block, width: u32, column: &mut String, text: &mut String) {
    let show = build.show(block.show.as_ref(), &block.field);
    if let Some((begin, _)) = &show {
        column.push_str(&format!("<mj-raw>{begin}</mj-raw>"));
        text.push_str(begin);
    }
    let on_own = block.background.is_some();
    match &block.kind {
        Kind::Text { text: words, color, size } => {
            let tokens = build.tokens(words);
            let both = markdown::render(build, words, &tokens);
            let color = color.as_deref().map(|color| format!(" color=\"{color}\"")).unwrap_or_default();
            let class = if on_own || !color.is_empty() { "" } else { "r-t" };
            let attributes = format!("font-size=\"{size}px\"{color}");
            words_of(build, block, (&both.html, &attributes, class), (10, 10), column);
            text.push_str(&both.text);
            text.push_str("\n\n");
        }
        Kind::Image(picture, link) => {
            let label = build.tokens(&picture.alt);
            let href = link.as_ref().map(|link| build.target(link, &label));
            let (above, below) = block.padding.unwrap_or((10, 10));
            if let (Some(href), false) = (&href, label.is_empty()) {
                text.push_str(&format!("{label}: {href}\n\n"));
            }
            image(build, picture, href, (block.align.word(), above, below), width, column);
        }
        Kind::Button { text: words, link, full_width } => {
            button(build, block, (words, link, *full_width), column, text)
        }
        Kind::Divider { color, thickness } => {
            let (above, below) = block.padding.unwrap_or((14, 14));
            let color = color.as_deref().unwrap_or(&build.theme().line);
            column.push_str(&format!(
                "<mj-divider css-class=\"r-p\" border-color=\"{color}\" border-width=\"{thickness}px\" \
                 padding=\"{above}px {SIDE}px {below}px\"/>"
            ));
            text.push_str("----------\n\n");
        }
        Kind::Spacer { height } => column.push_str(&format!("<mj-spacer height=\"{height}px\"/>")),
        Kind::Social { links } => social(build, block, links, column, text),
        Kind::Html { html: source, text: plain } => raw(build, block, source, plain.as_ref(), column, text),
        Kind::Products(plan) => {
            let width = (width + 2 * SIDE).saturating_sub(2 * GRID_SIDE);
            let number = grid::plan(build, plan, width);
            filled(build, block, (plan.title.as_ref(), &format!("_g{number}"), None), column, text);
        }
        Kind::Cart(plan) => {
            let number = grid::plan_cart(build, plan);
            let button = cart_button(build, &plan.cart, plan.button.as_ref());
            filled(build, block, (plan.title.as_ref(), &format!("_c{number}"), Some(button)), column, text);
        }
        Kind::Coupon { code, text: words, link, button: label } => {
            coupon(build, block, (code, words.as_ref(), link.as_ref(), label.as_ref()), column, text);
        }
        Kind::Columns { .. } | Kind::Header { .. } | Kind::Footer { .. } => {}
    }
    if let Some((_, end)) = show {
        column.push_str(&format!("<mj-raw>{end}</mj-raw>"));
        text.push_str(&end);
    }
}

/// Space left and right of a grid, in pixels: its cards have their own.
const GRID_SIDE: u32 = SIDE - 8;

fn words_of(
    build: &mut Build<'_>,
    block: &Block,
    (html, attributes, class): (&str, &str, &str),
    padding: (u32, u32),
    column: &mut String,
) {
    let (above, below) = block.padding.unwrap_or(padding);
    let token = build.ink.wrap(html);
    let class = format!("r-p {class}");
    let class = class.trim_end();
    column.push_str(&format!(
        "<mj-text align=\"{}\" {attributes} css-class=\"{class}\" padding=\"{above}px {SIDE}px {below}px\">{token}\
         </mj-text>",
        block.align.word()
    ));
}

fn button(
    build: &mut Build<'_>,
    block: &Block,
    (words, link, full_width): (&Text, &Target, bool),
    column: &mut String,
    text: &mut String,
) {
    let theme = build.theme();
    let label = build.tokens(words);
    let href = build.target(link, &label);
    text.push_str(&format!("{label}: {href}\n\n"));
    let (above, below) = block.padding.unwrap_or((14, 18));
    let html = build.ink.wrap(&escape::html_text(&label));
    let width = if full_width { " width=\"100%\"" } else { "" };
    column.push_str(&format!(
        "<mj-button href=\"{href}\" background-color=\"{}\" color=\"{}\" border-radius=\"{}px\" font-size=\"16px\" \
         font-weight=\"700\" line-height=\"20px\" inner-padding=\"14px 28px\" align=\"{}\"{width} \
         padding=\"{above}px {SIDE}px {below}px\">{html}</mj-button>",
        theme.accent,
        theme.on_accent,
        theme.radius,
        block.align.word()
    ));
}

fn social(
    build: &mut Build<'_>,
    block: &Block,
    links: &[(String, Target)],
    column: &mut String,
    text: &mut String,
) {
    let muted = build.theme().muted.clone();
    let mut parts = Vec::new();
    for (name, target) in links {
        let href = build.target(target, name);
        parts.push(format!(
            "<a href=\"{href}\" style=\"color:{muted};text-decoration:none;font-weight:700;padding:0 6px\">{name}</a>"
        ));
        text.push_str(&format!("{name}: {href}\n"));
    }
    text.push('\n');
    let html = parts.join("<span style=\"color:#b9b6b0\">·</span>");
    words_of(build, block, (&html, "font-size=\"14px\"", "r-q"), (10, 10), column);
}

fn raw(
    build: &mut Build<'_>,
    block: &Block,
    source: &Text,
    plain: Option<&Text>,
    column: &mut String,
    text: &mut String,
) {
    let parts = match html::parts(source.get(build.language), source.place, &source.field) {
        Ok(parts) => parts,
        Err(problem) => return build.problems.push(problem),
    };
    let mut loops = 0_u32;
    let mut out = String::new();
    for part in parts {
        // Inside a loop a link depends on the turn: it is made safe where it stands.
        let inline = |value: &str, filter: &str| crate::filters::inline_url(value, filter);
        match part {
            html::Part::Html(html) => out.push_str(html),
            html::Part::Expression(expression) => {
                match build.ink.expression(expression, source.place, &source.field, loops > 0) {
                    Ok(token) => out.push_str(&token),
                    Err(problem) => build.problems.push(problem),
                }
            }
            html::Part::Tag(tag) => {
                loops = loops + u32::from(tag.starts_with("for ")) - u32::from(tag == "endfor" && loops > 0);
                let token = build.ink.token(format!("{{% {tag} %}}"));
                out.push_str(&token);
            }
            html::Part::Href(url) | html::Part::Src(url) if loops > 0 && url.contains("{{") => {
                let filter = if matches!(part, html::Part::Href(_)) { "_href" } else { "_src" };
                let token = build.ink.token(inline(url, filter));
                out.push_str(&token);
            }
            html::Part::Href(url) => {
                let href = build.link(url.trim(), source.place, &source.field, "");
                out.push_str(&href);
            }
            html::Part::Src(url) => {
                let src = build.picture(url, source.place, &source.field);
                out.push_str(&src);
            }
        }
    }
    words_of(build, block, (&out, "font-size=\"16px\"", "r-t"), (0, 0), column);
    if let Some(plain) = plain {
        let tokens = build.tokens(plain);
        text.push_str(&tokens);
        text.push_str("\n\n");
    }
}

/// A block whose content is filled in whole; hidden when there is none.
fn filled(
    build: &mut Build<'_>,
    block: &Block,
    (title, name, after): (Option<&Text>, &str, Option<(String, String)>),
    column: &mut String,
    text: &mut String,
) {
    let begin = build.ink.token(format!("{{% if {name} %}}"));
    let end = build.ink.token("{% endif %}");
    column.push_str(&format!("<mj-raw>{begin}</mj-raw>"));
    text.push_str(&begin);
    if let Some(title) = title {
        let tokens = build.tokens(title);
        let both = markdown::render(build, title, &tokens);
        let html = format!(
            "<h2 style=\"margin:0;font-size:20px;line-height:1.3\">{}</h2>",
            strip_paragraph(&both.html)
        );
        words_of(
            build,
            &Block { padding: None, ..block.clone() },
            (&html, "font-size=\"20px\"", "r-t"),
            (14, 2),
            column,
        );
        text.push_str(&both.text);
        text.push_str("\n\n");
    }
    let (above, below) = block.padding.unwrap_or((6, 12));
    let (side, class) = if name.starts_with("_g") { (GRID_SIDE, "r-g") } else { (SIDE, "r-p") };
    let html = build.ink.token(format!("{{{{ {name} }}}}"));
    column.push_str(&format!(
        "<mj-text align=\"left\" css-class=\"{class} r-t\" padding=\"{above}px {side}px {below}px\" line-height=\"20px\">{html}\
         </mj-text>"
    ));
    text.push_str(&html);
    text.push('\n');
    if let Some((mjml, plain)) = after {
        column.push_str(&mjml);
        text.push_str(&plain);
    }
    column.push_str(&format!("<mj-raw>{end}</mj-raw>"));
    text.push_str(&end);
}

/// The words of a title without the paragraph around them.
fn strip_paragraph(html: &str) -> &str {
    let inner = html.strip_prefix("<p style=\"margin:0 0 0px\">").and_then(|html| html.strip_suffix("</p>"));
    inner.filter(|inner| !inner.contains("</p>")).unwrap_or(html)
}

/// The way back to a cart, where the cart has one.
fn cart_button(build: &mut Build<'_>, cart: &str, label: Option<&Text>) -> (String, String) {
    let theme = build.theme();
    let label = match label {
        Some(label) => build.tokens(label),
        None => build.labels.back_to_cart.to_owned(),
    };
    let number = build.fragment(format!("{{{{ {cart}.recovery_url }}}}"), false);
    let href = build.linked(LinkTarget::Fragment(number), &label);
    let name = build.ink.restore(&href);
    let name = name.trim_matches(|c| matches!(c, '{' | '}' | ' ')).to_owned();
    let begin = build.ink.token(format!("{{% if {name} %}}"));
    let end = build.ink.token("{% endif %}");
    let html = build.ink.wrap(&escape::html_text(&label));
    let mjml = format!(
        "<mj-raw>{begin}</mj-raw><mj-button href=\"{href}\" background-color=\"{}\" color=\"{}\" \
         border-radius=\"{}px\" font-size=\"16px\" font-weight=\"700\" line-height=\"20px\" inner-padding=\"14px 28px\" \
         padding=\"8px {SIDE}px 18px\">{html}</mj-button><mj-raw>{end}</mj-raw>",
        theme.accent, theme.on_accent, theme.radius
    );
    (mjml, format!("{begin}{label}: {href}\n\n{end}"))
}

type CouponParts<'b> = (&'b Text, Option<&'b Text>, Option<&'b Target>, Option<&'b Text>);

fn coupon(
    build: &mut Build<'_>,
    block: &Block,
    (code, words, link, label): CouponParts<'_>,
    column: &mut String,
    text: &mut String,
) {
    let theme = build.theme();
    let mut html = String::new();
    if let Some(words) = words {
        let tokens = build.tokens(words);
        let both = markdown::render(build, words, &tokens);
        html.push_str(&format!("<div style=\"margin:0 0 10px\">{}</div>", both.html));
        text.push_str(&both.text);
        text.push_str("\n\n");
    }
    let code = build.tokens(code);
    html.push_str(&format!(
        "<span style=\"display:inline-block;padding:12px 24px;border:2px dashed {};border-radius:{}px;font-family:Consolas,\
         Menlo,monospace;font-size:20px;letter-spacing:2px;font-weight:700\">{}</span>",
        theme.accent,
        theme.radius,
        escape::html_text(&code)
    ));
    text.push_str(&format!("    {code}\n\n"));
    let centred = Block {
        align: if block.align == Align::Left { Align::Center } else { block.align },
        ..block.clone()
    };
    words_of(build, &centred, (&html, "font-size=\"16px\"", "r-t"), (10, 10), column);
    if let Some(link) = link {
        let place = link.url.place;
        let ready = Text {
            place,
            field: String::new(),
            all: vec![(String::new(), build.labels.use_code.to_owned())],
        };
        button(build, &centred, (label.unwrap_or(&ready), link, false), column, text);
    }
}
