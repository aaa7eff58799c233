//! `relance recommend evaluate`: answers carts out of a file with what was learned from orders out of a file, through
//! the same step, catalogue and relations that journeys use. No database is touched.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use bench::Stopwatch;
use model::{Amount, Dice, Problem, Product, ProductId, Timestamp, Value, Zone};
use recommend::{Catalogue, ContactFacts, Figures, GetProducts, Params, Seen, TrainingOrder, train::train};
use segment::{Data, RefPath};

use crate::context::Failure;

/// Most products in an answer.
const DEPTH: usize = 6;

/// Options of `relance recommend evaluate`.
#[derive(clap::Args)]
pub struct Args {
    /// Orders to learn from: basket_id,customer_id,ts,items (items separated by spaces); plain or .zst
    #[arg(long, value_name = "FILE")]
    orders: PathBuf,
    /// Carts to answer: cart_id,task,basket_id,customer_id,context,targets; targets are not read; plain or .zst
    #[arg(long, value_name = "FILE")]
    carts: PathBuf,
    /// Learn from orders before this instant only (UTC)
    #[arg(long, value_name = "INSTANT")]
    until: String,
    /// Where to write the answers: cart_id,item in rank order
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Neighbours that each product keeps
    #[arg(long, default_value_t = recommend::relations::NEIGHBOURS_DEFAULT, value_name = "N")]
    neighbours: usize,
}

/// Runs it.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    super::check_neighbours(args.neighbours)?;
    let until = Timestamp::parse(&args.until, &Zone::UTC).map_err(|problem| problem.field("--until"))?;
    let shop = Shop::read(&args.orders, until)?;
    let carts = read_carts(&args.carts, &shop)?;
    let watch = Stopwatch::start();
    let params = Params { neighbours: args.neighbours, ..Params::default() };
    let trained = train(&shop.orders, &params);
    let (seconds, cpu) = watch.elapsed();
    eprintln!(
        "learned from {} orders and {} products in {seconds:.1} s ({cpu:.1} CPU s): {} relations; {:?}",
        shop.orders.len(),
        shop.names.len(),
        trained.learned.len(),
        trained.settings
    );
    let catalogue = shop.catalogue(until, &trained);
    let steps = Steps::new()?;
    let watch = Stopwatch::start();
    let answers = answer_all(&shop, &carts, &catalogue, &steps);
    let report = watch.report("evaluate", carts.len() as u64);
    eprintln!(
        "answered {} carts in {:.2} s ({:.2} CPU s), {:.0} a second; peak memory {:.0} MB",
        carts.len(),
        report.seconds,
        report.cpu_seconds,
        report.rate,
        report.peak_rss_mb
    );
    write_answers(&args.out, &carts, &answers, &shop)?;
    Ok(ExitCode::SUCCESS)
}

/// A cart to answer.
struct Cart {
    id: String,
    task: Task,
    customer: String,
    context: Vec<ProductId>,
}

/// What is asked of a cart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Task {
    /// What else belongs into it (`loo`, `half`): never what it holds.
    Complete,
    /// The customer's next order (`next`), what was bought before included.
    Next,
}

/// The orders of a file, products and customers numbered.
struct Shop {
    orders: Vec<TrainingOrder>,
    /// By product number minus 1.
    names: Vec<String>,
    ids: HashMap<String, ProductId>,
    /// By the file's customer: what was bought when.
    histories: HashMap<String, Vec<Seen>>,
}

impl Shop {
    fn read(path: &Path, until: Timestamp) -> Result<Self, Failure> {
        let mut shop =
            Self { orders: Vec::new(), names: Vec::new(), ids: HashMap::new(), histories: HashMap::new() };
        let mut customers: HashMap<String, u32> = HashMap::new();
        for_each_row(path, &["customer_id", "ts", "items"], |row, cells| {
            let at = Timestamp::parse(cells[1], &Zone::UTC).map_err(|problem| {
                problem
                    .field("ts")
                    .in_file(path.display().to_string())
                    .value(format!("row {row}: {}", cells[1]))
            })?;
            if at >= until {
                return Ok(());
            }
            let mut products: Vec<ProductId> =
                cells[2].split_whitespace().map(|name| shop.id(name)).collect();
            products.sort_unstable();
            products.dedup();
            let next = customers.len() as u32;
            let customer =
                (!cells[0].is_empty()).then(|| *customers.entry(cells[0].to_owned()).or_insert(next));
            if customer.is_some() {
                let history = shop.histories.entry(cells[0].to_owned()).or_default();
                history.extend(products.iter().map(|product| Seen { product: *product, at }));
            }
            shop.orders.push(TrainingOrder { customer, at, products });
            Ok(())
        })?;
        if shop.orders.is_empty() {
            return Err(Problem::new("evaluate.no_orders", "no order lies before --until")
                .field("--until")
                .in_file(path.display().to_string())
                .cure("check the column ts and the instant")
                .into());
        }
        Ok(shop)
    }

    fn id(&mut self, name: &str) -> ProductId {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        self.names.push(name.to_owned());
        let id = ProductId(self.names.len() as u32);
        self.ids.insert(name.to_owned(), id);
        id
    }

    /// All products at one price and in stock, with the sales of the orders.
    fn catalogue(&self, until: Timestamp, trained: &recommend::Trained) -> Catalogue {
        let products = self.names.iter().enumerate().map(|(i, name)| Product {
            id: ProductId(i as u32 + 1),
            external_id: name.clone(),
            name: name.clone(),
            unit_price: Some(Amount::units(1)),
            ..Product::default()
        });
        let figures = self.orders.iter().flat_map(|order| {
            let day = order.at.day_utc();
            order.products.iter().map(move |product| Figures {
                product: *product,
                day,
                orders: 1,
                units: 1,
                visits: 0,
            })
        });
        Catalogue::new(products.collect(), figures.collect(), until)
            .with_relations(trained.learned.clone(), trained.together.clone())
            .with_half_life(trained.settings.repeat_half_life_days)
    }

    fn answer(&self, cart: &Cart, catalogue: &Catalogue, steps: &Steps) -> Vec<ProductId> {
        let mut facts = ContactFacts::default();
        if cart.task == Task::Next {
            // A customer that the orders do not name is known by the cart's context alone, times unknown.
            let before = |product: &ProductId| Seen { product: *product, at: catalogue.now().plus_days(-1) };
            facts.bought = match self.histories.get(&cart.customer) {
                Some(history) => history.clone(),
                None => cart.context.iter().map(before).collect(),
            };
        }
        let step = if cart.task == Task::Next { &steps.next } else { &steps.complete };
        recommend::select(step, catalogue, &facts, cart, &[], catalogue.now(), &mut Dice::new(0))
    }
}

/// The two steps that answer, written as a journey file would write them.
struct Steps {
    complete: GetProducts,
    next: GetProducts,
}

impl Steps {
    fn new() -> Result<Self, Failure> {
        let step = |text: String| -> Result<GetProducts, Failure> {
            Ok(GetProducts::parse(&model::doc::parse(&text)?, "evaluate")?)
        };
        Ok(Self {
            complete: step(format!(
                "{{total: {DEPTH}, main: {{case: related_to_cart, related_to: {{ref: trigger.cart.products}}, \
                 exclude_bought: false}}}}"
            ))?,
            next: step(format!(
                "{{total: {DEPTH}, main: {{case: own_repeats}}, additional: {{case: related_to_list, \
                 related_to: {{ref: trigger.cart.products}}, exclude_bought: false}}}}"
            ))?,
        })
    }
}

/// The cart's products, as a trigger would export them.
impl Data for Cart {
    fn value(&self, _: &RefPath) -> Option<Value> {
        None
    }
    fn products(&self, _: &RefPath) -> Vec<ProductId> {
        self.context.clone()
    }
}

/// Answers in the carts' order, shared out to all processors.
fn answer_all(shop: &Shop, carts: &[Cart], catalogue: &Catalogue, steps: &Steps) -> Vec<Vec<ProductId>> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = carts.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let answer =
            |part: &[Cart]| part.iter().map(|cart| shop.answer(cart, catalogue, steps)).collect::<Vec<_>>();
        let workers: Vec<_> = carts.chunks(share).map(|part| scope.spawn(move || answer(part))).collect();
        // A thread fails only by a panic of its own, which is passed on.
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

fn read_carts(path: &Path, shop: &Shop) -> Result<Vec<Cart>, Failure> {
    let mut carts = Vec::new();
    for_each_row(path, &["cart_id", "task", "customer_id", "context"], |row, cells| {
        let task = match cells[1] {
            "loo" | "half" => Task::Complete,
            "next" => Task::Next,
            other => {
                return Err(Problem::new("evaluate.task", format!("row {row}: `{other}` is no task"))
                    .in_file(path.display().to_string())
                    .field("task")
                    .suggest(other, ["loo", "half", "next"])
                    .into());
            }
        };
        carts.push(Cart {
            id: cells[0].to_owned(),
            task,
            customer: cells[2].to_owned(),
            // What no order before held is known to nobody.
            context: cells[3].split_whitespace().filter_map(|name| shop.ids.get(name).copied()).collect(),
        });
        Ok(())
    })?;
    Ok(carts)
}

/// Calls `visit` with the row's number (the header is row 1) and the cells of the named columns.
fn for_each_row(
    path: &Path,
    columns: &[&'static str],
    mut visit: impl FnMut(u64, &[&str]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let file = path.display().to_string();
    let wrong = |error: csv::Error| {
        Failure::from(Problem::new("csv.unreadable", error.to_string()).in_file(path.display().to_string()))
    };
    let mut reader = csv::ReaderBuilder::new().from_reader(open(path)?);
    let header = reader.headers().map_err(wrong)?.clone();
    let mut places = Vec::with_capacity(columns.len());
    for column in columns {
        let place = header.iter().position(|name| name.trim_start_matches('\u{feff}') == *column);
        places.push(place.ok_or_else(|| {
            Problem::new("csv.column_missing", format!("there is no column `{column}`"))
                .in_file(&file)
                .field(*column)
                .cure(format!("the file has: {}", header.iter().collect::<Vec<_>>().join(", ")))
        })?);
    }
    let mut record = csv::StringRecord::new();
    let mut row = 1;
    while reader.read_record(&mut record).map_err(wrong)? {
        row += 1;
        let cells: Vec<&str> = places.iter().map(|place| record.get(*place).unwrap_or_default()).collect();
        visit(row, &cells)?;
    }
    Ok(())
}

/// A file as it is, or unpacked when it begins as a zstd frame does.
fn open(path: &Path) -> Result<Box<dyn Read>, Failure> {
    const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    let unreadable = |error: std::io::Error| {
        Failure::from(Problem::new("file.unreadable", error.to_string()).in_file(path.display().to_string()))
    };
    let mut file = BufReader::with_capacity(1 << 16, File::open(path).map_err(unreadable)?);
    let packed = file.fill_buf().map_err(unreadable)?.starts_with(&ZSTD_MAGIC);
    if packed {
        Ok(Box::new(zstd::Decoder::with_buffer(file).map_err(unreadable)?))
    } else {
        Ok(Box::new(file))
    }
}

fn write_answers(
    path: &Path,
    carts: &[Cart],
    answers: &[Vec<ProductId>],
    shop: &Shop,
) -> Result<(), Failure> {
    let mut out = csv::Writer::from_writer(BufWriter::new(File::create(path)?));
    let failed = |error: csv::Error| Failure::Other(format!("{}: {error}", path.display()));
    out.write_record(["cart_id", "item"]).map_err(failed)?;
    for (cart, answer) in carts.iter().zip(answers) {
        for product in answer.iter().take(DEPTH) {
            let name = &shop.names[product.0 as usize - 1];
            out.write_record([cart.id.as_str(), name.as_str()]).map_err(failed)?;
        }
    }
    out.flush()?;
    let mut buffer = out.into_inner().map_err(|error| Failure::Other(error.to_string()))?;
    buffer.flush()?;
    Ok(())
}
