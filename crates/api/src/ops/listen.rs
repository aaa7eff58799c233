//! Connections: accepted up to a number, each with a limit on the time that its headers may take, and ended in order when
//! the server stops.

use std::{future::Future, io, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo, http::Request};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tower::ServiceExt;

/// Limits of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections that are open at the same time; further ones wait to be accepted.
    pub connections: usize,
    /// The headers of a request arrive within so long, or the connection is closed; an idle one is closed after as long.
    pub header_timeout: Duration,
    /// When the server stops, requests under way are answered within so long, or cut off.
    pub stop_within: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4_096,
            header_timeout: Duration::from_secs(60),
            stop_within: Duration::from_secs(20),
        }
    }
}

/// How long nothing is accepted when the system has no more sockets or memory.
const BREATH: Duration = Duration::from_millis(100);

/// Largest head of a request: line and headers.
const HEAD_MAX: usize = 64 * 1024;

/// Serves until `stop` is ready, then ends in order. Whether all requests under way were answered in time.
///
/// # Errors
/// When the listener is not usable at all.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) -> io::Result<bool> {
    listener.local_addr()?;
    let room = Arc::new(Semaphore::new(limits.connections.max(1)));
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accept = async {
            let permit = Arc::clone(&room).acquire_owned().await.map_err(io::Error::other)?;
            listener.accept().await.map(|(stream, peer)| (stream, peer, permit))
        };
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = accept => accepted,
        };
        match accepted {
            Ok((stream, peer, permit)) => {
                // Answers are small and awaited: they leave at once.
                drop(stream.set_nodelay(true));
                let service = router.clone().map_request(move |mut request: Request<Incoming>| {
                    request.extensions_mut().insert(ConnectInfo(peer));
                    request.map(Body::new)
                });
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(limits.header_timeout)
                    .max_buf_size(HEAD_MAX)
                    .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
                let connection = graceful.watch(connection);
                tokio::spawn(async move {
                    // A connection that breaks off is its peer's business.
                    drop(connection.await);
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
    drop(listener);
    Ok(tokio::time::timeout(limits.stop_within, graceful.shutdown()).await.is_ok())
}
