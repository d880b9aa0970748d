//! How fast the server is: the same objects by a client that does HTTP over plain sockets, neither
//! signs nor verifies, and throws away what arrives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CONNECTIONS: usize = 16;
const PART: u64 = 8 << 20;

/// Brings or sends `count` objects of `size` bytes, large ones in parts.
pub async fn measure(address: &str, up: bool, count: u64, size: u64) {
    let parts = size.div_ceil(PART).max(1);
    let next = Arc::new(AtomicU64::new(0));
    let workers: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            tokio::spawn(work(address.to_owned(), up, (count, size, parts), Arc::clone(&next)))
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
}

async fn work(
    address: String,
    up: bool,
    (count, size, parts): (u64, u64, u64),
    next: Arc<AtomicU64>,
) {
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut buffer, zeros) = (vec![0; 1 << 18], vec![0; 1 << 18]);
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        if index >= count * parts {
            return;
        }
        let (object, part) = (index / parts, index % parts);
        let (first, end) = (part * PART, size.min((part + 1) * PART));
        let mut left = end - first;
        if up {
            let head = format!(
                "PUT /b/ceiling/{object}-{part} HTTP/1.1\r\nhost: s3\r\ncontent-length: {left}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            while left > 0 {
                let length = usize::try_from(left).unwrap().min(zeros.len());
                stream.write_all(&zeros[..length]).await.unwrap();
                left -= length as u64;
            }
        } else {
            let name = format!("{:03}/{object:06}", object / 1000);
            let set = match size {
                4096 => "small",
                4_194_304 => "medium",
                _ => "large",
            };
            let head = format!(
                "GET /b/down/{set}/{name}.bin HTTP/1.1\r\nhost: s3\r\nrange: bytes={first}-{}\r\n\r\n",
                end - 1
            );
            stream.write_all(head.as_bytes()).await.unwrap();
        }
        let mut head = Vec::new();
        let body_in_buffer = loop {
            let read = stream.read(&mut buffer).await.unwrap();
            assert_ne!(read, 0, "the server closed the connection");
            head.extend_from_slice(&buffer[..read]);
            if let Some(end) = head.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break head.len() - end - 4;
            }
        };
        assert!(head.starts_with(b"HTTP/1.1 20"), "{}", String::from_utf8_lossy(&head));
        let mut left = if up { 0 } else { end - first - body_in_buffer as u64 };
        while left > 0 {
            let read = stream.read(&mut buffer).await.unwrap();
            assert_ne!(read, 0, "the server closed the connection");
            left -= read as u64;
        }
    }
}
