//! The lifecycle: who may finish, who is aborted, and who takes the service along.

use std::convert::Infallible;
use std::time::Duration;

use demand_context_manager::lifecycle::{Ending, Lifecycle};

/// Longer than any test takes; its passing shows that nobody waited for it.
const LONG: Duration = Duration::from_mins(10);

#[tokio::test]
async fn tasks_under_way_may_finish_within_the_grace() {
    let lifecycle = Lifecycle::new();
    let (finished, seen) = tokio::sync::oneshot::channel();
    let soft = lifecycle.soft().clone();
    lifecycle.spawn_critical("server", async move {
        soft.cancelled().await;
        tokio::task::yield_now().await;
        let _ = finished.send(());
        Ok::<(), Infallible>(())
    });
    lifecycle.stop();
    assert_eq!(lifecycle.run(LONG).await.unwrap(), Ending::Clean);
    seen.await.unwrap();
}

#[tokio::test]
async fn tasks_that_outlast_the_grace_are_aborted_and_named() {
    let lifecycle = Lifecycle::new();
    lifecycle.spawn("stubborn", std::future::pending());
    lifecycle.spawn("brief", std::future::ready(()));
    lifecycle.stop();
    let ending = lifecycle.run(Duration::from_millis(10)).await.unwrap();
    assert_eq!(ending, Ending::Forced { tasks: vec!["stubborn"] });
    assert!(lifecycle.hard().is_cancelled());
}

#[tokio::test]
async fn a_critical_task_that_panics_takes_the_service_with_it() {
    let lifecycle = Lifecycle::new();
    let soft = lifecycle.soft().clone();
    lifecycle.spawn("other", async move { soft.cancelled().await });
    lifecycle.spawn_critical("reconciler", async {
        assert!(std::env::args().count() == 0, "a panic that the test wants");
        Ok::<(), Infallible>(())
    });
    assert_eq!(lifecycle.run(LONG).await.unwrap(), Ending::Failed { task: "reconciler" });
}

#[tokio::test]
async fn a_critical_task_that_fails_or_ends_early_takes_the_service_with_it() {
    let lifecycle = Lifecycle::new();
    lifecycle.spawn_critical("store", async { Err("the disk is gone") });
    assert_eq!(lifecycle.run(LONG).await.unwrap(), Ending::Failed { task: "store" });

    let lifecycle = Lifecycle::new();
    lifecycle.spawn_critical("server", async { Ok::<(), Infallible>(()) });
    assert_eq!(lifecycle.run(LONG).await.unwrap(), Ending::Failed { task: "server" });
}

#[tokio::test]
async fn the_panic_of_any_other_task_stops_nothing() {
    let lifecycle = Lifecycle::new();
    lifecycle.spawn("other", async {
        assert!(std::env::args().count() == 0, "a panic that the test wants");
    });
    let (begun, running) = tokio::sync::oneshot::channel();
    let (soft, after) = (lifecycle.soft().clone(), lifecycle.clone());
    lifecycle.spawn_critical("server", async move {
        // Both tasks share one thread and this one was spawned later, so that the panic is over.
        tokio::task::yield_now().await;
        let _ = begun.send(soft.is_cancelled());
        soft.cancelled().await;
        Ok::<(), Infallible>(())
    });
    assert!(!running.await.unwrap());
    after.stop();
    assert_eq!(lifecycle.run(LONG).await.unwrap(), Ending::Clean);
}
