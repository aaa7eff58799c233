//! A message as a page: made anew from its frozen variables, without the links that are its contact's alone, so that it
//! can be shown to whoever has its address.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use model::{Contact, Currency, Slug, Zone};
use storage::{
    Result,
    outbox::{Channel, MessageRow},
    settings::{DefinitionKind, SettingsStore},
};
use template::{Rendered, Template};

use crate::{
    mime,
    prepare::{self, Compiled, Content},
};

/// So many templates are kept ready; beyond them all are made anew.
const TEMPLATES_MAX: usize = 64;

/// Makes pages. Keeps compiled templates.
#[derive(Default)]
pub struct Viewer {
    templates: Mutex<HashMap<(Slug, u32), Compiled>>,
}

impl std::fmt::Debug for Viewer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Viewer").finish_non_exhaustive()
    }
}

impl Viewer {
    /// A message as a page, in the language that it was sent in; none when its template or its variables are of no use any
    /// more, and for calls of servers.
    ///
    /// # Errors
    /// What the database says.
    pub async fn page<S: SettingsStore + Sync>(
        &self,
        store: &S,
        row: MessageRow,
        contact: Contact,
        zone: Zone,
    ) -> Result<Option<String>> {
        if row.message.send.channel == Channel::Webhook {
            return Ok(None);
        }
        let currency = prepare::currency(store).await?;
        let Some(template) = self.template(store, &row, currency).await? else { return Ok(None) };
        // Some milliseconds of work: not on a thread that answers.
        let work = move || render(&template, &row, &contact, &zone, currency);
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| storage::StoreError::Driver(format!("the rendering thread ended: {error}")))
    }

    async fn template<S: SettingsStore + Sync>(
        &self,
        store: &S,
        row: &MessageRow,
        currency: Currency,
    ) -> Result<Option<Arc<Template>>> {
        let key = (row.message.send.template.clone(), row.message.send.template_version);
        let known = self.templates.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(known) = known {
            return Ok(known.ok());
        }
        let (slug, version) = key.clone();
        let Some(definition) = store.load_definition(DefinitionKind::Template, slug, version).await? else {
            return Ok(None);
        };
        let work = move || prepare::compile(&definition, currency);
        let compiled = tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| storage::StoreError::Driver(format!("the compiling thread ended: {error}")))?
            .map(Arc::new);
        let mut templates = self.templates.lock().unwrap_or_else(PoisonError::into_inner);
        if templates.len() >= TEMPLATES_MAX {
            templates.clear();
        }
        templates.insert(key, compiled.clone());
        Ok(compiled.ok())
    }
}

fn render(
    template: &Template,
    row: &MessageRow,
    contact: &Contact,
    zone: &Zone,
    currency: Currency,
) -> Option<String> {
    let message = &row.message;
    let variables = serde_json::from_str(&message.variables).ok()?;
    let content = Content {
        variables: &variables,
        locale: message.locale.as_deref().or(contact.locale.as_deref()).unwrap_or("en"),
        zone: prepare::zone_of(contact, zone),
        currency,
        at: message.decided_at,
        links: template::Links::default(),
        rewrite: None,
    };
    let Rendered { subject, html, text, url, .. } = content.render(template, message).ok()?;
    Some(match message.send.channel {
        Channel::Email => html,
        channel => mime::short_page(&subject, &text, &url, channel == Channel::WebPush),
    })
}
