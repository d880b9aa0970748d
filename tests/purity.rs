//! Enforces what the design calls pure, by reading the sources: no I/O, no clock, no randomness,
//! no environment, no async, and no SDK, database, HTTP or logging crate.
#![allow(clippy::unwrap_used, clippy::panic, reason = "failing is how a test reports")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What must be pure, and must be there.
const FOLDERS: [&str; 2] = ["src/demand", "src/plan"];
const FILES: [&str; 10] = [
    "src/policy.rs",
    "src/engine/job.rs",
    "src/run/decide.rs",
    "src/run/history.rs",
    "src/run/reason.rs",
    "src/run/record.rs",
    "src/run/state.rs",
    "src/run/status.rs",
    "src/run/step_run.rs",
    "src/run/transition.rs",
];

/// The one place for a generator, which always gives the same numbers for the same seed.
const SEEDED: &str = "src/demand/python/random.rs";

/// What must not be written, and why.
const FORBIDDEN: [(&str, &str); 37] = [
    ("std::fs", "I/O"),
    ("std::net", "I/O"),
    ("std::os", "I/O"),
    ("std::process", "I/O"),
    ("File::open", "I/O"),
    ("stdin()", "I/O"),
    ("println!", "I/O"),
    ("eprintln!", "I/O"),
    ("rustix", "I/O"),
    ("tempfile", "I/O"),
    ("walkdir", "I/O"),
    ("std::env", "environment"),
    ("env::var", "environment"),
    ("option_env!", "environment"),
    ("SystemTime", "clock"),
    ("Instant", "clock"),
    ("Timestamp::now", "clock"),
    ("Zoned::now", "clock"),
    ("std::thread", "concurrency"),
    ("async ", "async"),
    (".await", "async"),
    ("tokio", "async"),
    ("futures::", "async"),
    ("rand::", "randomness"),
    ("fastrand", "randomness"),
    ("getrandom", "randomness"),
    ("Uuid::", "randomness"),
    ("RandomState", "randomness"),
    ("sqlx", "database"),
    ("aws_", "SDK"),
    ("axum", "HTTP"),
    ("http::", "HTTP"),
    ("reqwest", "HTTP"),
    ("tower", "HTTP"),
    ("tracing", "logging"),
    ("log::", "logging"),
    ("figment", "configuration"),
];

#[test]
fn the_pure_places_hold_nothing_impure() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources: Vec<PathBuf> = Vec::new();
    for folder in FOLDERS {
        let before = sources.len();
        collect(&root.join(folder), &mut sources);
        assert!(sources.len() > before, "{folder} has no sources");
    }
    sources.extend(FILES.iter().map(|file| root.join(file)));
    let mut faults = Vec::new();
    for path in sources {
        let name = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            faults.extend(
                impurities(&name, line)
                    .map(|why| format!("{name}:{}: {why}: {}", number + 1, line.trim())),
            );
        }
    }
    assert!(faults.is_empty(), "impure:\n{}", faults.join("\n"));
}

#[test]
fn an_impure_line_would_be_found() {
    let found = |line: &str| impurities("src/plan/x.rs", line).count();
    assert_eq!(found("use std::fs::read;"), 1);
    assert_eq!(found("let now = Timestamp::now();"), 1);
    assert_eq!(found("pub async fn plan() {"), 1);
    assert_eq!(found("use rand_mt::Mt;"), 1);
    assert_eq!(found("let aws_batch = demand.aws_batch();"), 0);
    assert_eq!(found("/// Never reads std::fs."), 0);
    assert_eq!(impurities(SEEDED, "use rand_mt::Mt;").count(), 0);
}

/// Why a line is impure; comments are not code, and `aws_batch` is the demand's word.
fn impurities<'l>(file: &'l str, line: &'l str) -> impl Iterator<Item = &'static str> + 'l {
    let code = line.trim_start();
    let code = if code.starts_with("//") { String::new() } else { code.replace("aws_batch", "") };
    let seeded = code.contains("rand_mt") && file != SEEDED;
    let forbidden = FORBIDDEN.iter().filter(move |(text, _)| mentions(&code, text));
    forbidden.map(|(_, why)| *why).chain(seeded.then_some("randomness"))
}

/// Whether `text` stands in `code` as a word of its own: `tower` is not in `towers`' `own`.
fn mentions(code: &str, text: &str) -> bool {
    code.match_indices(text).any(|(start, _)| {
        let before = code[..start].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

fn collect(folder: &Path, sources: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{} must exist: {error}", folder.display()));
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(path);
        }
    }
}
