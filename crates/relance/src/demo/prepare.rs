//! Makes the demo's files from the real order file: the same orders moved to now, invented people, shelves and pictures,
//! visits and open carts. All of it from a seed.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use model::{Amount, Dice, Timestamp, Zone, event::kind, field::parse_date};
use serde_json::json;

use super::{people, shelf};

/// The real orders: UCI Online Retail, CC BY 4.0, see `data/online_retail/README.md`.
const ORDERS: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/online_retail/online_retail.csv.zst"));

/// Where product pages and pictures of the invented shop are.
pub const SHOP: &str = "https://shop.example.test";
/// Share of contacts with an open cart, in percent.
const OPEN_CARTS_PERCENT: u64 = 12;
/// Most visits that are invented for a contact.
const VISITS_MAX: u64 = 14;
/// How far back visits go, in days.
const VISIT_DAYS: i64 = 45;

/// What was made.
pub struct Prepared {
    /// Open carts.
    pub carts: Vec<OpenCart>,
    /// Order lines in the file.
    pub lines: u64,
    /// By how many days the dates were moved.
    pub days_moved: i64,
}

/// A cart that nobody has bought yet.
pub struct OpenCart {
    /// The shop's id of it.
    pub id: String,
    /// Whose, by customer number.
    pub contact: String,
    /// Its last change.
    pub updated_at: Timestamp,
    /// Product code, quantity, unit price.
    pub lines: Vec<(String, i64, Amount)>,
}

/// What a pass over the order file leaves behind.
#[derive(Default)]
struct Seen {
    countries: BTreeMap<String, String>,
    products: BTreeMap<String, ProductSeen>,
    /// One bought product in so many, for drawing visits and carts by popularity.
    sample: Vec<(String, Amount)>,
    lines: u64,
}

#[derive(Default)]
struct ProductSeen {
    names: HashMap<String, u32>,
}

/// Makes `contacts.csv`, `products.jsonl`, `orders.csv` and `visits.jsonl` in `folder`, so that the last order is on the day before `now` (UTC).
///
/// # Errors
/// What reading the embedded file or writing says.
pub fn prepare(folder: &Path, now: Timestamp, seed: u64) -> io::Result<Prepared> {
    let last_day = parse_date("2011-12-09").unwrap_or_default();
    let days_moved = i64::from(now.day_utc() - 1 - last_day);
    let seen = move_orders(&folder.join("orders.csv"), days_moved)?;
    write_contacts(&folder.join("contacts.csv"), &seen, seed)?;
    write_products(&folder.join("products.jsonl"), &seen)?;
    write_visits(&folder.join("visits.jsonl"), &seen, now, seed)?;
    Ok(Prepared { carts: open_carts(&seen, now, seed), lines: seen.lines, days_moved })
}

fn move_orders(path: &Path, days: i64) -> io::Result<Seen> {
    let mut reader = csv::Reader::from_reader(zstd::Decoder::new(ORDERS)?);
    let mut writer = csv::Writer::from_writer(BufWriter::with_capacity(1 << 20, File::create(path)?));
    writer.write_byte_record(reader.byte_headers()?)?;
    let mut seen = Seen::default();
    let mut row = csv::StringRecord::new();
    let mut moved_days: HashMap<String, String> = HashMap::new();
    while reader.read_record(&mut row)? {
        let day = &row[4][..10];
        let moved = match moved_days.get(day) {
            Some(moved) => moved,
            None => {
                let at = Timestamp::parse(day, &Zone::UTC).map_err(io::Error::other)?.plus_days(days);
                moved_days.entry(day.to_owned()).or_insert(at.to_string()[..10].to_owned())
            }
        };
        let at = format!("{moved}{}", &row[4][10..]);
        for (i, cell) in row.iter().enumerate() {
            writer.write_field(if i == 4 { &at } else { cell })?;
        }
        writer.write_record(None::<&[u8]>)?;
        seen.note(&row);
    }
    writer.flush()?;
    Ok(seen)
}

impl Seen {
    /// Columns: InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID, Country.
    fn note(&mut self, row: &csv::StringRecord) {
        self.lines += 1;
        let (code, name, customer) = (&row[1], row[2].trim(), &row[6]);
        if !customer.is_empty() && !self.countries.contains_key(customer) {
            self.countries.insert(customer.to_owned(), row[7].to_owned());
        }
        // Real products have a code that begins with digits; postage, fees and the like do not.
        if !code.starts_with(|c: char| c.is_ascii_digit()) {
            return;
        }
        let price = Amount::parse(&row[5]).unwrap_or_default();
        if !self.products.contains_key(code) {
            self.products.insert(code.to_owned(), ProductSeen::default());
        }
        if let Some(product) = self.products.get_mut(code)
            && !name.is_empty()
            && price > Amount::ZERO
        {
            match product.names.get_mut(name) {
                Some(count) => *count += 1,
                None => drop(product.names.insert(name.to_owned(), 1)),
            }
        }
        if self.lines.is_multiple_of(23) && price > Amount::ZERO && !customer.is_empty() {
            self.sample.push((code.to_owned(), price));
        }
    }
}

fn write_contacts(path: &Path, seen: &Seen, seed: u64) -> io::Result<()> {
    let mut writer = csv::Writer::from_path(path)?;
    writer.write_record([
        "external_id",
        "first_name",
        "last_name",
        "email",
        "country",
        "locale",
        "time_zone",
        "consent.newsletter",
    ])?;
    for (number, country) in &seen.countries {
        let person = people::invent(number, country, seed);
        writer.write_record([
            &person.external_id,
            person.first_name,
            person.last_name,
            &person.email,
            &person.country,
            person.locale,
            person.time_zone,
            person.newsletter,
        ])?;
    }
    writer.flush()
}

fn write_products(path: &Path, seen: &Seen) -> io::Result<()> {
    let mut writer = BufWriter::new(File::create(path)?);
    for (code, product) in &seen.products {
        let commonest = product.names.iter().max_by_key(|(name, count)| (**count, std::cmp::Reverse(*name)));
        let Some((name, _)) = commonest else { continue };
        let (category, shape) = shelf::shelf(name);
        let row = json!({
            "product": code,
            "name": shelf::spoken(name),
            "url": format!("{SHOP}/products/{code}"),
            "image_url": format!("{SHOP}/pictures/{}", shape.file_name(shelf::hue(code))),
            "categories": [category],
        });
        writeln!(writer, "{row}")?;
    }
    writer.flush()
}

fn write_visits(path: &Path, seen: &Seen, now: Timestamp, seed: u64) -> io::Result<()> {
    let mut writer = BufWriter::new(File::create(path)?);
    for number in seen.countries.keys() {
        let mut dice = dice_of(number, seed, 1);
        for visit in 0..dice.below(VISITS_MAX + 1) {
            let (code, price) = &seen.sample[dice.below(seen.sample.len() as u64) as usize];
            let ago = dice.below((VISIT_DAYS * Timestamp::DAY) as u64) as i64;
            let row = json!({
                "kind": kind::PRODUCT_VIEWED,
                "contact": number,
                "at": now.plus(-Timestamp::DAY - ago).to_string(),
                "message_id": format!("visit-{number}-{visit}"),
                "properties": {"product_id": code, "price": price.to_f64()},
            });
            writeln!(writer, "{row}")?;
        }
    }
    writer.flush()
}

fn open_carts(seen: &Seen, now: Timestamp, seed: u64) -> Vec<OpenCart> {
    let mut carts = Vec::new();
    for number in seen.countries.keys() {
        let mut dice = dice_of(number, seed, 2);
        if dice.below(100) >= OPEN_CARTS_PERCENT {
            continue;
        }
        let mut lines: Vec<(String, i64, Amount)> = Vec::new();
        for _ in 0..=dice.below(4) {
            let (code, price) = &seen.sample[dice.below(seen.sample.len() as u64) as usize];
            if lines.iter().all(|(known, ..)| known != code) {
                lines.push((code.clone(), 1 + dice.below(6) as i64, *price));
            }
        }
        let ago = Timestamp::MINUTE * 10 + dice.below((20 * Timestamp::DAY) as u64) as i64;
        carts.push(OpenCart {
            id: format!("open-{number}"),
            contact: number.clone(),
            updated_at: now.plus(-ago),
            lines,
        });
    }
    carts
}

fn dice_of(customer: &str, seed: u64, purpose: u64) -> Dice {
    let number = customer.bytes().fold(0_u64, |n, b| n.wrapping_mul(31).wrapping_add(u64::from(b)));
    Dice::of(&[seed, purpose, number])
}
