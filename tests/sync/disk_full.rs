//! A file system that is full: no file under its final name, the failure says so, and the next run
//! finishes. The file system is a small one in a mount namespace of its own.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::lab::{Lab, bytes};

/// Fills the file system, runs the worker, makes space, runs it again, and keeps what it said and
/// what was there each time.
const SCRIPT: &str = r#"
set -eu
mount -t tmpfs -o size=32m tmpfs "$PLACE"
head -c "$BALLAST" /dev/zero > "$PLACE/ballast"
"$DEMAND" sync "$REQUEST" > "$OUT/first" 2> /dev/null && exit 3
(cd "$PLACE" && find . -type f | sort) > "$OUT/left"
rm "$PLACE/ballast"
"$DEMAND" sync "$REQUEST" > "$OUT/second"
diff -r "$WANTED" "$PLACE/f"
"#;

/// Whether this user may make a mount of its own, as containers often forbid.
async fn may_mount() -> bool {
    let mounted = Command::new("unshare")
        .args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        .stderr(Stdio::null())
        .status();
    mounted.await.is_ok_and(|status| status.success())
}

/// Syncs `source`, whose files are those in `wanted`, onto a file system on which they do not fit.
async fn fills(lab: &Lab, source: &str, wanted: &str, ballast: u64) -> (Value, String) {
    for directory in ["place", "out"] {
        std::fs::create_dir_all(lab.path(directory)).unwrap();
    }
    let request = json!({
        "source_path": source, "destination_path": lab.text("place/f"),
        // In the order of their names, so that it is known which fit.
        "max_concurrency": 1,
    });
    let worker = lab.command(&[]);
    let mut command = Command::new("unshare");
    command
        .args(["-rm", "bash", "-c", SCRIPT])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    for (name, value) in worker.as_std().get_envs() {
        command.env(name, value.unwrap());
    }
    let output = command
        .env("DEMAND", env!("CARGO_BIN_EXE_demand"))
        .env("REQUEST", request.to_string())
        .env("PLACE", lab.path("place"))
        .env("OUT", lab.path("out"))
        .env("WANTED", wanted)
        .env("BALLAST", ballast.to_string())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?} {stderr}", output.status);
    let read = |name: &str| std::fs::read_to_string(lab.path(&format!("out/{name}"))).unwrap();
    (serde_json::from_str(&read("first")).unwrap(), read("left"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_fails_by_name_and_once_there_is_space_the_next_run_finishes() {
    if !may_mount().await {
        eprintln!("not tested: no mount in a namespace of one's own");
        return;
    }
    let lab = Lab::open().await;
    let sizes =
        [("a-fits", 1000), ("b-small", 200_000), ("c-middle", 3 << 20), ("d-large", 17 << 20)];
    for (name, size) in sizes {
        lab.put(&format!("f/{name}"), bytes(size));
    }
    let wanted = lab.object("f").to_str().unwrap().to_owned();
    let ballast = (32 << 20) - (100 << 10);
    for source in ["s3://data/f", wanted.as_str()] {
        let (report, left) = fills(&lab, source, &wanted, ballast).await;
        let failures = report["failures"].as_array().unwrap();
        let told: Vec<_> =
            failures.iter().map(|failure| failure["path"].as_str().unwrap()).collect();
        assert_eq!(told.len(), 3, "{failures:?}");
        for (name, _) in &sizes[1..] {
            assert!(told.contains(&format!("{source}/{name}").as_str()), "{name} in {told:?}");
        }
        for failure in failures {
            assert!(failure["reason"].as_str().unwrap().contains("No space left"), "{failure}");
        }
        assert_eq!(left.lines().collect::<Vec<_>>(), ["./ballast", "./f/a-fits"], "{source}");
    }
}
