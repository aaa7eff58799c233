//! The question and its answer.

use std::borrow::Cow;

use model::{AddressStatus, Channel, ConsentState, Contact, Timestamp, Zone};

use crate::{
    Enforcement, Refusal, TRANSACTIONAL, caps, country,
    quiet::{Quiet, ZoneChoice},
    rules::{SendingRules, TopicConsent},
};

/// A message that was decided for a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastSend {
    /// What carries it.
    pub channel: Channel,
    /// Why we wrote.
    pub purpose: String,
    /// When it left, or is to leave.
    pub at: Timestamp,
}

/// What a message wants of smart sending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Smart {
    /// What the workspace says.
    #[default]
    Workspace,
    /// None of it.
    Off,
    /// The workspace's window, else the channel's usual one.
    On,
    /// A window of its own, in microseconds.
    Window(i64),
}

/// What is known of a contact, an address and a message at the moment of the question.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// What carries the message.
    pub channel: Channel,
    /// Why we write, with its topic if it has one.
    pub purpose: &'a str,
    /// Whether it answers something that the contact did, or goes to a fixed address.
    pub transactional: bool,
    /// The address, if there is one; for push anything but an empty text when there is an endpoint.
    pub address: Option<&'a str>,
    /// Whether it takes messages.
    pub status: AddressStatus,
    /// The contact's answer for the purpose: see [`consent`].
    pub consent: ConsentState,
    /// Whether the address is on the suppression list.
    pub suppressed: bool,
    /// The contact's country.
    pub country: Option<&'a str>,
    /// The contact's zone, by its IANA name; one that is unknown counts as none.
    pub time_zone: Option<&'a str>,
    /// The workspace's zone.
    pub workspace: &'a Zone,
    /// Messages decided for the contact, as far back as [`SendingRules::horizon`] says, this one left out.
    pub sends: &'a [PastSend],
    /// What the message wants of smart sending.
    pub smart: Smart,
    /// Whether the message goes out whatever the caps say. It counts for others all the same.
    pub ignore_caps: bool,
    /// When it was decided: what patience is counted from.
    pub decided_at: Timestamp,
    /// When it is of no use any more (excluded).
    pub expires_at: Option<Timestamp>,
    /// When the workspace's or the journey's send limit leaves room again; none: now. Only known at hand-over.
    pub limited_until: Option<Timestamp>,
    /// The moment of the question.
    pub now: Timestamp,
}

impl<'a> Facts<'a> {
    /// What a profile says of a message by email or text message to its contact; the rest as if nothing were known.
    #[must_use]
    pub fn of(
        contact: &'a Contact,
        channel: Channel,
        purpose: &'a str,
        workspace: &'a Zone,
        now: Timestamp,
    ) -> Self {
        let (address, status) = match channel {
            Channel::Email => (contact.email.as_deref(), contact.email_status),
            Channel::Sms => (contact.phone.as_deref(), AddressStatus::Active),
            Channel::WebPush | Channel::Webhook => (None, AddressStatus::Active),
        };
        Self {
            channel,
            purpose,
            transactional: purpose == TRANSACTIONAL,
            address,
            status,
            consent: contact.consent(purpose),
            suppressed: false,
            country: contact.country.as_deref(),
            time_zone: contact.time_zone.as_deref(),
            workspace,
            sends: &[],
            smart: Smart::Workspace,
            ignore_caps: false,
            decided_at: now,
            expires_at: None,
            limited_until: None,
            now,
        }
    }
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may leave now.
    Send,
    /// Not before this instant; ask again then.
    Hold(Timestamp),
    /// It must not be written.
    Refuse(Refusal),
}

impl SendingRules {
    /// Whether a message may be written, and when. Everything but [`TRANSACTIONAL`] needs what its purpose
    /// says ([`Enforcement`]): a recorded yes, where the workspace says nothing else. A call to somebody's server reaches nobody and may always leave until it
    /// expires.
    ///
    /// A message that would leave later is judged by that instant: it is free of quiet hours and of caps alike.
    #[must_use]
    pub fn decide(&self, facts: &Facts<'_>) -> Decision {
        if facts.channel != Channel::Webhook
            && let Err(refusal) = reachable(facts, self.purposes.enforcement(facts.purpose))
        {
            return Decision::Refuse(refusal);
        }
        match self.when(facts) {
            Err(refusal) => Decision::Refuse(refusal),
            Ok(at) if facts.expires_at.is_some_and(|end| at >= end) => Decision::Refuse(Refusal::Expired),
            Ok(at) if at > facts.now => Decision::Hold(at),
            Ok(_) => Decision::Send,
        }
    }

    /// The quiet hours that hold for a message, and the zone of their clock.
    fn quiet_for<'a>(&'a self, facts: &Facts<'a>) -> Option<(&'a Quiet, Cow<'a, Zone>)> {
        let fits = |quiet: &&Quiet| {
            let purposes = |own: &String| own == facts.purpose || own == caps::main_purpose(facts.purpose);
            facts.channel != Channel::Webhook
                && (quiet.transactional || !facts.transactional)
                && (quiet.channels.is_empty() || quiet.channels.contains(&facts.channel))
                && (quiet.purposes.is_empty() || quiet.purposes.iter().any(purposes))
                && (quiet.countries.is_empty() || country::among(facts, &quiet.countries))
        };
        let quiet = self.quiet.iter().find(fits)?;
        let zone = match &quiet.zone {
            ZoneChoice::Contact => {
                let own = facts.time_zone.and_then(|name| Zone::parse(name).ok());
                own.map_or(Cow::Borrowed(facts.workspace), Cow::Owned)
            }
            ZoneChoice::Workspace => Cow::Borrowed(facts.workspace),
            ZoneChoice::Fixed(zone) => Cow::Borrowed(zone),
        };
        Some((quiet, zone))
    }

    /// When it may leave, by quiet hours, caps, smart sending and limits.
    fn when(&self, facts: &Facts<'_>) -> Result<Timestamp, Refusal> {
        let quiet = self.quiet_for(facts);
        let capped = !facts.transactional && !facts.ignore_caps && facts.channel != Channel::Webhook;
        let caps: Vec<_> = self
            .caps
            .iter()
            .filter(|cap| capped && cap.covers(facts.channel, facts.purpose))
            .map(|cap| (cap, caps::times(facts.sends, |send| cap.covers(send.channel, &send.purpose))))
            .collect();
        let limited = facts.limited_until.filter(|_| !facts.transactional);
        if limited.is_some_and(|until| until.since(facts.decided_at) > self.limits.patience()) {
            return Err(Refusal::SendLimit);
        }
        let mut at = facts.now.max(limited.unwrap_or(facts.now));
        // Each round moves on or ends; there are as many ends as messages and quiet times.
        loop {
            let before = at;
            if let Some((quiet, zone)) = &quiet {
                at = quiet.free(at, zone);
            }
            for (cap, times) in &caps {
                let free = cap.free(times, at);
                if free > at && (free == Timestamp::MAX || free.since(facts.decided_at) > cap.patience()) {
                    return Err(Refusal::FrequencyCap);
                }
                at = free;
            }
            if at == before {
                break;
            }
        }
        let recent = self.smart_window(facts).is_some_and(|window| {
            let near = |send: &&PastSend| {
                send.channel == facts.channel
                    && send.purpose != TRANSACTIONAL
                    && at.since(send.at).abs() < window
            };
            facts.sends.iter().any(|send| near(&send))
        });
        if recent { Err(Refusal::SentRecently) } else { Ok(at) }
    }

    fn smart_window(&self, facts: &Facts<'_>) -> Option<i64> {
        if facts.transactional || facts.channel == Channel::Webhook {
            return None;
        }
        match facts.smart {
            Smart::Off => None,
            Smart::Workspace => self.smart_of(facts.channel),
            Smart::On => self.smart_of(facts.channel).or(Some(Self::smart_default(facts.channel))),
            Smart::Window(window) => Some(window),
        }
    }
}

/// Consent, suppression and the address itself.
fn reachable(facts: &Facts<'_>, enforcement: Enforcement) -> Result<(), Refusal> {
    if facts.address.is_none_or(str::is_empty) {
        return Err(Refusal::MissingAddress);
    }
    if facts.suppressed {
        return Err(Refusal::Suppressed);
    }
    match facts.status {
        AddressStatus::Active => {}
        AddressStatus::Bounced => return Err(Refusal::AddressBounced),
        AddressStatus::Blocked => return Err(Refusal::AddressBlocked),
        AddressStatus::Paused => return Err(Refusal::AddressPaused),
    }
    if facts.transactional { Ok(()) } else { enforcement.check(facts.consent) }
}

/// A contact's answer for a purpose, which may name a topic under it (`newsletter/promotions`). Who took back the purpose
/// took back its topics.
#[must_use]
pub fn consent(contact: &Contact, purpose: &str, topics: TopicConsent) -> ConsentState {
    let own = contact.consent(purpose);
    let Some((main, _)) = purpose.split_once('/') else { return own };
    match (contact.consent(main), own, topics) {
        (ConsentState::Subscribed, ConsentState::NotSubscribed, TopicConsent::Follow) => {
            ConsentState::Subscribed
        }
        (ConsentState::Subscribed, own, _) => own,
        // Where no yes is needed, a no to the topic still counts.
        (ConsentState::NotSubscribed, ConsentState::Unsubscribed, _) => ConsentState::Unsubscribed,
        (other, ..) => other,
    }
}

/// Whether an email may be written to a contact for a purpose, caps and hours left aside; `suppressed` is what the
/// suppression list says of the address.
///
/// # Errors
/// The first reason that holds.
pub fn email(contact: &Contact, purpose: &str, suppressed: bool) -> Result<(), Refusal> {
    let utc = Zone::UTC;
    let mut facts = Facts::of(contact, Channel::Email, purpose, &utc, Timestamp(0));
    facts.consent = consent(contact, purpose, TopicConsent::Follow);
    facts.suppressed = suppressed;
    reachable(&facts, Enforcement::OptIn)
}
