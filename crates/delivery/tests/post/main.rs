//! What comes back and what is signed: reports, the door for bounces, DKIM, shares of domains, calls of other servers.

mod calls;
mod dkim;
mod domains;
mod door;
mod imap;
mod reports;
#[path = "../support/mod.rs"]
mod support;
mod told;
mod world;
