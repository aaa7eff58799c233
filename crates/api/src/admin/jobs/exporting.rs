//! The work of an export: contacts go by in pages, what is theirs is loaded for a page at once, and lines go to a file.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::PathBuf,
    sync::Arc,
};

use model::{Contact, ContactId, Event, FieldDef, Order, Slug, Timestamp, Totals, Value as FieldValue};
use roaring::RoaringTreemap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use storage::{
    Storage, StoreError,
    outbox::{MessageFilter, MessageRow},
    settings::DefinitionKind,
};
use utoipa::ToSchema;

use super::worker::{Failed, Teller};
use crate::App;

/// Contacts whose things are loaded at once.
const PAGE: usize = 500;
/// Messages that are read at once.
const MESSAGES: usize = 2_000;

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    /// Contacts with their fields and what their orders come to.
    Contacts,
    /// Orders, one row for each line.
    Orders,
    /// Events.
    Events,
    /// Messages.
    Messages,
}

impl What {
    const fn word(self) -> &'static str {
        match self {
            Self::Contacts => "contacts",
            Self::Orders => "orders",
            Self::Events => "events",
            Self::Messages => "messages",
        }
    }
}

/// How it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Shape {
    /// Comma-separated values with a header. A text that a spreadsheet would take for a formula begins with `'`.
    #[default]
    Csv,
    /// One JSON object a line.
    Jsonl,
}

/// What is to be exported.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Exporting {
    pub what: What,
    pub format: Shape,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<Slug>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journey: Option<Slug>,
}

/// A row: cells by column.
type Row = Vec<(String, Value)>;

/// Writes what was asked for into a file of the folder.
pub(super) async fn run<S: Storage>(
    app: &App<S>,
    no: i64,
    request: &Exporting,
    teller: Arc<Teller>,
) -> Result<Value, Failed> {
    let ending = if request.format == Shape::Csv { "csv" } else { "jsonl" };
    let name = format!("job-{no}.{}.{ending}", request.what.word());
    let folder = app.config.desk.folder.clone();
    let path = folder.join(&name);
    let mut writer = Writer::open(folder, path, request.format, columns(app, request.what).await?).await?;
    let chosen = match &request.segment {
        None => None,
        Some(segment) => {
            let built = app.store.load_members(segment.clone()).await?;
            Some(built.map(|(_, members)| members).unwrap_or_default())
        }
    };
    if request.what == What::Messages {
        messages(app, request, chosen.as_ref(), &teller, &mut writer).await?;
    } else {
        people(app, request, chosen.as_ref(), &teller, &mut writer).await?;
    }
    let rows = writer.rows;
    writer.close().await?;
    Ok(json!({"rows": rows, "files": {"result": name}}))
}

/// The pages of the contacts that are asked for, and what is theirs.
async fn people<S: Storage>(
    app: &App<S>,
    request: &Exporting,
    chosen: Option<&RoaringTreemap>,
    teller: &Teller,
    writer: &mut Writer,
) -> Result<(), Failed> {
    let total = match chosen {
        Some(members) => members.len(),
        None => app.store.count_contacts().await?.0,
    };
    teller.say(request.what.word(), 0, total);
    let (mut after, mut done) = (ContactId(0), 0);
    let mut ids = chosen.into_iter().flatten().map(|id| ContactId(id.cast_signed()));
    if request.what == What::Orders && chosen.is_none() {
        // Orders of nobody that is known.
        let orders = orders(app, request, vec![ContactId(0)]).await?;
        writer.write(orders.iter().flat_map(|order| order_rows(order, None)).collect()).await?;
    }
    loop {
        let page: Vec<Contact> = if chosen.is_some() {
            let ids: Vec<ContactId> = ids.by_ref().take(PAGE).collect();
            done += ids.len() as u64;
            if ids.is_empty() {
                return Ok(());
            }
            app.store.load_contacts(ids).await?
        } else {
            let page = app.store.scan_contacts(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = last.id;
            done += page.len() as u64;
            page
        };
        let ids: Vec<ContactId> = page.iter().map(|contact| contact.id).collect();
        let named = |id: ContactId| {
            let place = page.binary_search_by_key(&id, |contact| contact.id).ok();
            place.map(|place| &page[place])
        };
        let rows: Vec<Row> = match request.what {
            What::Contacts => {
                let totals = app.store.load_totals(ids).await?;
                page.iter().zip(&totals).map(|(contact, totals)| contact_row(contact, totals)).collect()
            }
            What::Orders => {
                let orders = orders(app, request, ids).await?;
                let rows = orders.iter().map(|order| order_rows(order, order.contact.and_then(named)));
                rows.flatten().collect()
            }
            _ => {
                let (since, until) = span(request);
                let events = app.store.load_events(ids, request.kinds.clone(), since, until).await?;
                events.iter().map(|event| event_row(event, named(event.contact))).collect()
            }
        };
        writer.write(rows).await?;
        teller.step(done.min(total.max(done)), total.max(done));
    }
}

fn span(request: &Exporting) -> (Timestamp, Timestamp) {
    (request.since.unwrap_or(Timestamp::MIN), request.until.unwrap_or(Timestamp::MAX))
}

async fn orders<S: Storage>(
    app: &App<S>,
    request: &Exporting,
    ids: Vec<ContactId>,
) -> Result<Vec<Order>, StoreError> {
    let (since, until) = span(request);
    app.store.load_orders(ids, since, until).await
}

async fn messages<S: Storage>(
    app: &App<S>,
    request: &Exporting,
    chosen: Option<&RoaringTreemap>,
    teller: &Teller,
    writer: &mut Writer,
) -> Result<(), Failed> {
    let filter = MessageFilter { journey: request.journey.clone(), ..MessageFilter::default() };
    let counts = app.store.count_messages(filter.clone()).await?;
    let total: u64 = counts.iter().map(|count| count.count).sum();
    teller.say("messages", 0, total);
    let (since, until) = span(request);
    let (mut after, mut done) = (0, 0);
    loop {
        let page = app.store.list_messages(filter.clone(), after, MESSAGES).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.seq;
        done += page.len() as u64;
        let wanted: Vec<MessageRow> = page
            .into_iter()
            .filter(|row| row.message.decided_at >= since && row.message.decided_at < until)
            .filter(|row| chosen.is_none_or(|members| members.contains(row.message.contact.0.unsigned_abs())))
            .collect();
        let mut ids: Vec<ContactId> = wanted.iter().map(|row| row.message.contact).collect();
        ids.sort_unstable();
        ids.dedup();
        let contacts = app.store.load_contacts(ids).await?;
        let named = |id: ContactId| {
            let place = contacts.binary_search_by_key(&id, |contact| contact.id).ok();
            place.map(|place| &contacts[place])
        };
        let rows = wanted.iter().map(|row| message_row(row, named(row.message.contact))).collect();
        writer.write(rows).await?;
        teller.step(done, total.max(done));
    }
}

const CONTACT: [&str; 20] = [
    "id",
    "external_id",
    "email",
    "email_status",
    "phone",
    "first_name",
    "last_name",
    "country",
    "locale",
    "time_zone",
    "birth_date",
    "created_at",
    "updated_at",
    "lists",
    "consents",
    "orders",
    "spent",
    "first_order_at",
    "last_order_at",
    "push_subscriptions",
];
const ORDER: [&str; 14] = [
    "order_id",
    "contact",
    "at",
    "status",
    "total",
    "refunded",
    "currency",
    "cart_id",
    "line",
    "product_id",
    "name",
    "quantity",
    "unit_price",
    "contact_id",
];
const EVENT: [&str; 7] = ["contact", "contact_id", "at", "received_at", "kind", "message_id", "properties"];
const MESSAGE: [&str; 16] = [
    "id",
    "contact",
    "contact_id",
    "journey",
    "version",
    "run",
    "node",
    "channel",
    "purpose",
    "template",
    "template_version",
    "state",
    "decided_at",
    "at",
    "reason",
    "detail",
];

/// The columns, in their order; of contacts with the custom fields that there are now.
async fn columns<S: Storage>(app: &App<S>, what: What) -> Result<Vec<String>, Failed> {
    let fixed: &[&str] = match what {
        What::Contacts => &CONTACT,
        What::Orders => &ORDER,
        What::Events => &EVENT,
        What::Messages => &MESSAGE,
    };
    let mut columns: Vec<String> = fixed.iter().map(|name| (*name).to_owned()).collect();
    if what == What::Contacts {
        let fields = app.store.load_definitions(DefinitionKind::Field).await?;
        let fields =
            fields.into_iter().filter_map(|one| serde_json::from_value::<FieldDef>(one.content).ok());
        columns.extend(fields.map(|field| format!("fields.{}", field.slug)));
    }
    Ok(columns)
}

fn push(row: &mut Row, name: &str, value: impl Into<Value>) {
    row.push((name.to_owned(), value.into()));
}

fn instant(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| at.to_string().into())
}

/// The shop's id, else the address, else the number.
fn name(id: ContactId, contact: Option<&Contact>) -> String {
    crate::said::name_of(id, contact).name
}

fn contact_row(contact: &Contact, totals: &Totals) -> Row {
    let mut row = Row::new();
    push(&mut row, "id", contact.id.0);
    push(&mut row, "external_id", contact.external_id.clone());
    push(&mut row, "email", contact.email.clone());
    push(&mut row, "email_status", json!(contact.email_status));
    push(&mut row, "phone", contact.phone.clone());
    push(&mut row, "first_name", contact.first_name.clone());
    push(&mut row, "last_name", contact.last_name.clone());
    push(&mut row, "country", contact.country.clone());
    push(&mut row, "locale", contact.locale.clone());
    push(&mut row, "time_zone", contact.time_zone.clone());
    let birth_date = contact.birth_date.map(|day| FieldValue::Date(day).to_string());
    push(&mut row, "birth_date", birth_date);
    push(&mut row, "created_at", instant(Some(contact.created_at)));
    push(&mut row, "updated_at", instant(Some(contact.updated_at)));
    push(&mut row, "lists", contact.lists.iter().map(ToString::to_string).collect::<Vec<_>>());
    let consents = contact.consents.iter().map(|one| (one.purpose.to_string(), json!(one.state)));
    push(&mut row, "consents", Value::Object(consents.collect()));
    push(&mut row, "orders", totals.orders);
    push(&mut row, "spent", model::Amount(totals.spent).to_string());
    push(&mut row, "first_order_at", instant(totals.first_order_at));
    push(&mut row, "last_order_at", instant(totals.last_order_at));
    push(&mut row, "push_subscriptions", contact.push.len());
    for (field, value) in &contact.fields {
        push(&mut row, &format!("fields.{field}"), value.to_string());
    }
    row
}

fn order_rows(order: &Order, contact: Option<&Contact>) -> Vec<Row> {
    let head = || {
        let mut row = Row::new();
        push(&mut row, "order_id", order.external_id.clone());
        push(&mut row, "contact", order.contact.map(|id| name(id, contact)));
        push(&mut row, "contact_id", order.contact.map(|id| id.0));
        push(&mut row, "at", order.at.to_string());
        push(&mut row, "status", if order.counts() { "completed" } else { "cancelled" });
        push(&mut row, "total", order.total.to_string());
        push(&mut row, "refunded", order.refunded.to_string());
        push(&mut row, "currency", order.currency.to_string());
        push(&mut row, "cart_id", order.cart_id.clone());
        row
    };
    if order.lines.is_empty() {
        return vec![head()];
    }
    let line = |(place, line): (usize, &model::Line)| {
        let mut row = head();
        push(&mut row, "line", place + 1);
        push(&mut row, "product_id", line.product.0);
        push(&mut row, "quantity", line.quantity);
        push(&mut row, "unit_price", line.unit_price.to_string());
        row
    };
    order.lines.iter().enumerate().map(line).collect()
}

fn event_row(event: &Event, contact: Option<&Contact>) -> Row {
    let mut row = Row::new();
    push(&mut row, "contact", name(event.contact, contact));
    push(&mut row, "contact_id", event.contact.0);
    push(&mut row, "at", event.at.to_string());
    push(&mut row, "received_at", event.received_at.to_string());
    push(&mut row, "kind", event.kind.clone());
    push(&mut row, "message_id", event.message_id.clone());
    push(&mut row, "properties", Value::Object(event.properties.clone()));
    row
}

fn message_row(row: &MessageRow, contact: Option<&Contact>) -> Row {
    let (message, send) = (&row.message, &row.message.send);
    let mut cells = Row::new();
    push(&mut cells, "id", message.id.to_string());
    push(&mut cells, "contact", name(message.contact, contact));
    push(&mut cells, "contact_id", message.contact.0);
    push(&mut cells, "journey", send.journey.to_string());
    push(&mut cells, "version", send.journey_version);
    push(&mut cells, "run", send.run);
    push(&mut cells, "node", send.node.clone());
    push(&mut cells, "channel", send.channel.word());
    push(&mut cells, "purpose", send.purpose.to_string());
    push(&mut cells, "template", send.template.to_string());
    push(&mut cells, "template_version", send.template_version);
    push(&mut cells, "state", row.state.word());
    push(&mut cells, "decided_at", message.decided_at.to_string());
    push(&mut cells, "at", row.at.to_string());
    push(&mut cells, "reason", row.reason.clone());
    push(&mut cells, "detail", row.detail.clone());
    cells
}

/// Writes rows into a file, on a thread where that may take its time.
struct Writer {
    file: Option<BufWriter<File>>,
    shape: Shape,
    columns: Arc<Vec<String>>,
    rows: u64,
}

impl Writer {
    async fn open(
        folder: PathBuf,
        path: PathBuf,
        shape: Shape,
        columns: Vec<String>,
    ) -> Result<Self, Failed> {
        let columns = Arc::new(columns);
        let header = Arc::clone(&columns);
        let file = blocking(move || {
            std::fs::create_dir_all(folder)?;
            let mut file = BufWriter::new(File::create(path)?);
            if shape == Shape::Csv {
                line(&mut file, &header.iter().map(|name| name.clone().into()).collect::<Vec<_>>())?;
            }
            Ok(file)
        })
        .await?;
        Ok(Self { file: Some(file), shape, columns, rows: 0 })
    }

    async fn write(&mut self, rows: Vec<Row>) -> Result<(), Failed> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        self.rows += rows.len() as u64;
        let (shape, columns) = (self.shape, Arc::clone(&self.columns));
        let file = blocking(move || {
            for row in rows {
                match shape {
                    Shape::Csv => {
                        let mut cells: Map<String, Value> = row.into_iter().collect();
                        let cells = columns.iter().map(|name| cells.remove(name).unwrap_or_default());
                        line(&mut file, &cells.collect::<Vec<_>>())?;
                    }
                    Shape::Jsonl => {
                        let there = row.into_iter().filter(|(_, value)| !value.is_null());
                        writeln!(file, "{}", Value::Object(there.collect()))?;
                    }
                }
            }
            Ok(file)
        });
        self.file = Some(file.await?);
        Ok(())
    }

    async fn close(self) -> Result<(), Failed> {
        let Some(file) = self.file else { return Ok(()) };
        blocking(move || file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Failed> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| Failed::panicked(&error))?;
    done.map_err(|error| {
        tracing::error!(%error, "an export cannot be written");
        if error.kind() == std::io::ErrorKind::StorageFull {
            return Failed::Store(StoreError::DiskFull);
        }
        Failed::Store(StoreError::Driver(format!("the file cannot be written: {error}")))
    })
}

/// A line of comma-separated values.
fn line(file: &mut impl Write, cells: &[Value]) -> std::io::Result<()> {
    let mut text = String::new();
    for (place, cell) in cells.iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        match cell {
            Value::Null => {}
            Value::String(cell) => quoted(&mut text, &harmless(cell)),
            Value::Array(items) => {
                let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                quoted(&mut text, &harmless(&items.join("|")));
            }
            Value::Object(map) if map.is_empty() => {}
            other => quoted(&mut text, &other.to_string()),
        }
    }
    text.push_str("\r\n");
    file.write_all(text.as_bytes())
}

fn quoted(text: &mut String, cell: &str) {
    if cell.contains([',', '"', '\n', '\r']) {
        text.push('"');
        text.push_str(&cell.replace('"', "\"\""));
        text.push('"');
    } else {
        text.push_str(cell);
    }
}

/// A cell that no spreadsheet takes for a formula: what begins like one, and is no number, gets a `'` before it.
fn harmless(cell: &str) -> std::borrow::Cow<'_, str> {
    let is_number = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let risky = match cell.chars().next() {
        Some('=' | '@' | '\t' | '\r') => true,
        Some('+' | '-') => !is_number(&cell[1..]),
        _ => false,
    };
    if risky { format!("'{cell}").into() } else { cell.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_no_formula() {
        let mut bytes = Vec::new();
        let cells = [
            json!("a,b"),
            json!("say \"so\""),
            json!("=HYPERLINK(1)"),
            json!("+33612345678"),
            json!("-1.5"),
            json!("-2+3"),
            json!(null),
            json!(["x", "y"]),
            json!({"k": "v"}),
            json!(7),
        ];
        line(&mut bytes, &cells).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(
            text,
            "\"a,b\",\"say \"\"so\"\"\",'=HYPERLINK(1),+33612345678,-1.5,'-2+3,,x|y,\"{\"\"k\"\":\"\"v\"\"}\",7\r\n"
        );
    }
}
