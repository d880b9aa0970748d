//! Connections: accepted while there is room, and given up on when their peers are slow or gone.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a connection may take for a request's head, and stay idle between requests.
const HEAD: Duration = Duration::from_secs(75);
/// The largest head, in bytes.
const LARGEST_HEAD: usize = 64 << 10;
/// How long what was sent may stay unacknowledged: longer, and the peer is gone.
const ACKNOWLEDGED: Duration = Duration::from_mins(1);
/// Connections for each request at once: most of them are idle.
const CONNECTIONS_A_REQUEST: usize = 4;
/// How long one waits for room before another is asked to leave.
const CROWDED: Duration = Duration::from_millis(20);
/// The pause after a connection could not be accepted, as when file descriptors have run out.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves `app` on `listener` until `stopping`; then lets requests under way end.
///
/// # Errors
/// None at present: connections that fail are their peers' loss.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    max_concurrency: usize,
    stopping: CancellationToken,
) -> io::Result<()> {
    let room = max_concurrency.saturating_mul(CONNECTIONS_A_REQUEST).min(Semaphore::MAX_PERMITS);
    let room = Arc::new(Semaphore::new(room));
    let (crowded, connections) = (Arc::new(Notify::new()), TaskTracker::new());
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(LARGEST_HEAD);
    let mut stop = pin!(stopping.cancelled());
    loop {
        let accepted = tokio::select! {
            // Beyond the limit connections wait in the system's queue.
            accepted = accept(&listener, &room, &crowded) => accepted,
            () = &mut stop => break,
        };
        let (stream, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(PAUSE).await;
                continue;
            }
        };
        let app = TowerToHyperService::new(app.clone());
        let is_used = Arc::new(AtomicBool::new(false));
        let used = Arc::clone(&is_used);
        let service = service_fn(move |request| {
            used.store(true, Ordering::Relaxed);
            app.call(request)
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let (crowded, stopping) = (Arc::clone(&crowded), stopping.clone());
        connections.spawn(async move {
            let mut connection = pin!(connection);
            let told_to_leave = async {
                tokio::select! {
                    () = crowded.notified() => {}
                    () = stopping.cancelled() => {}
                }
            };
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = told_to_leave => {
                    // An idle one ends at once, one at work once it has answered.
                    connection.as_mut().graceful_shutdown();
                    // One that has not asked for anything yet loses nothing.
                    if is_used.load(Ordering::Relaxed) { connection.await } else { Ok(()) }
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(permit);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
    crowded: &Notify,
) -> io::Result<(TcpStream, Option<tokio::sync::OwnedSemaphorePermit>)> {
    // The semaphore is never closed.
    let mut permit = pin!(Arc::clone(room).acquire_owned());
    let permit = loop {
        match timeout(CROWDED, permit.as_mut()).await {
            Ok(permit) => break permit.ok(),
            // The oldest connection first; most are idle, and their peers will open another.
            Err(_) => crowded.notify_one(),
        }
    };
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    sockopt::set_tcp_user_timeout(
        &stream,
        u32::try_from(ACKNOWLEDGED.as_millis()).unwrap_or(u32::MAX),
    )?;
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, ACKNOWLEDGED)?;
    Ok((stream, permit))
}
