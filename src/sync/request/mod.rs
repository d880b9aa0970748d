//! One data-sync request, from its paths to its report. Beside it, `bin` is how much goes at a time,
//! and `overlap` what a request must not do to itself.

mod bin;
mod overlap;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::stream::{FuturesUnordered, StreamExt};
use tokio_util::task::AbortOnDropHandle;

use super::disk::lock::Lock;
use super::disk::placing::Placing;
use super::error::{Failure, SyncError, blocking};
use super::job::Job;
use super::journal::{EncodedPath, Journal, Verified, VerifiedSource, nanoseconds};
use super::location::Location;
use super::outcome::{Intent, Outcome, Report};
use super::removal::mirror::{self, Expected};
use super::s3::wire::Wire;
use super::source::filter::Filter;
use super::source::{self, Item, Items, Origin, Source, Unlisted};
use super::transfer::rules::Rules;
use super::transfer::{Keys, Target, Transfer};
use super::unfinished::Unfinished;
use crate::plan::data_sync::DataSyncRequest;
use bin::Bin;

/// A location without links, and the number of the request whose source or destination it is.
pub(super) type Place = (Option<usize>, Location);

/// Runs the request that is number `index` of its task. A mirror spares `places`, but for the
/// request's own. Verified sources go to `journal` where the request does not retain them. Where it
/// mirrors as well, and `marks` says that no journal outlives this run, the mark to leave before
/// they are removed is answered too.
pub(super) async fn run(
    job: &Job,
    index: usize,
    request: &DataSyncRequest,
    places: &[Place],
    journal: Option<&mut Journal>,
    marks: bool,
) -> (Report, Option<Unfinished>) {
    let mut report = Report::default();
    let journal = journal.filter(|_| !request.retain_source_data);
    let marks = marks && journal.is_some() && request.delete;
    let mut run =
        Run { job, index, request, places, journal, marks, mark: None, report: &mut report };
    let ended = run.attempt().await;
    let mark = run.mark;
    if let Err(error) = ended {
        report.failures.push(Failure::new(&request.source_path, &error));
    }
    if report.succeeded() {
        report.requests_succeeded += 1;
    } else {
        report.requests_failed += 1;
    }
    (report, mark)
}

struct Run<'a> {
    job: &'a Job,
    index: usize,
    request: &'a DataSyncRequest,
    places: &'a [Place],
    journal: Option<&'a mut Journal>,
    marks: bool,
    mark: Option<Unfinished>,
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
            Location::Local(path) if request.require_lock && !self.job.is_dry() => {
                Some(Lock::acquire(path, self.job.lock_timeout).await?)
            }
            _ => None,
        };
        let mark = self.marks.then(|| Unfinished::new(&source, &destination));
        match source::look(self.job, request, &source).await? {
            Source::Missing => {
                // An earlier run may have moved all of it, and not have been able to say so.
                if let Some(mark) = mark
                    && mark.is_there(self.job).await?
                {
                    mark.clear(self.job).await?;
                }
                if request.fail_if_missing { Err(SyncError::Missing) } else { Ok(()) }
            }
            Source::Single(item) => self.single(*item, &source, &filter, &destination).await,
            Source::Folder(items) => {
                let removes = request.delete || !request.retain_source_data;
                let upwards = overlap::folders(&source, &destination, removes)?;
                let source = upwards.then(|| source.real());
                self.folder(items, filter, &destination, source.as_ref(), mark).await
            }
        }
    }

    /// A single file's destination is its path itself, unless it ends in `/`.
    async fn single(
        &mut self,
        mut item: Item,
        source: &Location,
        filter: &Filter,
        destination: &Location,
    ) -> Result<(), SyncError> {
        if !filter.takes(&item.path())? {
            return self.nothing_matches();
        }
        let into_folder = match destination {
            Location::S3(path) => path.is_folder(),
            // Such as `.`, which is no file's name.
            Location::Local(path) => {
                path.file_name().is_none() || self.request.destination_path.ends_with('/')
            }
        };
        if item.relative.is_empty() && into_folder {
            let path = item.path();
            item.relative = path.rsplit('/').next().unwrap_or_default().into();
        }
        let target = match destination {
            Location::S3(path) if item.relative.is_empty() => Target::S3(Keys::Exact(path.clone())),
            Location::Local(path) if item.relative.is_empty() => {
                item.relative = path.file_name().unwrap_or_default().to_owned();
                self.directory(path.parent().unwrap_or(Path::new("")).to_owned()).await?
            }
            _ => self.folder_target(destination).await?,
        };
        let moves_upwards = !self.request.retain_source_data && destination.contains(source);
        if moves_upwards || target.is_itself(&item) {
            return Err(SyncError::Overlap);
        }
        let transfer = Arc::new(self.transfer(target)?);
        let item = Arc::new(item);
        let outcome = Arc::clone(&transfer).one(Arc::clone(&item)).await;
        self.take(&transfer, &item, outcome)?;
        self.finish(&transfer.target).await
    }

    /// Takes the files of a folder as they are listed, bin by bin. None may be written into
    /// `source`, a location without links, where that lies below the destination.
    async fn folder(
        &mut self,
        mut items: Items,
        filter: Filter,
        destination: &Location,
        source: Option<&Location>,
        mark: Option<Unfinished>,
    ) -> Result<(), SyncError> {
        let transfer = Arc::new(self.transfer(self.folder_target(destination).await?)?);
        let mut expected = Expected::default();
        let mut bin = Bin::new(self.request.batch_limit());
        let mut under_way = FuturesUnordered::new();
        let (mut listed, mut matched) = (false, false);
        while let Some(item) = items.recv().await {
            // Filters are about files; who filters does not expect a skeleton of the rest.
            let is_directory = item.as_ref().is_ok_and(Item::is_directory);
            if is_directory && !(filter.takes_all() && transfer.target.is_directory()) {
                if let Ok(directory) = item {
                    expected.add_folder(&directory.relative);
                }
                continue;
            }
            listed = true;
            let Some(item) = taken(item, &filter) else { continue };
            matched = true;
            let item = match item {
                Ok(item) => Arc::new(item),
                Err(failure) => {
                    self.report.failures.push(failure);
                    continue;
                }
            };
            if self.request.delete && !is_directory {
                expected.add(&item.relative);
            }
            if source.is_some_and(|source| transfer.target.lies_in(source, &item)) {
                self.report.failures.push(Failure::new(item.path(), &SyncError::Overlap));
                continue;
            }
            let ends_bin = !bin.takes(item.size);
            let room = if ends_bin { 0 } else { self.concurrency() - 1 };
            while under_way.len() > room
                && let Some((item, outcome)) = under_way.next().await
            {
                self.take(&transfer, &item, outcome)?;
            }
            if ends_bin {
                self.finish(&transfer.target).await?;
            }
            let run = self.job.tasks.spawn(Arc::clone(&transfer).one(Arc::clone(&item)));
            // Where the work is given up, so is each transfer.
            under_way.push(ended(item, AbortOnDropHandle::new(run)));
        }
        while let Some((item, outcome)) = under_way.next().await {
            self.take(&transfer, &item, outcome)?;
        }
        self.report.bins += bin.count();
        if listed && !matched {
            return self.nothing_matches();
        }
        self.finish(&transfer.target).await?;
        // A move that finds nothing may be one that took all of it before.
        let may_mirror = listed || self.request.retain_source_data;
        if self.request.delete && may_mirror && self.report.succeeded() {
            self.mirror(&transfer, expected, mark).await?;
        }
        Ok(())
    }

    fn nothing_matches(&self) -> Result<(), SyncError> {
        if self.request.fail_if_missing { Err(SyncError::NothingMatches) } else { Ok(()) }
    }

    async fn folder_target(&self, destination: &Location) -> Result<Target, SyncError> {
        match destination {
            Location::Local(path) => self.directory(path.clone()).await,
            Location::S3(path) => {
                let folder = path.with_key(path.folder_key());
                let client = self.job.client().await;
                let occupied = match source::in_s3(&client, &folder, None).await {
                    Ok(there) => !matches!(there, Source::Missing),
                    // The embedded S3 makes it with its first object; S3 refuses that one by name.
                    Err(error) if error.is_no_bucket() => false,
                    Err(error) => return Err(error),
                };
                Ok(Target::S3(Keys::Below { folder, occupied }))
            }
        }
    }

    async fn directory(&self, path: PathBuf) -> Result<Target, SyncError> {
        let dry = self.job.is_dry();
        let placing =
            blocking(move || if dry { Ok(Placing::dry(&path)) } else { Placing::new(&path) });
        Ok(Target::Directory(Arc::new(placing.await?)))
    }

    fn transfer(&self, target: Target) -> Result<Transfer, SyncError> {
        let request = self.request;
        let config = &request.remote_to_local_config;
        let partial_directory = match &config.custom_tmp_dir {
            Some(directory) if config.use_custom_tmp_dir && target.is_directory() => {
                match Location::parse(directory, &self.job.mounts)? {
                    Location::Local(path) => Some(path),
                    Location::S3(_) => return Err(SyncError::NotLocal(directory.clone())),
                }
            }
            _ => None,
        };
        if let Some(directory) = partial_directory.as_ref().filter(|_| !self.job.is_dry()) {
            let fail = SyncError::file("create the directory", directory);
            std::fs::create_dir_all(directory).map_err(fail)?;
        }
        let Job { lazy_client, tasks, uploads, progress, .. } = self.job;
        Ok(Transfer {
            wire: Wire::new(
                Arc::clone(lazy_client),
                tasks.clone(),
                Arc::clone(uploads),
                self.concurrency(),
                Arc::clone(progress),
            ),
            rules: Rules {
                force: request.force,
                size_only: request.size_only && request.retain_source_data,
                moves: !request.retain_source_data,
                dry_run: self.job.is_dry(),
                partial_directory,
            },
            target,
        })
    }

    fn concurrency(&self) -> usize {
        usize::try_from(self.request.max_concurrency).unwrap_or(usize::MAX).clamp(1, 1000)
    }

    /// Counts an outcome, and records the source where it is to be removed.
    fn take(
        &mut self,
        transfer: &Transfer,
        item: &Arc<Item>,
        outcome: Result<Outcome, SyncError>,
    ) -> Result<(), SyncError> {
        let outcome = match outcome {
            Ok(outcome) => outcome,
            // What is true of one is true of all.
            Err(error) if error.is_no_bucket() => return Err(error),
            Err(error) => {
                self.report.failures.push(Failure::new(item.path(), &error));
                return Ok(());
            }
        };
        self.job.progress.add_file(outcome);
        self.report.add(outcome);
        if let Some(tell) = &self.job.dry_run {
            if let Outcome::Transferred { .. } = outcome {
                tell(&transfer.intent(item));
            }
            if !self.request.retain_source_data && outcome != Outcome::Folder {
                tell(&Intent::Remove { path: item.path() });
                self.report.sources_removed += 1;
            }
            return Ok(());
        }
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
                modified_ns: nanoseconds(item.modified),
            },
            Origin::Directory(_) => return Ok(()),
        };
        journal.record(Verified { request: self.index, source })
    }

    /// Makes what arrived on disk durable.
    async fn finish(&self, target: &Target) -> Result<(), SyncError> {
        match target {
            // What was skipped may be of a worker that was killed before this point.
            Target::Directory(placing)
                if !self.job.is_dry()
                    && self.report.files_transferred + self.report.files_skipped > 0 =>
            {
                let placing = Arc::clone(placing);
                blocking(move || placing.make_durable()).await
            }
            _ => Ok(()),
        }
    }

    async fn mirror(
        &mut self,
        transfer: &Transfer,
        expected: Expected,
        mark: Option<Unfinished>,
    ) -> Result<(), SyncError> {
        if let Some(mark) = &mark
            && mark.is_there(self.job).await?
        {
            self.mark = Some(mark.clone());
            return Ok(());
        }
        let others = self.places.iter().filter(|(of, _)| *of != Some(self.index));
        let others: Vec<_> = others.map(|(_, location)| location.clone()).collect();
        let tell = self.job.dry_run.clone();
        let mirrored = match &transfer.target {
            Target::Directory(placing) => {
                let placing = Arc::clone(placing);
                let mirror =
                    move || Ok(mirror::on_disk(&placing, &expected, &others, tell.as_ref()));
                blocking(mirror).await?
            }
            // Below a whole bucket lies what is not this demand's.
            Target::S3(Keys::Below { folder, .. }) if !folder.key.is_empty() => {
                let client = transfer.wire.client().await;
                mirror::in_s3(&client, folder, &expected, &others, tell.as_ref()).await
            }
            Target::S3(_) => {
                tracing::warn!("nothing is deleted from a whole bucket; name a folder in it");
                return Ok(());
            }
        };
        let is_mirrored = mirrored.succeeded();
        self.report.absorb(mirrored);
        self.mark = mark.filter(|_| is_mirrored);
        Ok(())
    }
}

/// Waits for the transfer of `item`.
async fn ended(
    item: Arc<Item>,
    run: AbortOnDropHandle<Result<Outcome, SyncError>>,
) -> (Arc<Item>, Result<Outcome, SyncError>) {
    (item, run.await.map_err(SyncError::CutOff).flatten())
}

/// The listed file where the filter takes it, or its failure.
fn taken(item: Result<Item, Unlisted>, filter: &Filter) -> Option<Result<Item, Failure>> {
    let path = match &item {
        Ok(item) => item.path(),
        Err(Unlisted::Entry(failure)) => failure.path.clone(),
        Err(Unlisted::Folder(failure)) => return Some(Err(failure.clone())),
    };
    match filter.takes(&path) {
        Ok(true) => Some(item.map_err(Failure::from)),
        Ok(false) => None,
        Err(error) => Some(Err(Failure::new(path, &error))),
    }
}
