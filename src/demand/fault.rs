//! What is wrong with a demand: every fault at once, each with a place, a stable code and words.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One thing wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fault {
    /// JSON Pointer (RFC 6901) into the request as it was sent.
    pub pointer: String,
    /// What kind of fault it is; stable.
    pub code: Code,
    /// The same in words, naming the values concerned.
    pub detail: String,
}

/// The kinds of fault; `snake_case` on the wire, stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = FaultCode)]
pub enum Code {
    /// A field that must be there is not.
    Missing,
    /// A value of another type than the field takes.
    WrongType,
    /// A value outside the few that the field takes.
    UnknownValue,
    /// A value of the right type that cannot be used.
    InvalidValue,
    /// A number beyond what can be held or asked for.
    OutOfRange,
    /// A string that holds a NUL character.
    NulCharacter,
    /// An `execution_id` that is no safe path segment, or reserved.
    InvalidExecutionId,
    /// Not an `s3://bucket/key`.
    InvalidS3Path,
    /// A regular expression that does not compile.
    InvalidPattern,
    /// A local path that leaves the directory it belongs to.
    PathOutsideDirectory,
    /// A parameter name that makes no environment variable.
    InvalidParameterName,
    /// A parameter that would change how programs are found or started.
    ForbiddenParameterName,
    /// Two parameters that make the same environment variable, or one that a reserved one has.
    NameCollision,
    /// An input that is an output too.
    InputOutputOverlap,
    /// An input or output without a parameter.
    UnknownParameter,
    /// A pair that names no input or output, or outputs paired twice.
    InvalidPair,
    /// An input or output without a remote location.
    NoDestination,
    /// `${X}` without a parameter X.
    UnresolvedReference,
    /// Parameters that refer to each other in a circle.
    ReferenceCycle,
    /// No command to run.
    NoCommand,
    /// No AWS Batch platform to run on.
    NoPlatform,
    /// No file system fits.
    FileSystemNotFound,
    /// More than one file system fits.
    FileSystemAmbiguous,
    /// No access point fits.
    AccessPointNotFound,
    /// More than one access point fits.
    AccessPointAmbiguous,
    /// A name that AWS Batch does not take.
    InvalidName,
    /// More than AWS takes.
    TooLarge,
    /// A rule of the service's operator does not allow it.
    NotAllowed,
}

/// Everything that is wrong with a request: at least one [`Fault`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// The faults.
    pub fn as_slice(&self) -> &[Fault] {
        &self.0
    }

    /// Gives the faults away.
    pub fn into_vec(self) -> Vec<Fault> {
        self.0
    }

    /// These faults, of which there is at least one.
    pub(crate) fn of(faults: Vec<Fault>) -> Self {
        debug_assert!(!faults.is_empty(), "faults without a fault");
        Self(faults)
    }

    /// `Err` when there is a fault, else `Ok(value)`.
    pub(crate) fn or<T>(faults: Vec<Fault>, value: T) -> Result<T, Self> {
        if faults.is_empty() { Ok(value) } else { Err(Self(faults)) }
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            let place = if fault.pointer.is_empty() { "the request" } else { &fault.pointer };
            write!(f, "{place}: {}", fault.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// A place in the request; grows as the reader descends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pointer(String);

impl Pointer {
    /// The place of member `key` (RFC 6901: `~` and `/` are escaped).
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}/{}", self.0, key.replace('~', "~0").replace('/', "~1")))
    }

    /// The place of element `index`.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}/{index}", self.0))
    }

    /// The fault at this place.
    pub fn fault(&self, code: Code, detail: impl Into<String>) -> Fault {
        Fault { pointer: self.0.clone(), code, detail: detail.into() }
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
