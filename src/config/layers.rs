//! The sources of a configuration, laid over each other, every value knowing where it came from.

use std::ffi::OsString;
use std::path::Path;

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::error::ConfigError;

/// What the name of every variable that configures the service starts with.
const PREFIX: &str = "DEMAND_";

/// Variables that tell the client and the worker something; the service reads none of them.
const NOT_SETTINGS: [&str; 4] = ["DEMAND_URL", "DEMAND_TOKEN", "DEMAND_CONFIG", "DEMAND_TASK"];

/// A command-line flag that sets a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// As it is written on the command line: `--listen`.
    pub name: &'static str,
    /// The key it sets, dotted.
    pub key: &'static str,
    /// Its value, written as in an environment variable.
    pub value: String,
}

/// A key as one source set it.
pub(super) struct Entry {
    /// Dotted.
    pub key: String,
    /// The file's path, the variable's name or the flag.
    pub origin: String,
    /// How it was written.
    pub form: Form,
}

/// How a key was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// In the file or as a flag, dotted.
    Dotted,
    /// In the file, as a table with nothing in it.
    EmptyTable,
    /// As the name of a variable.
    Variable,
}

/// Everything that was set, the later sources over the earlier ones.
#[derive(Default)]
pub(super) struct Layers {
    pub figment: Figment,
    /// Every key of every source, so that those nobody asked for can be told.
    pub entries: Vec<Entry>,
    pub faults: Vec<ConfigError>,
}

impl Layers {
    pub fn file(&mut self, file: &Path) {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(source) => {
                self.faults.push(ConfigError::Unreadable { file: file.to_owned(), source });
                return;
            }
        };
        match Toml::from_str::<Dict>(&text) {
            Ok(dict) => {
                let origin = file.display().to_string();
                self.note(&dict, "", &origin);
                self.lay(origin, dict);
            }
            Err(error) => {
                let message = error.to_string().trim_end().to_owned();
                self.faults.push(ConfigError::Syntax { file: file.to_owned(), message });
            }
        }
    }

    pub fn environment(&mut self, environment: &[(OsString, OsString)]) {
        for (name, value) in environment {
            let Some(name) = name.to_str() else { continue };
            let Some(path) = name.strip_prefix(PREFIX) else { continue };
            if NOT_SETTINGS.contains(&name) || is_service_link(path) {
                continue;
            }
            let key = path.to_lowercase().replace("__", ".");
            match value.to_str() {
                Some(value) => self.set(&key, name, value, Form::Variable),
                None => self.faults.push(ConfigError::Invalid {
                    key,
                    origin: name.to_owned(),
                    message: "is not UTF-8".to_owned(),
                }),
            }
        }
    }

    pub fn flags(&mut self, flags: &[Flag]) {
        for flag in flags {
            self.set(flag.key, flag.name, &flag.value, Form::Dotted);
        }
    }

    fn set(&mut self, key: &str, origin: &str, value: &str, form: Form) {
        let (key, origin) = (key.to_owned(), origin.to_owned());
        if let Some(dict) = figment::util::nest(&key, Value::from(value)).into_dict() {
            self.lay(origin.clone(), dict);
        }
        self.entries.push(Entry { key, origin, form });
    }

    fn lay(&mut self, origin: String, dict: Dict) {
        self.figment = std::mem::take(&mut self.figment).merge(Layer { origin, dict });
    }

    /// Notes the keys of a file: tables are gone into, so that each of their keys is told.
    fn note(&mut self, dict: &Dict, parent: &str, origin: &str) {
        for (name, value) in dict {
            // A quoted key may hold a dot, and is not the key it then looks like.
            let name = if name.contains('.') { format!("\"{name}\"") } else { name.clone() };
            let key = if parent.is_empty() { name } else { format!("{parent}.{name}") };
            let form = match value.as_dict() {
                Some(table) if table.is_empty() => Form::EmptyTable,
                Some(table) => {
                    self.note(table, &key, origin);
                    continue;
                }
                None => Form::Dotted,
            };
            self.entries.push(Entry { key, origin: origin.to_owned(), form });
        }
    }
}

/// The name of the variable that sets `key`.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_uppercase())
}

/// Whether Kubernetes made this variable for a Service named `demand`
/// (<https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>):
/// every pod of the namespace gets them, ours too, and none of them is meant for us.
fn is_service_link(path: &str) -> bool {
    path == "SERVICE_HOST"
        || path == "PORT"
        || path.starts_with("SERVICE_PORT")
        || path
            .strip_prefix("PORT_")
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// One source, as figment takes it: its metadata is what [`figment::Figment::get_metadata`]
/// answers for a value of it.
struct Layer {
    origin: String,
    dict: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> figment::error::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}
