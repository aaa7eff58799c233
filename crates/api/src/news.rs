//! What happens now, for pages that look on: told once to whoever listens, kept nowhere. Who was away asks the base.

use serde_json::Value;
use tokio::sync::broadcast;

/// So many pieces of news may wait for a slow listener; older ones are left out for it.
pub const NEWS_MAX: usize = 1_024;

/// A piece of news.
#[derive(Clone, Debug)]
pub struct Piece {
    /// What it is about, as in `job`, `journey`, `worked`.
    pub topic: &'static str,
    /// What there is to say: JSON of the topic's own shape.
    pub data: Value,
}

/// Tells and listens.
#[derive(Clone, Debug)]
pub struct News(broadcast::Sender<Piece>);

impl Default for News {
    fn default() -> Self {
        Self(broadcast::channel(NEWS_MAX).0)
    }
}

impl News {
    /// Tells whoever listens; nothing happens when nobody does.
    pub fn tell(&self, topic: &'static str, data: Value) {
        drop(self.0.send(Piece { topic, data }));
    }

    /// Listens from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Piece> {
        self.0.subscribe()
    }
}
