//! One transport for all channels: mail by its own, webhooks by HTTP, text messages and push by a provider. Until there
//! are providers these end in a capture folder.

use std::sync::Arc;

use storage::outbox::Channel;

use crate::{
    capture::{Capture, CaptureLane},
    transport::{Answer, Lane, Mail, Transport, Unsent},
    webhook::{WebhookLane, Webhooks},
};

/// Mail by `T`, the rest beside it.
pub struct Channels<T> {
    /// Mail.
    pub email: Arc<T>,
    /// Text messages and push; without it they fail with `channel.no_provider` and can be retried.
    pub mobile: Option<Arc<Capture>>,
    /// Webhooks; without it they fail likewise.
    pub webhooks: Option<Webhooks>,
}

/// A lane of each.
pub struct ChannelsLane<L> {
    email: L,
    mobile: Option<CaptureLane>,
    webhooks: Option<WebhookLane>,
}

impl<T: Transport> Transport for Channels<T> {
    type Lane = ChannelsLane<T::Lane>;
    const KEEPS_PAGES: bool = T::KEEPS_PAGES;

    fn lanes(&self) -> usize {
        self.email.lanes()
    }

    fn lane(&self) -> Self::Lane {
        ChannelsLane {
            email: self.email.lane(),
            mobile: self.mobile.as_ref().map(|capture| capture.lane()),
            webhooks: self.webhooks.clone().map(WebhookLane),
        }
    }

    fn unsent(&self, unsent: &Unsent) {
        match (unsent.send.channel, &self.mobile) {
            (Channel::Sms | Channel::WebPush, Some(capture)) => capture.unsent(unsent),
            _ => self.email.unsent(unsent),
        }
    }

    async fn finish(&self) -> Result<(), String> {
        if let Some(capture) = &self.mobile {
            capture.finish().await?;
        }
        self.email.finish().await
    }
}

impl<L: Lane> Lane for ChannelsLane<L> {
    async fn hand_over(&mut self, mail: &Mail) -> Answer {
        let none = |what: &str| Answer::Permanent {
            reason: "channel.no_provider",
            detail: format!("nothing here sends {what}"),
            bounce: None,
        };
        match mail.send.channel {
            Channel::Email => self.email.hand_over(mail).await,
            Channel::Webhook => match &mut self.webhooks {
                Some(lane) => lane.hand_over(mail).await,
                None => none("webhooks"),
            },
            Channel::Sms | Channel::WebPush => match &mut self.mobile {
                Some(lane) => lane.hand_over(mail).await,
                None => none("text messages and push; give --capture FOLDER too"),
            },
        }
    }

    async fn close(self) {
        self.email.close().await;
    }
}
