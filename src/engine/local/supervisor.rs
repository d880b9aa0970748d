//! The process that owns one try of a job: `demand supervise TRY_DIR`, a hidden subcommand.
//!
//! It lives in a session of its own, so that it outlives the service, and knows nothing but its
//! directory. What it promises is told at the head of [`super`]: the lock while it lives, the
//! process recorded before the command runs, the end recorded as soon as there is one.
//!
//! Between it and the command stands a shell with two duties. It waits for a line on its standard
//! input, which comes when the process is on record; a supervisor that dies before closes the pipe
//! and the command never runs. And it writes the command's exit code down, so that the code
//! survives a supervisor that does not.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use super::durable::RecordError;
use super::process::{Family, Process};
use super::record::{Cause, Order, Running, TryDir, TryEnd};
use crate::telemetry::chain;

/// The subcommand's name.
pub const SUBCOMMAND: &str = "supervise";

/// The shell around the command. It needs no variable, as its environment is the command's; it
/// outlives SIGTERM to the group, which the command may take its time over; it keeps silent, as
/// the log is the command's. The subshell's `exec` takes programs only, never a shell's built-in.
const SHELL: &str = r#"read -r _ || exit 1
trap : TERM INT HUP
(exec -- "$@" </dev/null 2>&1)
set -- $?
echo "$1" >../exit
exit "$1""#;

/// How soon a terminate request and the timeout are noticed.
const TICK: Duration = Duration::from_millis(100);

/// For how long a lock that is taken is asked for again: a fork of the service may hold a copy of
/// the descriptor for the moment until it executes another program.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// For how long what a command left behind is looked for where the looking fails.
const DESTROY_PATIENCE: Duration = Duration::from_secs(10);

/// Why a supervisor could not do its work.
#[derive(Debug, thiserror::Error)]
enum SuperviseError {
    #[error("cannot open a session")]
    Session(#[source] io::Error),
    #[error("there is no order in {0}")]
    NoOrder(String),
    #[error("cannot keep the records of a try")]
    Record(#[from] RecordError),
    #[error("cannot watch over the command")]
    Watch(#[source] io::Error),
    #[error("cannot signal the command")]
    Signal(#[source] io::Error),
}

/// Runs the order in `try_dir`, unless it was run before or somebody else is at it.
///
/// The exit code tells nobody anything; what went wrong is on standard error, which the engine
/// points to a file.
pub fn supervise(try_dir: &Path) -> ExitCode {
    match run(&TryDir::at(try_dir)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            Complaints::default().add(&error);
            ExitCode::FAILURE
        }
    }
}

/// What goes wrong, on standard error, each thing once however often it is tried again.
#[derive(Default)]
struct Complaints(BTreeSet<String>);

impl Complaints {
    fn add(&mut self, error: &(dyn std::error::Error + 'static)) {
        let complaint = chain(error);
        if !self.0.contains(&complaint) {
            // Not `eprintln!`, which panics where the disk is full.
            let _ = writeln!(io::stderr(), "demand supervise: {complaint}");
            self.0.insert(complaint);
        }
    }
}

fn run(dir: &TryDir) -> Result<(), SuperviseError> {
    rustix::process::setsid().map_err(|error| SuperviseError::Session(error.into()))?;
    let Some(_lock) = lock(dir)? else { return Ok(()) };
    if dir.end()?.is_some() || dir.running()?.is_some() {
        return Ok(());
    }
    let Some(order) = dir.order()? else {
        return Err(SuperviseError::NoOrder(dir.path().display().to_string()));
    };
    if let Some(request) = dir.job_dir().terminate_request()? {
        dir.write_end(&TryEnd::now(Cause::Terminated { reason: request.reason }, None))?;
        return Ok(());
    }
    let mut complaints = Complaints::default();
    let end = match spawn(dir, &order) {
        Ok(shell) => oversee(dir, &order, shell, &mut complaints)?,
        Err(error) => TryEnd::now(Cause::NotStarted { error: error.to_string() }, None),
    };
    keep(dir, &end, &mut complaints).map_err(SuperviseError::Record)
}

fn lock(dir: &TryDir) -> Result<Option<File>, RecordError> {
    let asked = Instant::now();
    loop {
        match dir.try_lock()? {
            None if asked.elapsed() < LOCK_PATIENCE => thread::sleep(Duration::from_millis(20)),
            lock => return Ok(lock),
        }
    }
}

/// Starts the shell, which waits.
fn spawn(dir: &TryDir, order: &Order) -> io::Result<Child> {
    let mut log = File::options().create(true).append(true).mode(0o600).open(dir.log())?;
    if log.metadata()?.len() == 0 {
        let image = &order.image;
        writeln!(log, "The local engine runs the command on this machine; image ignored: {image}")?;
    }
    Command::new("/bin/bash")
        // Privileged mode takes no functions, options or start-up files from the environment.
        .args(["-p", "-c", SHELL, "demand"])
        .args(&order.command)
        .env_clear()
        .envs(&order.environment)
        .current_dir(dir.work())
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(log)
        .stderr(Stdio::null())
        .spawn()
}

/// Lets the shell run the command and sees it to its end.
///
/// Once the command runs, a supervisor that fails takes it along: the service would find it lost
/// and kill it. So from there on what cannot be read or done now is tried again.
fn oversee(
    dir: &TryDir,
    order: &Order,
    mut shell: Child,
    complaints: &mut Complaints,
) -> Result<TryEnd, SuperviseError> {
    let family = Family {
        supervisor: observe(rustix::process::getpid())?,
        command: observe(Pid::from_child(&shell))?,
    };
    let exit = await_exit(&shell).map_err(SuperviseError::Watch)?;
    dir.write_running(&Running { family: family.clone(), started_at: Timestamp::now() })?;
    let started = Instant::now();
    if let Some(mut gate) = shell.stdin.take() {
        // A shell that is gone already has an exit status that tells more than this error.
        let _ = gate.write_all(b"\n");
    }
    let cause = until_ended(dir, order, &family, started, &exit, complaints)?;
    // As a container does, the rest goes with the command. The shell is not reaped before, so
    // that its process group is still its own.
    destroy(&family, complaints);
    let status = shell.wait().map_err(SuperviseError::Watch)?;
    Ok(TryEnd::now(cause, exit_code(status)))
}

fn observe(pid: Pid) -> Result<Process, SuperviseError> {
    let gone = || io::Error::from(io::ErrorKind::NotFound);
    Process::observe(pid)
        .and_then(|process| process.ok_or_else(gone))
        .map_err(SuperviseError::Watch)
}

/// Tells, on another thread, when the shell has ended, and leaves it unreaped.
fn await_exit(shell: &Child) -> io::Result<Receiver<rustix::io::Result<()>>> {
    let (sender, receiver) = mpsc::channel();
    let pid = Pid::from_child(shell);
    thread::Builder::new().spawn(move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let ended = rustix::io::retry_on_intr(|| {
            rustix::process::waitid(WaitId::Pid(pid), options).map(|_| ())
        });
        // Nobody listens any more where overseeing failed.
        let _ = sender.send(ended);
    })?;
    Ok(receiver)
}

/// Waits for the end of the command, and brings it about where it is asked for or overdue.
fn until_ended(
    dir: &TryDir,
    order: &Order,
    family: &Family,
    started: Instant,
    exit: &Receiver<rustix::io::Result<()>>,
    complaints: &mut Complaints,
) -> Result<Cause, SuperviseError> {
    let timeout = order.timeout_seconds.map(|seconds| Duration::from_secs(seconds.into()));
    let grace = Duration::from_millis(order.terminate_grace_millis);
    let mut stopping: Option<Cause> = None;
    let mut told: Option<Instant> = None;
    loop {
        match exit.recv_timeout(TICK) {
            Ok(ended) => {
                ended.map_err(|error| SuperviseError::Watch(error.into()))?;
                return Ok(stopping.unwrap_or(Cause::Exited));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(SuperviseError::Watch(io::ErrorKind::BrokenPipe.into()));
            }
        }
        stopping = stopping.or_else(|| reason_to_stop(dir, timeout, started, complaints));
        let signal = match (&stopping, told) {
            (Some(_), None) => Signal::TERM,
            (Some(_), Some(told)) if told.elapsed() >= grace => Signal::KILL,
            _ => continue,
        };
        match family.signal(signal) {
            Ok(()) => told = told.or_else(|| Some(Instant::now())),
            Err(error) => complaints.add(&SuperviseError::Signal(error)),
        }
    }
}

fn reason_to_stop(
    dir: &TryDir,
    timeout: Option<Duration>,
    started: Instant,
    complaints: &mut Complaints,
) -> Option<Cause> {
    match dir.job_dir().terminate_request() {
        Ok(Some(request)) => return Some(Cause::Terminated { reason: request.reason }),
        Ok(None) => {}
        Err(error) => complaints.add(&error),
    }
    timeout.filter(|timeout| started.elapsed() >= *timeout).map(|_| Cause::TimedOut)
}

/// Ends what the command left behind. That the command ended is worth more than that nothing
/// outlives it, so the end is not kept from its record for ever.
fn destroy(family: &Family, complaints: &mut Complaints) {
    let begun = Instant::now();
    while let Err(error) = family.destroy() {
        complaints.add(&SuperviseError::Signal(error));
        if begun.elapsed() >= DESTROY_PATIENCE {
            return;
        }
        thread::sleep(TICK);
    }
}

fn exit_code(status: ExitStatus) -> Option<i32> {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal))
}

/// Records the end. Nobody else knows it, so a full disk is waited for; only a directory that was
/// taken away ends the waiting.
fn keep(dir: &TryDir, end: &TryEnd, complaints: &mut Complaints) -> Result<(), RecordError> {
    loop {
        match dir.write_end(end) {
            Err(error) if !error.is_not_found() => {
                complaints.add(&error);
                thread::sleep(Duration::from_secs(1));
            }
            kept => return kept,
        }
    }
}
