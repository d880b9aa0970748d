//! Bearer tokens of this service: a file that `demand token` writes and a running service reads
//! again when it has changed.
//!
//! A token is `dmd_ID_SECRET`. The file holds the SHA-256 of the secret, which is 256 random bits:
//! nothing that could be guessed, so nothing that needs a slow hash.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use uuid::Uuid;

use super::Scopes;
use crate::telemetry::chain;

const PREFIX: &str = "dmd_";
/// Characters of an id.
const ID: usize = 8;

/// A token as the file holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Names it, in lists and for its revocation.
    pub id: String,
    /// Whose it is; demands record `token:NAME` as their submitter.
    pub name: String,
    /// What it permits.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Of the secret, SHA-256, base64url.
    hash: String,
}

/// What the file holds.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    tokens: Vec<Token>,
}

/// Why the file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// The file system refuses.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds something else.
    #[error("{} holds no tokens", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A name that is another token's, or none.
    #[error("the name `{0}` is not usable: it is empty, has strange characters, or is in use")]
    Name(String),
    /// No token has this id.
    #[error("there is no token `{0}`")]
    Unknown(String),
}

/// The tokens of a service.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    known: Mutex<Known>,
}

/// What was read last, and what the file was then.
#[derive(Debug, Default)]
struct Known {
    stamp: Option<Stamp>,
    tokens: Arc<Vec<Token>>,
}

/// Tells one content of the file from another: every writing makes a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    modified: (i64, i64),
    size: u64,
}

impl TokenFile {
    /// Opens the file at `path`, which may be missing as yet.
    ///
    /// # Errors
    /// When it cannot be read, or holds something else.
    pub fn open(path: &Path) -> Result<Self, TokensError> {
        let file = Self { path: path.to_owned(), known: Mutex::default() };
        // The stamp first: what is written after it is read again.
        let stamp = file.stamp();
        let known = Known { stamp, tokens: Arc::new(file.read()?) };
        Ok(Self { known: Mutex::new(known), ..file })
    }

    /// The token that `bearer` is, unless it has expired at `now`. A file that has become
    /// unreadable leaves those it held before.
    pub fn find(&self, bearer: &str, now: Timestamp) -> Option<Token> {
        let (id, secret) = parts(bearer)?;
        let hash = hash(secret);
        let tokens = self.current();
        let token = tokens.iter().find(|token| token.id == id)?;
        let lives = token.expires_at.is_none_or(|expires_at| now < expires_at);
        (same(token.hash.as_bytes(), hash.as_bytes()) && lives).then(|| token.clone())
    }

    /// The tokens there are, oldest first.
    pub fn tokens(&self) -> Vec<Token> {
        self.current().to_vec()
    }

    /// Makes a token; answers it with the text that its bearer sends, which is kept nowhere.
    pub fn issue(
        &self,
        name: &str,
        scopes: Scopes,
        now: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Result<(Token, String), TokensError> {
        let name_fits = !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.@".contains(c));
        let id = Uuid::new_v4().simple().to_string()[..ID].to_owned();
        let secret: Vec<u8> = [Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4()]
            .iter()
            .flat_map(|random| random.into_bytes())
            .collect();
        // A random UUID has 122 random bits; three of them, hashed, give the 256 wanted.
        let secret = URL_SAFE_NO_PAD.encode(Sha256::digest(secret));
        let hash = hash(&secret);
        let name = name.to_owned();
        let token = Token { id, name, scopes, created_at: now, expires_at, hash };
        self.change(|tokens| {
            if !name_fits || tokens.iter().any(|other| other.name == token.name) {
                return Err(TokensError::Name(token.name.clone()));
            }
            tokens.push(token.clone());
            Ok(())
        })?;
        let bearer = format!("{PREFIX}{}_{secret}", token.id);
        Ok((token, bearer))
    }

    /// Removes the token of this id or name; it is refused from then on.
    pub fn revoke(&self, id: &str) -> Result<Token, TokensError> {
        self.change(|tokens| {
            let at = tokens.iter().position(|token| token.id == id || token.name == id);
            at.map(|at| tokens.remove(at)).ok_or_else(|| TokensError::Unknown(id.to_owned()))
        })
    }

    /// Changes the file as one step, with nobody else changing it meanwhile.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Vec<Token>) -> Result<T, TokensError>,
    ) -> Result<T, TokensError> {
        let fail = |operation| {
            let path = self.path.clone();
            move |source| TokensError::File { operation, path, source }
        };
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(self.path.with_added_extension("lock"))
            .map_err(fail("lock"))?;
        lock.lock().map_err(fail("lock"))?;
        let mut document = Document { tokens: self.read()? };
        let changed = change(&mut document.tokens)?;
        // A temporary file is its owner's alone, which the new one is to be.
        let mut written = NamedTempFile::new_in(directory).map_err(fail("write"))?;
        serde_json::to_writer_pretty(&mut written, &document)
            .map_err(io::Error::from)
            .and_then(|()| written.write_all(b"\n"))
            .and_then(|()| written.as_file().sync_all())
            .map_err(fail("write"))?;
        // Whoever changes it may be another than the service that reads it.
        if let Ok(before) = fs::metadata(&self.path) {
            fchown(written.as_file(), Some(before.uid()), Some(before.gid()))
                .and_then(|()| written.as_file().set_permissions(before.permissions()))
                .map_err(fail("keep the owner of"))?;
        }
        written.persist(&self.path).map_err(|error| fail("write")(error.error))?;
        let durable = File::open(directory).and_then(|directory| directory.sync_all());
        durable.map_err(fail("write"))?;
        Ok(changed)
    }

    fn current(&self) -> Arc<Vec<Token>> {
        let stamp = self.stamp();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if stamp != known.stamp {
            match self.read() {
                Ok(tokens) => *known = Known { stamp, tokens: Arc::new(tokens) },
                Err(error) => {
                    tracing::error!(error = %chain(&error), "keeping the tokens known before");
                    // What cannot be read now may be readable in a moment.
                    if !matches!(error, TokensError::File { .. }) {
                        known.stamp = stamp;
                    }
                }
            }
        }
        Arc::clone(&known.tokens)
    }

    fn stamp(&self) -> Option<Stamp> {
        let metadata = fs::metadata(&self.path).ok()?;
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Some(Stamp { inode: metadata.ino(), modified, size: metadata.size() })
    }

    fn read(&self) -> Result<Vec<Token>, TokensError> {
        let path = self.path.clone();
        match fs::read(&self.path) {
            Ok(content) => serde_json::from_slice::<Document>(&content)
                .map(|document| document.tokens)
                .map_err(|source| TokensError::Content { path, source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(TokensError::File { operation: "read", path, source }),
        }
    }
}

/// Whether a text looks like one of these tokens, known or not.
pub(super) fn has_form(bearer: &str) -> bool {
    parts(bearer).is_some()
}

fn parts(bearer: &str) -> Option<(&str, &str)> {
    let (id, secret) = bearer.strip_prefix(PREFIX)?.split_once('_')?;
    (id.len() == ID).then_some((id, secret))
}

fn hash(secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(secret))
}

/// Compares in a time that does not tell where they differ.
fn same(one: &[u8], other: &[u8]) -> bool {
    let differs = one.iter().zip(other).fold(0, |differs, (one, other)| differs | (one ^ other));
    one.len() == other.len() && differs == 0
}
