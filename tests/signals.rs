//! Signals: the first asks softly, the second does not. One test in a process of its own, since a
//! signal reaches every test of a process.

use std::time::Duration;

use demand_context_manager::lifecycle::{Ending, Lifecycle};
use rustix::process::{Signal, getpid, kill_process};

#[tokio::test]
async fn the_first_signal_stops_softly_and_the_second_at_once() {
    let lifecycle = Lifecycle::new();
    let soft = lifecycle.soft().clone();
    lifecycle.spawn("stubborn", std::future::pending());
    // Listening begins when the run is first polled, which is before this task is.
    let waiting = lifecycle.clone();
    let run = tokio::spawn(async move { waiting.run(Duration::from_mins(10)).await });
    tokio::task::yield_now().await;

    kill_process(getpid(), Signal::TERM).unwrap();
    soft.cancelled().await;
    assert!(!lifecycle.hard().is_cancelled());
    assert!(!run.is_finished());

    kill_process(getpid(), Signal::INT).unwrap();
    assert_eq!(run.await.unwrap().unwrap(), Ending::Forced { tasks: vec!["stubborn"] });
}
