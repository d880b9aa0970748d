//! What can be wrong with a configuration, and all of it together.

use std::fmt;
use std::path::PathBuf;

/// One fault, with its key and where it was set.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}: {message}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Where in it, and what is wrong there; several lines.
        message: String,
    },
    /// Nothing is configured by this key.
    #[error("{origin}: `{key}` is not a setting{}", suggest(suggestion.as_deref()))]
    Unknown {
        /// The key, dotted.
        key: String,
        /// Where it was set: a file's path, a variable's name or a flag.
        origin: String,
        /// What may have been meant, written as it is at this origin.
        suggestion: Option<String>,
    },
    /// The key has a value that cannot be taken.
    #[error("{origin}: `{key}` {message}")]
    Invalid {
        /// The key, dotted.
        key: String,
        /// Where it was set: a file's path, a variable's name or a flag; `default` where the
        /// default does not fit what was set.
        origin: String,
        /// What is wrong with it.
        message: String,
    },
    /// The key has no default and was not set.
    #[error("`{key}` is required: set it in the configuration file or as {variable}")]
    Missing {
        /// The key, dotted.
        key: String,
        /// The environment variable that sets it.
        variable: String,
    },
}

fn suggest(suggestion: Option<&str>) -> String {
    suggestion.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default()
}

/// Every fault of a configuration; at least one. Displayed one a line.
#[derive(Debug)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// The faults, if there are any.
    pub(super) fn from_faults(faults: Vec<ConfigError>) -> Result<(), Self> {
        if faults.is_empty() { Ok(()) } else { Err(Self(faults)) }
    }

    /// The faults, in the order of the sources they were found in.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, fault) in self.0.iter().enumerate() {
            if position > 0 {
                writeln!(f)?;
            }
            write!(f, "{fault}")?;
            // The list has no one source, so each fault's is told here.
            if let Some(source) = std::error::Error::source(fault) {
                write!(f, ": {source}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
