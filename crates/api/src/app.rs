//! What all operations share.

use std::{ops::Deref, sync::Arc};

use delivery::Links;
use model::Clock;
use storage::Storage;
use tokio::sync::Notify;

use crate::{access, admin, inbound, links, news::News, ops, track};

/// Where secrets come from: the machine's generator, or a fixed one in tests.
pub trait Chance: Send + Sync {
    /// Fills with bytes that nobody can guess.
    fn fill(&self, bytes: &mut [u8]);
}

/// What the server is told at its start. Each part has its own.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The address under which people reach the server, as in `https://mail.shop.example`, without a slash at its end.
    pub public_url: String,
    /// Tracking.
    pub track: track::Config,
    /// Keys, users, sessions.
    pub access: access::Config,
    /// The admin API: files of jobs, listeners.
    pub desk: admin::Config,
    /// Links and pages for people.
    pub links: links::Config,
    /// What other services call.
    pub inbound: inbound::Config,
    /// Limits of the server itself.
    pub ops: ops::Config,
}

/// What a server is made of.
pub struct Parts<S> {
    /// The base.
    pub store: S,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Secrets.
    pub chance: Arc<dyn Chance>,
    /// Signs and verifies the links of messages.
    pub links: Links,
    /// Wakes the living engine when something was committed that it should look at.
    pub engine_bell: Arc<Notify>,
    /// Wakes delivery when messages may wait.
    pub delivery_bell: Arc<Notify>,
    /// What it was told.
    pub config: Config,
}

/// What all operations share; cheap to clone.
pub struct App<S>(Arc<Inner<S>>);

impl<S> Clone for App<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Deref for App<S> {
    type Target = Inner<S>;
    fn deref(&self) -> &Inner<S> {
        &self.0
    }
}

/// See [`App`].
pub struct Inner<S> {
    /// The base.
    pub store: S,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Secrets.
    pub chance: Arc<dyn Chance>,
    /// Signs and verifies the links of messages.
    pub links: Links,
    /// Wakes the living engine.
    pub engine_bell: Arc<Notify>,
    /// Wakes delivery.
    pub delivery_bell: Arc<Notify>,
    /// What the server was told.
    pub config: Config,
    /// What happens now, for pages that look on.
    pub news: News,
    /// What tracking keeps in memory.
    pub track: track::State<S>,
    /// What access keeps in memory: tries that failed, rates.
    pub access: access::State,
    /// What the admin API keeps in memory: jobs at work, listeners.
    pub desk: admin::State,
    /// What links keep in memory.
    pub link_state: links::State,
    /// What doors for other services keep in memory.
    pub inbound: inbound::State,
    /// Figures about the server itself.
    pub ops: ops::State,
}

impl<S: Storage> App<S> {
    /// Puts a server together. Inside a runtime: parts of it may start tasks.
    #[must_use]
    pub fn new(parts: Parts<S>) -> Self {
        let Parts { store, clock, chance, links, engine_bell, delivery_bell, config } = parts;
        let ops = ops::State::new(&config.ops);
        ops.metrics.started(clock.now());
        let refused = ops.metrics.refused.clone();
        let inbound = inbound::State::new(&config.inbound);
        let bells = track::Bells {
            engine: Arc::clone(&engine_bell),
            hooks: Arc::clone(&inbound.hook_bell),
            delivery: Arc::clone(&delivery_bell),
        };
        let with = (&links, &chance);
        let track = track::State::new(&store, &clock, with, bells, refused, &config.track);
        let access = access::State::new(&config.access);
        let desk = admin::State::new(&config.desk);
        let link_state = links::State::new(&config.links);
        Self(Arc::new(Inner {
            store,
            clock,
            chance,
            links,
            engine_bell,
            delivery_bell,
            config,
            news: News::default(),
            track,
            access,
            desk,
            link_state,
            inbound,
            ops,
        }))
    }

    /// The present instant.
    #[must_use]
    pub fn now(&self) -> model::Timestamp {
        self.clock.now()
    }
}
