//! Calls that carry bytes, as the S3 in memory carries them out: how many are under way at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::mishaps::Call;

/// Far beyond what any worker here takes to begin its calls.
const PATIENCE: Duration = Duration::from_mins(1);
/// What an answer is given away in, so that whoever is slow to read holds it up.
const CHUNK: usize = 64 << 10;
/// For calls beyond those expected to come: where they take longer, a test misses them.
const GRACE: Duration = Duration::from_millis(300);

#[derive(Debug)]
pub struct Traffic {
    now: Arc<AtomicUsize>,
    most: watch::Sender<usize>,
    /// How many must be under way before the first of them is answered; 0 once they were.
    gate: watch::Sender<usize>,
}

impl Default for Traffic {
    fn default() -> Self {
        let (most, gate) = (watch::Sender::new(0), watch::Sender::new(0));
        Self { now: Arc::default(), most, gate }
    }
}

/// A call under way.
struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Traffic {
    /// How many calls were under way at once at most.
    pub fn most(&self) -> usize {
        *self.most.borrow()
    }

    /// Forgets how many there were, and answers none before so many are under way.
    pub fn gather(&self, count: usize) {
        self.most.send_replace(0);
        self.gate.send_replace(count);
    }

    pub async fn pass(&self, request: Request, next: Next) -> Response {
        let call = Call::of(&request);
        if !call.carries_bytes() {
            return next.run(request).await;
        }
        let now = self.now.fetch_add(1, SeqCst) + 1;
        let under_way = UnderWay(Arc::clone(&self.now));
        self.most.send_modify(|most| *most = now.max(*most));
        let gate = *self.gate.borrow();
        if gate > 0 {
            let mut most = self.most.subscribe();
            // Where so many never come, it is for the test to say so.
            let _ = timeout(PATIENCE, most.wait_for(|most| *most >= gate)).await;
            sleep(GRACE).await;
            self.gate.send_replace(0);
        }
        let (parts, body) = next.run(request).await.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let mut chunks: Vec<Bytes> =
            body.chunks(CHUNK).map(|chunk| body.slice_ref(chunk)).collect();
        let Some(last) = chunks.pop() else {
            return Response::from_parts(parts, Body::empty());
        };
        // It is over when its last bytes leave: then the worker may begin the next.
        let last = stream::once(async move {
            drop(under_way);
            last
        });
        let body = stream::iter(chunks).chain(last).map(Ok::<_, std::io::Error>);
        Response::from_parts(parts, Body::from_stream(body))
    }
}
