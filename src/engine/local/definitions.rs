//! The registry of job definitions: a name and a revision for each content, a small file each.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::durable::{self, RecordError};
use crate::plan::submission::JobDefinition;

/// A definition and the revision of its name that it is; revisions count from 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Registered {
    revision: u32,
    definition: JobDefinition,
}

impl Registered {
    fn name(&self) -> &str {
        &self.definition.register.job_definition_name
    }

    fn id(&self) -> String {
        format!("{}:{}", self.name(), self.revision)
    }
}

/// Every definition registered, by its id (`name:revision`).
#[derive(Debug)]
pub(super) struct Definitions {
    directory: PathBuf,
    registered: HashMap<String, Registered>,
}

impl Definitions {
    /// Reads what was registered before.
    pub fn open(directory: PathBuf) -> Result<Self, RecordError> {
        durable::create_directory(&directory)?;
        let mut registered = HashMap::new();
        for path in files(&directory)? {
            if path.extension().is_some_and(|extension| extension == "json")
                && let Some(definition) = durable::read_json::<Registered>(&path)?
            {
                registered.insert(definition.id(), definition);
            }
        }
        Ok(Self { directory, registered })
    }

    /// The id of `definition`: an old one where its content is registered under its name, else
    /// the next revision's.
    pub fn register(&mut self, definition: &JobDefinition) -> Result<String, RecordError> {
        let name = &definition.register.job_definition_name;
        let revisions = || self.registered.values().filter(|known| known.name() == name);
        if let Some(known) =
            revisions().find(|known| known.definition.content_hash == definition.content_hash)
        {
            return Ok(known.id());
        }
        let revision = revisions().map(|known| known.revision).max().unwrap_or(0) + 1;
        let new = Registered { revision, definition: definition.clone() };
        // Not the name or the hash: neither is known to be a safe file name.
        let file = self.directory.join(format!("{}.json", uuid::Uuid::now_v7()));
        durable::write_json(&file, &new)?;
        let id = new.id();
        self.registered.insert(id.clone(), new);
        Ok(id)
    }

    /// The definition that `reference` names, with its id: `name:revision`, or a name alone for
    /// its latest revision.
    pub fn find(&self, reference: &str) -> Option<(String, JobDefinition)> {
        let exact = self.registered.get(reference);
        let latest = || {
            let named = self.registered.values().filter(|known| known.name() == reference);
            named.max_by_key(|known| known.revision)
        };
        let found = exact.or_else(latest)?;
        Some((found.id(), found.definition.clone()))
    }
}

fn files(directory: &Path) -> Result<Vec<PathBuf>, RecordError> {
    let list = || -> std::io::Result<Vec<PathBuf>> {
        std::fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect()
    };
    list().map_err(RecordError::io("list", directory))
}
