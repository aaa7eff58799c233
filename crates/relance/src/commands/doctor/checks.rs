//! What the options say: who writes, through which server, and under which address people come back.

use std::time::Duration;

use storage_sqlite::Sqlite;
use tokio::net::TcpStream;

use super::{Finding, dns};
use crate::{
    commands::{deliver::Post, dkim},
    context::Common,
};

/// How long the mail server may take to be there.
const CONNECT: Duration = Duration::from_secs(5);

/// Whether mails can leave.
pub(super) async fn post(post: &Post, store: &Sqlite, common: &Common) -> Vec<Finding> {
    let mut findings = Vec::new();
    match post.way(store, common).await {
        Err(failure) => findings.push(Finding::bad("mail", failure.to_string(), "see docs/delivery.md")),
        Ok(None) => findings.push(Finding::look(
            "mail",
            "it is not said where mails go",
            "give --smtp URL and --from MAILBOX as for relance serve",
        )),
        Ok(Some(ready)) => {
            let from = &ready.delivery.sender.from.address;
            findings.push(Finding::well("mail", format!("{from} writes")));
            if let Some(server) = post.smtp_server() {
                findings.push(reach(&server).await);
                findings.extend(names(post, store, from, &server).await);
            }
        }
    }
    findings
}

/// Whether what a mail domain has to publish is there.
async fn names(post: &Post, store: &Sqlite, from: &str, server: &str) -> Vec<Finding> {
    let keys = match dkim::load(store.path()) {
        Ok(keys) if post.signs() => keys,
        Ok(_) => Vec::new(),
        Err(failure) => return vec![Finding::bad("DKIM", failure.to_string(), "see docs/dkim.md")],
    };
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
    let return_path = post.return_path().unwrap_or(from);
    let facts = dns::Facts { from, return_path, server: Some(host), keys: &keys };
    dns::look(&facts, dns::name_server()).await
}

async fn reach(server: &str) -> Finding {
    match tokio::time::timeout(CONNECT, TcpStream::connect(server)).await {
        Ok(Ok(_)) => Finding::well("mail server", format!("{server} takes connections")),
        Ok(Err(error)) => {
            Finding::bad("mail server", format!("{server}: {error}"), "see --smtp; is the port right?")
        }
        Err(_) => Finding::bad("mail server", format!("{server} does not answer"), "is a firewall between?"),
    }
}

/// Whether people can come back.
pub(super) fn public_url(url: Option<&str>) -> Finding {
    let what = "public address";
    match url {
        None => Finding::look(what, "not given: links in mails lead to this machine", "give --public-url"),
        Some(url) if url.starts_with("https://") => Finding::well(what, url),
        Some(url) => Finding::look(
            what,
            format!("{url} is not https: mail programs warn, and cookies are not safe"),
            "put a proxy with a certificate before it: deploy/",
        ),
    }
}
