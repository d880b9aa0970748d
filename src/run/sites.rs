//! The site a request is planned for: the service's own settings, with the catalogue of now.

use std::sync::Arc;

use crate::efs::{CatalogueError, CatalogueSource, FixedCatalogue};
use crate::plan::Site;
use crate::plan::catalog::Catalog;

/// Gives the site of each request; cheap to clone.
#[derive(Clone)]
pub struct Sites {
    /// Its own catalogue is not looked at.
    base: Arc<Site>,
    catalogue: Arc<dyn CatalogueSource>,
}

impl Sites {
    /// `base` with what `catalogue` gives in place of its own catalogue.
    pub fn new(base: Site, catalogue: Arc<dyn CatalogueSource>) -> Self {
        Self { base: Arc::new(base), catalogue }
    }

    /// The site as it is known.
    pub async fn now(&self) -> Result<Site, CatalogueError> {
        Ok(self.with(self.catalogue.catalogue().await?))
    }

    /// The site as it is, asked for because something was not in `seen`; nothing where that is
    /// the same.
    pub async fn newer(&self, seen: &Site) -> Result<Option<Site>, CatalogueError> {
        let newer = self.catalogue.newer(&seen.catalog).await?;
        Ok(newer.map(|catalog| self.with(catalog)))
    }

    fn with(&self, catalog: Arc<Catalog>) -> Site {
        Site { catalog, ..(*self.base).clone() }
    }
}

/// A site that stays as it is.
impl From<Arc<Site>> for Sites {
    fn from(base: Arc<Site>) -> Self {
        let catalogue = Arc::new(FixedCatalogue::new(base.catalog.clone()));
        Self { base, catalogue }
    }
}
