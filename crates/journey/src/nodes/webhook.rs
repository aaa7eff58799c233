//! Calls somebody's server: the outbox takes the call, delivery makes it (POST, JSON), signs and repeats it. The URL is
//! fixed in the file, so that no contact's data decides whom we call.
//!
//! The message's variables are `{"body": {…}, "secret": "name"}`: delivery posts the body and, where a secret is named,
//! signs it with HMAC-SHA-256.

use model::{Channel, Problem};
use serde_json::{Map, Value as Json};

use super::{Flow, Kind, Named, Reading, Role, Sending, Step, payload::Payload};
use crate::{
    check::Binder,
    run::{Context, Message},
    trace::Detail,
};

/// The kind.
pub static KIND: Kind = Kind {
    word: "webhook",
    name_en: "Call webhook",
    name_fr: "Appeler un webhook",
    role: Role::Action,
    read,
};

/// The purpose of calls: nobody's consent is asked.
pub(super) const PURPOSE: &str = "transactional";
/// Longest URL, in bytes.
pub const URL_LEN_MAX: usize = 2_000;
/// Largest body, in bytes of JSON.
pub const BODY_MAX: usize = 64 * 1024;

#[derive(Debug)]
struct Webhook {
    url: String,
    body: Payload,
    secret: Option<String>,
}

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    let url = reading.required_text("url");
    let body = super::payload::read(reading, "body");
    let secret = read_secret(reading);
    let url = url.and_then(|url| check_url(reading, &url));
    Some(Box::new(Webhook { url: url?, body: body?, secret: secret? }))
}

/// The name of the secret that signs; inner none: unsigned.
pub(super) fn read_secret(reading: &mut Reading<'_, '_>) -> Option<Option<String>> {
    if reading.fields.optional("secret").is_none() {
        return Some(None);
    }
    let named = reading.required_text("secret")?;
    let slug = model::Slug::parse(&named.text).map_err(|problem| {
        problem
            .field(&named.field)
            .at(named.place)
            .cure("name the secret, as in crm; its value never stands in a journey")
    });
    reading.keep(slug).map(|slug| Some(slug.to_string()))
}

/// A URL that can be called: http or https, with a host, without a password.
pub(super) fn check_url(reading: &mut Reading<'_, '_>, url: &Named) -> Option<String> {
    let text = &url.text;
    let lower = text.to_ascii_lowercase();
    let rest = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://"));
    let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let why = if text.len() > URL_LEN_MAX {
        Some(format!("the URL is longer than {URL_LEN_MAX} bytes"))
    } else if text.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '{' | '}' | '\\')) {
        Some("the URL holds a character that none may hold".to_owned())
    } else {
        match host {
            None => Some(format!("`{text}` is no http or https URL")),
            Some(host) if host.contains('@') => Some("the URL holds a password".to_owned()),
            Some(host) if host.is_empty() || host.starts_with(':') => Some(format!("`{text}` names no host")),
            Some(_) => None,
        }
    };
    match why {
        None => Some(text.clone()),
        Some(why) => {
            let problem = Problem::new("journey.url", why).field(&url.field).at(url.place);
            reading.problems.push(problem.cure("write it as in https://crm.example.com/hooks/relance"));
            None
        }
    }
}

/// The variables of a call; none when the body is too large, with its size.
pub(super) fn envelope(body: Map<String, Json>, secret: Option<&str>) -> Result<String, usize> {
    let body = Json::Object(body);
    let size = body.to_string().len();
    if size > BODY_MAX {
        return Err(size);
    }
    let mut variables = Map::new();
    variables.insert("body".to_owned(), body);
    if let Some(secret) = secret {
        variables.insert("secret".to_owned(), secret.into());
    }
    Ok(Json::Object(variables).to_string())
}

impl Step for Webhook {
    fn bind(&mut self, binder: &mut Binder<'_>) {
        self.body.bind(binder);
    }

    fn sending(&self) -> Option<Sending<'_>> {
        Some(Sending { channel: Channel::Webhook, template: "", purpose: PURPOSE })
    }

    fn step(&self, context: &mut Context<'_>) -> Flow {
        match envelope(self.body.fill(context), self.secret.as_deref()) {
            Err(size) => Flow::done(0, Detail::Text(format!("not called: the body takes {size} bytes"))),
            Ok(variables) => {
                context.send(Message {
                    node: context.number,
                    visit: context.visit,
                    to: Some(self.url.clone()),
                    locale: None,
                    variables,
                    not_before: None,
                    expires_at: None,
                });
                Flow::done(0, Detail::None)
            }
        }
    }
}
