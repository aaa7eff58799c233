//! See `storage::orders`.

use std::sync::{
    atomic::{AtomicBool, AtomicI64, Ordering},
    mpsc,
};

use model::{Amount, Cart, CartNo, ContactId, Currency, Line, Order, OrderNo, OrderStatus, Timestamp};
use rusqlite::{CachedStatement, Connection, Row};
use storage::{
    Result, StoreError, codec,
    orders::{CartChoice, OrderQuery, OrderStore},
};

use crate::{
    Sqlite,
    pool::driver,
    rows::{blob, inconsistent, text},
};

/// Orders that a scan hands over at once.
const CHUNK: usize = 2_048;
/// Threads that read and unpack for a scan.
const SCANNERS: usize = 2;
/// Pieces that the contacts are cut into for a scan.
const PIECES: i64 = 64;

pub(crate) const ORDER_COLUMNS: &str =
    "contact_id, at, order_no, status, total, refunded, currency, external_id, cart_id, lines";

impl OrderStore for Sqlite {
    async fn browse_orders(
        &self,
        query: OrderQuery,
        below: Option<(Timestamp, i64)>,
        limit: usize,
    ) -> Result<Vec<Order>> {
        let (since, until) = (query.since.unwrap_or(Timestamp::MIN), query.until.unwrap_or(Timestamp::MAX));
        // Without a place the page begins at the end: behind every order before `until`.
        let (at, no) = below.unwrap_or((Timestamp::MAX, i64::MAX));
        self.read(move |connection| {
            // One contact's orders lie together; everybody's are found by the index on time.
            let (from, contact) = match query.contact {
                Some(contact) => ("orders WHERE contact_id = ?6", contact.0),
                None => ("orders INDEXED BY orders_by_time WHERE ?6 = 0", 0),
            };
            let mut statement = connection
                .prepare_cached(&format!(
                    "SELECT {ORDER_COLUMNS} FROM {from} AND at >= ?1 AND at < ?2
                     AND at <= ?3 AND (at < ?3 OR order_no < ?4)
                     ORDER BY at DESC, order_no DESC LIMIT ?5"
                ))
                .map_err(driver)?;
            let mut rows =
                statement.query((since.0, until.0, at.0, no, limit as i64, contact)).map_err(driver)?;
            let mut orders = Vec::new();
            while let Some(row) = rows.next().map_err(driver)? {
                orders.push(read_order(row)?);
            }
            Ok(orders)
        })
        .await
    }

    async fn find_order(&self, external_id: String) -> Result<Option<Order>> {
        self.read(move |connection| {
            let mut statement = connection
                .prepare_cached(&format!(
                    "SELECT {ORDER_COLUMNS} FROM orders WHERE (contact_id, at, order_no) =
                     (SELECT contact_id, at, order_no FROM order_ids WHERE external_id = ?1)"
                ))
                .map_err(driver)?;
            let mut rows = statement.query([external_id]).map_err(driver)?;
            rows.next().map_err(driver)?.map(read_order).transpose()
        })
        .await
    }

    async fn browse_carts(&self, after: (ContactId, i64), limit: usize) -> Result<Vec<Cart>> {
        self.read(move |connection| {
            let mut statement = connection
                .prepare_cached(
                    "SELECT cart_no, external_id, updated_at, total, currency, recovery_url, lines, contact_id
                     FROM carts WHERE (contact_id, cart_no) > (?1, ?2) ORDER BY contact_id, cart_no LIMIT ?3",
                )
                .map_err(driver)?;
            let mut rows = statement.query((after.0.0, after.1, limit as i64)).map_err(driver)?;
            let mut carts = Vec::new();
            while let Some(row) = rows.next().map_err(driver)? {
                carts.push(read_cart(ContactId(row.get(7).map_err(driver)?), row)?);
            }
            Ok(carts)
        })
        .await
    }

    async fn find_cart(&self, external_id: String) -> Result<Option<Cart>> {
        self.read(move |connection| {
            let mut statement = connection
                .prepare_cached(
                    "SELECT cart_no, external_id, updated_at, total, currency, recovery_url, lines, contact_id
                     FROM carts WHERE (contact_id, cart_no) =
                     (SELECT contact_id, cart_no FROM cart_ids WHERE external_id = ?1)",
                )
                .map_err(driver)?;
            let mut rows = statement.query([external_id]).map_err(driver)?;
            let Some(row) = rows.next().map_err(driver)? else { return Ok(None) };
            read_cart(ContactId(row.get(7).map_err(driver)?), row).map(Some)
        })
        .await
    }

    async fn load_orders(
        &self,
        contacts: Vec<ContactId>,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Order>> {
        self.read(move |connection| {
            let mut statement = connection
                .prepare_cached(&format!(
                    "SELECT {ORDER_COLUMNS} FROM orders WHERE contact_id = ?1 AND at >= ?2 AND at < ?3
                     ORDER BY at, order_no"
                ))
                .map_err(driver)?;
            let mut orders = Vec::with_capacity(contacts.len());
            for contact in contacts {
                let mut rows = statement.query((contact.0, since.0, until.0)).map_err(driver)?;
                while let Some(row) = rows.next().map_err(driver)? {
                    orders.push(read_order(row)?);
                }
            }
            Ok(orders)
        })
        .await
    }

    async fn load_last_carts(
        &self,
        contacts: Vec<ContactId>,
        choice: CartChoice,
        now: Timestamp,
        abandoned_after: i64,
    ) -> Result<Vec<Cart>> {
        self.read(move |connection| {
            let mut bought = connection
                .prepare_cached(&format!(
                    "SELECT {ORDER_COLUMNS} FROM orders
                     WHERE contact_id = ?1 AND at <= ?2 AND status = 0 AND length(lines) > 0
                     ORDER BY at DESC, order_no DESC LIMIT 1"
                ))
                .map_err(driver)?;
            let mut open = connection.prepare_cached(OPEN_CARTS).map_err(driver)?;
            let mut carts = Vec::with_capacity(contacts.len());
            for contact in contacts {
                let mut last = None;
                if choice != CartChoice::Purchased {
                    last = last_open(&mut open, contact, choice, now, abandoned_after)?;
                }
                if matches!(choice, CartChoice::Purchased | CartChoice::Any) {
                    let purchased = last_bought(&mut bought, contact, now)?;
                    if purchased.as_ref().map(|cart| cart.updated_at)
                        >= last.as_ref().map(|cart: &Cart| cart.updated_at)
                    {
                        last = purchased;
                    }
                }
                carts.extend(last);
            }
            Ok(carts)
        })
        .await
    }

    async fn scan_orders(
        &self,
        since: Timestamp,
        until: Timestamp,
        visit: impl FnMut(&[Order]) -> bool + Send + 'static,
    ) -> Result<()> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || scan(&store, since, until, visit))
            .await
            .map_err(|error| StoreError::Driver(format!("a scan has failed: {error}")))?
    }

    async fn last_order_at(&self) -> Result<Option<Timestamp>> {
        self.read(|connection| {
            let last: Option<i64> =
                connection.query_row("SELECT max(at) FROM orders", [], |row| row.get(0)).map_err(driver)?;
            Ok(last.map(Timestamp))
        })
        .await
    }
}

const OPEN_CARTS: &str =
    "SELECT cart_no, external_id, updated_at, total, currency, recovery_url, lines FROM carts
     WHERE contact_id = ?1 AND updated_at <= ?2 ORDER BY updated_at DESC, cart_no DESC";

fn last_open(
    statement: &mut CachedStatement<'_>,
    contact: ContactId,
    choice: CartChoice,
    now: Timestamp,
    abandoned_after: i64,
) -> Result<Option<Cart>> {
    let mut rows = statement.query((contact.0, now.0)).map_err(driver)?;
    while let Some(row) = rows.next().map_err(driver)? {
        let cart = read_cart(contact, row)?;
        let state = cart.state(now, abandoned_after);
        let wanted = match choice {
            CartChoice::Any => true,
            CartChoice::Active => state == model::CartState::Active,
            CartChoice::Abandoned => state == model::CartState::Abandoned,
            CartChoice::Purchased => false,
        };
        if wanted {
            return Ok(Some(cart));
        }
    }
    Ok(None)
}

fn last_bought(
    statement: &mut CachedStatement<'_>,
    contact: ContactId,
    now: Timestamp,
) -> Result<Option<Cart>> {
    let mut rows = statement.query((contact.0, now.0)).map_err(driver)?;
    let Some(row) = rows.next().map_err(driver)? else { return Ok(None) };
    let order = read_order(row)?;
    Ok(Some(Cart {
        no: CartNo(order.no.0),
        total: order.net(),
        external_id: order.cart_id,
        contact,
        updated_at: order.at,
        currency: order.currency,
        purchased: true,
        recovery_url: None,
        lines: codec::net_lines(order.lines),
    }))
}

pub(crate) fn read_cart(contact: ContactId, row: &Row<'_>) -> Result<Cart> {
    let no: i64 = row.get(0).map_err(driver)?;
    Ok(Cart {
        no: CartNo(no),
        external_id: row.get(1).map_err(driver)?,
        contact,
        updated_at: Timestamp(row.get(2).map_err(driver)?),
        total: Amount(row.get(3).map_err(driver)?),
        currency: read_currency("carts", no, text(row, 4).map_err(driver)?)?,
        purchased: false,
        recovery_url: row.get(5).map_err(driver)?,
        lines: read_lines("carts", no, blob(row, 6).map_err(driver)?)?,
    })
}

fn read_currency(table: &'static str, no: i64, code: &str) -> Result<Currency> {
    Currency::parse(code).map_err(|problem| inconsistent(table, no, problem.message))
}

pub(crate) fn read_lines(table: &'static str, no: i64, bytes: &[u8]) -> Result<Vec<Line>> {
    codec::lines(bytes).map_err(|why| inconsistent(table, no, why))
}

/// An order from a row of [`ORDER_COLUMNS`].
pub(crate) fn read_order(row: &Row<'_>) -> Result<Order> {
    let contact: i64 = row.get(0).map_err(driver)?;
    let no: i64 = row.get(2).map_err(driver)?;
    let external_id: String = row.get(7).map_err(driver)?;
    let cart_id: Option<String> = row.get(8).map_err(driver)?;
    Ok(Order {
        no: OrderNo(no),
        contact: (contact != 0).then_some(ContactId(contact)),
        at: Timestamp(row.get(1).map_err(driver)?),
        status: if row.get::<_, i64>(3).map_err(driver)? == 0 {
            OrderStatus::Completed
        } else {
            OrderStatus::Cancelled
        },
        total: Amount(row.get(4).map_err(driver)?),
        refunded: Amount(row.get(5).map_err(driver)?),
        currency: read_currency("orders", no, text(row, 6).map_err(driver)?)?,
        cart_id: cart_id.unwrap_or_else(|| external_id.clone()),
        external_id,
        lines: read_lines("orders", no, blob(row, 9).map_err(driver)?)?,
    })
}

/// How a scan finds its rows.
#[derive(Clone, Copy)]
enum Way {
    /// Through the whole table, in pieces of its contacts, from the first to the last of them.
    Table { first: i64, last: i64 },
    /// By the index on time, in pieces of the time.
    Time { first: i64, last: i64 },
}

impl Way {
    /// The table when the window holds a good part of all that time (taking orders as evenly spread), else the index,
    /// whose every hit costs a search in the table.
    fn choose(connection: &Connection, since: Timestamp, until: Timestamp) -> Result<Option<Self>> {
        let bounds = |sql: &str| -> Result<Option<(i64, i64)>> {
            connection
                .query_row(sql, [], |row| {
                    Ok(row.get::<_, Option<i64>>(0)?.zip(row.get::<_, Option<i64>>(1)?))
                })
                .map_err(driver)
        };
        let Some((oldest, newest)) =
            bounds("SELECT (SELECT min(at) FROM orders), (SELECT max(at) FROM orders)")?
        else {
            return Ok(None);
        };
        let (first, last) = (oldest.max(since.0), newest.min(until.0.saturating_sub(1)));
        if first > last {
            return Ok(None);
        }
        if i128::from(last - first) * 4 < i128::from(newest - oldest) {
            return Ok(Some(Self::Time { first, last }));
        }
        let ends =
            bounds("SELECT (SELECT min(contact_id) FROM orders), (SELECT max(contact_id) FROM orders)")?;
        Ok(ends.map(|(first, last)| Self::Table { first, last }))
    }

    fn sql(self) -> String {
        match self {
            Self::Table { .. } => format!(
                "SELECT {ORDER_COLUMNS} FROM orders
                 WHERE contact_id >= ?1 AND contact_id <= ?2 AND at >= ?3 AND at < ?4"
            ),
            Self::Time { .. } => format!(
                "SELECT {ORDER_COLUMNS} FROM orders INDEXED BY orders_by_time
                 WHERE at >= max(?1, ?3) AND at <= ?2 AND at < ?4"
            ),
        }
    }

    /// The bounds of a piece; none after the last one.
    fn piece(self, number: i64) -> Option<(i64, i64)> {
        let (Self::Table { first, last } | Self::Time { first, last }) = self;
        let step = (last - first) / PIECES + 1;
        let from = first.checked_add(number.checked_mul(step)?)?;
        (from <= last).then(|| (from, from.saturating_add(step - 1).min(last)))
    }
}

fn scan(
    store: &Sqlite,
    since: Timestamp,
    until: Timestamp,
    mut visit: impl FnMut(&[Order]) -> bool,
) -> Result<()> {
    let Some(way) = store.read_here(|connection| Way::choose(connection, since, until))? else {
        return Ok(());
    };
    let (next, stop) = (AtomicI64::new(0), AtomicBool::new(false));
    let (send, receive) = mpsc::sync_channel::<Vec<Order>>(SCANNERS * 2);
    std::thread::scope(|scope| {
        let scanners: Vec<_> = (0..SCANNERS)
            .map(|_| {
                let (send, next, stop) = (send.clone(), &next, &stop);
                scope.spawn(move || {
                    store.read_here(|connection| {
                        scan_pieces(connection, way, (since, until), next, stop, &send)
                    })
                })
            })
            .collect();
        drop(send);
        for chunk in &receive {
            if !visit(&chunk) {
                stop.store(true, Ordering::Relaxed);
                break;
            }
        }
        drop(receive); // a scanner that waits to hand over learns that nobody wants it
        for scanner in scanners {
            scanner.join().map_err(|_| StoreError::Driver("a scan has failed".into()))??;
        }
        Ok(())
    })
}

fn scan_pieces(
    connection: &Connection,
    way: Way,
    (since, until): (Timestamp, Timestamp),
    next: &AtomicI64,
    stop: &AtomicBool,
    send: &mpsc::SyncSender<Vec<Order>>,
) -> Result<()> {
    let mut statement = connection.prepare_cached(&way.sql()).map_err(driver)?;
    let mut chunk = Vec::with_capacity(CHUNK);
    while let Some((from, to)) = way.piece(next.fetch_add(1, Ordering::Relaxed)) {
        let mut rows = statement.query((from, to, since.0, until.0)).map_err(driver)?;
        while let Some(row) = rows.next().map_err(driver)? {
            chunk.push(read_order(row)?);
            if chunk.len() == CHUNK {
                let full = std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK));
                if stop.load(Ordering::Relaxed) || send.send(full).is_err() {
                    return Ok(());
                }
            }
        }
    }
    if !chunk.is_empty() {
        drop(send.send(chunk));
    }
    Ok(())
}
