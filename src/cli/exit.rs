//! Exit codes, which scripts rely on.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It did what was asked; where a demand's end was asked for, COMPLETED.
    Done = 0,
    /// The demand ended FAILED, or the command itself failed.
    Failed = 1,
    /// The command line or the demand is not valid, or the service refused the call.
    Usage = 2,
    /// The demand ended ABORTED.
    Aborted = 3,
    /// There is no such demand.
    NotFound = 4,
    /// The service could not be reached, or could not answer.
    Unreachable = 5,
    /// The demand had not ended in the time given; the code of timeout(1).
    TimedOut = 124,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What `--help` says of them.
pub(super) const HELP: &str = "\
Exit codes:
  0    done; of a demand that has ended: COMPLETED
  1    FAILED
  2    bad usage, a demand that is not valid, or a call the service refused
  3    ABORTED
  4    no such demand
  5    the service is unreachable or cannot answer
  124  timed out";
