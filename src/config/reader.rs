//! Pulls typed settings out of the layers by dotted key, remembering which keys exist and every
//! fault met, so that one pass tells all that is wrong.

use figment::Figment;

use super::error::{ConfigError, ConfigErrors};
use super::layers::{Entry, Form, Layers, variable};
use super::settings::{Setting, shown};

/// How alike a key must be to be suggested, from 0 (not at all) to 1 (the same).
const ALIKE: f64 = 0.75;

pub(super) struct Reader {
    figment: Figment,
    entries: Vec<Entry>,
    faults: Vec<ConfigError>,
    keys: Vec<&'static str>,
    /// Keys whose value is a free-form object, below which anything may be set.
    free_form: Vec<&'static str>,
}

impl Reader {
    pub fn new(layers: Layers) -> Self {
        let Layers { figment, entries, faults } = layers;
        Self { figment, entries, faults, keys: Vec::new(), free_form: Vec::new() }
    }

    /// The keys asked for so far.
    pub fn keys(&self) -> &[&'static str] {
        &self.keys
    }

    /// The setting, if it was set and can be taken.
    pub fn optional<T: Setting>(&mut self, key: &'static str) -> Option<T> {
        self.keys.push(key);
        if T::FREE_FORM {
            self.free_form.push(key);
        }
        let value = self.figment.find_value(key).ok()?;
        match T::read(&value) {
            Ok(setting) => Some(setting),
            Err(unfit) => {
                let message = match unfit {
                    Some(why) => format!("expects {}, not {}: {why}", T::EXPECTS, shown(&value)),
                    None => format!("expects {}, not {}", T::EXPECTS, shown(&value)),
                };
                self.refuse(key, &message);
                None
            }
        }
    }

    /// The setting, or `default`.
    pub fn or<T: Setting>(&mut self, key: &'static str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// The setting; not having it is a fault.
    pub fn required<T: Setting + Default>(&mut self, key: &'static str) -> T {
        if !self.figment.contains(key) {
            let missing = ConfigError::Missing { key: key.to_owned(), variable: variable(key) };
            self.faults.push(missing);
        }
        self.or(key, T::default())
    }

    /// Notes that `key` has a value that cannot be taken; one fault a key is enough.
    pub fn refuse(&mut self, key: &str, message: &str) {
        let known =
            |fault: &ConfigError| matches!(fault, ConfigError::Invalid { key: k, .. } if k == key);
        if self.faults.iter().any(known) {
            return;
        }
        let origin = self.figment.find_metadata(key).map_or("default", |origin| &*origin.name);
        self.faults.push(ConfigError::Invalid {
            key: key.to_owned(),
            origin: origin.to_owned(),
            message: message.to_owned(),
        });
    }

    /// Adds the keys nobody asked for, and answers whether all is well.
    pub fn finish(mut self) -> Result<(), ConfigErrors> {
        for entry in std::mem::take(&mut self.entries) {
            if !self.is_known(&entry) {
                let suggestion = self.alike(&entry.key).map(|key| match entry.form {
                    Form::Variable => variable(key),
                    Form::Dotted | Form::EmptyTable => key.to_owned(),
                });
                let Entry { key, origin, .. } = entry;
                self.faults.push(ConfigError::Unknown { key, origin, suggestion });
            }
        }
        ConfigErrors::from_faults(self.faults)
    }

    fn is_known(&self, entry: &Entry) -> bool {
        // Below a free-form object a file may set anything; a variable sets the object whole,
        // since nothing tells the type a single field of it has.
        let within = |object: &&'static str| {
            entry.key.strip_prefix(*object).is_some_and(|rest| rest.starts_with('.'))
        };
        // `[lifecycle]` with every line below it commented out says nothing, and nothing wrong.
        let is_section = || {
            let below = |known: &&str| {
                known.strip_prefix(&entry.key).is_some_and(|rest| rest.starts_with('.'))
            };
            self.keys.iter().any(below)
        };
        self.keys.contains(&entry.key.as_str())
            || (entry.form != Form::Variable && self.free_form.iter().any(within))
            || (entry.form == Form::EmptyTable && is_section())
    }

    fn alike(&self, key: &str) -> Option<&'static str> {
        // A variable with one underscore too few is the commonest slip, and `_` for `.` the same
        // distance from the right key as any other letter.
        self.keys
            .iter()
            .map(|known| (strsim::jaro_winkler(known, key), *known))
            .filter(|(likeness, _)| *likeness >= ALIKE)
            .max_by(|(one, _), (other, _)| one.total_cmp(other))
            .map(|(_, known)| known)
    }
}
