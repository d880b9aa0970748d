//! Names, links and emptiness: what may lie in a directory or under a prefix that nobody thinks of.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::held::Held;
use crate::lab::{Lab, bytes, ended, names, tree, write};
use crate::mishaps::Mishap;

const STRANGE: [&str; 22] = [
    " ",
    " a ",
    "a b",
    "new\nline",
    "tab\t",
    "cr\r",
    "'",
    "\"",
    "`$(id)`",
    "%",
    "%41",
    "a%2Fb",
    "+",
    "a+b c",
    "#?&=;",
    "\\",
    "ü",
    "u\u{308}",
    "漢字 🧪",
    "A",
    "a",
    "-rf *",
];

#[tokio::test(flavor = "multi_thread")]
async fn strange_names_go_every_way_unchanged() {
    let lab = Lab::open().await;
    let held = Held::default();
    let over_held = held.open().await;
    for (index, name) in STRANGE.into_iter().enumerate() {
        lab.write(&format!("s/{name}"), format!("file {index}"));
        lab.write(&format!("s/folder {index}/{name}.d/{name}"), format!("deep {index}"));
    }
    let wanted = tree(&lab.path("s"));
    let mut from = lab.text("s");
    for to in [
        lab.text("copy"),
        "s3://data/k".to_owned(),
        "s3://data/a +%/k".to_owned(),
        lab.text("back"),
    ] {
        let result = lab.sync(&from, &to, json!({})).await.ok();
        assert_eq!(result["files_transferred"], 2 * STRANGE.len(), "{from} -> {to}");
        let again = lab.sync(&from, &to, json!({})).await.ok();
        assert_eq!(again["files_skipped"], 2 * STRANGE.len(), "{from} -> {to}");
        from = to;
    }
    assert_eq!(tree(&lab.path("copy")), wanted);
    assert_eq!(tree(&lab.path("back")), wanted);

    over_held.sync(&lab.text("s"), "s3://data/k", json!({})).await.ok();
    for name in STRANGE {
        assert!(held.get(&format!("k/{name}")).is_some(), "{name:?}");
    }
    over_held.sync("s3://data/k", &lab.text("held"), json!({})).await.ok();
    assert_eq!(tree(&lab.path("held")), wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_not_utf_8_stays_on_disk_and_the_rest_reaches_s3() {
    let lab = Lab::open().await;
    let odd = |directory: &str| lab.path(directory).join(OsStr::from_bytes(b"odd-\xff\xfe"));
    write(&odd("s").join("below"), "below");
    write(&odd("s/folder"), "odd");
    lab.write("s/fine", "fine");
    lab.sync(&lab.text("s"), &lab.text("copy"), json!({})).await.ok();
    assert_eq!(tree(&lab.path("copy")), tree(&lab.path("s")));
    let again = lab.sync(&lab.text("s"), &lab.text("copy"), json!({})).await.ok();
    assert_eq!(again["files_skipped"], 3);

    let moved = json!({"retain_source_data": false});
    let failures = lab.sync(&lab.text("s"), "s3://data/k", moved.clone()).await.failures();
    assert_eq!(failures.matches("not UTF-8").count(), 2, "{failures}");
    assert!(failures.contains("folder/odd-\u{fffd}"), "{failures}");
    assert_eq!(names(&lab.object("k")), ["fine"]);
    assert_eq!(tree(&lab.path("s")).len(), 3);
    // What cannot be named in JSON is removed nevertheless.
    lab.sync(&lab.text("s"), &lab.text("moved"), moved).await.ok();
    assert_eq!(tree(&lab.path("moved")), tree(&lab.path("copy")));
    assert!(!lab.path("s").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_key_goes_down_and_up_and_a_longer_segment_is_refused_by_name() {
    let held = Held::default();
    let lab = held.open().await;
    // S3 takes 1,024 bytes, a file system 255 a segment.
    let below = ["a", "b", "c"].map(|letter| letter.repeat(255)).join("/");
    let longest = format!("k/{below}/{}", "d".repeat(1024 - 2 - below.len() - 1));
    assert_eq!(longest.len(), 1024);
    held.put(&longest, "longest");
    held.put(&format!("k/{}", "é".repeat(127)), "254 bytes");
    lab.sync("s3://data/k", &lab.text("k"), json!({})).await.ok();
    assert_eq!(fs::read(lab.path(&longest)).unwrap(), b"longest");

    held.remove(&longest);
    lab.sync(&lab.text("k"), "s3://data/k", json!({})).await.ok();
    assert_eq!(held.get(&longest).unwrap(), b"longest");

    let longer = format!("k/x/{}", "e".repeat(256));
    held.put(&longer, "longer");
    held.put("k/x/fine", "fine");
    let failures = lab.sync("s3://data/k", &lab.text("k"), json!({})).await.failures();
    assert!(failures.contains(&format!("s3://data/{longer}\"")), "{failures}");
    assert!(failures.contains("File name too long"), "{failures}");
    assert_eq!(names(&lab.path("k/x")), ["fine"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_name_can_be_removed() {
    let lab = Lab::open().await;
    for length in [239, 240, 255] {
        let name = "n".repeat(length);
        lab.write(&format!("d/{name}/file"), "file");
        let removed = lab.run(&["remove", &lab.text(&format!("d/{name}"))]).await.ok();
        assert_eq!(removed["paths_removed"], 1, "{length}");
        assert_eq!(fs::read_dir(lab.path("d")).unwrap().count(), 0, "{length}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_files_and_empty_directories_are_no_trouble() {
    let lab = Lab::open().await;
    fs::create_dir_all(lab.path("s/hollow")).unwrap();
    lab.sync(&lab.text("s"), &lab.text("copy"), json!({})).await.ok();
    assert!(lab.path("copy").is_dir());
    lab.sync(&lab.text("s"), "s3://data/k", json!({})).await.ok();
    let filtered = json!({"filter_config": {"include": "x"}});
    lab.sync(&lab.text("s"), &lab.text("filtered"), filtered).await.ok();
    fs::create_dir_all(lab.object("placeholder")).unwrap();
    let placeholder = lab.sync("s3://data/placeholder/", &lab.text("down"), json!({})).await.ok();
    assert!(lab.path("down").is_dir(), "{placeholder}");

    lab.write("s/zero", "");
    lab.write("s/deep/zero", "");
    let zeros = BTreeMap::from(["deep/zero", "zero"].map(|name| (PathBuf::from(name), Vec::new())));
    for (from, to) in [
        (lab.text("s"), lab.text("copy")),
        (lab.text("s"), "s3://data/k".to_owned()),
        ("s3://data/k".to_owned(), "s3://data/l".to_owned()),
        ("s3://data/l".to_owned(), lab.text("back")),
    ] {
        let result = lab.sync(&from, &to, json!({})).await.ok();
        let counts = (&result["files_transferred"], &result["bytes_transferred"]);
        assert_eq!(counts, (&json!(2), &json!(0)), "{from} -> {to}");
        assert_eq!(lab.sync(&from, &to, json!({})).await.ok()["files_skipped"], 2);
    }
    assert_eq!(tree(&lab.path("copy")), zeros);
    assert_eq!(tree(&lab.path("back")), zeros);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_lead_no_further_than_the_source() {
    let lab = Lab::open().await;
    lab.write("s/real/file", "real");
    lab.write("outside/secret", "secret");
    symlink("real", lab.path("s/folder")).unwrap();
    symlink("real/file", lab.path("s/link")).unwrap();
    symlink(lab.path("s"), lab.path("s/real/up")).unwrap();
    symlink("itself", lab.path("s/itself")).unwrap();
    symlink("nowhere", lab.path("s/dangling")).unwrap();
    symlink("../outside/secret", lab.path("s/leak")).unwrap();
    symlink("../outside", lab.path("s/leaks")).unwrap();
    for (destination, there) in
        [(lab.text("copy"), lab.path("copy")), ("s3://data/k".to_owned(), lab.object("k"))]
    {
        let failures = lab.sync(&lab.text("s"), &destination, json!({})).await.failures();
        for name in ["itself", "dangling", "leak", "leaks"] {
            let path = lab.text(&format!("s/{name}"));
            assert!(failures.contains(&format!("\"{path}\"")), "{name} in {failures}");
        }
        assert!(!failures.contains("real/up"), "{failures}");
        let wanted = BTreeMap::from(
            ["folder/file", "link", "real/file"]
                .map(|name| (PathBuf::from(name), b"real".to_vec())),
        );
        assert_eq!(tree(&there), wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_goes_or_changes_while_it_is_brought_fails_or_arrives_whole() {
    let held = Held::default();
    let lab = held.open().await;
    let large = bytes((16 << 20) + 1);
    for (name, content) in [("small", bytes(5000)), ("large", large.clone())] {
        for change in ["gone", "other"] {
            let key = format!("f/{change}-{name}");
            held.put(&key, content.clone());
            let (changing, it) = (held.clone(), key.clone());
            let happens: Arc<dyn Fn() + Send + Sync> = match change {
                "gone" => Arc::new(move || changing.remove(&it)),
                _ => Arc::new(move || changing.put(&it, "another")),
            };
            held.meet("GetObject", &key, 1, Mishap::After(happens));
        }
    }
    let failures = lab.sync("s3://data/f", &lab.text("f"), json!({})).await.failures();
    for name in ["gone-small", "gone-large", "other-large"] {
        assert!(failures.contains(&format!("s3://data/f/{name}\"")), "{name} in {failures}");
    }
    // Small enough for a single answer, which is right by itself.
    assert_eq!(names(&lab.path("f")), ["other-small"]);
    assert_eq!(fs::read(lab.path("f/other-small")).unwrap(), b"another");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_written_to_while_it_is_copied_is_not_taken_for_copied() {
    let lab = Lab::open().await;
    lab.write("s/still", "still");
    let log = lab.path("s/log");
    fs::File::create(&log).unwrap().set_len(256 << 20).unwrap();
    // One that was copied before it could be stopped is copied again.
    let ran = loop {
        let _ = fs::remove_dir_all(lab.path("copy"));
        let mut command = lab.command(&["sync", &lab.text("s"), &lab.text("copy")]);
        let mut worker = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_raw(worker.id().unwrap().try_into().unwrap()).unwrap();
        let mut until = async |condition: &dyn Fn() -> bool| {
            while worker.try_wait().unwrap().is_none() && !condition() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            worker.try_wait().unwrap().is_none()
        };
        if !until(&|| is_under_way(&lab.path("copy"))).await {
            continue;
        }
        kill_process(pid, Signal::STOP).unwrap();
        if !until(&|| is_stopped(pid)).await {
            continue;
        }
        let stopped_in_time = is_under_way(&lab.path("copy"));
        fs::File::options().append(true).open(&log).unwrap().write_all(b"line\n").unwrap();
        kill_process(pid, Signal::CONT).unwrap();
        let ran = ended(worker.wait_with_output().await.unwrap());
        if stopped_in_time {
            break ran;
        }
    };
    let failures = ran.failures();
    assert!(failures.contains("s/log\"") && failures.contains("changed"), "{failures}");
    assert_eq!(names(&lab.path("copy")), ["still"]);
    lab.sync(&lab.text("s"), &lab.text("copy"), json!({})).await.ok();
    assert!(tree(&lab.path("copy")) == tree(&lab.path("s")));
}

/// Whether some of a large file has been written, and not all.
fn is_under_way(directory: &Path) -> bool {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let sizes = entries.filter(|entry| entry.file_name().as_bytes().ends_with(b".part"));
    sizes.flat_map(|entry| entry.metadata()).any(|file| (1..256 << 20).contains(&file.len()))
}

fn is_stopped(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid()));
    stat.is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T")))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_fails_by_name() {
    let lab = Lab::open().await;
    lab.write("s/fine", "fine");
    let _socket = std::os::unix::net::UnixListener::bind(lab.path("s/socket")).unwrap();
    let failures = lab.sync(&lab.text("s"), &lab.text("copy"), json!({})).await.failures();
    assert!(failures.contains("s/socket\"") && failures.contains("neither a file"), "{failures}");
    assert_eq!(names(&lab.path("copy")), ["fine"]);
    let below = format!("{}/x", lab.text("s/fine"));
    lab.sync(&below, &lab.text("no"), json!({})).await.failures();
    assert!(!Path::new(&lab.text("no")).exists());
}
