//! One data-sync request, from its paths to its report.

use std::path::Path;
use std::sync::Arc;

use futures::stream::StreamExt;

use super::error::{Failure, SyncError, blocking};
use super::filter::Filter;
use super::job::Job;
use super::journal::{EncodedPath, Journal, Verified, VerifiedSource};
use super::location::{Location, S3Path};
use super::lock::Lock;
use super::mirror::{self, Expected};
use super::outcome::{Outcome, Report};
use super::placing::{Placing, make_durable};
use super::rules::{Object, Rules};
use super::source::{self, Item, Items, Origin, Source};
use super::wire::Wire;
use super::{copy, download, upload};
use crate::plan::data_sync::DataSyncRequest;

/// Where a request's files go.
#[derive(Debug, Clone)]
enum Target {
    Directory(Arc<Placing>),
    S3(Keys),
}

/// The keys of a request's files.
#[derive(Debug, Clone)]
enum Keys {
    /// A key that ends in `/` or is empty, and whether anything lies under it already.
    Below { folder: S3Path, occupied: bool },
    /// The key of the only file.
    Exact(S3Path),
}

/// What the transfers of a request share.
#[derive(Debug)]
struct Transfer {
    wire: Wire,
    rules: Rules,
    target: Target,
}

/// Runs the request that is number `index` of its task. `others` are the destinations of the
/// task's other requests, which a mirror spares. Verified sources go to `journal` where the
/// request does not retain them.
pub(super) async fn run(
    job: &Job,
    index: usize,
    request: &DataSyncRequest,
    others: &[Location],
    journal: Option<&mut Journal>,
) -> Report {
    let mut report = Report::default();
    let journal = journal.filter(|_| !request.retain_source_data);
    let mut run = Run { job, index, request, others, journal, report: &mut report };
    if let Err(error) = run.attempt().await {
        report.failures.push(Failure::new(&request.source_path, &error));
    }
    if report.succeeded() {
        report.requests_succeeded += 1;
    } else {
        report.requests_failed += 1;
    }
    report
}

struct Run<'a> {
    job: &'a Job,
    index: usize,
    request: &'a DataSyncRequest,
    others: &'a [Location],
    journal: Option<&'a mut Journal>,
    report: &'a mut Report,
}

impl Run<'_> {
    async fn attempt(&mut self) -> Result<(), SyncError> {
        let request = self.request;
        let mounts = &self.job.mounts;
        let source = Location::parse(&request.source_path, mounts)?;
        let destination = Location::parse(&request.destination_path, mounts)?;
        let filter = Filter::new(request, &source, mounts)?;
        let _lock = match &destination {
            Location::Local(path) if request.require_lock => {
                Some(Lock::acquire(path, self.job.lock_timeout).await?)
            }
            _ => None,
        };
        match self.look(&source).await? {
            Source::Missing if request.fail_if_missing => Err(SyncError::Missing),
            Source::Missing => Ok(()),
            Source::Single(item) => self.single(*item, &filter, &destination).await,
            Source::Folder(items) => self.folder(items, filter, &destination).await,
        }
    }

    async fn look(&self, source: &Location) -> Result<Source, SyncError> {
        match source {
            Location::S3(path) => {
                let prefix = self.request.source_path_prefix.as_deref();
                source::in_s3(&self.job.client().await, path, prefix).await
            }
            Location::Local(path) => source::on_disk(path),
        }
    }

    /// A single file's destination is its path itself, unless it ends in `/`.
    async fn single(
        &mut self,
        mut item: Item,
        filter: &Filter,
        destination: &Location,
    ) -> Result<(), SyncError> {
        if !filter.takes(&item.path())? {
            return self.nothing_matches();
        }
        if item.relative.is_empty() && self.request.destination_path.ends_with('/') {
            let path = item.path();
            item.relative = path.rsplit('/').next().unwrap_or_default().into();
        }
        let target = match destination {
            Location::S3(path) if item.relative.is_empty() => Target::S3(Keys::Exact(path.clone())),
            Location::Local(path) if item.relative.is_empty() => {
                item.relative = path.file_name().unwrap_or_default().to_owned();
                let parent = path.parent().unwrap_or(Path::new("")).to_owned();
                let placing = blocking(move || Placing::new(&parent)).await?;
                Target::Directory(Arc::new(placing))
            }
            _ => self.folder_target(destination).await?,
        };
        let transfer = Arc::new(self.transfer(target)?);
        let outcome = one(transfer.clone(), item.clone()).await;
        self.take(&item, outcome)?;
        self.finish(&transfer.target).await
    }

    async fn folder(
        &mut self,
        items: Items,
        filter: Filter,
        destination: &Location,
    ) -> Result<(), SyncError> {
        let transfer = Arc::new(self.transfer(self.folder_target(destination).await?)?);
        let mut expected = Expected::default();
        let (mut listed, mut matched) = (false, false);
        {
            let listed = &mut listed;
            let mut outcomes = std::pin::pin!(
                items
                    .filter_map(|item| {
                        *listed = true;
                        std::future::ready(taken(item, &filter))
                    })
                    .map(|item| {
                        let transfer = Arc::clone(&transfer);
                        async move {
                            let item = item?;
                            let run = tokio::spawn(one(transfer, item.clone()));
                            let outcome = run.await.map_err(SyncError::CutOff).flatten();
                            Ok((item, outcome))
                        }
                    })
                    .buffer_unordered(self.concurrency())
            );
            while let Some(outcome) = outcomes.next().await {
                matched = true;
                match outcome {
                    Ok((item, outcome)) => {
                        if self.request.delete {
                            expected.add(&item.relative);
                        }
                        self.take(&item, outcome)?;
                    }
                    Err(failure) => self.report.failures.push(failure),
                }
            }
        }
        if listed && !matched {
            return self.nothing_matches();
        }
        self.finish(&transfer.target).await?;
        if self.request.delete && self.report.succeeded() {
            self.mirror(&transfer, &expected).await?;
        }
        Ok(())
    }

    fn nothing_matches(&self) -> Result<(), SyncError> {
        if self.request.fail_if_missing { Err(SyncError::NothingMatches) } else { Ok(()) }
    }

    async fn folder_target(&self, destination: &Location) -> Result<Target, SyncError> {
        match destination {
            Location::Local(path) => {
                let path = path.clone();
                let placing = blocking(move || Placing::new(&path)).await?;
                Ok(Target::Directory(Arc::new(placing)))
            }
            Location::S3(path) => {
                let folder = path.with_key(path.folder_key());
                let client = self.job.client().await;
                let occupied =
                    !matches!(source::in_s3(&client, &folder, None).await?, Source::Missing);
                Ok(Target::S3(Keys::Below { folder, occupied }))
            }
        }
    }

    fn transfer(&self, target: Target) -> Result<Transfer, SyncError> {
        let request = self.request;
        let config = &request.remote_to_local_config;
        let partial_directory = match &config.custom_tmp_dir {
            Some(directory) if config.use_custom_tmp_dir => {
                match Location::parse(directory, &self.job.mounts)? {
                    Location::Local(path) => Some(path),
                    Location::S3(_) => None,
                }
            }
            _ => None,
        };
        let lazy_client = Arc::clone(&self.job.lazy_client);
        let progress = Arc::clone(&self.job.progress);
        Ok(Transfer {
            wire: Wire::new(lazy_client, self.concurrency(), progress),
            rules: Rules { force: request.force, size_only: request.size_only, partial_directory },
            target,
        })
    }

    fn concurrency(&self) -> usize {
        usize::try_from(self.request.max_concurrency).unwrap_or(usize::MAX).clamp(1, 1000)
    }

    /// Counts an outcome, and records the source where it is to be removed.
    fn take(&mut self, item: &Item, outcome: Result<Outcome, SyncError>) -> Result<(), SyncError> {
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                self.report.failures.push(Failure::new(item.path(), &error));
                return Ok(());
            }
        };
        self.job.progress.add_file();
        self.report.add(outcome);
        let Some(journal) = self.journal.as_mut() else { return Ok(()) };
        let source = match &item.origin {
            Origin::Object { path, etag } => VerifiedSource::Object {
                bucket: path.bucket.clone(),
                key: path.key.clone(),
                etag: etag.clone(),
            },
            Origin::File(path) => VerifiedSource::File {
                path: EncodedPath::new(path),
                size: item.size,
                modified_ns: super::journal::nanoseconds(item.modified),
            },
        };
        journal.record(Verified { request: self.index, source })
    }

    /// Makes what arrived on disk durable.
    async fn finish(&self, target: &Target) -> Result<(), SyncError> {
        match target {
            // What was skipped may be of a worker that was killed before this point.
            Target::Directory(placing)
                if self.report.files_transferred + self.report.files_skipped > 0 =>
            {
                let root = placing.root().to_owned();
                blocking(move || make_durable(&root)).await
            }
            _ => Ok(()),
        }
    }

    async fn mirror(&mut self, transfer: &Transfer, expected: &Expected) -> Result<(), SyncError> {
        match &transfer.target {
            Target::Directory(placing) => {
                self.report.files_deleted +=
                    mirror::on_disk(placing.root(), expected, self.others)?;
            }
            // Below a whole bucket lies what is not this demand's.
            Target::S3(Keys::Below { folder, .. }) if !folder.key.is_empty() => {
                let client = transfer.wire.client().await;
                let mirrored = mirror::in_s3(&client, folder, expected, self.others).await;
                self.report.absorb(mirrored);
            }
            Target::S3(_) => {}
        }
        Ok(())
    }
}

/// The listed file where the filter takes it, or its failure.
fn taken(item: Result<Item, Failure>, filter: &Filter) -> Option<Result<Item, Failure>> {
    let Ok(item) = item else { return Some(item) };
    match filter.takes(&item.path()) {
        Ok(true) => Some(Ok(item)),
        Ok(false) => None,
        Err(error) => Some(Err(Failure::new(item.path(), &error))),
    }
}

/// Transfers one file.
async fn one(transfer: Arc<Transfer>, item: Item) -> Result<Outcome, SyncError> {
    let Transfer { wire, rules, target } = &*transfer;
    match (&item.origin, target) {
        (Origin::Object { path, etag }, Target::Directory(placing)) => {
            let relative = item.relative_key()?.to_owned();
            let placing = Arc::clone(placing);
            if item.is_placeholder() {
                if item.size > 0 {
                    return Err(SyncError::FilledPlaceholder);
                }
                if !relative.is_empty() {
                    blocking(move || placing.directory(&relative)).await?;
                }
                return Ok(Outcome::Folder);
            }
            let file = blocking(move || placing.file(&relative)).await?;
            let object = object(&item, path, etag);
            download::download(wire, rules, &object, &file).await
        }
        (Origin::Object { path, etag }, Target::S3(keys)) => {
            let (key, _) = keys.of(item.relative_key()?);
            copy::in_s3(wire, rules, &object(&item, path, etag), &key).await
        }
        (Origin::File(path), Target::Directory(placing)) => {
            let (placing, relative) = (Arc::clone(placing), item.relative.clone());
            let file = blocking(move || placing.local_file(&relative)).await?;
            copy::on_disk(rules, path.clone(), file).await
        }
        (Origin::File(path), Target::S3(keys)) => {
            let (key, occupied) = keys.of(item.relative_key()?);
            upload::upload(wire, rules, path, &key, occupied).await
        }
    }
}

impl Keys {
    /// The key of a file, and whether something may lie there already.
    fn of(&self, relative: &str) -> (S3Path, bool) {
        match self {
            Self::Below { folder, occupied } => {
                (folder.with_key(format!("{}{relative}", folder.key)), *occupied)
            }
            Self::Exact(path) => (path.clone(), true),
        }
    }
}

fn object(item: &Item, path: &S3Path, etag: &str) -> Object {
    Object { path: path.clone(), etag: etag.to_owned(), size: item.size, modified: item.modified }
}
