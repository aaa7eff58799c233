//! Where messages go and who writes: options that `relance deliver` and `relance serve` share.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::ValueEnum;
use delivery::{
    Capture, Channels, Delivery, Links, Mailbox, Sender, Smtp, SmtpConfig, Webhooks,
    dkim::Signer,
    pace::{Retries, shape::Shaper},
};
use model::{Period, Problem, Zone};
use storage::settings::SettingsStore;
use storage_sqlite::Sqlite;

use super::key::load_keys;
use crate::commands::dkim;
use crate::context::{Common, Failure, SystemClock};

/// Where mails go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// To an SMTP server
    Smtp,
    /// Into a folder, for looking at
    Capture,
}

/// Where messages go and who writes.
#[derive(clap::Args)]
pub struct Post {
    /// Where mails go (default: what --smtp or --capture says)
    #[arg(long, value_enum)]
    transport: Option<Kind>,
    /// The SMTP server: smtp://USER:PASSWORD@HOST:PORT?tls=required (see docs/delivery.md)
    #[arg(long, env = "RELANCE_SMTP", hide_env_values = true, value_name = "URL")]
    smtp: Option<String>,
    /// The folder that messages are captured in; with --transport smtp text messages and push alone
    #[arg(long, value_name = "FOLDER")]
    capture: Option<PathBuf>,
    /// Show pictures of this address from a folder (as seen from the capture folder) in captured pages
    #[arg(long, value_name = "URL=FOLDER", requires = "capture")]
    capture_pictures: Option<String>,
    /// Who writes, as in "Shop <news@shop.example>"
    #[arg(long, env = "RELANCE_FROM", value_name = "MAILBOX")]
    from: Option<String>,
    /// Where answers go, if not to who writes
    #[arg(long, value_name = "MAILBOX")]
    reply_to: Option<String>,
    /// Where bounces go (default: the address of --from)
    #[arg(long, value_name = "ADDRESS")]
    return_path: Option<String>,
    /// Give each mail a return path of its own, NAME+TOKEN@DOMAIN, so that every bounce names its message
    #[arg(long)]
    return_path_tokens: bool,
    /// Do not sign mails (DKIM) though there are keys beside the database: the mail server signs
    #[arg(long)]
    no_dkim: bool,
    /// The address under which contacts reach this server, for the links in mails
    #[arg(long, env = "RELANCE_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// The file of the key that signs links; made when it is missing (default: beside the database)
    #[arg(long, env = "RELANCE_SIGNING_KEY_FILE", value_name = "FILE")]
    signing_key_file: Option<PathBuf>,
    /// A mailbox that takes unsubscribe requests too
    #[arg(long, value_name = "ADDRESS")]
    unsubscribe_mailto: Option<String>,
    /// The zone of contacts without one
    #[arg(long, default_value = "UTC", value_name = "ZONE")]
    timezone: String,
    /// Messages a second at most
    #[arg(long, value_name = "NUMBER")]
    rate: Option<f64>,
    /// Messages to one domain at the same time at most
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    per_domain: Option<u16>,
    /// How often a message is tried at most
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=50))]
    tries: u32,
    /// The wait after a first temporary failure; each further one is three times as long, up to 6 hours
    #[arg(long, default_value = "PT1M", value_name = "PERIOD")]
    first_wait: String,
}

/// Where messages go.
pub enum Way {
    /// Mails to a server; the others where they can go.
    Server(Arc<Channels<Smtp>>),
    /// All into a folder.
    Folder(Arc<Capture>),
}

/// How to deliver, ready to use.
pub struct Ready {
    /// Where messages go.
    pub transport: Way,
    /// How.
    pub delivery: Delivery,
}

impl Post {
    /// The address under which contacts reach the server.
    pub fn public_url(&self) -> Option<&str> {
        self.public_url.as_deref()
    }

    /// Host and port of the mail server, when one is given that reads.
    pub fn smtp_server(&self) -> Option<String> {
        let config = SmtpConfig::parse(self.smtp.as_deref()?, |path| std::fs::read(path)).ok()?;
        Some(format!("{}:{}", config.host, config.port))
    }

    /// The address that bounces go to, when it is said.
    pub fn return_path(&self) -> Option<&str> {
        self.return_path.as_deref()
    }

    /// Whether mails are to be signed where there is a key.
    pub fn signs(&self) -> bool {
        !self.no_dkim
    }

    /// The file of the key that signs links.
    pub fn signing_key_file(&self) -> Option<&Path> {
        self.signing_key_file.as_deref()
    }

    /// What the options say; none when they do not say where mails go.
    ///
    /// # Errors
    /// What is missing or wrong, by its option.
    pub async fn way(&self, store: &Sqlite, common: &Common) -> Result<Option<Ready>, Failure> {
        let kind = match (self.transport, &self.smtp, &self.capture) {
            (Some(kind), _, _) => kind,
            (None, _, Some(_)) => Kind::Capture,
            (None, Some(_), None) => Kind::Smtp,
            (None, None, None) => return Ok(None),
        };
        let delivery = || self.delivery(common, store.path(), kind);
        Ok(Some(match kind {
            Kind::Smtp => {
                let config = self.smtp_config()?;
                let delivery = delivery()?;
                let transport = Way::Server(Arc::new(self.server(config, store, &delivery).await?));
                Ready { transport, delivery }
            }
            Kind::Capture => {
                let folder = self.folder()?;
                Ready { transport: Way::Folder(Arc::new(folder)), delivery: delivery()? }
            }
        }))
    }

    fn smtp_config(&self) -> Result<SmtpConfig, Failure> {
        let Some(url) = &self.smtp else {
            return Err(missing("--smtp", "the SMTP server is not given", "--smtp URL or RELANCE_SMTP"));
        };
        Ok(SmtpConfig::parse(url, |path| std::fs::read(path))?)
    }

    async fn server(
        &self,
        config: SmtpConfig,
        store: &Sqlite,
        delivery: &Delivery,
    ) -> Result<Channels<Smtp>, Failure> {
        let return_path = match &self.return_path {
            Some(address) => {
                model::field::parse_email(address).map_err(|problem| problem.field("--return-path"))?
            }
            None => delivery.sender.from.address.clone(),
        };
        let setting = store.load_setting(delivery::webhook::SETTING.to_owned()).await?;
        let mut smtp = Smtp::new(config, return_path)?;
        if self.return_path_tokens {
            smtp = smtp.with_tokens(delivery.sender.links.clone())?;
        }
        if self.signs()
            && let Some(signer) = Signer::of_domain(dkim::load(store.path())?, delivery.sender.from.domain())
        {
            smtp = smtp.signed_by(signer);
        }
        Ok(Channels {
            email: Arc::new(smtp),
            mobile: self.capture.as_deref().map(captured).transpose()?.map(Arc::new),
            webhooks: Some(Webhooks::new(setting.as_ref(), Arc::new(SystemClock))?),
        })
    }

    fn folder(&self) -> Result<Capture, Failure> {
        let Some(folder) = &self.capture else {
            return Err(missing("--capture", "the folder for mails is not given", "--capture FOLDER"));
        };
        let capture = captured(folder)?;
        match self.capture_pictures.as_deref().map(|text| text.split_once('=')) {
            None => Ok(capture),
            Some(Some((url, path))) if !url.is_empty() => Ok(capture.showing(url, path)),
            Some(_) => Err(Problem::new("capture.pictures", "an address and a folder are needed")
                .field("--capture-pictures")
                .cure("write it as in https://shop.example/pictures/=../pictures/")
                .into()),
        }
    }

    /// What the options say about how to deliver.
    fn delivery(&self, common: &Common, database: &Path, kind: Kind) -> Result<Delivery, Failure> {
        let from = self.from.as_deref().or((kind == Kind::Capture).then_some("Relance <news@shop.example>"));
        let Some(from) = from else {
            return Err(missing(
                "--from",
                "it is not said who writes",
                "--from \"Shop <news@shop.example>\" or RELANCE_FROM",
            ));
        };
        let public =
            self.public_url.as_deref().or((kind == Kind::Capture).then_some("http://localhost:8080"));
        let Some(public) = public else {
            return Err(missing(
                "--public-url",
                "mails need a way out, and it is not said where unsubscribe links lead",
                "--public-url https://mail.shop.example or RELANCE_PUBLIC_URL",
            ));
        };
        if let Some(rate) = self.rate
            && !(rate.is_finite() && (0.001..=1e6).contains(&rate))
        {
            return Err(Problem::new("option.range", "the rate is not between 0.001 and 1000000 a second")
                .field("--rate")
                .value(rate)
                .into());
        }
        let mailbox = |text: &str, field: &str| Mailbox::parse(text).map_err(|problem| problem.field(field));
        let first_wait = Period::parse(&self.first_wait).map_err(|problem| problem.field("--first-wait"))?;
        let keys = load_keys(self.signing_key_file.as_deref(), database)?;
        let sender = Sender {
            from: mailbox(from, "--from")?,
            reply_to: self.reply_to.as_deref().map(|text| mailbox(text, "--reply-to")).transpose()?,
            links: Links::new(public, keys)?,
            unsubscribe_mailto: self
                .unsubscribe_mailto
                .as_deref()
                .map(|text| {
                    model::field::parse_email(text).map_err(|problem| problem.field("--unsubscribe-mailto"))
                })
                .transpose()?,
            zone: Zone::parse(&self.timezone).map_err(|problem| problem.field("--timezone"))?,
        };
        Ok(Delivery {
            sender: Arc::new(sender),
            clock: Arc::from(common.clock()?),
            machine: Arc::new(SystemClock),
            rate: self.rate,
            per_domain: self.per_domain.map(usize::from),
            retries: Retries { tries: self.tries, first_wait: first_wait.micros, ..Retries::default() },
            shaper: Arc::new(Shaper::patient()),
            stop: Arc::default(),
        })
    }
}

/// The folder that messages are captured in.
fn captured(folder: &Path) -> Result<Capture, Failure> {
    Capture::new(folder)
        .map_err(|error| Failure::Other(format!("{} cannot be written: {error}", folder.display())))
}

pub(super) fn missing(field: &str, message: &str, cure: &str) -> Failure {
    Problem::new("option.missing", message).field(field).cure(format!("give {cure}")).into()
}
