//! `/p/TOKEN`: what a contact wants to receive, by purpose and topic.

use axum::{extract::State, http::StatusCode, response::Response};
use delivery::{LinkKind, links::Link};
use model::{ConsentState, Contact, Lang, Slug};
use policy::{Enforcement, Purpose, SendingRules, Topic};
use serde_json::{Value, json};
use storage::{
    Storage, StoreError,
    consents::{Answers, Proof},
};

use super::{
    look::{Form, Look, hint, settled, unreadable},
    visitor::Visitor,
};
use crate::{App, extract::Named};

/// The token of the preference page of a link's contact.
pub(super) fn token<S: Storage>(app: &App<S>, link: &Link) -> String {
    app.links.token(&Link { kind: LinkKind::Preferences, ..link.clone() })
}

pub(super) const fn tag(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "en",
        Lang::Fr => "fr",
    }
}

/// The workspace's rules; one that cannot be read is as if it were not set: nobody must be kept from unsubscribing.
pub(super) async fn rules<S: Storage>(app: &App<S>) -> Result<SendingRules, StoreError> {
    let load = |key: &str| app.store.load_setting(key.to_owned());
    let (sending, purposes) = (load(policy::SETTING).await?, load(policy::PURPOSES_SETTING).await?);
    let text = |setting: Option<Value>| setting.map(|json| json.to_string());
    let (sending, purposes) = (text(sending), text(purposes));
    Ok(SendingRules::of(sending.as_deref(), purposes.as_deref())
        .or_else(|_| SendingRules::of(None, purposes.as_deref()))
        .unwrap_or_default())
}

/// What is shown: the workspace's purposes that can be refused; and those that a contact answered, where it has none.
fn choices(rules: &SendingRules, contact: &Contact, link: &Link) -> Vec<Purpose> {
    let named = &rules.purposes.0;
    let mut choices: Vec<Purpose> =
        named.iter().filter(|purpose| purpose.enforcement != Enforcement::None).cloned().collect();
    let answered = contact.consents.iter().map(|consent| &consent.purpose).chain([&link.purpose]);
    for slug in answered {
        let main = slug.as_str().split('/').next().unwrap_or_default();
        if main == policy::TRANSACTIONAL || rules.purposes.enforcement(main) == Enforcement::None {
            continue;
        }
        let place = match choices.iter().position(|known| known.slug.as_str() == main) {
            Some(place) => place,
            None => {
                let Ok(main) = Slug::parse(main) else { continue };
                choices.push(Purpose::unnamed(main));
                choices.len() - 1
            }
        };
        let topics = &mut choices[place].topics;
        if let Some((_, topic)) = slug.as_str().split_once('/')
            && topics.iter().all(|known| known.slug != *slug)
        {
            let name = model::Localized::same(topic);
            topics.push(Topic { slug: slug.clone(), name, description: model::Localized::default() });
        }
    }
    choices
}

/// Whether messages of a purpose or topic go out to a contact.
fn goes_out(rules: &SendingRules, contact: &Contact, slug: &Slug) -> bool {
    let answer = policy::consent(contact, slug.as_str(), rules.topics);
    rules.purposes.enforcement(slug.as_str()).check(answer).is_ok()
}

/// A name as people read it; its slug when nobody named it.
fn named<'a>(name: &'a model::Localized, slug: &'a Slug, lang: Lang) -> &'a str {
    Some(name.get(lang)).filter(|name| !name.is_empty()).unwrap_or(slug.as_str())
}

fn page(look: &Look<'_>, rules: &SendingRules, contact: &Contact, link: &Link, saved: bool) -> Response {
    let item = |slug: &Slug, name: &model::Localized, description: &model::Localized| {
        json!({
            "slug": slug,
            "name": named(name, slug, look.lang),
            "description": description.get(look.lang),
            "checked": goes_out(rules, contact, slug),
        })
    };
    let purposes: Vec<Value> = choices(rules, contact, link)
        .iter()
        .map(|purpose| {
            let mut shown = item(&purpose.slug, &purpose.name, &purpose.description);
            let topics =
                purpose.topics.iter().map(|topic| item(&topic.slug, &topic.name, &topic.description));
            shown["topics"] = topics.collect();
            shown
        })
        .collect();
    let needs = json!({"saved": saved, "address_hint": hint(contact), "purposes": purposes});
    look.page(StatusCode::OK, "preferences_title", "preferences.html", needs)
}

async fn asked<S: Storage>(app: &App<S>, token: &str) -> Result<Option<(Link, Option<Contact>)>, StoreError> {
    let Ok(link) = app.links.verify_kind(token, LinkKind::Preferences) else { return Ok(None) };
    let contact = app.store.linked_contact(link.contact).await?;
    Ok(Some((link, contact)))
}

pub(super) async fn show<S: Storage>(
    State(app): State<App<S>>,
    Named(token): Named<String>,
    visitor: Visitor,
) -> Response {
    let work = async {
        let Some((link, contact)) = asked(&app, &token).await? else {
            return Ok(Look::of(&app, &visitor, None).await?.invalid());
        };
        let look = Look::of(&app, &visitor, contact.as_ref()).await?;
        // Loaded for everybody: who is known should not show in the time that an answer takes either.
        let rules = rules(&app).await?;
        let Some(contact) = contact else {
            return Ok(look.text(StatusCode::OK, "unsubscribed_title", "unsubscribed_gone"));
        };
        Ok(page(&look, &rules, &contact, &link, false))
    };
    settled(visitor.lang(None), work.await)
}

pub(super) async fn save<S: Storage>(
    State(app): State<App<S>>,
    Named(token): Named<String>,
    visitor: Visitor,
    Form(form): Form,
) -> Response {
    let work = async {
        let Some((link, contact)) = asked(&app, &token).await? else {
            return Ok(Look::of(&app, &visitor, None).await?.invalid());
        };
        let look = Look::of(&app, &visitor, contact.as_ref()).await?;
        let pairs = match form {
            Ok(pairs) => pairs,
            Err(status) => return Ok(unreadable(&look, status)),
        };
        let Some(contact) = contact else {
            return Ok(look.text(StatusCode::OK, "unsubscribed_title", "unsubscribed_gone"));
        };
        let rules = rules(&app).await?;
        let shown = choices(&rules, &contact, &link);
        let answers = answers(&rules, &contact, &shown, &pairs);
        let proof = |slug: &Slug, yes: bool| Proof {
            place: "preference_page".into(),
            text: text_of(&shown, slug, yes, look.lang),
            lang: tag(look.lang).into(),
            client: visitor.client.clone(),
            message_id: Some(link.message.to_string()),
            ..Proof::default()
        };
        let answers = answers.into_iter().map(|(slug, state)| {
            let proof = proof(&slug, state == ConsentState::Subscribed);
            (slug, state, proof)
        });
        let answers = Answers {
            contact: contact.id,
            message: Some(link.message),
            at: app.now(),
            source: "preference_page".into(),
            answers: answers.collect(),
        };
        app.store.answer(answers).await?;
        app.engine_bell.notify_one();
        let Some(contact) = app.store.linked_contact(contact.id).await? else {
            return Ok(look.text(StatusCode::OK, "unsubscribed_title", "unsubscribed_gone"));
        };
        Ok(page(&look, &rules, &contact, &link, true))
    };
    settled(visitor.lang(None), work.await)
}

/// What a form says beside what goes out now. What the page did not show is left as it is, whatever the form holds.
fn answers(
    rules: &SendingRules,
    contact: &Contact,
    shown: &[Purpose],
    pairs: &[(String, String)],
) -> Vec<(Slug, ConsentState)> {
    use ConsentState::{Subscribed, Unsubscribed};
    let none = Form::get(pairs, "action") == "none";
    let yes = |slug: &Slug| !none && Form::all(pairs, "yes").any(|given| given == slug.as_str());
    let seen = |slug: &Slug| none || Form::all(pairs, "shown").any(|given| given == slug.as_str());
    let mut answers = Vec::new();
    for purpose in shown.iter().filter(|purpose| seen(&purpose.slug)) {
        let went = goes_out(rules, contact, &purpose.slug);
        let topics: Vec<&Slug> =
            purpose.topics.iter().map(|topic| &topic.slug).filter(|slug| seen(slug)).collect();
        // A topic alone is a yes to its purpose, unless the purpose was taken back just now.
        let wants = yes(&purpose.slug) || (!went && topics.iter().any(|slug| yes(slug)));
        match (went, wants) {
            (true, false) => answers.push((purpose.slug.clone(), Unsubscribed)),
            (false, true) => answers.push((purpose.slug.clone(), Subscribed)),
            _ => {}
        }
        if !wants {
            continue;
        }
        for slug in topics {
            let state = if yes(slug) { Subscribed } else { Unsubscribed };
            // What goes out already needs no second yes.
            if went && goes_out(rules, contact, slug) == yes(slug) {
                continue;
            }
            answers.push((slug.clone(), state));
        }
    }
    answers
}

/// The words beside a box, as they were shown.
fn text_of(shown: &[Purpose], slug: &Slug, yes: bool, lang: Lang) -> String {
    let about = |name: &model::Localized, description: &model::Localized| {
        format!("{} {}", named(name, slug, lang), description.get(lang)).trim().to_owned()
    };
    let text = shown.iter().find_map(|purpose| {
        if purpose.slug == *slug {
            return Some(about(&purpose.name, &purpose.description));
        }
        let topic = purpose.topics.iter().find(|topic| topic.slug == *slug)?;
        Some(about(&topic.name, &topic.description))
    });
    format!("[{}] {}", if yes { "x" } else { " " }, text.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use model::{Consent, Timestamp};

    use super::*;

    fn contact(consents: &[(&str, ConsentState)]) -> Contact {
        let consent = |(purpose, state): &(&str, ConsentState)| Consent {
            purpose: Slug::purpose(purpose).unwrap(),
            state: *state,
            at: Timestamp(0),
            source: String::new(),
            proof: String::new(),
        };
        Contact { consents: consents.iter().map(consent).collect(), ..Contact::default() }
    }

    fn said(consents: &[(&str, ConsentState)], form: &str) -> Vec<String> {
        let setting =
            "{news: {topics: {a: {}, b: {}}}, care: {enforcement: opt_out}, law: {enforcement: none}}";
        let rules = SendingRules::of(None, Some(setting)).unwrap();
        let contact = contact(consents);
        let link = Link {
            kind: LinkKind::Preferences,
            contact: contact.id,
            message: model::MessageId([0; 16]),
            purpose: Slug::parse("news").unwrap(),
            issued_day: 0,
        };
        let shown = choices(&rules, &contact, &link);
        let pair = |pair: &str| pair.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
        let mut pairs: Vec<(String, String)> = form.split('&').filter_map(pair).collect();
        for slug in ["news", "news/a", "news/b", "care"] {
            pairs.push(("shown".into(), slug.into()));
        }
        answers(&rules, &contact, &shown, &pairs)
            .into_iter()
            .map(|(slug, state)| {
                format!("{slug} {}", if state == ConsentState::Subscribed { "yes" } else { "no" })
            })
            .collect()
    }

    #[test]
    fn a_form_says_only_what_differs() {
        use ConsentState::{Subscribed as Yes, Unsubscribed as No};
        type Row<'r> = (&'r [(&'r str, ConsentState)], &'r str, &'r [&'r str]);
        let rows: &[Row<'_>] = &[
            (&[], "yes=care", &[]),
            (&[], "yes=care&yes=news&yes=news/a&yes=news/b", &["news yes", "news/a yes", "news/b yes"]),
            (&[], "yes=care&yes=news/a", &["news yes", "news/a yes", "news/b no"]),
            (&[("news", Yes)], "yes=care&yes=news&yes=news/a&yes=news/b", &[]),
            (&[("news", Yes)], "yes=care&yes=news&yes=news/b", &["news/a no"]),
            (&[("news", Yes)], "yes=care&yes=news/a&yes=news/b", &["news no"]),
            (&[("news", Yes), ("news/a", No)], "yes=care&yes=news&yes=news/a&yes=news/b", &["news/a yes"]),
            (&[("news", Yes)], "action=none&yes=news&yes=care", &["news no", "care no"]),
            (&[("news", Yes), ("old", Yes)], "action=none", &["news no", "care no", "old no"]),
            (&[("news", Yes), ("old", Yes)], "yes=care&yes=news&yes=news/a&yes=news/b", &[]),
            (&[], "yes=care&yes=law&yes=unknown&yes=transactional", &[]),
        ];
        for (consents, form, expected) in rows {
            assert_eq!(said(consents, form), *expected, "{consents:?} {form}");
        }
    }
}
