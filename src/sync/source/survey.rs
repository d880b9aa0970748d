//! Counting what requests will transfer, so that whoever watches knows how much is left. It lists
//! beside the transfers; what it cannot list they will tell of.

use std::sync::Arc;

use super::filter::Filter;
use super::{Source, look};
use crate::plan::data_sync::DataSyncRequest;
use crate::sync::job::Job;
use crate::sync::location::Location;

/// Counts every file of `requests` as expected.
pub(in crate::sync) async fn count(job: Arc<Job>, requests: Vec<DataSyncRequest>) {
    for request in &requests {
        let Ok(location) = Location::parse(&request.source_path, &job.mounts) else { return };
        let Ok(filter) = Filter::new(request, &location, &job.mounts) else { return };
        match look(&job, request, &location).await {
            Ok(Source::Folder(mut items)) => {
                while let Some(item) = items.recv().await {
                    if let Ok(item) = item
                        && !item.is_placeholder()
                        && !item.is_directory()
                        && filter.takes(&item.path()).is_ok_and(|takes| takes)
                    {
                        job.progress.expect(item.size);
                    }
                }
            }
            Ok(Source::Single(item)) => job.progress.expect(item.size),
            Ok(Source::Missing) => {}
            Err(_) => return,
        }
    }
    job.progress.all_counted();
}
