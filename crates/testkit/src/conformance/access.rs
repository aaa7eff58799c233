//! Users, sessions, tickets, mails to users, keys, the audit log.

use model::Timestamp;
use serde_json::json;
use storage::{
    access::{AccessStore, ApiKey, KeyScope},
    audit::{AuditFilter, AuditStore, Deed},
    users::{
        NewUser, Rehash, SESSIONS_MAX, Session, SessionSpan, Ticket, TicketKind, UserChange, UserId,
        UserRole, UserStore,
    },
};

use crate::dated;

/// What these need.
pub trait Access: AccessStore + UserStore + AuditStore + Clone + Send + Sync + 'static {}

impl<T: AccessStore + UserStore + AuditStore + Clone + Send + Sync + 'static> Access for T {}

fn deed(action: &str) -> Deed {
    Deed {
        at: dated(0),
        who: "test".into(),
        action: action.into(),
        object: "user:x".into(),
        details: json!({"n": 1}),
        client: None,
    }
}

fn new(email: &str, role: UserRole) -> NewUser {
    NewUser {
        email: email.into(),
        name: String::new(),
        locale: "en".into(),
        role,
        password: Some("old".into()),
        subject: None,
        created_at: dated(0),
    }
}

fn session(user: UserId, n: usize) -> Session {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&n.to_be_bytes());
    let at = dated(0).plus(n as i64);
    Session { hash, id: format!("s{n}"), user, created_at: at, seen_at: at, client: None, agent: "t".into() }
}

const SPAN: SessionSpan = SessionSpan { idle: Timestamp::HOUR, absolute: Timestamp::DAY };

async fn actions(db: &impl Access) -> Vec<String> {
    let log = db.list_audit(AuditFilter::default(), None, 100).await.unwrap();
    log.into_iter().map(|entry| entry.deed.action).rev().collect()
}

/// A refused change leaves neither a change nor an entry.
pub async fn access_users_keep_an_owner(db: &impl Access) {
    let viewer = db.add_user(new("v@x.example", UserRole::Viewer), false, deed("1")).await.unwrap();
    let named = UserChange { name: Some("V".into()), ..UserChange::default() };
    assert!(
        db.change_user(viewer, named, deed("2")).await.unwrap().is_some(),
        "no owner was there to be kept"
    );
    let owner = db.add_user(new("o@x.example", UserRole::Owner), false, deed("3")).await.unwrap();
    assert!(db.add_user(new("o@x.example", UserRole::Viewer), false, deed("-")).await.is_err());
    let off = UserChange { disabled: Some(true), ..UserChange::default() };
    assert!(db.change_user(owner, off.clone(), deed("-")).await.is_err());
    assert!(db.remove_user(owner, deed("-")).await.is_err());
    let kept = db.load_user(owner).await.unwrap().unwrap();
    assert_eq!((kept.disabled_at, kept.is.role), (None, UserRole::Owner));
    assert!(db.remove_user(viewer, deed("4")).await.unwrap());
    assert!(!db.remove_user(viewer, deed("-")).await.unwrap());
    assert_eq!(db.change_user(viewer, off, deed("-")).await.unwrap(), None);
    let next = db.add_user(new("n@x.example", UserRole::Viewer), false, deed("5")).await.unwrap();
    assert!(next > owner, "numbers are not given again");
    assert_eq!(actions(db).await, ["1", "2", "3", "4", "5"]);
}

/// Spans end on time; the oldest of too many goes.
pub async fn access_sessions_end(db: &impl Access) {
    let user = db.add_user(new("v@x.example", UserRole::Viewer), false, deed("user")).await.unwrap();
    for n in 0..=SESSIONS_MAX {
        db.add_session(session(user, n), None, deed("session")).await.unwrap();
    }
    let (first, last) = (session(user, 0), session(user, SESSIONS_MAX));
    let list = db.list_sessions(user, SPAN, dated(0)).await.unwrap();
    assert_eq!(list.len(), SESSIONS_MAX);
    assert_eq!((list[0].id.as_str(), list.last().unwrap().id.as_str()), (last.id.as_str(), "s1"));
    assert_eq!(db.load_session(first.hash, SPAN, dated(0)).await.unwrap(), None);
    // Used every half an hour until the day is over.
    for half in 1..48 {
        let now = last.created_at.plus(half * Timestamp::HOUR / 2);
        assert!(db.load_session(last.hash, SPAN, now).await.unwrap().is_some(), "{half}");
    }
    let end = last.created_at.plus(SPAN.absolute);
    assert!(db.load_session(last.hash, SPAN, end.plus(-1)).await.unwrap().is_some());
    assert!(db.load_session(last.hash, SPAN, end).await.unwrap().is_none());
    let idle = session(user, 7);
    assert!(db.load_session(idle.hash, SPAN, idle.seen_at.plus(SPAN.idle - 1)).await.unwrap().is_some());
    assert!(
        db.load_session(session(user, 8).hash, SPAN, idle.seen_at.plus(SPAN.idle + 1))
            .await
            .unwrap()
            .is_none()
    );
    // Another hash of the same password comes with a session, but not over one that was changed meanwhile.
    for (old, new, kept) in [("old", "newer", "newer"), ("old", "newest", "newer")] {
        let renewed = Rehash { old: old.into(), new: new.into() };
        db.add_session(session(user, SESSIONS_MAX + 1), Some(renewed), deed("session")).await.unwrap();
        db.end_session(user, format!("s{}", SESSIONS_MAX + 1), deed("end")).await.unwrap();
        assert_eq!(db.load_user(user).await.unwrap().unwrap().is.password.as_deref(), Some(kept));
    }
    assert!(!db.end_session(UserId(99), last.id.clone(), deed("-")).await.unwrap());
    assert!(db.end_session(user, last.id, deed("end")).await.unwrap());
    db.set_password(user, "new".into(), deed("password")).await.unwrap();
    assert!(db.list_sessions(user, SPAN, dated(0)).await.unwrap().is_empty());
    assert!(!actions(db).await.contains(&"-".to_owned()));
}

/// A ticket opens once, until it ends, and goes with its user's others.
pub async fn access_tickets_open_once(db: &impl Access) {
    let ticket = |n: u8, kind, user, until: i64| Ticket {
        hash: [n; 32],
        kind,
        user,
        expires_at: dated(0).plus(until),
    };
    for n in [1, 2] {
        db.save_ticket(ticket(n, TicketKind::SetUp, None, 10), dated(0)).await.unwrap();
    }
    assert!(db.load_ticket([1; 32], dated(0)).await.unwrap().is_none(), "the second has replaced it");
    assert!(db.load_ticket([2; 32], dated(0).plus(9)).await.unwrap().is_some());
    assert!(db.load_ticket([2; 32], dated(0).plus(10)).await.unwrap().is_none());
    let owner = || new("o@x.example", UserRole::Owner);
    assert_eq!(db.set_up(owner(), [1; 32], deed("-")).await.unwrap(), None);
    let user = db.set_up(owner(), [2; 32], deed("set up")).await.unwrap().unwrap();
    assert_eq!(db.set_up(new("p@x.example", UserRole::Owner), [2; 32], deed("-")).await.unwrap(), None);
    for n in [3, 4, 5] {
        let until = if n == 5 { 0 } else { 10 };
        db.save_ticket(ticket(n, TicketKind::Reset, Some(user), until), dated(0).plus(-5)).await.unwrap();
    }
    assert!(!db.redeem_ticket([5; 32], "late".into(), deed("-")).await.unwrap());
    assert!(db.redeem_ticket([3; 32], "new".into(), deed("redeem")).await.unwrap());
    for used in [3, 4] {
        assert!(!db.redeem_ticket([used; 32], "again".into(), deed("-")).await.unwrap());
    }
    assert_eq!(db.load_user(user).await.unwrap().unwrap().is.password.as_deref(), Some("new"));
    assert_eq!(actions(db).await, ["set up", "redeem"]);
}

/// Codes and steps are used up.
pub async fn access_codes_are_used_up(db: &impl Access) {
    let user = db.add_user(new("v@x.example", UserRole::Viewer), false, deed("user")).await.unwrap();
    db.propose_totp(user, vec![1]).await.unwrap();
    db.propose_totp(user, vec![2]).await.unwrap();
    assert!(!db.confirm_totp(user, vec![1], 7, vec![], deed("-")).await.unwrap());
    assert!(db.confirm_totp(user, vec![2], 7, vec![[1; 32], [2; 32]], deed("on")).await.unwrap());
    assert!(!db.confirm_totp(user, vec![2], 8, vec![], deed("-")).await.unwrap());
    for (step, good) in [(7, false), (9, true), (9, false), (8, false), (10, true)] {
        assert_eq!(db.use_totp_step(user, step).await.unwrap(), good, "{step}");
    }
    assert!(db.use_recovery(user, [1; 32]).await.unwrap());
    assert!(!db.use_recovery(user, [1; 32]).await.unwrap());
    assert_eq!(db.count_recovery(user).await.unwrap(), 1);
    let forget = UserChange { forget_totp: true, ..UserChange::default() };
    assert_eq!(db.change_user(user, forget, deed("off")).await.unwrap().unwrap().totp, None);
    assert_eq!(db.count_recovery(user).await.unwrap(), 0);
    assert_eq!(actions(db).await, ["user", "on", "off"]);
}

/// A mail waits once, is claimed by one, and comes again when its lease is over.
pub async fn access_mails_are_claimed_by_one(db: &impl Access) {
    let user = db.add_user(new("v@x.example", UserRole::Viewer), true, deed("user")).await.unwrap();
    db.ask_mail(user, TicketKind::Invite, dated(0), deed("-")).await.unwrap();
    db.ask_mail(user, TicketKind::Reset, dated(0).plus(1), deed("asked")).await.unwrap();
    assert_eq!(db.next_mail().await.unwrap(), Some(dated(0)));
    let (now, lease) = (dated(0).plus(5), dated(0).plus(100));
    let first = db.claim_mail(now, lease).await.unwrap().unwrap();
    let second = db.claim_mail(now, lease).await.unwrap().unwrap();
    assert_eq!((first.kind, second.kind), (TicketKind::Invite, TicketKind::Reset));
    assert_eq!(db.claim_mail(lease.plus(-1), lease).await.unwrap(), None);
    db.retry_mail(first.id, dated(0).plus(50)).await.unwrap();
    db.finish_mail(second.id, Some(deed("failed"))).await.unwrap();
    assert_eq!(db.claim_mail(dated(0).plus(50), lease).await.unwrap().map(|mail| mail.tries), Some(2));
    assert_eq!(db.claim_mail(lease, lease.plus(1)).await.unwrap().map(|mail| mail.tries), Some(3));
    db.finish_mail(first.id, None).await.unwrap();
    assert_eq!(db.next_mail().await.unwrap(), None);
    assert_eq!(actions(db).await, ["user", "asked", "failed"]);
}

/// Keys are revoked once and stay in the list; entries are filtered.
pub async fn access_keys_and_entries(db: &impl Access) {
    let key = ApiKey {
        id: "k".into(),
        hash: [7; 32],
        scope: KeyScope::Write,
        name: "shop".into(),
        created_at: dated(0),
        created_by: "test".into(),
        revoked_at: None,
    };
    db.save_key(key.clone()).await.unwrap();
    db.save_key(ApiKey { name: "other".into(), ..key.clone() }).await.unwrap();
    assert_eq!(db.load_key("k".into()).await.unwrap(), Some(key));
    assert!(db.revoke_key("k".into(), dated(1)).await.unwrap());
    assert!(!db.revoke_key("k".into(), dated(2)).await.unwrap());
    assert_eq!(db.list_keys().await.unwrap()[0].revoked_at, Some(dated(1)));
    db.append_audit(["a.one", "a.two", "ab", "a"].map(deed).to_vec()).await.unwrap();
    let found = async |action: &str, before| {
        let filter = AuditFilter { action: Some(action.into()), ..AuditFilter::default() };
        let log = db.list_audit(filter, before, 9).await.unwrap();
        log.into_iter().map(|entry| entry.deed.action).collect::<Vec<_>>()
    };
    assert_eq!(found("a.", None).await, ["a.two", "a.one"]);
    assert_eq!(found("a", None).await, ["a"]);
    assert_eq!(found("a.", Some(2)).await, ["a.one"]);
}
