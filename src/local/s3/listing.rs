//! A page of a bucket's keys, in S3's order (bytes of the whole key), read from directories
//! without reading more of them than the page needs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::objects::{Object, is_empty_dir};

/// Which keys a page has.
pub(super) struct Query<'a> {
    pub prefix: &'a str,
    /// Whether what lies below the next `/` is rolled up.
    pub folders: bool,
    /// Only keys after this one.
    pub after: &'a str,
    pub limit: usize,
}

/// An object or, with `folders`, a common prefix.
pub(super) enum Entry {
    Object(String, Object),
    Folder(String),
}

/// A page of keys.
#[derive(Default)]
pub(super) struct Page {
    pub entries: Vec<Entry>,
    /// The last key of this page, when more follow.
    pub next: Option<String>,
}

impl Page {
    /// Reads a page of the bucket at `directory`.
    pub fn read(directory: &Path, query: &Query<'_>) -> io::Result<Self> {
        let mut page = Self::default();
        page.descend(directory, "", query)?;
        Ok(page)
    }

    /// Adds what lies in `directory`, whose keys start with `folder`; true when the page is full.
    fn descend(&mut self, directory: &Path, folder: &str, query: &Query<'_>) -> io::Result<bool> {
        for (key, path) in children(directory, folder, query)? {
            let below = key.ends_with('/');
            if below && !(query.folders && is_rolled_up(&key, query.prefix)) {
                if is_empty_dir(&path) {
                    if key.starts_with(query.prefix)
                        && key.as_str() > query.after
                        && self.add_object(key, path, query)
                    {
                        return Ok(true);
                    }
                } else if self.descend(&path, &key, query)? {
                    return Ok(true);
                }
            } else if below {
                if self.is_full(query) {
                    return Ok(true);
                }
                self.entries.push(Entry::Folder(key));
            } else if self.add_object(key, path, query) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn add_object(&mut self, key: String, path: PathBuf, query: &Query<'_>) -> bool {
        // Gone since the directory was read, or a symlink to nothing: not an object.
        let Ok(metadata) = fs::metadata(&path) else { return false };
        let Ok(mut object) = Object::new(path, &metadata) else { return false };
        if self.is_full(query) {
            return true;
        }
        if metadata.is_dir() {
            object.size = 0;
        }
        self.entries.push(Entry::Object(key, object));
        false
    }

    fn is_full(&mut self, query: &Query<'_>) -> bool {
        let full = self.entries.len() >= query.limit;
        if full {
            self.next = self.entries.last().map(|entry| match entry {
                Entry::Object(key, _) | Entry::Folder(key) => key.clone(),
            });
        }
        full
    }
}

fn is_rolled_up(key: &str, prefix: &str) -> bool {
    key.len() > prefix.len() && key.starts_with(prefix)
}

/// The keys in `directory` that can matter to the query, folders with a trailing `/`, in order.
fn children(
    directory: &Path,
    folder: &str,
    query: &Query<'_>,
) -> io::Result<Vec<(String, PathBuf)>> {
    let mut children = Vec::new();
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(children),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        // S3's keys are UTF-8: a file with another name cannot be an object.
        let Ok(name) = entry.file_name().into_string() else { continue };
        let kind = entry.file_type()?;
        let is_dir = kind.is_dir() || (kind.is_symlink() && entry.path().is_dir());
        let key = format!("{folder}{name}{}", if is_dir { "/" } else { "" });
        let in_prefix =
            key.starts_with(query.prefix) || (is_dir && query.prefix.starts_with(key.as_str()));
        let holds_after = is_dir && query.after.len() > key.len() && query.after.starts_with(&key);
        let resumes_here = is_dir && query.after == key && !query.folders;
        if in_prefix && (key.as_str() > query.after || holds_after || resumes_here) {
            children.push((key, entry.path()));
        }
    }
    children.sort_unstable();
    Ok(children)
}
