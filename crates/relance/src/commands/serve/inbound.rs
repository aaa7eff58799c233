//! What comes back, and what is told to others, inside the server: the door for bounces, the keys of mail services, the
//! worker that tells webhooks.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use api::App;
use delivery::{
    Webhooks,
    hooks::HookWorker,
    post::{
        imap::Imap,
        listener::{self, Door, Limits},
    },
};
use storage::settings::SettingsStore;
use storage_sqlite::Sqlite;
use tokio::{net::TcpListener, sync::Notify};

use super::{bind, stop::Stop};
use crate::context::{Failure, SystemClock};

/// Options about what comes back.
#[derive(clap::Args)]
pub struct Inbound {
    /// Take bounces and complaints as mail on this address (SMTP and LMTP), from this machine's mail server
    #[arg(long, env = "RELANCE_BOUNCE_LISTEN", value_name = "ADDRESS")]
    bounce_listen: Option<SocketAddr>,
    /// An address beside the return path that --bounce-listen takes mail for, as that of a feedback loop
    #[arg(long, env = "RELANCE_BOUNCE_ADDRESS", value_name = "ADDRESS")]
    bounce_address: Vec<String>,
    /// Read bounces and complaints from a mailbox too: imaps://USER:PASSWORD@HOST/MAILBOX, or imap:// with STARTTLS
    #[arg(long, env = "RELANCE_BOUNCE_IMAP", hide_env_values = true, value_name = "URL")]
    bounce_imap: Option<String>,
    /// How often the mailbox of --bounce-imap is looked at
    #[arg(long, default_value = "PT1M", value_name = "PERIOD")]
    bounce_imap_every: String,
    /// A topic of Amazon SNS that may call /inbound/ses
    #[arg(long, env = "RELANCE_SES_TOPIC", value_name = "ARN")]
    ses_topic: Vec<String>,
    /// The verification key of SendGrid's event webhook
    #[arg(long, env = "RELANCE_SENDGRID_KEY", value_name = "KEY")]
    sendgrid_key: Option<String>,
    /// The signing key of Mailgun's webhooks
    #[arg(long, env = "RELANCE_MAILGUN_KEY", hide_env_values = true, value_name = "KEY")]
    mailgun_key: Option<String>,
    /// The secret in calls of Postmark, as in USER:PASSWORD
    #[arg(long, env = "RELANCE_POSTMARK_SECRET", hide_env_values = true, value_name = "SECRET")]
    postmark_secret: Option<String>,
    /// The secret in calls of Brevo
    #[arg(long, env = "RELANCE_BREVO_SECRET", hide_env_values = true, value_name = "SECRET")]
    brevo_secret: Option<String>,
}

impl Inbound {
    /// What the API is told.
    pub fn config(&self) -> Result<api::inbound::Config, Failure> {
        let config = api::inbound::Config {
            ses_topics: self.ses_topic.clone(),
            sendgrid_key: self.sendgrid_key.clone(),
            mailgun_key: self.mailgun_key.clone(),
            postmark_secret: self.postmark_secret.clone(),
            brevo_secret: self.brevo_secret.clone(),
            fetcher: None,
        };
        config.check().map_err(|problem| problem.field("--sendgrid-key"))?;
        Ok(config)
    }

    /// The mailbox of bounces and how often to look at it, when there is to be one.
    pub fn mailbox(&self) -> Result<Option<(Imap, Duration)>, Failure> {
        let Some(url) = &self.bounce_imap else { return Ok(None) };
        let imap = Imap::parse(url, None).map_err(|problem| problem.field("--bounce-imap"))?;
        let every = super::period(&self.bounce_imap_every, "--bounce-imap-every")?;
        Ok(Some((imap, every.max(Duration::from_secs(5)))))
    }

    /// The door for bounces, when there is to be one.
    pub async fn door(&self) -> Result<Option<TcpListener>, Failure> {
        match self.bounce_listen {
            Some(address) => bind(address, "--bounce-listen").await.map(Some),
            None => Ok(None),
        }
    }

    /// Takes mail at the door until the server stops.
    pub fn take(
        &self,
        listener: TcpListener,
        app: &App<Sqlite>,
        store: &Sqlite,
        return_path: Option<&str>,
        stop: &Stop,
    ) -> impl Future<Output = ()> + Send + use<> {
        let addresses: Vec<String> =
            self.bounce_address.iter().map(String::as_str).chain(return_path).map(str::to_owned).collect();
        let name =
            addresses.first().map_or("relance", |address| delivery::mailbox::domain(address)).to_owned();
        let bell = Arc::<Notify>::default();
        let door = Door {
            store: store.clone(),
            links: app.links.clone(),
            clock: Arc::clone(&app.clock),
            name,
            addresses,
            limits: Limits::default(),
            bell: Arc::clone(&bell),
        };
        let (app, stop) = (app.clone(), stop.clone());
        async move {
            let ringing = async {
                loop {
                    bell.notified().await;
                    app.engine_bell.notify_one();
                    app.inbound.hook_bell.notify_one();
                }
            };
            tokio::select! {
                () = listener::serve(listener, door, stop.told()) => {}
                () = ringing => {}
            }
        }
    }
}

/// Looks at the mailbox of bounces until the server stops.
pub async fn poll(app: App<Sqlite>, store: Sqlite, (imap, every): (Imap, Duration), stop: Stop) {
    loop {
        match imap.poll(&store, &app.links, &*app.clock).await {
            Ok(polled) if polled.recorded > 0 => {
                tracing::info!(read = polled.read, recorded = polled.recorded, "bounces were read");
                app.engine_bell.notify_one();
                app.inbound.hook_bell.notify_one();
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(mailbox = ?imap, error, "the mailbox of bounces cannot be read"),
        }
        tokio::select! {
            () = stop.told() => return,
            () = tokio::time::sleep(every) => {}
        }
    }
}

/// Tells webhooks until the server stops.
pub async fn tell(app: App<Sqlite>, store: Sqlite, stop: Stop) {
    let setting = match store.load_setting(delivery::webhook::SETTING.to_owned()).await {
        Ok(setting) => setting,
        Err(error) => return tracing::error!(%error, "webhooks are not told"),
    };
    let fetcher = match Webhooks::new(setting.as_ref(), Arc::new(SystemClock)) {
        Ok(webhooks) => webhooks.fetcher(),
        Err(problem) => return tracing::error!(%problem, "webhooks are not told"),
    };
    let mut seed = [0; 8];
    app.chance.fill(&mut seed);
    let worker = HookWorker::new(store, fetcher, Arc::clone(&app.clock), u64::from_be_bytes(seed));
    let halt = Arc::<Notify>::default();
    let (told, halting) = (stop.told(), Arc::clone(&halt));
    let listening = tokio::spawn(async move {
        told.await;
        halting.notify_one();
    });
    let alert = |alert: delivery::hooks::Alert| {
        tracing::error!(
            webhook = alert.hook,
            why = alert.why,
            "a webhook is given up: it failed for too long"
        );
        app.news.tell("webhook", serde_json::json!({"id": alert.hook, "given_up": true}));
    };
    while let Err(error) = worker.run(&app.inbound.hook_bell, &halt, &alert).await {
        tracing::error!(%error, "webhooks are not told for a while");
        tokio::select! {
            () = stop.told() => break,
            () = tokio::time::sleep(Duration::from_secs(10)) => {}
        }
    }
    listening.abort();
}
