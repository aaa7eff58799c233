//! The two ends of a message: header and footer.

use crate::{
    build::{Build, LinkTarget},
    document::{Block, Image, Target, Text},
    escape,
    markdown::{self, Both},
    page::{SIDE, content_width, image, section},
};

pub(crate) type HeaderParts<'b> =
    (Option<&'b Text>, Option<&'b Image>, Option<&'b Target>, bool, &'b Option<String>);

pub(crate) fn header(
    build: &mut Build<'_>,
    block: &Block,
    (words, picture, link, view, color): HeaderParts<'_>,
    body: &mut String,
    text: &mut String,
) {
    let theme = build.theme();
    let background = block.background.as_deref().unwrap_or(&theme.surface);
    let class = if block.background.is_some() { "" } else { "r-s" };
    let mut column = String::new();
    if view {
        let href = build.linked(LinkTarget::ViewInBrowser, "");
        let label = escape::html_text(build.labels.view_in_browser);
        let html = format!("<a href=\"{href}\" style=\"color:{}\">{label}</a>", theme.muted);
        let html = guarded(build, &html, &href);
        let plain = guarded(build, &format!("{}: {href}\n\n", build.labels.view_in_browser), &href);
        text.push_str(&plain);
        let row = format!(
            "<mj-column><mj-text align=\"center\" font-size=\"12px\" color=\"{}\" padding=\"12px {SIDE}px\" \
             css-class=\"r-q\">{html}</mj-text></mj-column>",
            theme.muted
        );
        section(body, &theme.background, "", &row);
    }
    let (above, below) = block.padding.unwrap_or((26, 18));
    let align = block.align.word();
    let mut name = Both::default();
    if let Some(words) = words {
        let tokens = build.tokens(words);
        markdown::inline(build, words, &tokens, &mut name, 0);
        text.push_str(&name.text);
        text.push_str("\n\n");
    }
    if let Some(picture) = picture {
        let label = build.tokens(&picture.alt);
        let href = link.map(|link| build.target(link, &label));
        image(build, picture, href, (align, above, below), content_width(theme.width), &mut column);
    } else {
        let color = color.as_deref().unwrap_or(&theme.accent);
        let mut html = name.html.clone();
        if let Some(link) = link {
            let href = build.target(link, &name.text);
            html = format!("<a href=\"{href}\" style=\"color:{color};text-decoration:none\">{html}</a>");
        }
        let html = build.ink.wrap(&html);
        column.push_str(&format!(
            "<mj-text align=\"{align}\" font-size=\"24px\" font-weight=\"700\" letter-spacing=\"0.5px\" color=\"{color}\" \
             padding=\"{above}px {SIDE}px {below}px\">{html}</mj-text>"
        ));
    }
    section(body, background, class, &format!("<mj-column>{column}</mj-column>"));
}

/// Shows something only when the link in it leads somewhere.
fn guarded(build: &mut Build<'_>, content: &str, href: &str) -> String {
    let name = build.ink.restore(href);
    let name = name.trim_matches(|c| matches!(c, '{' | '}' | ' '));
    let begin = build.ink.token(format!("{{% if {name} %}}"));
    let end = build.ink.token("{% endif %}");
    build.ink.wrap(&format!("{begin}{content}{end}"))
}

pub(crate) type FooterParts<'b> = (Option<&'b Text>, &'b Text, bool, bool);

pub(crate) fn footer(
    build: &mut Build<'_>,
    block: &Block,
    (words, address, unsubscribe, preferences): FooterParts<'_>,
    body: &mut String,
    text: &mut String,
) {
    let theme = build.theme();
    let mut html = String::new();
    let mut lines = String::from("--\n");
    for part in words.into_iter().chain([address]) {
        let tokens = build.tokens(part);
        let both = markdown::render(build, part, &tokens);
        html.push_str(&format!("<div style=\"margin:0 0 10px\">{}</div>", both.html));
        lines.push_str(&both.text);
        lines.push_str("\n\n");
    }
    let labels = build.labels;
    let wanted = [
        (unsubscribe, LinkTarget::Unsubscribe, labels.unsubscribe),
        (preferences, LinkTarget::Preferences, labels.preferences),
    ];
    let mut links = String::new();
    for (wanted, target, label) in wanted {
        if !wanted {
            continue;
        }
        let href = build.linked(target, "");
        let link = format!(
            "<a href=\"{href}\" style=\"color:{};text-decoration:underline;padding:0 8px;white-space:nowrap\">{}</a> ",
            theme.muted,
            escape::html_text(label)
        );
        links.push_str(&guarded(build, &link, &href));
        lines.push_str(&guarded(build, &format!("{label}: {href}\n"), &href));
    }
    html.push_str(&links);
    text.push_str(&lines);
    let (above, below) = block.padding.unwrap_or((24, 36));
    let html = build.ink.wrap(&html);
    let background = block.background.as_deref().unwrap_or(&theme.background);
    let column = format!(
        "<mj-column><mj-text align=\"{}\" font-size=\"12px\" line-height=\"1.5\" color=\"{}\" css-class=\"r-q\" \
         padding=\"{above}px {SIDE}px {below}px\">{html}</mj-text></mj-column>",
        block.align.word(),
        theme.muted
    );
    section(body, background, "", &column);
}
