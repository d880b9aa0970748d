//! The registry of job definitions: a name and a revision for each content, a small file each.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
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

/// One of them, where it is kept, and when it was last asked for.
#[derive(Debug)]
struct Kept {
    registered: Registered,
    /// Its time of change says when it was last registered.
    file: PathBuf,
    used_at: Timestamp,
}

/// Every definition registered, by its id (`name:revision`).
#[derive(Debug)]
pub(super) struct Definitions {
    directory: PathBuf,
    /// Held for a look or a change, never while a file is written: lookups are the runtime's.
    kept: Mutex<HashMap<String, Kept>>,
    /// Held by whoever changes the files, so that each content is registered once.
    changing: Mutex<()>,
}

impl Definitions {
    /// Reads what was registered before.
    pub fn open(directory: PathBuf) -> Result<Self, RecordError> {
        durable::create_directory(&directory)?;
        let mut kept = HashMap::new();
        for file in durable::list(&directory)? {
            if file.extension().is_some_and(|extension| extension == "json")
                && let Some(registered) = durable::read_json::<Registered>(&file)?
            {
                let used_at = changed_at(&file).map_err(RecordError::io("read", &file))?;
                kept.insert(registered.id(), Kept { registered, file, used_at });
            }
        }
        Ok(Self { directory, kept: Mutex::new(kept), changing: Mutex::new(()) })
    }

    /// The id of `definition`: an old one where its content is registered under its name, else
    /// the next revision's. Waits for the disk.
    pub fn register(&self, definition: &JobDefinition) -> Result<String, RecordError> {
        let _changing = hold(&self.changing);
        let now = Timestamp::now();
        let known = self.use_again(definition, now);
        if let Some((id, file)) = known {
            let touch = || File::options().write(true).open(&file)?.set_modified(now.into());
            touch().map_err(RecordError::io("touch", &file))?;
            return Ok(id);
        }
        let name = &definition.register.job_definition_name;
        let latest = self.latest_revision(name);
        let registered = Registered { revision: latest + 1, definition: definition.clone() };
        // Not the name or the hash: neither is known to be a safe file name.
        let file = self.directory.join(format!("{}.json", uuid::Uuid::now_v7()));
        durable::write_json(&file, &registered)?;
        let id = registered.id();
        hold(&self.kept).insert(id.clone(), Kept { registered, file, used_at: now });
        Ok(id)
    }

    fn use_again(&self, definition: &JobDefinition, now: Timestamp) -> Option<(String, PathBuf)> {
        let name = &definition.register.job_definition_name;
        let mut kept = hold(&self.kept);
        let (id, same) = kept.iter_mut().find(|(_, kept)| {
            kept.registered.name() == name
                && kept.registered.definition.content_hash == definition.content_hash
        })?;
        same.used_at = now;
        Some((id.clone(), same.file.clone()))
    }

    fn latest_revision(&self, name: &str) -> u32 {
        let kept = hold(&self.kept);
        let named = kept.values().filter(|kept| kept.registered.name() == name);
        named.map(|kept| kept.registered.revision).max().unwrap_or(0)
    }

    /// The definition that `reference` names, with its id: `name:revision`, or a name alone for
    /// its latest revision.
    pub fn find(&self, reference: &str) -> Option<(String, JobDefinition)> {
        let mut kept = hold(&self.kept);
        let id = if kept.contains_key(reference) {
            reference.to_owned()
        } else {
            let named = kept.values().filter(|kept| kept.registered.name() == reference);
            named.max_by_key(|kept| kept.registered.revision)?.registered.id()
        };
        let found = kept.get_mut(&id)?;
        found.used_at = Timestamp::now();
        Some((id, found.registered.definition.clone()))
    }

    /// Removes what nobody has asked for since `before` and no job in `used` runs on.
    pub fn forget(&self, before: Timestamp, used: &HashSet<String>) -> Result<(), RecordError> {
        let _changing = hold(&self.changing);
        let unused: Vec<(String, PathBuf)> = hold(&self.kept)
            .iter()
            .filter(|(id, kept)| kept.used_at < before && !used.contains(*id))
            .map(|(id, kept)| (id.clone(), kept.file.clone()))
            .collect();
        if unused.is_empty() {
            return Ok(());
        }
        for (id, file) in unused {
            match std::fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(RecordError::io("remove", &file)(error));
                }
                _ => hold(&self.kept).remove(&id),
            };
        }
        // Lasting before a revision's number is given to other content.
        durable::sync_directory(&self.directory)
    }
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn changed_at(file: &Path) -> std::io::Result<Timestamp> {
    let modified = file.metadata()?.modified()?;
    Ok(Timestamp::try_from(modified).unwrap_or(Timestamp::MAX))
}
