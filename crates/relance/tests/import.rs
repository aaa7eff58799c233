//! `relance import` as people run it: exit status, messages, the shop's real file, and kills at any moment.

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

fn relance(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relance"));
    command.current_dir(folder).args(arguments).env_remove("RELANCE_DATABASE").env_remove("RELANCE_CRASH_AT");
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    relance(folder, arguments).output().unwrap()
}

fn data(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/online_retail").join(name).display().to_string()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Orders, contacts, sum of totals and of refunds, orders that count: read through a second opening of the base.
fn figures(database: &Path) -> (usize, u64, String, String, usize) {
    use storage::{contacts::ContactStore, orders::OrderStore};
    let store = storage_sqlite::Sqlite::open(database, storage_sqlite::Options::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (send, receive) = std::sync::mpsc::channel();
    let visit = move |chunk: &[model::Order]| send.send(chunk.to_vec()).is_ok();
    runtime.block_on(store.scan_orders(model::Timestamp::MIN, model::Timestamp::MAX, visit)).unwrap();
    let orders: Vec<model::Order> = receive.into_iter().flatten().collect();
    let (contacts, _) = runtime.block_on(store.count_contacts()).unwrap();
    let sum = |part: fn(&model::Order) -> model::Amount| {
        model::Amount(orders.iter().map(|order| part(order).0).sum()).to_string()
    };
    let counting = orders.iter().filter(|order| order.counts()).count();
    (orders.len(), contacts, sum(|order| order.total), sum(|order| order.refunded), counting)
}

#[test]
fn the_orders_of_online_retail_come_in_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = data("orders.csv.zst");
    let map = "order_id=order_id,contact=customer_id,ordered_at=ts,total=amount";
    let arguments = ["import", "orders", &file, "--map", map, "--currency", "GBP"];
    let first = run(folder.path(), &arguments);
    assert!(first.status.success(), "{}", text(&first.stderr));
    let database = folder.path().join("relance.db");
    let wanted = (18_532, 4_338, "8911407.904".to_owned(), "0".to_owned(), 18_532);
    assert_eq!(figures(&database), wanted);
    let second = run(folder.path(), &[&arguments[..], &["--format", "csv"]].concat());
    assert!(second.status.success());
    assert_eq!(text(&second.stdout), "what,new,changed,known,refused\norders,0,0,18532,0\n");
    assert!(text(&second.stderr).contains("imported before"), "{}", text(&second.stderr));
    assert_eq!(figures(&database), wanted);
    // The workspace's currency is the pound now.
    let other = run(folder.path(), &["import", "orders", &file, "--currency", "USD"]);
    assert_eq!(other.status.code(), Some(1));
    assert!(text(&other.stderr).contains("currency.other"), "{}", text(&other.stderr));
}

#[test]
fn carts_and_push_subscriptions_come_in_like_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let carts = "Basket,customer,updated_at,items\nc1,a,2026-01-01,\"[{\"\"sku\"\": \"\"P\"\", \"\"price\"\": 5}]\"\nc2,,2026-01-01,[]\n";
    std::fs::write(folder.path().join("carts.csv"), carts).unwrap();
    let push = "contact,endpoint\na,https://push.example/1\n";
    std::fs::write(folder.path().join("push.csv"), push).unwrap();
    let args = ["import", "carts", "carts.csv", "--map", "cart_id=Basket", "--format", "csv"];
    let first = run(folder.path(), &args);
    assert_eq!(first.status.code(), Some(2), "{}", text(&first.stderr));
    let header = "what,new,changed,known,refused\n";
    assert_eq!(text(&first.stdout), format!("{header}contacts,1,0,0,0\nproducts,1,0,0,0\ncarts,1,0,0,0\n"));
    assert!(folder.path().join("carts.csv.rejected.csv").exists());
    let again = run(folder.path(), &args);
    assert_eq!(text(&again.stdout), format!("{header}carts,0,0,1,0\n"), "{}", text(&again.stderr));
    let push = run(folder.path(), &["import", "push", "push.csv", "--format", "csv"]);
    assert_eq!(text(&push.stdout), format!("{header}contacts,0,1,0,0\n"), "{}", text(&push.stderr));
}

#[test]
fn rejected_rows_give_status_2_and_a_list() {
    let folder = tempfile::tempdir().unwrap();
    let file = "order_id,contact,ordered_at,total\n1,a,2024-01-01,10\n2,a,2024-01-01,ten\n";
    std::fs::write(folder.path().join("orders.csv"), file).unwrap();
    let output = run(folder.path(), &["import", "orders", "orders.csv"]);
    assert_eq!(output.status.code(), Some(2));
    let listed = std::fs::read_to_string(folder.path().join("orders.csv.rejected.csv")).unwrap();
    assert_eq!(
        listed,
        "row,field,column,value,code,reason,cure\n\
         3,total,total,ten,amount.invalid,`ten` is not a number,\"write digits with a decimal point, as in 12.50\"\n"
    );
    // Mended and imported again, nothing is rejected and the list is gone.
    std::fs::write(folder.path().join("orders.csv"), file.replace("ten", "10")).unwrap();
    let output = run(folder.path(), &["import", "orders", "orders.csv", "--format", "csv"]);
    assert!(output.status.success());
    assert_eq!(text(&output.stdout), "what,new,changed,known,refused\norders,1,0,1,0\n");
    assert!(!folder.path().join("orders.csv.rejected.csv").exists());
}

#[test]
fn standard_input_and_what_is_wrong_with_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = relance(folder.path(), &["import", "contacts", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"id;email\n1;a@example.test\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let orders = "order_id,contact,ordered_at,total\n1,a,2024-01-01,x\n";
    std::fs::write(folder.path().join("orders.csv"), orders).unwrap();
    std::fs::write(folder.path().join("bad.yaml"), "kind: orders\ncolumms: {}\n").unwrap();
    for (arguments, told) in [
        (&["none.csv"][..], "file.missing"),
        (&["."], "file.directory"),
        (&["orders.csv", "--map", "contct=contact"], "did you mean `contact`"),
        (&["orders.csv", "--map", "contact=contct"], "did you mean `contact`"),
        (&["orders.csv", "--mapping", "bad.yaml"], "bad.yaml:2:1"),
        (&["orders.csv", "--timezone", "Europe/Pari"], "zone.unknown"),
        (&["orders.csv", "--rate", "USD"], "currency"),
        (&["orders.csv", "--database", "sqlite:none/x.db"], "error"),
        (&["orders.csv", "--rejects", "none/x.csv"], "rejects.unwritable"),
    ] {
        let output = run(folder.path(), &[&["import", "orders"], arguments].concat());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output.stderr).contains(told), "{arguments:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[cfg(not(feature = "parquet"))]
#[test]
fn parquet_says_how_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("orders.parquet"), "PAR1 and so on").unwrap();
    let output = run(folder.path(), &["import", "orders", "orders.parquet"]);
    assert!(text(&output.stderr).contains("--features parquet"), "{}", text(&output.stderr));
}

/// A file of lines with cancellations, in several batches.
fn many_lines(folder: &Path) {
    let mut file = "order_id,contact,ordered_at,product,name,quantity,unit_price\n".to_owned();
    for order in 0..6_000 {
        let (contact, day) = (order % 997, 1 + order % 28);
        for product in [order % 31, order % 7] {
            file += &format!("{order},{contact},2024-01-{day:02},P{product},Product {product},2,1.25\n");
        }
        if order % 9 == 0 {
            file += &format!("C{order},{contact},2024-02-{day:02},P{},Product,-1,1.25\n", order % 7);
        }
    }
    std::fs::write(folder.join("lines.csv"), file).unwrap();
}

const LINES: &[&str] = &["import", "orders", "lines.csv", "--cancellation-prefix", "C"];

#[test]
fn a_process_that_dies_at_any_point_goes_on_where_it_stood() {
    let folder = tempfile::tempdir().unwrap();
    many_lines(folder.path());
    let whole = run(folder.path(), LINES);
    assert!(whole.status.success(), "{}", text(&whole.stderr));
    let wanted = figures(&folder.path().join("relance.db"));
    assert_eq!(wanted.0, 6_000);
    for point in [
        "import.before_commit",
        "import.before_commit:4",
        "sqlite.before_commit:2",
        "sqlite.after_commit:3",
        "sqlite.after_commit:6",
    ] {
        let folder = tempfile::tempdir().unwrap();
        many_lines(folder.path());
        let died = relance(folder.path(), LINES).env("RELANCE_CRASH_AT", point).output().unwrap();
        assert!(!died.status.success(), "{point} was not passed");
        let again = run(folder.path(), LINES);
        assert!(again.status.success(), "{point}: {}", text(&again.stderr));
        assert_eq!(figures(&folder.path().join("relance.db")), wanted, "{point}");
    }
}

#[test]
fn a_process_that_is_killed_goes_on_where_it_stood() {
    let folder = tempfile::tempdir().unwrap();
    many_lines(folder.path());
    assert!(run(folder.path(), LINES).status.success());
    let wanted = figures(&folder.path().join("relance.db"));
    let folder = tempfile::tempdir().unwrap();
    many_lines(folder.path());
    // Killed again and again, a little later each time, until it gets through.
    for wait in (20..).step_by(40) {
        let mut child =
            relance(folder.path(), LINES).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(wait));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(figures(&folder.path().join("relance.db")), wanted);
}
