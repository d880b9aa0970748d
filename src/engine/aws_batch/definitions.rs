//! Job definitions: one revision for each content, kept in the ledger, found again by its tag.
//!
//! Registering has no client token either, so a registration whose outcome is unknown is settled by
//! looking for the tag before the next one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_batch::types;
use tokio::sync::Mutex as Turn;
use tracing::{info, warn};

use super::calls::Calls;
use super::failure::{self, Kind};
use super::wire;
use crate::engine::SubmitError;
use crate::plan::definition::CONTENT_HASH_TAG;
use crate::plan::submission::JobDefinition;
use crate::store::{LedgerEntry, Store};
use crate::telemetry::chain;

/// Tries of one registration. AWS Batch may answer 404 or 409 while an earlier revision of the
/// name is still being made or removed.
const REGISTRATIONS: u32 = 5;

/// The wait after the first of these; doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// How long a definition just registered may be unknown to `SubmitJob`.
const VISIBLE_AFTER: Duration = Duration::from_mins(5);

pub(super) struct Definitions {
    calls: Arc<Calls>,
    ledger: Store,
    region: String,
    /// Contents being defined: whoever comes second waits for the first, then reads the ledger.
    turns: Mutex<HashMap<String, Arc<Turn<()>>>>,
    /// Revisions that `SubmitJob` did not know, and since when.
    missed: Mutex<HashMap<String, Instant>>,
}

impl Definitions {
    pub(super) fn new(calls: Arc<Calls>, ledger: Store, region: String) -> Self {
        Self { calls, ledger, region, turns: Mutex::default(), missed: Mutex::default() }
    }

    /// The ARN, revision included, of the definition with this content.
    pub(super) async fn define(&self, wanted: &JobDefinition) -> Result<String, SubmitError> {
        let hash = &wanted.content_hash;
        if let Some(known) = self.on_record(hash).await? {
            return Ok(known);
        }
        let turn = Waiting::for_turn(&self.turns, hash);
        let _mine = turn.turn.lock().await;
        if let Some(known) = self.on_record(hash).await? {
            return Ok(known);
        }
        let job_definition = match self.find(wanted).await? {
            Some(found) => found,
            None => self.register(wanted).await?,
        };
        let entry = LedgerEntry {
            region: self.region.clone(),
            content_hash: hash.clone(),
            job_definition: job_definition.clone(),
        };
        self.ledger.record_definition(entry).await.map_err(|error| retryable(&error))?;
        Ok(job_definition)
    }

    /// Tells that `SubmitJob` does not know a revision, in its own `words`. It is taken off the
    /// record, to be found or registered anew; it counts as never to be had only when one that is
    /// found again and again stays unknown.
    pub(super) async fn missed(&self, job_definition: &str, words: String) -> SubmitError {
        let since = {
            let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
            *missed.entry(job_definition.to_owned()).or_insert_with(Instant::now)
        };
        match self.ledger.forget_definition(job_definition).await {
            Ok(true) => {
                warn!(job.definition = %job_definition, "a definition is gone; taken off the ledger");
            }
            Ok(false) => {}
            Err(error) => return retryable(&error),
        }
        if since.elapsed() < VISIBLE_AFTER {
            SubmitError::Retryable(words)
        } else {
            SubmitError::Permanent(words)
        }
    }

    /// Tells that a job was taken on this revision.
    pub(super) fn used(&self, job_definition: &str) {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner).remove(job_definition);
    }

    async fn on_record(&self, content_hash: &str) -> Result<Option<String>, SubmitError> {
        self.ledger.definition(&self.region, content_hash).await.map_err(|error| retryable(&error))
    }

    /// The latest active revision that carries the content's hash, and has the content: revisions
    /// made by hand from ours carry its tag too.
    async fn find(&self, wanted: &JobDefinition) -> Result<Option<String>, SubmitError> {
        let name = &wanted.register.job_definition_name;
        let content = wire::container_properties(&wanted.register.container_properties);
        let mut found: Option<(i32, String)> = None;
        let mut token = None;
        loop {
            self.calls.pace.turn().await;
            let page = self
                .calls
                .patient
                .describe_job_definitions()
                .job_definition_name(name)
                .status("ACTIVE")
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| failure::of_submission("DescribeJobDefinitions", &error))?;
            for definition in page.job_definitions.unwrap_or_default() {
                let tag = definition.tags().and_then(|tags| tags.get(CONTENT_HASH_TAG));
                if tag != Some(&wanted.content_hash) || definition.status() == Some("INACTIVE") {
                    continue;
                }
                if !definition.container_properties().is_some_and(|its| has_content(its, &content))
                {
                    warn!(
                        job.definition = definition.job_definition_arn(),
                        "a definition carries the tag of another content"
                    );
                    continue;
                }
                let revision = definition.revision.unwrap_or_default();
                if let Some(arn) = definition.job_definition_arn
                    && found.as_ref().is_none_or(|(latest, _)| *latest < revision)
                {
                    found = Some((revision, arn));
                }
            }
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(found.map(|(_, arn)| arn));
            }
        }
    }

    async fn register(&self, wanted: &JobDefinition) -> Result<String, SubmitError> {
        let mut tries = 1;
        loop {
            self.calls.pace.turn().await;
            let call = wire::register_job_definition(&wanted.register);
            let error = match call.send_with(&self.calls.once).await {
                Ok(answer) => {
                    let arn = answer.job_definition_arn.filter(|arn| !arn.is_empty());
                    let arn = arn.ok_or_else(|| {
                        let words = "RegisterJobDefinition: an answer without an ARN";
                        SubmitError::Ambiguous(words.to_owned())
                    })?;
                    info!(job.definition = %arn, content.hash = %wanted.content_hash, "registered");
                    return Ok(arn);
                }
                Err(error) => error,
            };
            let status = error.raw_response().map(|raw| raw.status().as_u16());
            let passing =
                matches!(status, Some(404 | 409)) && failure::kind(&error) == Kind::Refused;
            if !passing || tries == REGISTRATIONS {
                return Err(failure::of_submission("RegisterJobDefinition", &error));
            }
            let wait = FIRST_WAIT * 2_u32.pow(tries - 1);
            tokio::time::sleep(wait.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            tries += 1;
        }
    }
}

/// Whether what cannot be overridden at submission is the same.
fn has_content(its: &types::ContainerProperties, wanted: &types::ContainerProperties) -> bool {
    let privileged = |of: &types::ContainerProperties| of.privileged().unwrap_or(false);
    its.image() == wanted.image()
        && its.job_role_arn() == wanted.job_role_arn()
        && its.volumes() == wanted.volumes()
        && its.mount_points() == wanted.mount_points()
        && privileged(its) == privileged(wanted)
}

/// The ledger fails for a moment; nothing was registered.
fn retryable(error: &crate::store::StoreError) -> SubmitError {
    SubmitError::Retryable(chain(error))
}

/// A wait for one content's turn; the last to wait clears the table.
struct Waiting<'a> {
    turns: &'a Mutex<HashMap<String, Arc<Turn<()>>>>,
    content_hash: &'a str,
    turn: Arc<Turn<()>>,
}

impl<'a> Waiting<'a> {
    fn for_turn(turns: &'a Mutex<HashMap<String, Arc<Turn<()>>>>, content_hash: &'a str) -> Self {
        let turn = {
            let mut turns = turns.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(content_hash.to_owned()).or_default())
        };
        Self { turns, content_hash, turn }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // The table's own and this one.
        if Arc::strong_count(&self.turn) == 2 {
            turns.remove(self.content_hash);
        }
    }
}
