//! Addresses that must not be written to. Only their hashes are kept, so that an erased person stays suppressed.

mod add;
mod list;
mod remove;

use model::{Channel, Problem};
use serde::{Deserialize, Serialize};
use storage::{
    Storage,
    outbox::{AddressHash, Suppression, SuppressionReason},
};
use utoipa::ToSchema;

use super::messages::ChannelWord;
use crate::{ApiResult, operations, said::At, section::Section};

/// Its operations.
pub(super) fn section<S: Storage>() -> Section<S> {
    operations!(Section::new("suppressions"), S; list, add, remove)
}

/// Most addresses of one request.
const ADDRESSES_MAX: usize = 1_000;
/// The longest address, in characters.
const ADDRESS_LEN_MAX: usize = 320;

/// Why an address must not be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReasonWord {
    HardBounce,
    SoftBounces,
    Complaint,
    Manual,
    Erased,
}

const REASONS: [(ReasonWord, SuppressionReason); 5] = [
    (ReasonWord::HardBounce, SuppressionReason::HardBounce),
    (ReasonWord::SoftBounces, SuppressionReason::SoftBounces),
    (ReasonWord::Complaint, SuppressionReason::Complaint),
    (ReasonWord::Manual, SuppressionReason::Manual),
    (ReasonWord::Erased, SuppressionReason::Erased),
];

impl From<SuppressionReason> for ReasonWord {
    fn from(reason: SuppressionReason) -> Self {
        REASONS.iter().find(|(_, own)| *own == reason).map_or(Self::Manual, |(word, _)| *word)
    }
}

impl From<ReasonWord> for SuppressionReason {
    fn from(word: ReasonWord) -> Self {
        REASONS.iter().find(|(own, _)| *own == word).map_or(Self::Manual, |(_, reason)| *reason)
    }
}

/// An address that must not be written to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct SuppressionBody {
    /// Which: the first 16 bytes of a SHA-256 of channel and address, as hexadecimal digits.
    hash: String,
    /// Why.
    reason: ReasonWord,
    /// Since when.
    since: At,
    /// Until when (excluded); for good without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<At>,
    /// What was said, without the address.
    detail: String,
}

impl From<&Suppression> for SuppressionBody {
    fn from(one: &Suppression) -> Self {
        Self {
            hash: hex(&one.address),
            reason: one.reason.into(),
            since: one.since.into(),
            until: one.until.map(At),
            detail: one.detail.clone(),
        }
    }
}

fn hex(hash: &AddressHash) -> String {
    hash.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<AddressHash> {
    let number = u128::from_str_radix(text, 16).ok()?;
    (text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .then(|| AddressHash(number.to_be_bytes()))
}

/// Reads addresses of a channel.
fn hashes(channel: ChannelWord, addresses: &[String]) -> ApiResult<Vec<AddressHash>> {
    let channel: Channel = channel.into();
    let bad = addresses.iter().find(|text| {
        let text = text.trim();
        text.is_empty()
            || text.chars().count() > ADDRESS_LEN_MAX
            || (channel == Channel::Email && !text.contains('@'))
    });
    if let Some(bad) = bad {
        return Err(Problem::new("suppression.address", format!("`{bad}` is no address"))
            .field("addresses")
            .value(bad)
            .cure("give an email address, or a phone number with `channel: sms`")
            .into());
    }
    Ok(addresses.iter().map(|text| AddressHash::of(channel, text)).collect())
}

fn number(given: usize) -> ApiResult<()> {
    if (1..=ADDRESSES_MAX).contains(&given) {
        return Ok(());
    }
    Err(Problem::new("suppression.number", format!("{given} addresses were given"))
        .field("addresses")
        .cure(format!("give 1 to {ADDRESSES_MAX}"))
        .into())
}
