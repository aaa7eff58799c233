//! Why a message is refused.

use std::fmt;

use model::Lang;
use serde::{Deserialize, Serialize};

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
    /// The contact is kept without messages, to measure what they do (a journey's holdout group).
    Holdout,
}

impl Refusal {
    /// Every reason, in the order in which they are looked for.
    pub const ALL: [Self; 14] = [
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
        Self::Holdout,
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
            Self::Holdout => "holdout",
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
            (Self::Holdout, Lang::En) => "holdout group",
            (Self::Holdout, Lang::Fr) => "groupe témoin",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        for refusal in Refusal::ALL {
            assert_eq!(Refusal::of_word(refusal.word()), Some(refusal));
            assert!(!refusal.label(Lang::Fr).is_empty());
        }
    }
}
