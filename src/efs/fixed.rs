//! A catalogue that never changes.

use std::sync::Arc;

use async_trait::async_trait;

use super::{CatalogueError, CatalogueSource};
use crate::plan::catalog::Catalog;

/// What local mode and plans against a file have.
#[derive(Debug, Clone)]
pub struct FixedCatalogue(Arc<Catalog>);

impl FixedCatalogue {
    /// This catalogue, for ever.
    pub fn new(catalog: impl Into<Arc<Catalog>>) -> Self {
        Self(catalog.into())
    }
}

#[async_trait]
impl CatalogueSource for FixedCatalogue {
    async fn catalogue(&self) -> Result<Arc<Catalog>, CatalogueError> {
        Ok(self.0.clone())
    }

    async fn newer(&self, _: &Arc<Catalog>) -> Result<Option<Arc<Catalog>>, CatalogueError> {
        Ok(None)
    }
}
