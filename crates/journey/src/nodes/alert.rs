//! Tells the shop's own staff: a mail to fixed addresses, or a call of a webhook. It is no message to the contact: no
//! consent is asked, no cap counts it, and `while` does not stop it.

use std::collections::BTreeSet;

use model::{Channel, Problem, doc, field::parse_email};

use super::{
    Flow, Kind, Reading, Role, Sending, Step,
    payload::Payload,
    sending::{self, Content},
    webhook,
};
use crate::{
    check::Binder,
    run::{Context, Message},
    trace::Detail,
};

/// The kind.
pub static KIND: Kind =
    Kind { word: "alert", name_en: "Internal alert", name_fr: "Alerte interne", role: Role::Action, read };

/// Most addresses of an alert.
pub const TO_MAX: usize = 16;
/// Where the number of the address stands in a message's visit, so that the messages of one passage have ids of their own.
const COPY_SHIFT: u32 = 24;

#[derive(Debug)]
enum Alert {
    Mail { to: Vec<String>, mail: Content },
    Call { url: String, body: Payload, secret: Option<String> },
}

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    let place = reading.fields.place;
    let to = reading.fields.path_of("to");
    let wrong = |message: &str| {
        Problem::new("journey.alert", message).field(&to).at(place).cure(
            "write to: [staff@example.com] with a template, or url: https://…; for both, make two alerts",
        )
    };
    let addresses = reading.fields.optional("to");
    let has_url = reading.fields.optional("url").is_some();
    match (addresses, has_url) {
        (Some(_), true) => {
            reading.problems.push(wrong("an alert is a mail or a call, not both"));
            None
        }
        (None, false) => {
            reading.problems.push(wrong("the alert goes to nobody"));
            None
        }
        (Some(node), false) => {
            let addresses = read_addresses(reading, node, &to);
            let mail = sending::read_alert(reading);
            Some(Box::new(Alert::Mail { to: addresses?, mail: mail? }))
        }
        (None, true) => {
            let url = reading.required_text("url");
            let body = super::payload::read(reading, "body");
            let secret = webhook::read_secret(reading);
            let url = url.and_then(|url| webhook::check_url(reading, &url));
            Some(Box::new(Alert::Call { url: url?, body: body?, secret: secret? }))
        }
    }
}

fn read_addresses(reading: &mut Reading<'_, '_>, node: &doc::Node, path: &str) -> Option<Vec<String>> {
    let one = std::slice::from_ref(node);
    let items = node.items().unwrap_or(one);
    if items.is_empty() || items.len() > TO_MAX {
        let problem = node.problem("journey.alert", format!("the alert has {} addresses", items.len()));
        reading.problems.push(problem.field(path).cure(format!("give 1 to {TO_MAX} addresses")));
        return None;
    }
    let mut addresses = Vec::with_capacity(items.len());
    let mut known = BTreeSet::new();
    for item in items {
        let read = parse_email(&item.scalar().unwrap_or_default())
            .map_err(|problem| problem.field(path).at(item.place).cure("write staff@example.com"));
        let address = reading.keep(read)?;
        if known.insert(address.clone()) {
            addresses.push(address);
        }
    }
    Some(addresses)
}

impl Step for Alert {
    fn bind(&mut self, binder: &mut Binder<'_>) {
        match self {
            Self::Mail { mail, .. } => mail.bind(binder),
            Self::Call { body, .. } => body.bind(binder),
        }
    }

    fn sending(&self) -> Option<Sending<'_>> {
        match self {
            Self::Mail { mail, .. } => Some(mail.sending()),
            Self::Call { .. } => {
                Some(Sending { channel: Channel::Webhook, template: "", purpose: webhook::PURPOSE })
            }
        }
    }

    fn step(&self, context: &mut Context<'_>) -> Flow {
        let (number, visit) = (context.number, context.visit);
        let message = |to: &str, copy: u32, variables: String, locale: Option<String>| Message {
            node: number,
            visit: visit | copy << COPY_SHIFT,
            to: Some(to.to_owned()),
            locale,
            variables,
            not_before: None,
            expires_at: None,
        };
        match self {
            Self::Mail { to, mail } => {
                let missing = mail.missing(context);
                if !missing.is_empty() {
                    return Flow::Needs(missing);
                }
                let variables = mail.freeze(context);
                for (copy, address) in to.iter().enumerate() {
                    context.send(message(address, copy as u32, variables.clone(), None));
                }
                Flow::done(0, Detail::Count(to.len() as u64))
            }
            Self::Call { url, body, secret } => {
                match webhook::envelope(body.fill(context), secret.as_deref()) {
                    Err(size) => {
                        Flow::done(0, Detail::Text(format!("not called: the body takes {size} bytes")))
                    }
                    Ok(variables) => {
                        context.send(message(url, 0, variables, None));
                        Flow::done(0, Detail::Count(1))
                    }
                }
            }
        }
    }
}
