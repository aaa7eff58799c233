//! People who sign in: users, their sessions, one-time tickets, and the mails that carry these.

use std::future::Future;

use model::Timestamp;

use crate::{Result, audit::Deed};

/// Names a user; never given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub i64);

/// What a user may do; each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum UserRole {
    /// Look at everything but secrets.
    Viewer = 1,
    /// Change contacts, content and journeys.
    Editor = 2,
    /// Settings, users, keys, erasure.
    Owner = 3,
}

impl UserRole {
    /// All.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Editor, Self::Owner];

    /// The role of a stored number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|role| *role as u8 == number)
    }

    /// As it is written on the command line and in the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Owner => "owner",
        }
    }

    /// Reads its word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// A user to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    /// The address, in lower case: names the user.
    pub email: String,
    /// What they are called; may be empty.
    pub name: String,
    /// The language of mails to them: `en` or `fr`.
    pub locale: String,
    /// What they may do.
    pub role: UserRole,
    /// The hash of the password, a PHC string; none until an invitation is accepted.
    pub password: Option<String>,
    /// Issuer and subject at the identity provider.
    pub subject: Option<String>,
    /// When they are made.
    pub created_at: Timestamp,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its number.
    pub id: UserId,
    /// What it was made of, as it is now.
    pub is: NewUser,
    /// The confirmed secret of one-time codes.
    pub totp: Option<Vec<u8>>,
    /// A secret that waits for its first code.
    pub totp_pending: Option<Vec<u8>>,
    /// When they last signed in.
    pub signed_in_at: Option<Timestamp>,
    /// Since when they may not.
    pub disabled_at: Option<Timestamp>,
}

/// What to change of a user; empty leaves as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserChange {
    /// What they are called.
    pub name: Option<String>,
    /// The language of mails to them.
    pub locale: Option<String>,
    /// What they may do.
    pub role: Option<UserRole>,
    /// Whether they may not sign in; ends their sessions.
    pub disabled: Option<bool>,
    /// Forgets the secret of one-time codes and the recovery codes.
    pub forget_totp: bool,
    /// Issuer and subject at the identity provider.
    pub subject: Option<String>,
}

/// Somebody is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// Names it in lists.
    pub id: String,
    /// Whose.
    pub user: UserId,
    /// Since when.
    pub created_at: Timestamp,
    /// When it was last used, to a minute.
    pub seen_at: Timestamp,
    /// From which network address it was opened.
    pub client: Option<String>,
    /// What the browser called itself.
    pub agent: String,
}

/// Another hash of the password that a user has: what guessing costs grows with the years.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rehash {
    /// What was kept of it.
    pub old: String,
    /// What is kept from now on.
    pub new: String,
}

/// How long sessions live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionSpan {
    /// Without being used, in microseconds.
    pub idle: i64,
    /// At most, in microseconds.
    pub absolute: i64,
}

/// The most sessions of a user; the oldest goes when one more begins.
pub const SESSIONS_MAX: usize = 50;

/// What a ticket opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum TicketKind {
    /// The first user may be made.
    SetUp = 1,
    /// An invited user chooses a password.
    Invite = 2,
    /// A user who has forgotten the password chooses another.
    Reset = 3,
}

impl TicketKind {
    /// All.
    pub const ALL: [Self; 3] = [Self::SetUp, Self::Invite, Self::Reset];

    /// The kind of a stored number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// Opens something once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// SHA-256 of its token.
    pub hash: [u8; 32],
    /// What it opens.
    pub kind: TicketKind,
    /// For whom; none for the set-up.
    pub user: Option<UserId>,
    /// Opens nothing from then on.
    pub expires_at: Timestamp,
}

/// A mail to a user that waits to be handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserMail {
    /// Its number.
    pub id: i64,
    /// To whom.
    pub user: UserId,
    /// What it brings.
    pub kind: TicketKind,
    /// When it was decided.
    pub created_at: Timestamp,
    /// How often it was tried, this time included.
    pub tries: u32,
}

/// Users, sessions, tickets. Verbs that take a [`Deed`] write it down in the same transaction, when they do something.
pub trait UserStore {
    /// How many users there are, disabled ones too.
    fn count_users(&self) -> impl Future<Output = Result<u32>> + Send;
    /// All users by address.
    fn list_users(&self) -> impl Future<Output = Result<Vec<User>>> + Send;
    /// One of them.
    fn load_user(&self, id: UserId) -> impl Future<Output = Result<Option<User>>> + Send;
    /// The user with this address.
    fn find_user(&self, email: String) -> impl Future<Output = Result<Option<User>>> + Send;
    /// The user with this issuer and subject.
    fn find_subject(&self, subject: String) -> impl Future<Output = Result<Option<User>>> + Send;
    /// Makes a user, and asks for a mail that invites them where `invite` says so. Refused with `user.exists`.
    fn add_user(
        &self,
        user: NewUser,
        invite: bool,
        deed: Deed,
    ) -> impl Future<Output = Result<UserId>> + Send;
    /// Makes the first user, and uses up the ticket; none when there is a user, or no such ticket.
    fn set_up(
        &self,
        owner: NewUser,
        ticket: [u8; 32],
        deed: Deed,
    ) -> impl Future<Output = Result<Option<UserId>>> + Send;
    /// Changes a user; none when there is none. Refused with `user.last_owner` when no owner would be left who may
    /// sign in.
    fn change_user(
        &self,
        id: UserId,
        change: UserChange,
        deed: Deed,
    ) -> impl Future<Output = Result<Option<User>>> + Send;
    /// Removes a user with all that is theirs; whether there was one. Refused with `user.last_owner`.
    fn remove_user(&self, id: UserId, deed: Deed) -> impl Future<Output = Result<bool>> + Send;
    /// Sets a password; ends all sessions and tickets of the user.
    fn set_password(&self, id: UserId, hash: String, deed: Deed) -> impl Future<Output = Result<()>> + Send;
    /// The same for who holds a ticket, which is used up; whether it was good.
    fn redeem_ticket(
        &self,
        ticket: [u8; 32],
        hash: String,
        deed: Deed,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// Keeps a ticket; one for the set-up replaces those before it. Tickets that are over by now are thrown away.
    fn save_ticket(&self, ticket: Ticket, now: Timestamp) -> impl Future<Output = Result<()>> + Send;
    /// A ticket that is good now, with its user, who is not disabled.
    fn load_ticket(
        &self,
        hash: [u8; 32],
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<(Ticket, Option<User>)>>> + Send;

    /// Begins a session. With it another hash of the same password is kept, unless the password has changed meanwhile.
    fn add_session(
        &self,
        session: Session,
        renewed: Option<Rehash>,
        deed: Deed,
    ) -> impl Future<Output = Result<()>> + Send;
    /// The session of a token that is good now, with its user, who is not disabled. Marks it as used.
    fn load_session(
        &self,
        hash: [u8; 32],
        span: SessionSpan,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<(Session, User)>>> + Send;
    /// A user's sessions that are good now, the newest first.
    fn list_sessions(
        &self,
        user: UserId,
        span: SessionSpan,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<Session>>> + Send;
    /// Ends a user's session; whether there was one.
    fn end_session(&self, user: UserId, id: String, deed: Deed) -> impl Future<Output = Result<bool>> + Send;
    /// Ends all sessions of a user but one; how many.
    fn end_sessions(
        &self,
        user: UserId,
        but: Option<String>,
        deed: Deed,
    ) -> impl Future<Output = Result<usize>> + Send;

    /// Keeps a secret of one-time codes until its first code comes.
    fn propose_totp(&self, user: UserId, secret: Vec<u8>) -> impl Future<Output = Result<()>> + Send;
    /// Takes the waiting secret into use, with recovery codes instead of those before; the step of its first code is
    /// used up. Whether this secret waited.
    fn confirm_totp(
        &self,
        user: UserId,
        secret: Vec<u8>,
        step: i64,
        recovery: Vec<[u8; 32]>,
        deed: Deed,
    ) -> impl Future<Output = Result<bool>> + Send;
    /// Uses up the codes of all steps up to this one; whether it was not used before.
    fn use_totp_step(&self, user: UserId, step: i64) -> impl Future<Output = Result<bool>> + Send;
    /// Uses up a recovery code; whether there was this one.
    fn use_recovery(&self, user: UserId, hash: [u8; 32]) -> impl Future<Output = Result<bool>> + Send;
    /// How many recovery codes are left.
    fn count_recovery(&self, user: UserId) -> impl Future<Output = Result<u32>> + Send;

    /// Decides that a user gets a mail; nothing more happens when one of its kind waits already.
    fn ask_mail(
        &self,
        user: UserId,
        kind: TicketKind,
        now: Timestamp,
        deed: Deed,
    ) -> impl Future<Output = Result<()>> + Send;
    /// The next mail that is due; nobody else gets it before `lease_end`.
    fn claim_mail(
        &self,
        now: Timestamp,
        lease_end: Timestamp,
    ) -> impl Future<Output = Result<Option<UserMail>>> + Send;
    /// A mail has left, or never will: it is forgotten. With a deed when there is something to tell.
    fn finish_mail(&self, id: i64, deed: Option<Deed>) -> impl Future<Output = Result<()>> + Send;
    /// A mail could not leave: it is due again then.
    fn retry_mail(&self, id: i64, at: Timestamp) -> impl Future<Output = Result<()>> + Send;
    /// When the next mail is due.
    fn next_mail(&self) -> impl Future<Output = Result<Option<Timestamp>>> + Send;
}
