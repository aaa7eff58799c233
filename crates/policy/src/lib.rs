//! May we write to this person, for this purpose, on this channel? The same answer when a message is decided and when
//! it leaves: both ask [`decide`] with the facts of that moment.
//!
//! Pure: facts in, an answer out. Caps, quiet hours and topics join here as further facts.

use std::fmt;

use model::{AddressStatus, Channel, ConsentState, Contact, Lang, Timestamp};
use serde::{Deserialize, Serialize};

/// The purpose of messages that a contact asked for by what they did (an order's confirmation, a password): they need
/// no consent, only an address that takes mail.
pub const TRANSACTIONAL: &str = "transactional";

/// What is known of a contact and an address at the moment of the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts<'a> {
    /// The address, if there is one.
    pub address: Option<&'a str>,
    /// Whether it takes messages.
    pub status: AddressStatus,
    /// The contact's answer for the purpose.
    pub consent: ConsentState,
    /// Whether the message answers something that the contact did.
    pub transactional: bool,
    /// Whether the address is on the suppression list.
    pub suppressed: bool,
}

/// Why a message is refused. The order is that in which reasons are looked for: the first that holds is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The contact has no address on this channel.
    MissingAddress,
    /// The address is on the suppression list: it bounced, complained, or was put there.
    Suppressed,
    /// Mail to the address came back for good, or its owner complained.
    AddressBounced,
    /// The shop blocked the address.
    AddressBlocked,
    /// The address is paused after soft bounces.
    AddressPaused,
    /// The contact took back the consent for this purpose.
    Unsubscribed,
    /// The contact never gave consent for this purpose.
    NotSubscribed,
    /// What the journey wants to stay true (`while`) no longer is.
    While,
    /// So many messages were sent to the contact lately that there is no room for another.
    FrequencyCap,
    /// The contact was written to on this channel a short while ago (smart sending).
    SentRecently,
    /// The message came too late to be of use.
    Expired,
    /// The workspace or the journey has sent all that it may for now.
    SendLimit,
    /// Another of the contact's addresses, or another contact with this address, was sent the same message.
    Duplicate,
}

impl Refusal {
    /// Every reason, in the order in which they are looked for.
    pub const ALL: [Self; 13] = [
        Self::MissingAddress,
        Self::Suppressed,
        Self::AddressBounced,
        Self::AddressBlocked,
        Self::AddressPaused,
        Self::Unsubscribed,
        Self::NotSubscribed,
        Self::While,
        Self::FrequencyCap,
        Self::SentRecently,
        Self::Expired,
        Self::SendLimit,
        Self::Duplicate,
    ];

    /// Its word in counters, traces and files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::MissingAddress => "missing_address",
            Self::Suppressed => "suppressed",
            Self::AddressBounced => "address_bounced",
            Self::AddressBlocked => "address_blocked",
            Self::AddressPaused => "address_paused",
            Self::Unsubscribed => "unsubscribed",
            Self::NotSubscribed => "not_subscribed",
            Self::While => "while",
            Self::FrequencyCap => "frequency_cap",
            Self::SentRecently => "sent_recently",
            Self::Expired => "expired",
            Self::SendLimit => "send_limit",
            Self::Duplicate => "duplicate",
        }
    }

    /// The reason with this word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.word() == word)
    }

    /// Its label.
    #[must_use]
    pub const fn label(self, lang: Lang) -> &'static str {
        match (self, lang) {
            (Self::MissingAddress, Lang::En) => "no address",
            (Self::MissingAddress, Lang::Fr) => "sans adresse",
            (Self::Suppressed, Lang::En) => "on the suppression list",
            (Self::Suppressed, Lang::Fr) => "sur la liste d'exclusion",
            (Self::AddressBounced, Lang::En) => "address bounced",
            (Self::AddressBounced, Lang::Fr) => "adresse en erreur",
            (Self::AddressBlocked, Lang::En) => "address blocked",
            (Self::AddressBlocked, Lang::Fr) => "adresse bloquée",
            (Self::AddressPaused, Lang::En) => "address paused",
            (Self::AddressPaused, Lang::Fr) => "adresse en pause",
            (Self::Unsubscribed, Lang::En) => "unsubscribed",
            (Self::Unsubscribed, Lang::Fr) => "désinscrit",
            (Self::NotSubscribed, Lang::En) => "never subscribed",
            (Self::NotSubscribed, Lang::Fr) => "jamais inscrit",
            (Self::While, Lang::En) => "condition no longer holds",
            (Self::While, Lang::Fr) => "condition plus remplie",
            (Self::FrequencyCap, Lang::En) => "too many messages lately",
            (Self::FrequencyCap, Lang::Fr) => "trop de messages récents",
            (Self::SentRecently, Lang::En) => "written to a short while ago",
            (Self::SentRecently, Lang::Fr) => "contacté il y a peu",
            (Self::Expired, Lang::En) => "too late",
            (Self::Expired, Lang::Fr) => "trop tard",
            (Self::SendLimit, Lang::En) => "send limit reached",
            (Self::SendLimit, Lang::Fr) => "limite d'envoi atteinte",
            (Self::Duplicate, Lang::En) => "same message already sent",
            (Self::Duplicate, Lang::Fr) => "même message déjà envoyé",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

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

/// Caps, smart sending, quiet hours and limits of a workspace. The default has none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SendingRules {}

/// Whether a message may be written. Everything but [`TRANSACTIONAL`] needs a recorded yes: nobody is written to
/// because they were never asked.
///
/// # Errors
/// The first reason that holds.
pub fn decide(facts: &Facts<'_>) -> Result<(), Refusal> {
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
    match facts.consent {
        _ if facts.transactional => Ok(()),
        ConsentState::Subscribed => Ok(()),
        ConsentState::Unsubscribed => Err(Refusal::Unsubscribed),
        ConsentState::NotSubscribed => Err(Refusal::NotSubscribed),
    }
}

/// Whether an email may be written to a contact for a purpose; `suppressed` is what the suppression list says of the
/// address.
///
/// # Errors
/// The first reason that holds.
pub fn email(contact: &Contact, purpose: &str, suppressed: bool) -> Result<(), Refusal> {
    decide(&Facts {
        address: contact.email.as_deref(),
        status: contact.email_status,
        consent: contact.consent(purpose),
        transactional: purpose == TRANSACTIONAL,
        suppressed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Facts<'_> = Facts {
        address: Some("a@example.test"),
        status: AddressStatus::Active,
        consent: ConsentState::Subscribed,
        transactional: false,
        suppressed: false,
    };

    #[test]
    fn each_reason_and_their_order() {
        use AddressStatus as S;
        use ConsentState as C;
        use Refusal as R;
        let table: &[(Facts<'_>, Result<(), Refusal>)] = &[
            (FREE, Ok(())),
            (Facts { address: None, suppressed: true, ..FREE }, Err(R::MissingAddress)),
            (Facts { address: Some(""), ..FREE }, Err(R::MissingAddress)),
            (Facts { suppressed: true, status: S::Bounced, ..FREE }, Err(R::Suppressed)),
            (Facts { status: S::Bounced, consent: C::Unsubscribed, ..FREE }, Err(R::AddressBounced)),
            (Facts { status: S::Blocked, ..FREE }, Err(R::AddressBlocked)),
            (Facts { status: S::Paused, ..FREE }, Err(R::AddressPaused)),
            (Facts { consent: C::Unsubscribed, ..FREE }, Err(R::Unsubscribed)),
            (Facts { consent: C::NotSubscribed, ..FREE }, Err(R::NotSubscribed)),
            // What somebody asked for by an order needs no consent, but an address that works.
            (Facts { consent: C::Unsubscribed, transactional: true, ..FREE }, Ok(())),
            (Facts { consent: C::NotSubscribed, transactional: true, ..FREE }, Ok(())),
            (Facts { status: S::Bounced, transactional: true, ..FREE }, Err(R::AddressBounced)),
            (Facts { suppressed: true, transactional: true, ..FREE }, Err(R::Suppressed)),
        ];
        for (facts, expected) in table {
            assert_eq!(decide(facts), *expected, "{facts:?}");
        }
    }

    #[test]
    fn words_read_back() {
        for refusal in Refusal::ALL {
            assert_eq!(Refusal::of_word(refusal.word()), Some(refusal));
            assert!(!refusal.label(Lang::Fr).is_empty());
        }
    }

    #[test]
    fn a_contact_without_an_answer_is_not_written_to() {
        let mut contact = Contact { email: Some("a@example.test".into()), ..Contact::default() };
        assert_eq!(email(&contact, "newsletter", false), Err(Refusal::NotSubscribed));
        assert_eq!(email(&contact, TRANSACTIONAL, false), Ok(()));
        contact.email_status = AddressStatus::Bounced;
        assert_eq!(email(&contact, TRANSACTIONAL, false), Err(Refusal::AddressBounced));
    }
}
