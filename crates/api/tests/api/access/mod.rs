//! Sign-in, users, keys, the audit log: each rule, and tries to get around it.

mod audit;
pub mod browser;
mod codes;
mod keys;
mod oidc;
mod pages;
mod passwords;
mod session;
mod setup;
mod sign_in_page;
mod users;
