//! Who may come in: options, the set-up of the first user, mails to users.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use api::{
    App,
    access::{client::Network, mails, oidc, setup, users},
};
use delivery::{Mailbox, Transport};
use model::{Period, Problem};
use storage_sqlite::Sqlite;

use super::stop::Stop;
use crate::context::Failure;

/// Who may come in.
#[derive(clap::Args)]
pub struct Access {
    /// Reverse proxies whose X-Forwarded-For is believed, as in 127.0.0.1,10.0.0.0/8
    #[arg(long, env = "RELANCE_TRUSTED_PROXIES", value_delimiter = ',', value_name = "NETWORKS")]
    trusted_proxies: Vec<String>,
    /// A session ends when it was not used for so long
    #[arg(long, default_value = "P1D", value_name = "PERIOD")]
    session_idle: String,
    /// A session ends after so long, used or not
    #[arg(long, default_value = "P14D", value_name = "PERIOD")]
    session_max: String,
    /// Let users sign in at an identity provider too (OpenID Connect): its issuer URL
    #[arg(long, env = "RELANCE_OIDC_ISSUER", requires = "oidc_client_id", value_name = "URL")]
    oidc_issuer: Option<String>,
    /// What the identity provider calls this server
    #[arg(long, env = "RELANCE_OIDC_CLIENT_ID", value_name = "ID")]
    oidc_client_id: Option<String>,
    /// The secret that the identity provider has given out for it
    #[arg(long, env = "RELANCE_OIDC_CLIENT_SECRET", hide_env_values = true, value_name = "SECRET")]
    oidc_client_secret: Option<String>,
    /// What somebody becomes whom the identity provider knows and who has no user yet: viewer, editor or owner
    #[arg(long, value_name = "ROLE", requires = "oidc_domains")]
    oidc_create: Option<String>,
    /// Whose addresses may become users in this way, as in shop.example,shop.test
    #[arg(long, value_delimiter = ',', value_name = "DOMAINS")]
    oidc_domains: Vec<String>,
    /// The identity provider may be in our own network, and without TLS
    #[arg(long)]
    oidc_allow_private: bool,
    /// Believe the provider's certificate when one of the authorities in this file (PEM) has signed it, beside the public ones
    #[arg(long, env = "RELANCE_OIDC_CA_FILE", requires = "oidc_issuer", value_name = "FILE")]
    oidc_ca_file: Option<PathBuf>,
}

impl Access {
    /// What the options say; `sender` writes the mails to users.
    ///
    /// # Errors
    /// What is wrong, by its option.
    pub fn config(&self, sender: Option<Mailbox>) -> Result<api::access::Config, Failure> {
        let networks = self.trusted_proxies.iter().filter(|text| !text.trim().is_empty());
        let trusted_proxies = networks
            .map(|text| Network::parse(text.trim()).map_err(|problem| problem.field("--trusted-proxies")))
            .collect::<Result<_, _>>()?;
        let span = |text: &str, option: &str| -> Result<i64, Failure> {
            let period = Period::parse(text).map_err(|problem| problem.field(option))?;
            if period.months != 0 || period.micros <= 0 {
                let problem = Problem::new("option.range", "a session needs some time, in days or less");
                return Err(problem.field(option).value(text).cure("write it as in P14D or PT8H").into());
            }
            Ok(period.micros)
        };
        let sessions = storage::users::SessionSpan {
            idle: span(&self.session_idle, "--session-idle")?,
            absolute: span(&self.session_max, "--session-max")?,
        };
        let oidc = self.oidc()?;
        Ok(api::access::Config { trusted_proxies, sessions, sender, oidc, ..api::access::Config::default() })
    }

    fn oidc(&self) -> Result<Option<oidc::Config>, Failure> {
        let (Some(issuer), Some(client_id)) = (&self.oidc_issuer, &self.oidc_client_id) else {
            return Ok(None);
        };
        let authorities = match &self.oidc_ca_file {
            None => Vec::new(),
            Some(file) => authorities(file).map_err(|problem| problem.field("--oidc-ca-file"))?,
        };
        let config = oidc::Config {
            authorities,
            issuer: issuer.clone(),
            client_id: client_id.clone(),
            client_secret: self.oidc_client_secret.clone(),
            auto_create: self.oidc_create.as_deref().map(users::role).transpose()?,
            domains: self.oidc_domains.iter().map(|domain| domain.trim().to_lowercase()).collect(),
            allow_private: self.oidc_allow_private,
        };
        config.check().map_err(|problem| problem.field("--oidc-issuer"))?;
        Ok(Some(config))
    }
}

fn authorities(file: &Path) -> Result<Vec<oidc::Authority>, Problem> {
    let pem = std::fs::read(file).map_err(|error| {
        Problem::new("file.unreadable", format!("the file cannot be read: {error}")).value(file.display())
    })?;
    oidc::authorities(&pem).map_err(|problem| problem.value(file.display()))
}

/// While there is no user: prints, alone on standard output, where the first one is made.
///
/// # Errors
/// What the database says.
pub async fn welcome(app: &App<Sqlite>) -> Result<(), Failure> {
    if let Some(token) = setup::prepare(&app.store, &*app.chance, app.now()).await? {
        println!("{}", setup::link(&app.config.public_url, &token));
        tracing::info!(
            "there is no user yet: the link on standard output makes the owner; it is good for a day"
        );
    }
    Ok(())
}

/// Hands over mails to users until told to stop.
pub async fn post<T: Transport>(app: App<Sqlite>, transport: Arc<T>, stop: Stop) {
    tokio::select! {
        () = stop.told() => {}
        () = mails::run(app, transport) => {}
    }
}
