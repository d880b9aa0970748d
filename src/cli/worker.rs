//! What commands need that run as the first process of a container.

use tokio::signal::unix::{SignalKind, signal};

/// 128 + SIGTERM, as shells tell it.
const TERMINATED: i32 = 143;

/// Lets SIGTERM end this process from now on. The first process of a container is not ended by it
/// otherwise (kill(2)), and its job would go on until it is killed. What is under way is left as a
/// kill leaves it: the next run finishes it.
pub(super) fn end_when_told() {
    let Ok(mut told) = signal(SignalKind::terminate()) else {
        // Then it ends by being killed.
        return;
    };
    tokio::spawn(async move {
        told.recv().await;
        eprintln!("terminated");
        std::process::exit(TERMINATED);
    });
}
