//! Reports: what follows from each, in one transaction.

use model::{Channel, Consent, ConsentState, ContactId, MessageId, Slug, Timestamp, event::kind};
use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::{Map, Value, json};
use storage::{
    Result,
    contacts::IdentifierKind,
    outbox::{AddressHash, SuppressionReason},
    post::{About, BounceRules, LAST_DAYS, Report, ReportKind, Reported, SEEN_MAX},
};

use super::{arrived, hard, mark_bounced, rules, soft, suppress};
use crate::{
    consents, contacts,
    outbox::{Happenings, Known, known, load_send},
    pool::driver,
};

/// Longest words of the other side that are kept, in characters.
const DETAIL_LEN_MAX: usize = 300;

/// Records reports; see `PostStore::report`.
pub(super) fn all(tx: &Transaction<'_>, now: Timestamp, reports: &[Report]) -> Result<Vec<Reported>> {
    let mut work = Work { tx, now, rules: rules(tx)?, happenings: Happenings::default() };
    let reported = reports.iter().map(|report| work.take(report)).collect::<Result<_>>()?;
    work.happenings.write(tx)?;
    storage::fault::point("post.in_transaction");
    Ok(reported)
}

struct Work<'t, 'c> {
    tx: &'t Transaction<'c>,
    now: Timestamp,
    rules: BounceRules,
    happenings: Happenings,
}

/// Whom a report is about, as far as it can be known.
struct Subject {
    message: Option<Known>,
    contact: Option<ContactId>,
    address: Option<AddressHash>,
}

impl Work<'_, '_> {
    fn take(&mut self, report: &Report) -> Result<Reported> {
        if let Some(once) = &report.once
            && !self.is_new(once)?
        {
            return Ok(Reported::Repeated);
        }
        let Some(subject) = self.subject(&report.about)? else { return Ok(Reported::Unknown) };
        if let Some(message) = &subject.message
            && !self.record(message, report)?
        {
            return Ok(Reported::Repeated);
        }
        self.follow(report, &subject)?;
        if let Some(message) = &subject.message {
            self.mark(message.id, report)?;
        }
        self.tell(report, &subject)?;
        Ok(Reported::Taken(subject.contact))
    }

    /// Remembers the other side's own id; whether it was not known.
    fn is_new(&self, once: &str) -> Result<bool> {
        let new = self
            .tx
            .prepare_cached("INSERT INTO reports_seen (once) VALUES (?1) ON CONFLICT (once) DO NOTHING")
            .and_then(|mut insert| insert.execute([once]))
            .map_err(driver)?;
        if new > 0 {
            self.tx
                .prepare_cached("DELETE FROM reports_seen WHERE seen_no <= ?1")
                .and_then(|mut delete| delete.execute([self.tx.last_insert_rowid() - SEEN_MAX]))
                .map_err(driver)?;
        }
        Ok(new > 0)
    }

    fn subject(&self, about: &About) -> Result<Option<Subject>> {
        let id = match about {
            About::Message(id) => *id,
            About::Address(email) => {
                let address = AddressHash::of(Channel::Email, email);
                let contact = contacts::owner(self.tx, IdentifierKind::Email, email)?;
                let Some(id) = self.last_message(contact, address)? else {
                    return Ok(Some(Subject { message: None, contact, address: Some(address) }));
                };
                id
            }
        };
        let Some(message) = known(self.tx, "o.message_id = ?1", [&id.0[..]])? else { return Ok(None) };
        // One who was erased meanwhile is nobody.
        let contact = message.fixed.is_none().then_some(message.contact).filter(|contact| contact.0 > 0);
        let address = match (message.address, about, &message.fixed) {
            (Some(address), _, _) => Some(address),
            (None, About::Address(email), _) => Some(AddressHash::of(Channel::Email, email)),
            (None, _, Some(fixed)) => Some(AddressHash::of(Channel::Email, fixed)),
            (None, _, None) => contacts::load_one(self.tx, message.contact)?
                .and_then(|contact| contact.email)
                .map(|email| AddressHash::of(Channel::Email, &email)),
        };
        Ok(Some(Subject { message: Some(message), contact, address }))
    }

    /// The last message that left for an address.
    fn last_message(&self, contact: Option<ContactId>, address: AddressHash) -> Result<Option<MessageId>> {
        let Some(contact) = contact else { return Ok(None) };
        self.tx
            .prepare_cached(
                "SELECT message_id FROM outbox WHERE contact_id = ?1 AND due >= ?2 AND address = ?3
                   AND state IN (3, 4, 7) ORDER BY due DESC, seq DESC LIMIT 1",
            )
            .and_then(|mut query| {
                let since = self.now.plus_days(-LAST_DAYS).0;
                query
                    .query_row(params![contact.0, since, &address.0[..]], |row| row.get(0).map(MessageId))
                    .optional()
            })
            .map_err(driver)
    }

    /// Writes it down; false when this kind was reported of the message before.
    fn record(&self, message: &Known, report: &Report) -> Result<bool> {
        let detail = words(report);
        let new = self
            .tx
            .prepare_cached(
                "INSERT INTO reports (message_id, kind, at, source, detail) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (message_id, kind) DO NOTHING",
            )
            .and_then(|mut insert| {
                insert.execute(params![
                    &message.id.0[..],
                    report.kind as u8,
                    report.at.0,
                    report.source,
                    detail
                ])
            })
            .map_err(driver)?;
        Ok(new > 0)
    }

    /// What the rules say.
    fn follow(&mut self, report: &Report, subject: &Subject) -> Result<()> {
        let (tx, now) = (self.tx, self.now);
        if let Some(address) = subject.address {
            let status = report.status.as_str();
            match report.kind {
                ReportKind::Delivered => arrived(tx, address)?,
                ReportKind::Soft => soft(tx, &self.rules, address, now, status)?,
                ReportKind::Hard => hard(tx, &self.rules, (address, subject.contact), now, status)?,
                ReportKind::Complaint => {
                    suppress(tx, address, (SuppressionReason::Complaint, now, None), status)?;
                    if let Some(contact) = subject.contact {
                        mark_bounced(tx, contact, address, now)?;
                    }
                }
                ReportKind::Unsubscribed => {}
            }
        }
        if matches!(report.kind, ReportKind::Complaint | ReportKind::Unsubscribed) {
            self.take_back(report, subject)?;
        }
        Ok(())
    }

    /// Takes back the consent for the purpose of the message; for all of them where no message is known or the rules say
    /// so.
    fn take_back(&mut self, report: &Report, subject: &Subject) -> Result<()> {
        let Some(id) = subject.contact else { return Ok(()) };
        let Some(before) = contacts::load_one(self.tx, id)? else { return Ok(()) };
        let mut contact = before.clone();
        let all = report.kind == ReportKind::Complaint && self.rules.complaint_ends_all;
        let purposes: Vec<Slug> = match &subject.message {
            Some(message) if !all => {
                let send = load_send(self.tx, message.send)?;
                if send.transactional { Vec::new() } else { vec![send.purpose] }
            }
            _ => contact.consents.iter().map(|consent| consent.purpose.clone()).collect(),
        };
        let proof = match &subject.message {
            Some(message) => format!("report:{}:{}", report.source, message.id),
            None => format!("report:{}", report.source),
        };
        let mut ended = Vec::new();
        for purpose in purposes {
            let no = Consent {
                purpose: purpose.clone(),
                state: ConsentState::Unsubscribed,
                at: report.at,
                source: report.kind.word().to_owned(),
                proof: proof.clone(),
            };
            match contact.consents.iter_mut().find(|consent| consent.purpose == purpose) {
                // A yes that was given after it was taken back stands.
                Some(known) if known.state == ConsentState::Unsubscribed || known.at > report.at => continue,
                Some(known) => *known = no,
                None => contact.consents.push(no),
            }
            ended.push(purpose);
        }
        if ended.is_empty() {
            return Ok(());
        }
        contact.updated_at = contact.updated_at.max(self.now);
        contacts::update(self.tx, &contact)?;
        consents::log_changes(self.tx, &before, &contact)?;
        for purpose in ended {
            let mut more = Map::new();
            more.insert("source".into(), json!(report.kind.word()));
            more.insert("purpose".into(), json!(purpose));
            let event = (kind::UNSUBSCRIBED, format!("{proof}:{}:{purpose}", report.kind.word()));
            self.happen(subject, event, report.at, more)?;
        }
        Ok(())
    }

    /// Marks the message: a report proves that it left, even where the worker did not hear so.
    fn mark(&self, message: MessageId, report: &Report) -> Result<()> {
        let reason = match report.kind {
            ReportKind::Unsubscribed => return Ok(()),
            ReportKind::Delivered => None,
            kind => Some(kind.word()),
        };
        // A delivery that is told after a bounce does not hide it, and a soft bounce hides nothing that is worse.
        self.tx
            .prepare_cached(
                "UPDATE outbox SET state = 4,
                   reason = CASE WHEN ?2 IS NULL OR (?2 = 'bounce.soft' AND reason IN ('bounce.hard', 'complaint'))
                     THEN CASE WHEN state = 4 THEN reason END ELSE ?2 END,
                   detail = CASE WHEN ?2 IS NULL AND state = 4 THEN detail ELSE ?3 END
                 WHERE message_id = ?1 AND state IN (4, 7)",
            )
            .and_then(|mut change| change.execute(params![&message.0[..], reason, words(report)]))
            .map_err(driver)?;
        Ok(())
    }

    /// What the contact hears of it.
    fn tell(&mut self, report: &Report, subject: &Subject) -> Result<()> {
        let (kind, bounce) = match report.kind {
            ReportKind::Soft => (kind::EMAIL_BOUNCED, Some("soft")),
            ReportKind::Hard => (kind::EMAIL_BOUNCED, Some("hard")),
            ReportKind::Complaint => (kind::EMAIL_COMPLAINED, None),
            ReportKind::Delivered | ReportKind::Unsubscribed => return Ok(()),
        };
        let mut more = Map::new();
        if let Some(bounce) = bounce {
            more.insert("bounce".into(), json!(bounce));
        }
        more.insert("reason".into(), json!(report.status));
        more.insert("source".into(), json!(report.source));
        let about = match (&subject.message, &report.once) {
            (Some(message), _) => message.id.to_string(),
            (None, Some(once)) => once.clone(),
            (None, None) => format!("{}:{}", report.source, report.at.0),
        };
        self.happen(subject, (kind, format!("{about}:{}", report.kind.word())), report.at, more)
    }

    fn happen(
        &mut self,
        subject: &Subject,
        event: (&str, String),
        at: Timestamp,
        more: Map<String, Value>,
    ) -> Result<()> {
        match (&subject.message, subject.contact) {
            (Some(message), Some(_)) => self.happenings.happened(self.tx, message, event, at, more),
            (None, Some(contact)) => {
                self.happenings.of_contact(contact, event, at, more);
                Ok(())
            }
            (_, None) => Ok(()),
        }
    }
}

/// The code and the words of the other side, shortened.
fn words(report: &Report) -> String {
    let all = format!("{} {}", report.status, report.detail);
    all.trim().chars().take(DETAIL_LEN_MAX).collect()
}
