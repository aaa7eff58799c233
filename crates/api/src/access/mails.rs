//! Mails to users: decided in the database, handed over here. The token of a mail is made when it leaves, so that the
//! database never holds one that opens something; each try has its own.

use std::{sync::Arc, time::Duration};

use delivery::{Answer, Lane, Mail, Mailbox, Transport, mime};
use model::{ContactId, Slug, Timestamp};
use serde_json::json;
use storage::{
    Storage,
    audit::Deed,
    outbox::{Channel, MessageId, SendPoint},
    users::{Ticket, TicketKind, User, UserMail},
};

use super::{account::who, token};
use crate::{ApiResult, App};

/// How long the link of a forgotten password is good.
pub const RESET_GOOD_FOR: i64 = Timestamp::HOUR;
/// How long an invitation is good.
pub const INVITE_GOOD_FOR: i64 = 3 * Timestamp::DAY;
/// How often a mail is tried.
pub const TRIES_MAX: u32 = 8;
/// Nobody else takes a mail that is being handed over before this is over.
const LEASE: i64 = 5 * Timestamp::MINUTE;
/// The loop looks again after so long, whatever it was told.
const NAP_MAX: Duration = Duration::from_secs(60);

/// A language's words.
struct Words {
    invite_subject: &'static str,
    invite: &'static str,
    reset_subject: &'static str,
    reset: &'static str,
    hello: &'static str,
    button: &'static str,
    until_invite: &'static str,
    until_reset: &'static str,
    not_you: &'static str,
}

const EN: Words = Words {
    invite_subject: "You are invited to Relance",
    invite: "You have been given access to Relance. Choose a password to begin:",
    reset_subject: "Choose a new password",
    reset: "Somebody, most likely you, has asked for a new password for Relance. Choose it here:",
    hello: "Hello",
    button: "Choose a password",
    until_invite: "This link is good for three days and for one time.",
    until_reset: "This link is good for one hour and for one time.",
    not_you: "If you did not expect this mail, do nothing: nothing changes.",
};

const FR: Words = Words {
    invite_subject: "Vous êtes invité sur Relance",
    invite: "Un accès à Relance vous a été ouvert. Pour commencer, choisissez un mot de passe :",
    reset_subject: "Choisissez un nouveau mot de passe",
    reset: "Un nouveau mot de passe pour Relance a été demandé, sans doute par vous. Choisissez-le ici :",
    hello: "Bonjour",
    button: "Choisir un mot de passe",
    until_invite: "Ce lien est valable trois jours et une seule fois.",
    until_reset: "Ce lien est valable une heure et une seule fois.",
    not_you: "Si vous n'attendiez pas ce message, ne faites rien : rien ne changera.",
};

/// Hands mails over as they are decided, until the task is dropped.
pub async fn run<S: Storage, T: Transport>(app: App<S>, transport: Arc<T>) {
    let mut lane = transport.lane();
    loop {
        match work_once(&app, &mut lane).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::error!(problems = ?error.problems, "mails to users wait"),
        }
        let nap = match app.store.next_mail().await {
            Ok(Some(at)) => Duration::from_micros(at.since(app.now()).max(0).unsigned_abs()).min(NAP_MAX),
            _ => NAP_MAX,
        };
        // At least a moment, so that a database in trouble is not asked all the time.
        let nap = nap.max(Duration::from_millis(100));
        tokio::select! {
            () = app.access.mail_bell.notified() => {}
            () = tokio::time::sleep(nap) => {}
        }
    }
}

/// Hands over the next mail that is due; whether there was one. Nothing is due while nobody is named as who writes.
///
/// # Errors
/// What the database says.
pub async fn work_once<S: Storage, L: Lane>(app: &App<S>, lane: &mut L) -> ApiResult<bool> {
    let Some(sender) = &app.config.access.sender else { return Ok(false) };
    let now = app.now();
    let Some(mail) = app.store.claim_mail(now, now.plus(LEASE)).await? else { return Ok(false) };
    let user = app.store.load_user(mail.user).await?.filter(|user| user.disabled_at.is_none());
    let Some(user) = user else {
        app.store.finish_mail(mail.id, None).await?;
        return Ok(true);
    };
    let text = token::make(&*app.chance);
    let good_for = if mail.kind == TicketKind::Invite { INVITE_GOOD_FOR } else { RESET_GOOD_FOR };
    let ticket = Ticket {
        hash: token::hash(&text),
        kind: mail.kind,
        user: Some(user.id),
        expires_at: now.plus(good_for),
    };
    app.store.save_ticket(ticket, now).await?;
    let link = format!("{}/account/password#{text}", app.config.public_url);
    let answer = match build(&mail, &user, sender, &link, now) {
        Ok(ready) => lane.hand_over(&ready).await,
        Err(problem) => Answer::Permanent { reason: "mail.failed", detail: problem.message, bounce: None },
    };
    settle(app, &mail, &user, answer).await?;
    Ok(true)
}

/// Records what became of a mail. In doubt it is sent again: a second mail does less harm than none.
async fn settle<S: Storage>(app: &App<S>, mail: &UserMail, user: &User, answer: Answer) -> ApiResult<()> {
    let (reason, detail, again) = match answer {
        Answer::Taken { .. } => return Ok(app.store.finish_mail(mail.id, None).await?),
        Answer::Temporary { reason, detail } => (reason, detail, true),
        Answer::Permanent { reason, detail, .. } => (reason, detail, false),
        Answer::Doubtful { detail } => ("mail.doubtful", detail, true),
        Answer::Unavailable { reason, detail, .. } => (reason, detail, true),
    };
    tracing::warn!(reason, detail, tries = mail.tries, "a mail to a user was not handed over");
    if again && mail.tries < TRIES_MAX {
        // One minute, then twice as long each time.
        let wait = Timestamp::MINUTE << (mail.tries - 1).min(10);
        return Ok(app.store.retry_mail(mail.id, app.now().plus(wait)).await?);
    }
    let deed = Deed {
        at: app.now(),
        who: "-".to_owned(),
        action: "user.mail_failed".to_owned(),
        object: who(&user.is.email),
        details: json!({"reason": reason, "detail": detail, "tries": mail.tries}),
        client: None,
    };
    Ok(app.store.finish_mail(mail.id, Some(deed)).await?)
}

fn build(
    mail: &UserMail,
    user: &User,
    sender: &Mailbox,
    link: &str,
    now: Timestamp,
) -> Result<Mail, model::Problem> {
    let words = if user.is.locale == "fr" { &FR } else { &EN };
    let (subject, about, until) = match mail.kind {
        TicketKind::Invite => (words.invite_subject, words.invite, words.until_invite),
        TicketKind::SetUp | TicketKind::Reset => (words.reset_subject, words.reset, words.until_reset),
    };
    let name = &user.is.name;
    let hello = if name.is_empty() { words.hello.to_owned() } else { format!("{} {name}", words.hello) };
    let text = format!("{hello},\n\n{about}\n{link}\n\n{until}\n{}\n", words.not_you);
    let html = page(subject, &user.is.locale, &hello, about, link, words.button, &[until, words.not_you]);
    // No message of a contact has the run 0.
    let id = MessageId::derive(0, mail.id.unsigned_abs(), 0, "user", mail.tries);
    let envelope = mime::Envelope {
        from: sender,
        reply_to: None,
        to_name: name,
        to: &user.is.email,
        id,
        decided_at: mail.created_at,
        date: now,
        unsubscribe: None,
        campaign: "user",
        transactional: true,
        token: "",
    };
    let bytes = mime::build(&mime::Content { subject, html: &html, text: &text }, &envelope)?;
    let slug = Slug::parse("user")?;
    let send = SendPoint {
        journey: slug.clone(),
        journey_version: 0,
        run: 0,
        node: "user".to_owned(),
        channel: Channel::Email,
        purpose: slug.clone(),
        transactional: true,
        template: slug,
        template_version: 0,
    };
    Ok(Mail {
        id,
        send: Arc::new(send),
        contact: ContactId(0),
        to_name: name.clone(),
        to: user.is.email.clone(),
        decided_at: mail.created_at,
        date: now,
        locale: user.is.locale.clone(),
        subject: subject.to_owned(),
        html,
        text,
        bytes,
        signed_with: None,
    })
}

fn page(
    title: &str,
    locale: &str,
    hello: &str,
    about: &str,
    link: &str,
    button: &str,
    notes: &[&str],
) -> String {
    let escaped = |text: &str| {
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        text.replace('"', "&quot;")
    };
    let mut html = format!(
        "<!doctype html><html lang=\"{locale}\"><meta charset=\"utf-8\"><title>{}</title>\
         <body style=\"font-family:sans-serif;line-height:1.5;max-width:560px;margin:24px auto;padding:0 16px\">\
         <p>{},</p><p>{}</p><p><a href=\"{}\" style=\"display:inline-block;padding:12px 20px;background:#1f3a5f;\
         color:#fff;border-radius:6px;text-decoration:none\">{}</a></p>",
        escaped(title),
        escaped(hello),
        escaped(about),
        escaped(link),
        escaped(button)
    );
    for note in notes {
        html.push_str(&format!("<p style=\"color:#555\">{}</p>", escaped(note)));
    }
    html.push_str("</body></html>");
    html
}
