//! An identity provider's keys (RFC 7517): by URL, kept for a while and asked for again when a token
//! names one that is not known, as after a rotation; or in a file, read again when it has changed.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use jsonwebtoken::jwk::{Jwk, JwkSet};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use crate::config::JwksSource;
use crate::telemetry::chain;

/// How long keys are taken for the provider's without asking.
const FRESH: Duration = Duration::from_mins(10);
/// The least time between two questions: tokens with made-up keys shall not have it hammered.
const SPACING: Duration = Duration::from_secs(10);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(5);
/// How large it may be.
const LARGEST: usize = 1 << 20;

/// Why keys cannot be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JwksError {
    /// The provider does not answer, or not with keys.
    #[error("cannot read the keys at {url}")]
    Url {
        /// Where.
        url: Url,
        /// Why.
        source: Arc<reqwest::Error>,
    },
    /// The answer is too large.
    #[error("the keys at {0} are larger than {LARGEST} bytes")]
    TooLarge(Url),
    /// The file cannot be read.
    #[error("cannot read the keys in {}", path.display())]
    File {
        /// Where.
        path: PathBuf,
        /// Why.
        source: Arc<std::io::Error>,
    },
    /// What was read are no keys.
    #[error("what was read are no JSON Web Keys")]
    Content(#[source] Arc<serde_json::Error>),
}

/// Keys, and when or what they were when they were read.
#[derive(Debug, Clone)]
struct Known {
    keys: Arc<JwkSet>,
    read_at: Instant,
    modified: Option<SystemTime>,
}

/// When keys were read last, and why in vain.
#[derive(Debug, Default)]
struct Tried {
    at: Option<Instant>,
    failed: Option<JwksError>,
}

/// The keys of a provider.
#[derive(Debug)]
pub(super) struct Jwks {
    source: JwksSource,
    http: reqwest::Client,
    known: RwLock<Option<Known>>,
    /// Held by whoever reads.
    tried: Mutex<Tried>,
}

impl Jwks {
    pub fn new(source: JwksSource, http: reqwest::Client) -> Self {
        Self { source, http, known: RwLock::default(), tried: Mutex::default() }
    }

    /// The keys that may have signed a token of this `kid`: the one of that name, or every one
    /// where the token names none.
    pub async fn candidates(&self, kid: Option<&str>) -> Result<Vec<Jwk>, JwksError> {
        let known = self.known();
        let found = known.as_ref().map(|known| select(&known.keys, kid)).unwrap_or_default();
        if !found.is_empty() && known.as_ref().is_some_and(|known| self.is_current(known)) {
            return Ok(found);
        }
        match self.read(known).await {
            Ok(keys) => Ok(select(&keys, kid)),
            // Old keys are better than none: a provider that is down has rotated none.
            Err(error) if !found.is_empty() => {
                tracing::warn!(error = %chain(&error), "keeping the keys known before");
                Ok(found)
            }
            Err(error) => Err(error),
        }
    }

    fn known(&self) -> Option<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_current(&self, known: &Known) -> bool {
        match &self.source {
            JwksSource::Url(_) => known.read_at.elapsed() < FRESH,
            JwksSource::File(path) => {
                let modified = path.metadata().and_then(|metadata| metadata.modified()).ok();
                modified.is_none() || modified == known.modified
            }
        }
    }

    /// Reads the keys again, unless somebody just has since `seen`, or it was tried a moment ago.
    async fn read(&self, seen: Option<Known>) -> Result<Arc<JwkSet>, JwksError> {
        let mut tried = self.tried.lock().await;
        let is_url = matches!(self.source, JwksSource::Url(_));
        let is_too_soon = is_url && tried.at.is_some_and(|at| at.elapsed() < SPACING);
        if let Some(known) = self.known() {
            let is_newer = seen.is_none_or(|seen| seen.read_at != known.read_at);
            if is_newer || is_too_soon {
                return Ok(known.keys);
            }
        } else if let Some(failed) = tried.failed.clone().filter(|_| is_too_soon) {
            // Nobody waits for what has just failed.
            return Err(failed);
        }
        let read = self.read_now().await;
        *tried = Tried { at: Some(Instant::now()), failed: read.as_ref().err().cloned() };
        let (keys, modified) = read?;
        let keys = Arc::new(keys);
        let known = Known { keys: Arc::clone(&keys), read_at: Instant::now(), modified };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known);
        Ok(keys)
    }

    async fn read_now(&self) -> Result<(JwkSet, Option<SystemTime>), JwksError> {
        match &self.source {
            JwksSource::Url(url) => Ok((self.ask(url).await?, None)),
            JwksSource::File(path) => {
                let fail = |source: std::io::Error| JwksError::File {
                    path: path.clone(),
                    source: Arc::new(source),
                };
                let metadata = tokio::fs::metadata(path).await.map_err(fail)?;
                let content = tokio::fs::read(path).await.map_err(fail)?;
                Ok((parse(&content)?, metadata.modified().ok()))
            }
        }
    }

    async fn ask(&self, url: &Url) -> Result<JwkSet, JwksError> {
        let fail = |source| JwksError::Url { url: url.clone(), source: Arc::new(source) };
        let asked = self.http.get(url.clone()).timeout(ANSWER).send().await;
        let mut answer = asked.and_then(reqwest::Response::error_for_status).map_err(fail)?;
        let mut content = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(fail)? {
            content.extend_from_slice(&chunk);
            if content.len() > LARGEST {
                return Err(JwksError::TooLarge(url.clone()));
            }
        }
        parse(&content)
    }
}

/// The keys that can be used; others are passed over (RFC 7517, section 5).
fn parse(content: &[u8]) -> Result<JwkSet, JwksError> {
    #[derive(Deserialize)]
    struct Document {
        keys: Vec<Value>,
    }
    let document: Document =
        serde_json::from_slice(content).map_err(|error| JwksError::Content(Arc::new(error)))?;
    let keys = document.keys.into_iter();
    Ok(JwkSet { keys: keys.filter_map(|key| serde_json::from_value(key).ok()).collect() })
}

fn select(keys: &JwkSet, kid: Option<&str>) -> Vec<Jwk> {
    let fits = |key: &&Jwk| kid.is_none() || key.common.key_id.as_deref() == kid;
    keys.keys.iter().filter(fits).cloned().collect()
}
