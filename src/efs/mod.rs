//! Where the EFS catalogue comes from: one that is fixed (local mode), or AWS, read again and
//! again. Look-ups in it are [`crate::plan::catalog`]'s.

mod aws;
mod fixed;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use aws::AwsCatalogue;
pub use fixed::FixedCatalogue;

use crate::aws::CallError;
use crate::plan::catalog::Catalog;

/// Gives the catalogue that demands are planned with.
#[async_trait]
pub trait CatalogueSource: Send + Sync + 'static {
    /// What is known; may be as old as the source's time to live, or older while AWS fails.
    async fn catalogue(&self) -> Result<Arc<Catalog>, CatalogueError>;

    /// What is there now, asked for because something was not in `seen`: read after this call
    /// began. Nothing where that is the same as `seen`.
    async fn newer(&self, seen: &Arc<Catalog>) -> Result<Option<Arc<Catalog>>, CatalogueError>;
}

/// There is no catalogue, or none that is new enough.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the EFS catalogue cannot be read")]
pub struct CatalogueError {
    /// How long it will not be read again.
    pub retry_after: Duration,
    /// Why it could not be.
    #[source]
    pub source: Arc<ReadError>,
}

/// Why AWS did not give the catalogue.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The answers took too long.
    #[error("no answer within {} s", .0.as_secs())]
    TooSlow(Duration),
}
