//! Templates of text messages and push: no page, only texts.
//!
//! ```yaml
//! format: 1
//! template: cart-sms
//! channel: sms
//! variables: {name: {type: text, default: there}}
//! text: "Hi {{ name }}, your cart is waiting."
//! ```

use model::{Channel, Period, Problem, Problems, Timestamp, doc::Fields};

use crate::{
    Rendered,
    build::{Build, LinkTarget},
    document::Text,
    escape,
    limits::{PUSH_EXPIRY_MAX, PUSH_TEXT_LEN_MAX, SMS_SEGMENTS_MAX},
    read::Reader,
    sample::Edge,
    sms::Length,
};

/// Words of the channels that templates are written for.
const CHANNELS: [(&str, Channel); 3] =
    [("email", Channel::Email), ("sms", Channel::Sms), ("push", Channel::WebPush)];

/// What a text message or a push says, its title left aside.
#[derive(Clone, Debug)]
pub(crate) struct Short {
    /// The text.
    pub text: Text,
    /// Where a push leads.
    pub url: Option<Text>,
    /// A push's picture.
    pub icon: Option<Text>,
    /// How long a push is of use, in microseconds.
    pub expires_after: Option<i64>,
}

/// The channel that a template is for; email when it says nothing.
pub(crate) fn channel(reader: &mut Reader, fields: &mut Fields<'_>) -> Channel {
    let Some(node) = fields.optional("channel") else { return Channel::Email };
    let word = reader.word(node, "channel".into(), &CHANNELS.map(|(word, _)| word));
    CHANNELS.iter().find(|(own, _)| Some(*own) == word).map_or(Channel::Email, |(_, channel)| *channel)
}

/// Reads what a text message or a push says: the title (a push has one), and the rest.
pub(crate) fn read(
    reader: &mut Reader,
    fields: &mut Fields<'_>,
    channel: Channel,
) -> Option<(Option<Text>, Short)> {
    if channel == Channel::Sms {
        let text = reader.required_text(fields, "text")?;
        return Some((None, Short { text, url: None, icon: None, expires_after: None }));
    }
    let title = reader.required_text(fields, "title");
    let text = reader.required_text(fields, "body");
    let url = reader.text(fields, "url");
    let icon = reader.text(fields, "icon");
    let expires_after = fields.optional("expires_after").and_then(|node| {
        let text = node.text().unwrap_or_default();
        let period = Period::parse(text)
            .ok()
            .filter(|period| period.months == 0 && period.micros > 0 && period.micros <= PUSH_EXPIRY_MAX);
        if period.is_none() {
            let days = PUSH_EXPIRY_MAX / Timestamp::DAY;
            let problem = node.problem("template.expiry", format!("`{text}` is no time up to {days} days"));
            reader.problems.push(problem.field("expires_after").cure("write it as in PT4H or P2D"));
        }
        period.map(|period| period.micros)
    });
    Some((Some(title?), Short { text: text?, url, icon, expires_after }))
}

/// Sources of one language's title, text, and of the lines that hold address and picture.
pub(crate) struct Lines {
    pub title: String,
    pub text: String,
    pub addresses: String,
}

/// Puts the texts together in one language, with tokens.
pub(crate) fn lines(build: &mut Build<'_>, short: &Short) -> Lines {
    let subject = build.document.subject.clone();
    let title = build.tokens(&subject);
    let text = build.tokens(&short.text);
    let url = short.url.as_ref().map(|url| {
        let address = url.get(build.language).trim().to_owned();
        build.link(&address, url.place, &url.field, "push")
    });
    let icon = short.icon.as_ref().map(|icon| {
        let address = icon.get(build.language).trim().to_owned();
        build.bare_picture(&address, icon.place, &icon.field)
    });
    let addresses = format!("{}\n{}", url.unwrap_or_default(), icon.unwrap_or_default());
    Lines { title, text, addresses }
}

/// What was rendered, as a message of its channel.
///
/// # Errors
/// `template.too_large` for a text message of more than [`SMS_SEGMENTS_MAX`] parts.
pub(crate) fn rendered(
    channel: Channel,
    title: String,
    text: &str,
    addresses: &str,
) -> Result<Rendered, Problem> {
    let text: Vec<String> = text.lines().map(|line| escape::one_line(line, usize::MAX)).collect();
    let mut text = text.join("\n").trim().to_owned();
    if channel == Channel::Sms {
        let length = Length::of(&text);
        if length.segments > SMS_SEGMENTS_MAX {
            let problem = Problem::new("template.too_large", format!("the text message has {length}"));
            return Err(problem.cure(format!("keep it under {SMS_SEGMENTS_MAX} messages")));
        }
    } else if text.chars().count() > PUSH_TEXT_LEN_MAX {
        text = text.chars().take(PUSH_TEXT_LEN_MAX - 1).chain(['…']).collect();
    }
    let (url, icon) = addresses.split_once('\n').unwrap_or((addresses, ""));
    Ok(Rendered {
        subject: title,
        text,
        url: url.trim().to_owned(),
        icon: icon.trim().to_owned(),
        ..Rendered::default()
    })
}

/// What is wrong with a rendered sample.
pub(crate) fn judge(channel: Channel, rendered: &Rendered, edge: Edge, language: &str) -> Problems {
    let mut problems = Vec::new();
    let (field, what) = if channel == Channel::Sms { ("text", "text message") } else { ("body", "push") };
    if rendered.text.is_empty() && edge != Edge::Hostile {
        let problem = Problem::new("template.text", format!("the {what} is empty with {}", edge.what()));
        problems.push(
            problem.field(field).cure("give its variables defaults, as in {{ name | default(\"there\") }}"),
        );
    }
    let length = Length::of(&rendered.text);
    if channel == Channel::Sms && edge == Edge::Usual && length.segments > 1 {
        let message = format!("the text message has {length} in {language}");
        let problem = Problem::warning("template.sms_length", message).field(field);
        problems.push(problem.cure(match length.alphabet {
            crate::sms::Alphabet::Gsm7 => "each is paid for: shorten it to 160 characters",
            crate::sms::Alphabet::Ucs2 => {
                "each is paid for: letters beyond GSM-7 (ê, ç, emoji …) leave 70 characters a message"
            }
        }));
    }
    problems
}

impl Build<'_> {
    /// A token for a picture's address that is not part of a page.
    fn bare_picture(&mut self, url: &str, place: model::Place, field: &str) -> String {
        match self.picture_of(url, place, field) {
            Ok(LinkTarget::Fixed(url)) => {
                let source = crate::ink::Ink::default().finish(&url);
                let number = self.fragment(source, false);
                self.linked(LinkTarget::Picture(number), "")
            }
            Ok(target) => self.linked(target, ""),
            Err(problem) => {
                self.problems.push(problem.field(field).at(place));
                String::new()
            }
        }
    }
}
