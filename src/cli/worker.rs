//! What commands need that run as the first process of a container, or at a terminal: an end when
//! they are told to.

use std::future::Future;
use std::io::{self, IsTerminal, Write as _};
use std::process::exit;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Has this program's warnings told on stderr.
pub(super) fn tell_warnings() {
    let ours = Targets::new().with_target(env!("CARGO_CRATE_NAME"), Level::WARN);
    let lines = fmt::layer().with_writer(io::stderr).without_time().with_target(false);
    let lines = lines.with_ansi(io::stderr().is_terminal());
    // Where somebody else set up logging, it is told there.
    let _ = tracing_subscriber::registry().with(lines.with_filter(ours)).try_init();
}

/// How long tidying up may take: less than Batch and Docker wait before they kill.
const TIDYING: Duration = Duration::from_secs(8);

/// Ends this process when SIGTERM or SIGINT says so. The first process of a container is not ended
/// by them otherwise (kill(2)), and its job would go on until it is killed.
#[derive(Debug)]
pub(super) struct Ending(JoinHandle<()>);

impl Ending {
    /// From now on, at once.
    pub fn at_once() -> Self {
        // Listens before it returns: a signal meanwhile is not lost.
        let signals = Signals::listen();
        Self(tokio::spawn(async { exit(signals.told().await) }))
    }

    /// From now on, after the work has been given up and what it had begun was tidied up. Answers
    /// what the work does where nothing ends it.
    pub async fn after<T, F: Future<Output = ()>>(
        self,
        work: impl Future<Output = T>,
        give_up: impl FnOnce() -> F,
    ) -> T {
        let signals = Signals::listen();
        self.0.abort();
        tokio::select! {
            done = work => done,
            code = signals.told() => {
                if timeout(TIDYING, give_up()).await.is_err() {
                    let _ = writeln!(io::stderr(), "not everything that had begun was tidied up");
                }
                exit(code)
            }
        }
    }
}

/// The signals that end a run; none where the system does not let them be listened to, and then
/// they do what they do by default.
struct Signals {
    terminate: Option<Signal>,
    interrupt: Option<Signal>,
}

impl Signals {
    fn listen() -> Self {
        let listen = |kind| signal(kind).ok();
        Self {
            terminate: listen(SignalKind::terminate()),
            interrupt: listen(SignalKind::interrupt()),
        }
    }

    /// Waits for one, and says so; answers 128 and its number, as shells tell it.
    async fn told(self) -> i32 {
        let (code, told) = tokio::select! {
            () = comes(self.terminate) => (143, "terminated"),
            () = comes(self.interrupt) => (130, "interrupted"),
        };
        // Nobody may read it any more.
        let _ = writeln!(io::stderr(), "{told}");
        code
    }
}

async fn comes(signal: Option<Signal>) {
    match signal {
        Some(mut signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}
