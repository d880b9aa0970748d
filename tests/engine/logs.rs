//! Logs by pages.

use demand_context_manager::engine::Engine;
use demand_context_manager::engine::job::LogPage;

use crate::support::{Call, Machine, eventually, succeeds};

fn messages(page: &LogPage) -> Vec<&str> {
    page.lines.iter().map(|line| line.message.as_str()).collect()
}

#[tokio::test]
async fn a_log_is_read_on_from_where_the_last_page_ended() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let id = Call::bash(r"printf 'a\nb\n\nd\xff\ne'").submit(&engine).await;
    succeeds(&engine, &id).await;

    let stream = format!("{id}/1");
    let first = engine.logs(&stream, None, 3).await.unwrap();
    assert_eq!(messages(&first)[1..], ["a", "b"]);
    let second = engine.logs(&stream, Some(&first.next_cursor), 3).await.unwrap();
    assert_eq!(messages(&second), ["", "d\u{fffd}", "e"]);
    let third = engine.logs(&stream, Some(&second.next_cursor), 3).await.unwrap();
    assert_eq!(messages(&third), [""; 0]);
    assert_eq!(third.next_cursor, second.next_cursor);
}

#[tokio::test]
async fn a_line_is_given_once_it_is_whole() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let script = "printf 'whole\\nbeg'; while [ ! -e $OUT/go ]; do sleep 0.02; done; echo inning";
    let id = Call::bash(script).submit(&engine).await;
    let stream = format!("{id}/1");
    let page = eventually("the line and a half", async || {
        let written = std::fs::read_to_string(machine.try_dir(&id, 1).join("log")).ok()?;
        let page = engine.logs(&stream, None, 10).await.unwrap();
        written.ends_with("beg").then_some(page)
    })
    .await;
    assert_eq!(messages(&page)[1..], ["whole"]);
    std::fs::write(machine.out("go"), "").unwrap();
    succeeds(&engine, &id).await;
    let rest = engine.logs(&stream, Some(&page.next_cursor), 10).await.unwrap();
    assert_eq!(messages(&rest), ["beginning"]);
}

#[tokio::test]
async fn a_line_longer_than_a_page_is_cut_between_characters() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let script = r"head -c 1500000 /dev/zero | tr '\0' x; yes é | head -n 1000000 | tr -d '\n'";
    let id = Call::bash(script).submit(&engine).await;
    succeeds(&engine, &id).await;
    let stream = format!("{id}/1");
    let mut text = String::new();
    let mut page = engine.logs(&stream, None, 1).await.unwrap();
    loop {
        page = engine.logs(&stream, Some(&page.next_cursor), 10).await.unwrap();
        if page.lines.is_empty() {
            break;
        }
        text.extend(messages(&page));
    }
    assert!(text == "x".repeat(1_500_000) + &"é".repeat(1_000_000), "{} bytes", text.len());
}

#[tokio::test]
async fn a_stream_or_cursor_that_is_none_is_an_error() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let id = Call::bash("true").submit(&engine).await;
    for stream in ["", "x", "../../etc/1", &format!("{id}/0"), &format!("{id}/x")] {
        assert!(engine.logs(stream, None, 1).await.is_err(), "{stream}");
    }
    assert!(engine.logs(&format!("{id}/1"), Some("first"), 1).await.is_err());
}

#[tokio::test]
async fn a_log_that_is_not_written_yet_is_empty() {
    let machine = Machine::with_slots(1);
    let engine = machine.open().await;
    let id = Call::bash("true").submit(&engine).await;
    let page = engine.logs(&format!("{id}/9"), None, 10).await.unwrap();
    assert_eq!(messages(&page), [""; 0]);
    assert_eq!(page.next_cursor, "0");
}
