//! From the outbox to the mailbox: renders what was decided, asks the sending rules once more, builds the mail, hands it
//! over under a promise that is kept when the process dies, and records what became of it.

pub mod capture;
pub mod channels;
pub mod dkim;
pub mod fetch;
pub mod happenings;
pub mod hooks;
mod judge;
pub mod links;
pub mod machine;
pub mod mailbox;
pub mod mime;
pub mod pace;
pub mod post;
pub mod prepare;
mod short;
pub mod smtp;
pub mod transport;
pub mod view;
pub mod webhook;
pub mod worker;

pub use capture::Capture;
pub use channels::Channels;
pub use links::{Keys, LinkKind, Links, Target};
pub use mailbox::Mailbox;
pub use prepare::Sender;
pub use smtp::{Smtp, SmtpConfig};
pub use transport::{Answer, Lane, Mail, Transport};
pub use webhook::Webhooks;
pub use worker::{Delivery, Progress, Summary};
