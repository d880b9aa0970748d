//! The catalogue of an AWS account and region: cached for a time, read by one at a time, read
//! again when something is missed in it, and kept while AWS fails.

mod read;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use super::{CatalogueError, CatalogueSource, ReadError};
use crate::plan::catalog::Catalog;
use crate::telemetry::chain;
use read::Reader;

/// How long reading all of it may take, its retries included.
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// How long it is not read again after a failure, so that no request waits for AWS in vain.
const PAUSE: Duration = Duration::from_secs(5);

/// The least time between two readings because of misses. Requests that miss meanwhile share the
/// next one: bad ones cannot hammer AWS, and good ones are answered from what is there.
const MISS_SPACING: Duration = Duration::from_secs(1);

/// The file systems and access points of an account and region.
pub struct AwsCatalogue {
    reader: Reader,
    time_to_live: Duration,
    known: RwLock<Option<Known>>,
    /// Held by whoever reads.
    readings: Mutex<Readings>,
}

#[derive(Clone)]
struct Known {
    catalog: Arc<Catalog>,
    /// When its reading began: it may lack whatever was made later.
    as_of: Instant,
}

/// How the last reading went.
#[derive(Default)]
struct Readings {
    began: Option<Instant>,
    failed: Option<(Instant, Arc<ReadError>)>,
}

impl AwsCatalogue {
    /// The catalogue of the account and region of `config`, read again once it is older than
    /// `time_to_live`. Nothing is read yet.
    pub fn new(config: &SdkConfig, time_to_live: Duration) -> Self {
        Self {
            reader: Reader::new(config),
            time_to_live,
            known: RwLock::default(),
            readings: Mutex::default(),
        }
    }

    fn known(&self) -> Option<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fresh(&self) -> Option<Arc<Catalog>> {
        self.known().filter(|known| known.as_of.elapsed() < self.time_to_live).map(|k| k.catalog)
    }

    /// Reads it, unless that failed a moment ago.
    async fn read(&self, readings: &mut Readings) -> Result<Arc<Catalog>, CatalogueError> {
        if let Some((at, why)) = &readings.failed
            && let Some(retry_after) = PAUSE.checked_sub(at.elapsed())
        {
            return Err(CatalogueError { retry_after, source: why.clone() });
        }
        let as_of = Instant::now();
        readings.began = Some(as_of);
        let read = match timeout(READ_TIMEOUT, self.reader.read()).await {
            Ok(read) => read.map_err(ReadError::Call),
            Err(_) => Err(ReadError::TooSlow(READ_TIMEOUT)),
        };
        let before = self.known();
        match read {
            Ok(catalog) => {
                let file_systems = catalog.file_systems.len();
                let access_points = catalog.access_points.len();
                if readings.failed.take().is_some() {
                    info!(file_systems, access_points, "the EFS catalogue can be read again");
                } else {
                    debug!(file_systems, access_points, "read the EFS catalogue");
                }
                // The same content stays the same value, which tells that nothing is new.
                let catalog = match before {
                    Some(before) if *before.catalog == catalog => before.catalog,
                    _ => Arc::new(catalog),
                };
                let known = Known { catalog: catalog.clone(), as_of };
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known);
                Ok(catalog)
            }
            Err(error) => {
                let age = before.map(|known| known.as_of.elapsed().as_secs());
                warn!(error = %chain(&error), age_s = age, "cannot read the EFS catalogue");
                let source = Arc::new(error);
                readings.failed = Some((Instant::now(), source.clone()));
                Err(CatalogueError { retry_after: PAUSE, source })
            }
        }
    }
}

#[async_trait]
impl CatalogueSource for AwsCatalogue {
    async fn catalogue(&self) -> Result<Arc<Catalog>, CatalogueError> {
        if let Some(fresh) = self.fresh() {
            return Ok(fresh);
        }
        let stale = self.known().map(|known| known.catalog);
        let mut readings = match (self.readings.try_lock(), &stale) {
            (Ok(readings), _) => readings,
            // Somebody is reading; what was known will do until then.
            (Err(_), Some(stale)) => return Ok(stale.clone()),
            (Err(_), None) => self.readings.lock().await,
        };
        if let Some(fresh) = self.fresh() {
            return Ok(fresh);
        }
        match (self.read(&mut readings).await, stale) {
            (Err(_), Some(stale)) => Ok(stale),
            (read, _) => read,
        }
    }

    async fn newer(&self, seen: &Arc<Catalog>) -> Result<Option<Arc<Catalog>>, CatalogueError> {
        let unless_seen = |catalog| (!Arc::ptr_eq(seen, &catalog)).then_some(catalog);
        let asked = Instant::now();
        let mut readings = self.readings.lock().await;
        if let Some(known) = self.known().filter(|known| known.as_of >= asked) {
            return Ok(unless_seen(known.catalog));
        }
        if let Some(began) = readings.began {
            sleep(MISS_SPACING.saturating_sub(began.elapsed())).await;
        }
        self.read(&mut readings).await.map(unless_seen)
    }
}
