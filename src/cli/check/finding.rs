//! What was found of one thing, and how it is told.

use std::error::Error;
use std::fmt;

use serde::Serialize;

use crate::aws::CallError;
use crate::telemetry::chain;

/// How one thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum Outcome {
    /// As it should be.
    #[serde(rename = "ok")]
    Ok,
    /// Perhaps not; the service works, or may.
    #[serde(rename = "warning")]
    Warning,
    /// Not, and demands will fail for it.
    #[serde(rename = "FAILED")]
    Failed,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub outcome: Outcome,
    pub what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what_to_do: Option<String>,
}

impl Finding {
    pub fn ok(what: impl AsRef<str>) -> Self {
        Self { outcome: Outcome::Ok, what: line(what.as_ref()), what_to_do: None }
    }

    pub fn warning(what: impl AsRef<str>, what_to_do: impl AsRef<str>) -> Self {
        let what_to_do = Some(line(what_to_do.as_ref()));
        Self { outcome: Outcome::Warning, what: line(what.as_ref()), what_to_do }
    }

    pub fn missing(what: impl AsRef<str>, what_to_do: impl AsRef<str>) -> Self {
        Self { outcome: Outcome::Failed, ..Self::warning(what, what_to_do) }
    }

    /// Something that went wrong, with its causes.
    pub fn failed(what: &str, why: &(dyn Error + 'static), what_to_do: impl AsRef<str>) -> Self {
        Self::missing(format!("{what}: {}", chain(why)), what_to_do)
    }

    /// A call that failed, where it needed `permissions`.
    pub fn of_call(what: &str, failed: &CallError, permissions: &str, what_to_do: &str) -> Self {
        let what_to_do = match failed.code.as_deref() {
            _ if failed.is_denied() => format!("allow the service's identity {permissions}"),
            Some(
                "InvalidClientTokenId"
                | "UnrecognizedClientException"
                | "ExpiredToken"
                | "ExpiredTokenException"
                | "SignatureDoesNotMatch"
                | "InvalidAccessKeyId",
            ) => "renew the credentials: AWS does not know them".to_owned(),
            Some(_) => what_to_do.to_owned(),
            None => "see that AWS can be reached from here: network, region, AWS_ENDPOINT_URL"
                .to_owned(),
        };
        Self::failed(what, failed, what_to_do)
    }

    /// The same, where it is not known whether anything is wrong.
    pub fn uncertain(self) -> Self {
        Self { outcome: Outcome::Warning, ..self }
    }
}

/// AWS's words may have line breaks; a finding is told in one line.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `ok|FAILED|warning  what — what to do`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match self.outcome {
            Outcome::Ok => "ok",
            Outcome::Warning => "warning",
            Outcome::Failed => "FAILED",
        };
        write!(f, "{outcome:<7}  {}", self.what)?;
        match &self.what_to_do {
            Some(what_to_do) => write!(f, " — {what_to_do}"),
            None => Ok(()),
        }
    }
}

/// Everything that was found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Whether nothing failed.
    pub ok: bool,
    findings: Vec<Finding>,
}

impl Report {
    pub fn of(findings: Vec<Finding>) -> Self {
        let ok = findings.iter().all(|finding| finding.outcome != Outcome::Failed);
        Self { ok, findings }
    }

    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.findings.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}
