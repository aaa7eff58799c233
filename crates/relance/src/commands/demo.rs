//! `relance demo`: everything at once on a real data set, with captured mails to look at.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use clap::Parser;
use model::{Currency, Problem};
use storage::imports::{ContactKey, ImportBatch, ImportCart, ImportLine, ImportStore};

use crate::{
    Cli,
    context::{Common, Failure},
    demo::{self, pictures, prepare},
};

/// Marks a folder as one that a demo made, and may make anew.
const MARKER: &str = ".relance-demo";

/// Options of `relance demo`.
#[derive(clap::Args)]
pub struct Args {
    /// Where to put the files, the database and the mails (made anew when it is an earlier demo's)
    #[arg(long, default_value = "relance-demo", value_name = "FOLDER")]
    folder: PathBuf,
    /// Seed of everything that is invented
    #[arg(long, default_value_t = 11)]
    seed: u64,
}

/// Runs it.
///
/// # Errors
/// See [`Failure`].
pub async fn run(args: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let mut stage = Stage::new(&args.folder, common)?;
    println!(
        "Relance demo: a year of a gift shop's orders, from order file to one personal email for each customer."
    );
    println!(
        "Orders: Online Retail, Daqing Chen, UCI Machine Learning Repository, CC BY 4.0. People, categories,"
    );
    println!("pictures, visits and open carts are invented from seed {}.", args.seed);

    let prepared = stage.own("make the shop's files", || {
        let prepared = prepare::prepare(&args.folder, stage_now(common)?, args.seed)?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        pictures::draw_all(&args.folder.join("pictures"), threads)?;
        for (name, content) in demo::FILES {
            let path = args.folder.join(name);
            fs::create_dir_all(path.parent().unwrap_or(&args.folder))?;
            fs::write(path, content)?;
        }
        Ok(prepared)
    })?;
    println!(
        "{} order lines, moved by {} days so that the last order is yesterday's",
        prepared.lines, prepared.days_moved
    );

    stage.command(&["import", "contacts", "contacts.csv"]).await?;
    stage.command(&["import", "orders", "orders.csv", "--mapping", "mapping.yaml"]).await?;
    stage.command(&["import", "products", "products.jsonl"]).await?;
    stage.command(&["import", "events", "visits.jsonl"]).await?;
    stage.open_carts(&prepared.carts, common).await?;
    stage.command(&["rfm"]).await?;
    stage.command(&["recommend", "train"]).await?;
    stage.command(&["journey", "check", "s0/journey.yaml"]).await?;
    stage.command(&["journey", "run", "s0/journey.yaml"]).await?;
    let pictures = format!("{0}/pictures/=../pictures/", prepare::SHOP);
    stage.command(&["deliver", "--capture", "mails", "--capture-pictures", &pictures]).await?;
    stage.close(&args.folder);
    Ok(ExitCode::SUCCESS)
}

fn stage_now(common: &Common) -> Result<model::Timestamp, Failure> {
    Ok(common.clock()?.now())
}

/// Runs the demo's steps, says what it does, and keeps the times.
struct Stage {
    folder: PathBuf,
    at: String,
    times: Vec<(String, f64)>,
    began: Instant,
}

impl Stage {
    fn new(folder: &Path, common: &Common) -> Result<Self, Failure> {
        if folder.exists() {
            let is_empty = fs::read_dir(folder)?.next().is_none();
            if !is_empty && !folder.join(MARKER).exists() {
                return Err(Problem::new(
                    "demo.folder",
                    "the folder holds other things than an earlier demo",
                )
                .field("--folder")
                .value(folder.display())
                .cure("give another folder, as in --folder my-demo")
                .into());
            }
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        fs::write(folder.join(MARKER), "")?;
        Ok(Self {
            folder: folder.to_path_buf(),
            at: common.clock()?.now().to_string(),
            times: Vec::new(),
            began: now(),
        })
    }

    fn own<T>(&mut self, what: &str, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        println!("\n# {what}");
        let began = now();
        let answer = work();
        self.times.push((what.to_owned(), began.elapsed().as_secs_f64()));
        answer
    }

    /// Runs one of the program's own commands; names of files are in the demo's folder.
    async fn command(&mut self, words: &[&str]) -> Result<(), Failure> {
        let words: Vec<String> = words
            .iter()
            .map(|word| {
                let is_file = !word.contains("://") && (word.contains(['.', '/']) || *word == "mails");
                if is_file { self.folder.join(word).display().to_string() } else { (*word).to_owned() }
            })
            .collect();
        let shown = words.join(" ");
        println!("\n$ relance {shown}");
        let database = format!("sqlite:{}", self.folder.join("relance.db").display());
        let fixed = ["relance", "--database", &database, "--at", &self.at].map(str::to_owned);
        let cli = Cli::try_parse_from(fixed.into_iter().chain(words))
            .map_err(|error| Failure::Other(error.to_string()))?;
        let began = now();
        // Boxed, for a command runs within a command.
        let code = Box::pin(super::run(cli.command, &cli.common)).await?;
        self.times.push((
            shown.split(' ').take_while(|word| !word.contains(['.', '-'])).collect::<Vec<_>>().join(" "),
            began.elapsed().as_secs_f64(),
        ));
        // Status 2 says that some rows were kept aside: the real file holds a few, and the demo goes on.
        if code == ExitCode::SUCCESS || code == ExitCode::from(2) {
            return Ok(());
        }
        Err(Failure::Other(format!("`relance {shown}` did not go well")))
    }

    /// Open carts come from a shop's live connection, not from a file.
    async fn open_carts(&mut self, carts: &[prepare::OpenCart], common: &Common) -> Result<(), Failure> {
        println!("\n# {} open carts, as a shop's live connection would report them", carts.len());
        let store = Common {
            config: None,
            database: format!("sqlite:{}", self.folder.join("relance.db").display()),
            at: common.at.clone(),
            format: common.format,
        }
        .open()?;
        let mut batch = ImportBatch::new(common.clock()?.now());
        for cart in carts {
            let lines = cart
                .lines
                .iter()
                .map(|(code, quantity, unit_price)| ImportLine {
                    product: batch.code(code),
                    quantity: *quantity,
                    unit_price: *unit_price,
                })
                .collect();
            batch.carts.push(ImportCart {
                external_id: cart.id.clone(),
                contact: ContactKey::ExternalId(cart.contact.clone()),
                updated_at: cart.updated_at,
                currency: Currency::GBP,
                recovery_url: Some(format!("{}/cart/{}", prepare::SHOP, cart.id)),
                lines,
            });
        }
        let outcome = store.import(batch).await?;
        outcome.refusals.into_iter().next().map_or(Ok(()), |refusal| Err(refusal.problem.into()))
    }

    fn close(&self, folder: &Path) {
        println!("\nWhere the time went");
        for (what, seconds) in &self.times {
            println!("  {seconds:>6.2} s  {what}");
        }
        println!("  {:>6.2} s  in all", self.began.elapsed().as_secs_f64());
        println!("\nLook at the mails in a browser:  {}", folder.join("mails/index.html").display());
        let database = folder.join("relance.db");
        println!(
            "Go on with the same database:    relance rfm --database sqlite:{} --lang fr",
            database.display()
        );
    }
}

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "the demo says how long its steps take")]
    Instant::now()
}
