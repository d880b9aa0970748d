//! A proxy that does to calls what networks and busy services do: it refuses, breaks, delays, and
//! loses answers. What it does to a call is asked of a function.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Answered with this status and body, and never forwarded.
    Answer(u16, &'static str),
    /// Forwarded; then the connection is closed without an answer.
    DropAfter,
    /// The connection is closed before anything is forwarded.
    DropBefore,
    /// Forwarded after this long.
    Delay(Duration),
    /// Forwarded; the answer is replaced by one with this status and body.
    Replace(u16, &'static str),
}

/// A proxy before one upstream, until dropped.
pub struct Proxy {
    pub url: String,
    _serving: AbortOnDropHandle<()>,
}

impl Proxy {
    /// Stands before `upstream` (`http://host:port`); `fault` is asked with each call's path.
    pub async fn before(
        upstream: &str,
        fault: impl Fn(&str) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let upstream = upstream.trim_start_matches("http://").to_owned();
        let fault = Arc::new(fault);
        let serving = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (upstream, fault) = (upstream.clone(), Arc::clone(&fault));
                tokio::spawn(async move {
                    // A caller or upstream that goes away is part of the game.
                    let _ = serve(connection, &upstream, &*fault).await;
                });
            }
        });
        Self { url, _serving: AbortOnDropHandle::new(serving) }
    }
}

/// Serves one call and closes the connection.
async fn serve(
    mut caller: TcpStream,
    upstream: &str,
    fault: &(dyn Fn(&str) -> Fault + Send + Sync),
) -> std::io::Result<()> {
    let Some((head, body)) = read_call(&mut caller).await? else { return Ok(()) };
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    match fault(&path) {
        Fault::None => {
            let answer = forward(upstream, &head, &body).await?;
            caller.write_all(&answer).await?;
        }
        Fault::Answer(status, body) => caller.write_all(&answer(status, body)).await?,
        Fault::DropBefore => {}
        Fault::DropAfter => {
            forward(upstream, &head, &body).await?;
        }
        Fault::Delay(by) => {
            tokio::time::sleep(by).await;
            let answer = forward(upstream, &head, &body).await?;
            caller.write_all(&answer).await?;
        }
        Fault::Replace(status, with) => {
            forward(upstream, &head, &body).await?;
            caller.write_all(&answer(status, with)).await?;
        }
    }
    caller.shutdown().await
}

/// The head of a call up to its blank line, and its body; nothing when the caller went away.
async fn read_call(caller: &mut TcpStream) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut bytes = Vec::new();
    let end = loop {
        if caller.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length: usize = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, length)| length.trim().parse().unwrap());
    let mut body = bytes.split_off(end);
    while body.len() < length {
        if caller.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some((head, body)))
}

/// Makes the call on a connection of its own, whose end is the answer's.
async fn forward(upstream: &str, head: &str, body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut upstream = TcpStream::connect(upstream).await?;
    let head = head.trim_end();
    upstream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    upstream.write_all(body).await?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).await?;
    Ok(answer)
}

fn answer(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}
