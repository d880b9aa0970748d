//! What a user sees while files are on their way: a bar on a terminal, else a line now and then.

use std::fs::File;
use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use fancy_regex::Regex;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::held::Held;
use crate::lab::{Lab, bytes, ended};
use crate::mishaps::Mishap;

/// Far beyond what any worker here takes to draw or to write a line.
const PATIENCE: Duration = Duration::from_secs(30);

/// From one line to the next.
const EVERY: Duration = Duration::from_secs(5);

/// The worker's standard error as a terminal.
struct Terminal {
    slave: Option<Stdio>,
    drawn: watch::Receiver<String>,
}

impl Terminal {
    fn open(columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        // It must not become the terminal that governs the tests.
        let slave = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let (sender, drawn) = watch::channel(String::new());
        std::thread::spawn(move || {
            let (mut master, mut buffer) = (File::from(master), [0; 4096]);
            // It fails once nobody has the other end.
            while let Ok(read @ 1..) = master.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
                sender.send_modify(|drawn| drawn.push_str(&text));
            }
        });
        Self { slave: Some(slave.into()), drawn }
    }

    /// Returns once something like `pattern` was drawn.
    async fn shows(&mut self, pattern: &str) {
        let regex = Regex::new(pattern).unwrap();
        let shows = self.drawn.wait_for(|drawn| regex.is_match(drawn).unwrap());
        let was_shown = timeout(PATIENCE, shows).await.is_ok_and(|drawn| drawn.is_ok());
        let drawn = self.drawn.borrow();
        assert!(was_shown, "no {pattern} in {:?}", drawn.rsplit('\r').nth(1));
    }
}

/// A file of a mebibyte, and one of three that stops in the middle until it may go on.
async fn stopping(held: &Held) -> (Lab, CancellationToken) {
    let go_on = CancellationToken::new();
    held.put("f/one", bytes(1 << 20));
    held.put("f/two", bytes(3 << 20));
    held.meet("GetObject", "f/two", 1, Mishap::Halfway(go_on.clone()));
    (held.open().await, go_on)
}

/// What is told in the end, whatever was shown meanwhile.
fn is_told(result: &Value) {
    assert_eq!(result["files_transferred"], 2);
    assert_eq!(result["bytes_transferred"], 4 << 20);
}

async fn bar_of(columns: u16) {
    let held = Held::default();
    let (lab, go_on) = stopping(&held).await;
    let mut terminal = Terminal::open(columns);
    let mut command = lab.command(&["sync", "s3://data/f", &lab.text("f")]);
    command.env("TERM", "xterm").stdout(Stdio::piped()).stderr(terminal.slave.take().unwrap());
    let worker = command.spawn().unwrap();
    // Of the other end, only the worker's is left.
    drop(command);
    terminal.shows(r"6[23] % 1/2 files, 2\.50 MiB/4\.00 MiB, [\d.]+ [KM]iB/s, \d+[smh] left").await;
    go_on.cancel();
    is_told(&ended(worker.wait_with_output().await.unwrap()).ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_a_bar_with_files_bytes_rate_and_time_left() {
    bar_of(132).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_of_eighty_columns_shows_all_of_it() {
    bar_of(80).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn elsewhere_a_line_comes_every_few_seconds_while_a_transfer_hangs() {
    let held = Held::default();
    let (lab, go_on) = stopping(&held).await;
    let mut command = lab.command(&["sync", "s3://data/f", &lab.text("f")]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = Instant::now();
    let mut worker = command.spawn().unwrap();
    let mut lines = BufReader::new(worker.stderr.take().unwrap()).lines();
    let line = Regex::new(r"^1 files, 2\.50 MiB, [\d.]+ [KM]?i?B/s$").unwrap();
    // On a busy machine the first may come before the bytes do.
    let (mut lines_read, mut telling) = (0, 0);
    while telling < 2 {
        let text = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
        lines_read += 1;
        assert!(started.elapsed() >= EVERY * lines_read, "{text} comes too soon");
        let tells = line.is_match(&text).unwrap();
        assert!(tells || telling == 0 && lines_read < 3, "{text}");
        telling += u32::from(tells);
    }
    go_on.cancel();
    is_told(&ended(worker.wait_with_output().await.unwrap()).ok());
}
