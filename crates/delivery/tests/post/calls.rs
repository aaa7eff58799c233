//! Calls of other servers: to the address that was checked, and nowhere else.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use delivery::fetch::{Call, Fetcher, Resolve, Resolving, Trouble};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// A server that counts who comes, and answers so.
async fn server(answer: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, calls) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
    let count = Arc::clone(&calls);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let mut buffer = [0; 4096];
            drop(stream.read(&mut buffer).await);
            drop(stream.write_all(answer.as_bytes()).await);
        }
    });
    (address, calls)
}

/// Gives other addresses each time it is asked.
struct Turncoat(Mutex<Vec<Vec<SocketAddr>>>, AtomicUsize);

impl Resolve for Turncoat {
    fn resolve<'a>(&'a self, _: &'a str, _: u16) -> Resolving<'a> {
        self.1.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.0.lock().unwrap();
        let now = if answers.is_empty() { Vec::new() } else { answers.remove(0) };
        Box::pin(std::future::ready(io::Result::Ok(now)))
    }
}

fn call(url: &str) -> Call<'_> {
    Call { method: "POST", url, headers: &[], body: b"{}", answer_max: 1_000 }
}

#[tokio::test]
async fn a_name_is_looked_up_once_and_what_was_checked_is_called() {
    let (first, calls) = server("HTTP/1.1 200 OK\r\n\r\n").await;
    let (second, other) = server("HTTP/1.1 200 OK\r\n\r\n").await;
    let names = Arc::new(Turncoat(Mutex::new(vec![vec![first], vec![second]]), AtomicUsize::new(0)));
    let fetcher =
        Fetcher::new(None).unwrap().allowing_private(true).resolving(Arc::<Turncoat>::clone(&names));
    fetcher.call(&call("http://rebind.example/")).await.unwrap();
    assert_eq!((calls.load(Ordering::SeqCst), other.load(Ordering::SeqCst)), (1, 0));
    assert_eq!(names.1.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn private_addresses_are_refused_however_they_come() {
    let (own, calls) = server("HTTP/1.1 200 OK\r\n\r\n").await;
    let mapped = SocketAddr::new("::ffff:127.0.0.1".parse().unwrap(), own.port());
    let metadata = SocketAddr::new("169.254.169.254".parse().unwrap(), 80);
    for addresses in [vec![own], vec![mapped], vec![own, mapped], vec![metadata]] {
        let names = Arc::new(Turncoat(Mutex::new(vec![addresses.clone()]), AtomicUsize::new(0)));
        let fetcher = Fetcher::new(None).unwrap().resolving(names);
        let refused = fetcher.call(&call("http://inside.example/")).await.unwrap_err();
        assert!(matches!(refused, Trouble::Private(_)), "{addresses:?}: {refused:?}");
    }
    // As texts, through the machine's own resolver.
    for host in ["127.0.0.1", "2130706433", "0177.0.0.1", "[::ffff:7f00:1]", "localhost"] {
        let url = format!("http://{host}:{}/", own.port());
        let refused = Fetcher::new(None).unwrap().call(&call(&url)).await.unwrap_err();
        assert!(matches!(refused, Trouble::Private(_) | Trouble::Unreachable(_)), "{host}: {refused:?}");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn redirects_are_not_followed_and_silence_ends() {
    let (own, calls) = server("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n").await;
    let fetcher = || Fetcher::new(None).unwrap().allowing_private(true).within(Duration::from_millis(300));
    let reply = fetcher().call(&call(&format!("http://{own}/"))).await.unwrap();
    assert_eq!((reply.status, calls.load(Ordering::SeqCst)), (302, 1));
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let trouble = fetcher().call(&call(&url)).await.unwrap_err();
    assert!(matches!(trouble, Trouble::Doubtful(_)), "{trouble:?}");
    let headers = [("webhook-id", "a\r\nX-Evil: 1".to_owned())];
    let (echo, _) = server("HTTP/1.1 200 OK\r\n\r\n").await;
    let url = format!("http://{echo}/");
    let odd = Call { headers: &headers, ..call(&url) };
    assert_eq!(fetcher().call(&odd).await.unwrap().status, 200);
}
