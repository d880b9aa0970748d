//! Processes by pid *and* start time, so that a recycled pid is never taken for the process that
//! once had it, and the signalling of everything a try started.

use std::io;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

/// One process, for ever: no other process, of this boot or another, has the same two values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    pub pid: i32,
    /// When it started, in the system's own terms.
    pub started: String,
}

impl Process {
    /// The process that has `pid` now, if any.
    pub fn observe(pid: Pid) -> io::Result<Option<Self>> {
        let started = system::started(pid)?;
        Ok(started.map(|started| Self { pid: pid.as_raw_nonzero().get(), started }))
    }

    /// The pid, as long as it is still this process's; a zombie keeps its own.
    fn current_pid(&self) -> io::Result<Option<Pid>> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        Ok(Self::observe(pid)?.filter(|now| now == self).map(|_| pid))
    }
}

/// A supervisor and the command it runs, which leads a process group in the supervisor's session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Family {
    /// Leads the session.
    pub supervisor: Process,
    /// Leads the process group.
    pub command: Process,
}

impl Family {
    /// Signals the command's process group, and what left the group for another in the session
    /// (as `timeout` does). What opened a session of its own is out of reach.
    ///
    /// All is looked up before anything is sent, so that a call that failed can be repeated and
    /// tells nobody twice.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let group = self.command.current_pid()?;
        let members = system::session(&self.supervisor)?;
        if let Some(group) = group {
            ignore_gone(rustix::process::kill_process_group(group, signal))?;
        }
        for member in members.iter().filter(|member| Some(member.group) != group) {
            member.signal(signal);
        }
        Ok(())
    }

    /// Kills all of it and returns when nothing of it runs, or after a second: a process that
    /// the kernel holds in a call ends when it returns from that.
    pub fn destroy(&self) -> io::Result<()> {
        for _ in 0..100 {
            self.signal(Signal::KILL)?;
            if system::session(&self.supervisor)?.is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

fn ignore_gone(signalled: rustix::io::Result<()>) -> io::Result<()> {
    match signalled {
        // macOS answers EPERM for a group of zombies.
        Err(rustix::io::Errno::SRCH | rustix::io::Errno::PERM) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(target_os = "linux")]
mod system {
    //! `/proc`: <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>.

    use std::{fs, io};

    use rustix::io::Errno;
    use rustix::process::{Pid, PidfdFlags, Signal};

    use super::Process;

    /// A process of a session, other than its leader, that has not ended.
    pub struct Member {
        pid: Pid,
        session: Pid,
        pub group: Pid,
    }

    impl Member {
        /// Signals exactly this process: the descriptor is taken first and the pid then seen to
        /// be still in the session, so that nothing recycled in between is hit. One that cannot
        /// be looked at now is left to the SIGKILLs at the end, which are repeated.
        pub fn signal(&self, signal: Signal) {
            let Ok(descriptor) = rustix::process::pidfd_open(self.pid, PidfdFlags::empty()) else {
                return;
            };
            if let Ok(Some(stat)) = Stat::read(self.pid)
                && stat.session == self.session.as_raw_nonzero().get()
            {
                // It is gone, or another user's.
                let _ = rustix::process::pidfd_send_signal(&descriptor, signal);
            }
        }
    }

    pub fn started(pid: Pid) -> io::Result<Option<String>> {
        let Some(stat) = Stat::read(pid)? else { return Ok(None) };
        Ok(Some(format!("{}/{}", boot()?, stat.start_time)))
    }

    /// The living members of the session that `leader` opened. The kernel gives a pid to nobody
    /// else while a session goes by it, so if another process has the leader's, none are left.
    pub fn session(leader: &Process) -> io::Result<Vec<Member>> {
        let Some(session) = Pid::from_raw(leader.pid) else { return Ok(Vec::new()) };
        let anothers = rustix::process::test_kill_process(session) == Err(Errno::PERM);
        let recycled = anothers || Process::observe(session)?.is_some_and(|now| now != *leader);
        if recycled || !leader.started.starts_with(&boot()?) {
            return Ok(Vec::new());
        }
        let mut members = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let Some(pid) = Pid::from_raw(pid).filter(|pid| *pid != session) else { continue };
            let Some(stat) = Stat::read(pid)? else { continue };
            let ended = matches!(stat.state, 'Z' | 'X');
            if let Some(group) = Pid::from_raw(stat.group)
                && stat.session == leader.pid
                && !ended
            {
                members.push(Member { pid, session, group });
            }
        }
        Ok(members)
    }

    /// Start times count from the boot, so they name a process only together with it.
    fn boot() -> io::Result<String> {
        Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
    }

    struct Stat {
        state: char,
        group: i32,
        session: i32,
        start_time: u64,
    }

    impl Stat {
        /// Nothing where there is no such process, or none of ours: `/proc` may be mounted so
        /// that those of others cannot be read (`hidepid=1`) or seen (`hidepid=2`).
        fn read(pid: Pid) -> io::Result<Option<Self>> {
            let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
            match fs::read(&path) {
                Ok(stat) => Ok(Self::parse(&String::from_utf8_lossy(&stat))),
                Err(error) => match Errno::from_io_error(&error) {
                    // The process may end between opening and reading, which is SRCH.
                    Some(Errno::NOENT | Errno::SRCH | Errno::PERM | Errno::ACCESS) => Ok(None),
                    _ => Err(error),
                },
            }
        }

        /// The second field is the program's name in parentheses and may hold anything; the
        /// others are counted from its end.
        fn parse(stat: &str) -> Option<Self> {
            let (_, after_name) = stat.rsplit_once(')')?;
            let fields: Vec<&str> = after_name.split_whitespace().collect();
            Some(Self {
                state: fields.first()?.chars().next()?,
                group: fields.get(2)?.parse().ok()?,
                session: fields.get(3)?.parse().ok()?,
                start_time: fields.get(19)?.parse().ok()?,
            })
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    //! `ps`, for development on other systems: start times, but no look into sessions, so that
    //! only the process group is reached.

    use std::io;
    use std::process::Command;

    use rustix::process::{Pid, Signal};

    use super::Process;

    /// Never made here.
    pub struct Member {
        pub group: Pid,
    }

    impl Member {
        pub fn signal(&self, signal: Signal) {
            let _ = rustix::process::kill_process(self.group, signal);
        }
    }

    pub fn started(pid: Pid) -> io::Result<Option<String>> {
        let pid = pid.as_raw_nonzero().to_string();
        let output = Command::new("ps").args(["-o", "lstart=", "-p", &pid]).output()?;
        let started = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok((!started.is_empty()).then_some(started))
    }

    pub fn session(_leader: &Process) -> io::Result<Vec<Member>> {
        Ok(Vec::new())
    }
}
