//! Messages: what was decided, and what became of it.

mod cancel;
mod get;
mod list;
mod preview;
mod retry;

use axum::http::StatusCode;
use model::{Channel, MessageId, Problem};
use serde::{Deserialize, Serialize};
use storage::{
    Storage,
    outbox::{MessageRow, MessageState},
};
use utoipa::ToSchema;

use crate::{
    ApiError, ApiResult, App, operations,
    said::{At, ContactName},
    section::Section,
};

/// Its operations.
pub(super) fn section<S: Storage>() -> Section<S> {
    operations!(Section::new("messages"), S; list, get, preview, retry, cancel)
}

/// Most messages that are named in one request.
const NAMED_MAX: usize = 1_000;

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StateWord {
    Waiting,
    Claimed,
    HandingOver,
    Sent,
    Failed,
    Skipped,
    Uncertain,
}

const STATES: [(StateWord, MessageState); 7] = [
    (StateWord::Waiting, MessageState::Waiting),
    (StateWord::Claimed, MessageState::Claimed),
    (StateWord::HandingOver, MessageState::HandingOver),
    (StateWord::Sent, MessageState::Sent),
    (StateWord::Failed, MessageState::Failed),
    (StateWord::Skipped, MessageState::Skipped),
    (StateWord::Uncertain, MessageState::Uncertain),
];

impl From<MessageState> for StateWord {
    fn from(state: MessageState) -> Self {
        STATES.iter().find(|(_, own)| *own == state).map_or(Self::Waiting, |(word, _)| *word)
    }
}

impl From<StateWord> for MessageState {
    fn from(word: StateWord) -> Self {
        STATES.iter().find(|(own, _)| *own == word).map_or(Self::Waiting, |(_, state)| *state)
    }
}

/// What carries a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChannelWord {
    Email,
    Sms,
    WebPush,
    Webhook,
}

impl From<Channel> for ChannelWord {
    fn from(channel: Channel) -> Self {
        match channel {
            Channel::Email => Self::Email,
            Channel::Sms => Self::Sms,
            Channel::WebPush => Self::WebPush,
            Channel::Webhook => Self::Webhook,
        }
    }
}

impl From<ChannelWord> for Channel {
    fn from(word: ChannelWord) -> Self {
        match word {
            ChannelWord::Email => Self::Email,
            ChannelWord::Sms => Self::Sms,
            ChannelWord::WebPush => Self::WebPush,
            ChannelWord::Webhook => Self::Webhook,
        }
    }
}

/// A message.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct MessageBody {
    /// Its id, 32 hexadecimal digits.
    id: String,
    /// To whom.
    contact: ContactName,
    /// The journey that decided it.
    journey: String,
    /// The version of the journey.
    version: u32,
    /// The run.
    run: i64,
    /// The node.
    node: String,
    /// It belongs to a test run: no journey counts it.
    test: bool,
    /// What carries it.
    channel: ChannelWord,
    /// Why we write.
    purpose: String,
    /// The template.
    template: String,
    /// Its version.
    template_version: u32,
    /// A fixed address that it goes to, instead of the contact's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// Where it stands.
    state: StateWord,
    /// When it was decided.
    decided_at: At,
    /// When it is due, or when its worker's lease ends; when it was settled, if it was.
    at: At,
    /// A stable code, of the last failure or skip.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The words of the server or of the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// How often a worker took it.
    attempts: u32,
}

fn body(row: MessageRow, contact: ContactName) -> MessageBody {
    let send = &row.message.send;
    MessageBody {
        id: row.message.id.to_string(),
        contact,
        journey: send.journey.to_string(),
        version: send.journey_version,
        run: send.run,
        node: send.node.clone(),
        test: send.run == engine::simulate::rehearse::RUN,
        channel: send.channel.into(),
        purpose: send.purpose.to_string(),
        template: send.template.to_string(),
        template_version: send.template_version,
        to: row.message.to.clone(),
        state: row.state.into(),
        decided_at: row.message.decided_at.into(),
        at: row.at.into(),
        reason: row.reason,
        detail: row.detail,
        attempts: row.attempt,
    }
}

/// Reads a message's id.
fn id(text: &str) -> Result<MessageId, ApiError> {
    MessageId::parse(text).ok_or_else(|| ApiError::not_found("message", text))
}

async fn find<S: Storage>(app: &App<S>, text: &str) -> ApiResult<MessageRow> {
    app.store.load_message(id(text)?).await?.ok_or_else(|| ApiError::not_found("message", text))
}

/// Messages by their ids.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"messages": ["000000010000000000076b1c5f0a2b3c"]}))]
pub(crate) struct TheseMessages {
    /// Their ids.
    #[schema(min_items = 1, max_items = 1000)]
    messages: Vec<String>,
    /// When they are tried again: those of which nobody knows whether they arrived, too.
    #[serde(default)]
    uncertain: bool,
}

/// What became of them.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct TheseDone {
    /// Messages that were changed.
    changed: usize,
    /// Messages that were left as they are: unknown, or not in a state in which this can be done.
    left: Vec<String>,
}

impl TheseMessages {
    fn ids(&self) -> ApiResult<Vec<MessageId>> {
        if self.messages.is_empty() || self.messages.len() > NAMED_MAX {
            return Err(Problem::new(
                "messages.number",
                format!("{} messages were named", self.messages.len()),
            )
            .field("messages")
            .cure(format!("name 1 to {NAMED_MAX}"))
            .into());
        }
        let read = |text: &String| {
            MessageId::parse(text).ok_or_else(|| {
                let problem = Problem::new("messages.id", format!("`{text}` is no message's id"))
                    .field("messages")
                    .value(text)
                    .cure("an id is 32 hexadecimal digits");
                ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, problem)
            })
        };
        let mut ids = self.messages.iter().map(read).collect::<ApiResult<Vec<_>>>()?;
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }
}
