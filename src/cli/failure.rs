//! Why a command could not do what was asked: what the user is told, and the exit code.

use std::error::Error;
use std::fmt;
use std::io::{self, Write as _};

use reqwest::StatusCode;
use serde_json::Value;
use url::Url;

use super::document::{Document, Problem};
use super::exit::Exit;
use super::terminal::printable;

/// A call that did not get the answer it was made for.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The HTTP client could not be set up.
    #[error("cannot set up the HTTP client")]
    SetUp(#[source] reqwest::Error),
    /// No answer came.
    #[error("cannot reach {url}")]
    Unreachable {
        url: Url,
        #[source]
        source: reqwest::Error,
    },
    /// The answer was a refusal or a failure.
    #[error(transparent)]
    Answered(Box<Refusal>),
    /// The answer was not what this service answers.
    #[error("{url} does not answer like this service")]
    Foreign {
        url: Url,
        #[source]
        source: serde_json::Error,
    },
}

/// An answer with a status of 4xx or 5xx, or a redirection, which this service never answers.
#[derive(Debug)]
pub(super) struct Refusal {
    pub status: StatusCode,
    pub problem: Problem,
    /// The problem as it was sent, if it was one.
    pub sent: Option<Value>,
}

impl Refusal {
    pub fn new(status: StatusCode, body: &[u8]) -> Self {
        match Document::<Problem>::parse(body) {
            Ok(Document { sent, read }) => Self { status, problem: read, sent: Some(sent) },
            Err(_) => Self { status, problem: Problem::default(), sent: None },
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { title, detail, errors, request_id } = &self.problem;
        let title = title.as_deref().or(self.status.canonical_reason()).unwrap_or("refused");
        write!(f, "{} ({})", printable(title), self.status.as_u16())?;
        if let Some(detail) = detail {
            write!(f, ": {}", printable(detail))?;
        }
        for fault in errors {
            // The empty pointer is the whole request (RFC 6901).
            let pointer = if fault.pointer.is_empty() { "(request)" } else { &fault.pointer };
            write!(f, "\n  {}:", printable(pointer))?;
            if let Some(detail) = &fault.detail {
                write!(f, " {}", printable(detail))?;
            }
            if let Some(code) = &fault.code {
                write!(f, " [{}]", printable(code))?;
            }
        }
        // What operators find the failure by; nobody needs it for a fault of the request.
        if let Some(id) = request_id.as_ref().filter(|_| self.status.is_server_error()) {
            write!(f, "\n  request id: {}", printable(id))?;
        }
        Ok(())
    }
}

impl Error for Refusal {}

/// Why a command ends otherwise than planned.
#[derive(Debug)]
pub(super) struct Failure {
    pub exit: Exit,
    pub error: Box<dyn Error + Send + Sync>,
    /// The problem document, for `--json`.
    pub problem: Option<Value>,
}

impl Failure {
    /// Something else that went wrong.
    pub fn of(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { exit: Exit::Failed, error: error.into(), problem: None }
    }

    /// Something wrong with what the user gave.
    pub fn usage(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { exit: Exit::Usage, error: error.into(), problem: None }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let exit = match &error {
            CallError::SetUp(_) => Exit::Failed,
            CallError::Unreachable { .. } | CallError::Foreign { .. } => Exit::Unreachable,
            CallError::Answered(refusal) => match refusal.status {
                StatusCode::NOT_FOUND => Exit::NotFound,
                StatusCode::TOO_MANY_REQUESTS => Exit::Unreachable,
                status if status.is_client_error() => Exit::Usage,
                _ => Exit::Unreachable,
            },
        };
        let problem = match &error {
            CallError::Answered(refusal) => refusal.sent.clone(),
            _ => None,
        };
        Self { exit, error: error.into(), problem }
    }
}

/// What is printed could not be: the disk is full, or whatever stdout is refuses it.
impl From<io::Error> for Failure {
    fn from(source: io::Error) -> Self {
        let error = PrintError { source };
        Self { exit: Exit::Failed, error: error.into(), problem: None }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot print the answer")]
struct PrintError {
    source: io::Error,
}

/// Tells `error` and its causes on stderr, in one line if they are.
pub fn complain(error: &dyn Error) {
    let mut words = format!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Some libraries do repeat their source.
        if !words.ends_with(&said) {
            words.push_str(": ");
            words.push_str(&said);
        }
        cause = error.source();
    }
    // Where stderr is gone too, nobody can be told.
    let _ = writeln!(io::stderr(), "{words}");
}
