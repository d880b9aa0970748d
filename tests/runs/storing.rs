//! How demands are stored.

use std::path::Path;

use demand_context_manager::run::history::EntryKind;
use demand_context_manager::run::record::{NewDemand, Record};
use demand_context_manager::run::state::{Phase, State, Status};
use demand_context_manager::run::transition::{Event, Retention};
use demand_context_manager::store::{Filter, Position, Store, StoreError, TagFilter};
use indexmap::IndexMap;
use jiff::Timestamp;
use tempfile::TempDir;

use crate::{at, steps};

async fn open(directory: &Path) -> Store {
    Store::open(&directory.join("demand.db")).await.unwrap()
}

fn demand(execution_id: &str, seconds: i64) -> NewDemand {
    let (state, accepted) = State::accepted(steps(), true, at(seconds));
    NewDemand {
        record: Record {
            execution_id: execution_id.to_owned(),
            created_at: at(seconds),
            version: 1,
            execution_type: "align".to_owned(),
            user: Some("ada".to_owned()),
            submitted_by: None,
            job_queue: "queue".to_owned(),
            tags: IndexMap::from([("project".to_owned(), execution_id.to_owned())]),
            content_hash: "hash".to_owned(),
            traceparent: None,
            state,
        },
        request: "{}".to_owned(),
        plan: "{\"plan\":1}".to_owned(),
        accepted,
        idempotency_key: None,
    }
}

fn canceled(
    state: &State,
    when: Timestamp,
) -> (State, Vec<demand_context_manager::run::history::Entry>) {
    state.apply(&Event::CancelRequested { by: None }, &Retention::default(), when).unwrap()
}

#[tokio::test]
async fn what_was_stored_is_read_again_after_the_store_was_opened_anew() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path()).await;
    let new = demand("a", 0);
    assert!(store.insert(new.clone()).await.unwrap());
    store.close().await;
    let store = open(directory.path()).await;
    assert_eq!(store.get("a").await.unwrap().unwrap(), new.record);
    assert_eq!(store.plan("a").await.unwrap().unwrap(), new.plan);
    let history = store.history("a", 0, 10).await.unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!((history[0].seq, history[0].kind), (1, EntryKind::Accepted));
}

#[tokio::test]
async fn an_id_is_taken_once() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path()).await;
    assert!(store.insert(demand("a", 0)).await.unwrap());
    assert!(!store.insert(demand("a", 1)).await.unwrap());
    assert_eq!(store.get("a").await.unwrap().unwrap().created_at, at(0));
}

#[tokio::test]
async fn a_transition_from_an_old_version_changes_nothing() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path()).await;
    let new = demand("a", 0);
    store.insert(new.clone()).await.unwrap();
    let (state, history) = canceled(&new.record.state, at(1));
    assert!(store.advance("a", 1, state.clone(), history.clone()).await.unwrap());
    assert!(!store.advance("a", 1, new.record.state, history).await.unwrap());
    let stored = store.get("a").await.unwrap().unwrap();
    assert_eq!(stored.version, 2);
    assert_eq!(stored.state, state);
    let seqs: Vec<i64> =
        store.history("a", 0, 10).await.unwrap().iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, (1..=i64::try_from(seqs.len()).unwrap()).collect::<Vec<_>>());
}

#[tokio::test]
async fn of_many_writers_of_one_version_exactly_one_wins() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path()).await;
    let new = demand("a", 0);
    store.insert(new.clone()).await.unwrap();
    let (state, history) = canceled(&new.record.state, at(1));
    let writers = (0..50).map(|_| store.advance("a", 1, state.clone(), history.clone()));
    let won = futures::future::join_all(writers).await;
    assert_eq!(won.into_iter().filter(|won| *won.as_ref().unwrap()).count(), 1);
}

#[tokio::test]
async fn writes_that_arrive_together_are_all_stored() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path()).await;
    let inserts = (0..500).map(|n| store.insert(demand(&format!("d{n}"), n)));
    assert!(futures::future::join_all(inserts).await.into_iter().all(|made| made.unwrap()));
    assert_eq!(store.active().await.unwrap().len(), 500);
}

#[tokio::test]
async fn a_second_owner_is_refused_and_told_why() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path()).await;
    let second = Store::open(&directory.path().join("demand.db")).await;
    let refused = second.unwrap_err();
    assert!(matches!(refused, StoreError::Owned { .. }));
    assert!(refused.to_string().contains("another process owns the database"));
    store.close().await;
    open(directory.path()).await;
}

#[tokio::test]
async fn a_demand_that_has_ended_is_no_longer_active() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path()).await;
    let new = demand("a", 0);
    store.insert(new.clone()).await.unwrap();
    let (state, history) = canceled(&new.record.state, at(1));
    store.advance("a", 1, state, history).await.unwrap();
    assert_eq!(store.active().await.unwrap(), []);
}

#[tokio::test]
async fn pages_follow_each_other_newest_first_whatever_arrives_meanwhile() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path()).await;
    for n in 0..7 {
        store.insert(demand(&format!("d{n}"), n / 2)).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut after: Option<Position> = None;
    loop {
        let page = store.list(&Filter::default(), after.as_ref(), 2).await.unwrap();
        seen.extend(page.records.into_iter().map(|record| record.execution_id));
        store.insert(demand(&format!("late{}", seen.len()), 100)).await.unwrap();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["d6", "d5", "d4", "d3", "d2", "d1", "d0"]);
}

#[tokio::test]
async fn filters_are_alternatives_within_and_conditions_between() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path()).await;
    for n in 0..4 {
        store.insert(demand(&format!("d{n}"), n)).await.unwrap();
    }
    let state = store.get("d1").await.unwrap().unwrap().state;
    let (state, history) = canceled(&state, at(9));
    store.advance("d1", 1, state, history).await.unwrap();
    let ids = async |filter: Filter| -> Vec<String> {
        let page = store.list(&filter, None, 50).await.unwrap();
        page.records.into_iter().map(|record| record.execution_id).collect()
    };
    let aborted = Filter { status: vec![Status::Aborted], ..Filter::default() };
    assert_eq!(ids(aborted.clone()).await, ["d1"]);
    let either = Filter { status: vec![Status::Aborted, Status::Submitted], ..Filter::default() };
    assert_eq!(ids(either).await.len(), 4);
    let tag = |value: Option<&str>| TagFilter {
        key: "project".to_owned(),
        value: value.map(str::to_owned),
    };
    let tagged = Filter { tag: vec![tag(Some("d2")), tag(Some("d1"))], ..Filter::default() };
    assert_eq!(ids(tagged).await, ["d2", "d1"]);
    assert_eq!(ids(Filter { tag: vec![tag(None)], ..Filter::default() }).await.len(), 4);
    let both = Filter { tag: vec![tag(Some("d2"))], ..aborted };
    assert_eq!(ids(both).await, [] as [&str; 0]);
    let between =
        Filter { created_after: Some(at(0)), created_before: Some(at(3)), ..Filter::default() };
    assert_eq!(ids(between).await, ["d2", "d1"]);
    let named =
        Filter { ids: Some(vec!["d0".to_owned(), "nobody".to_owned()]), ..Filter::default() };
    assert_eq!(ids(named).await, ["d0"]);
}

#[tokio::test]
async fn an_idempotency_key_finds_the_demand_it_came_with() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path()).await;
    let with_key =
        |id: &str| NewDemand { idempotency_key: Some("key".to_owned()), ..demand(id, 0) };
    assert!(store.insert(with_key("a")).await.unwrap());
    assert!(!store.insert(with_key("b")).await.unwrap());
    assert_eq!(store.get_by_key("", "key").await.unwrap().unwrap().execution_id, "a");
    assert_eq!(store.get("b").await.unwrap(), None);
}

/// Stores a demand that ended at `seconds`, with all that goes with one.
async fn ended(store: &Store, id: &str, seconds: i64) {
    let mut new = demand(id, seconds);
    new.idempotency_key = Some(format!("key of {id}"));
    new.plan = format!("{{\"plan\":\"{}\"}}", "x".repeat(50_000));
    assert!(store.insert(new.clone()).await.unwrap());
    let (mut state, history) = canceled(&new.record.state, at(seconds));
    assert_eq!(state.phase, Phase::Done, "a demand without jobs ends as soon as it is canceled");
    state.clean_up_due = None;
    assert!(store.advance(id, 1, state, history).await.unwrap());
}

async fn prune_all(store: &Store, before: Timestamp) -> usize {
    let mut steps = 1;
    while store.prune(before).await.unwrap() {
        steps += 1;
    }
    steps
}

#[tokio::test]
async fn what_ended_long_ago_is_removed_with_all_that_goes_with_it_and_nothing_else() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path()).await;
    ended(&store, "old", 10).await;
    ended(&store, "young", 30).await;
    store.insert(demand("under-way", 0)).await.unwrap();

    prune_all(&store, at(20)).await;

    assert!(store.get("old").await.unwrap().is_none());
    assert!(store.plan("old").await.unwrap().is_none());
    assert!(store.history("old", 0, 10).await.unwrap().is_empty());
    assert!(store.get_by_key("", "key of old").await.unwrap().is_none());
    let tag = TagFilter { key: "project".to_owned(), value: Some("old".to_owned()) };
    let tagged = Filter { tag: vec![tag], ..Filter::default() };
    assert!(store.list(&tagged, None, 10).await.unwrap().records.is_empty());
    for kept in ["young", "under-way"] {
        assert!(store.get(kept).await.unwrap().is_some(), "{kept}");
        assert!(!store.history(kept, 0, 10).await.unwrap().is_empty(), "{kept}");
    }
    assert!(store.get_by_key("", "key of young").await.unwrap().is_some());
    // Its id is free again.
    ended(&store, "old", 40).await;
}

#[tokio::test]
async fn the_file_shrinks_in_small_steps_once_old_demands_are_gone() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path()).await;
    for number in 0..200 {
        ended(&store, &format!("demand-{number}"), number).await;
    }
    store.close().await;
    let size = || std::fs::metadata(directory.path().join("demand.db")).unwrap().len();
    let before = size();
    assert!(before > 10_000_000, "{before}");

    let store = open(directory.path()).await;
    let steps = prune_all(&store, at(190)).await;
    assert!(steps >= 10, "{steps} steps");
    assert_eq!(store.list(&Filter::default(), None, 100).await.unwrap().records.len(), 10);
    store.close().await;
    assert!(size() < before / 10, "{before} bytes became {}", size());
}
