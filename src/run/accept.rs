//! Accepts demands: recognise, plan, store.
//!
//! The id is looked up before anything is planned, so that a request sent again is answered with
//! what was stored, whatever has become of catalogue, policy or defaults since.

use std::cell::Cell;

use serde_json::Value;
use uuid::Uuid;

use super::state::State;
use super::transitions::now;
use super::{Runs, Sites};
use crate::demand::fault::{Code, Fault};
use crate::demand::{Demand, ExecutionId, Faults};
use crate::efs::CatalogueError;
use crate::plan::{Plan, plan};
use crate::policy::Policy;
use crate::run::record::{NewDemand, Record};
use crate::store::StoreError;
use crate::telemetry::traces;

/// A demand that is stored.
#[derive(Debug)]
pub enum Accepted {
    /// By this request.
    New(Record),
    /// By an earlier one of the same content.
    Before(Record),
}

/// Why a demand has no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It cannot be planned.
    #[error("the demand cannot be planned")]
    Faults(#[from] Faults),
    /// What it is planned with cannot be had at present.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
}

/// Why a demand was not accepted; nothing was stored then.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// It has no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Its id is another demand's.
    #[error("{execution_id} {why}")]
    IdTaken {
        /// The id.
        execution_id: String,
        /// By whom or what.
        why: &'static str,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The plan cannot be written as JSON.
    #[error("the plan cannot be written")]
    Encode(#[from] serde_json::Error),
}

impl Runs {
    /// Stores what `request` demands, or answers what it has already stored for it. `sender` is
    /// who sent it; `key` recognises a request without an id.
    pub async fn accept(
        &self,
        request: &Value,
        sender: Option<&str>,
        key: Option<String>,
    ) -> Result<Accepted, AcceptError> {
        let id_made = Cell::new(false);
        let demand = Demand::parse_with_id(request, || {
            id_made.set(true);
            ExecutionId::from(Uuid::now_v7())
        })
        .map_err(PlanError::Faults)?;
        let key = key.filter(|_| id_made.get());
        if let Some(record) = self.known(&demand, sender, key.as_deref()).await? {
            return Ok(Accepted::Before(record));
        }
        let new = self.planned(request, &demand, sender, key.clone()).await?;
        let record = new.record.clone();
        if self.transitions.insert(new).await? {
            return Ok(Accepted::New(record));
        }
        // Somebody came first, between the look and the insertion.
        self.known(&demand, sender, key.as_deref()).await?.map(Accepted::Before).ok_or_else(|| {
            AcceptError::IdTaken {
                execution_id: demand.execution_id().to_string(),
                why: "was taken and given up at the same time; send the demand again",
            }
        })
    }

    /// The plan of what `request` demands; stores nothing.
    pub async fn plan(&self, request: &Value) -> Result<Plan, PlanError> {
        let demand = Demand::parse_with_id(request, || ExecutionId::from(Uuid::now_v7()))?;
        plan_within(&demand, &self.sites, &self.policy).await
    }

    /// The stored demand that this one is, if there is one.
    async fn known(
        &self,
        demand: &Demand,
        sender: Option<&str>,
        key: Option<&str>,
    ) -> Result<Option<Record>, AcceptError> {
        let store = &self.transitions.store;
        let found = match key {
            Some(key) => store.get_by_key(sender.unwrap_or_default(), key).await?,
            None => store.get(demand.execution_id().as_str()).await?,
        };
        let Some(record) = found else { return Ok(None) };
        let taken =
            |why| Err(AcceptError::IdTaken { execution_id: record.execution_id.clone(), why });
        if record.submitted_by.as_deref() != sender {
            return taken("is somebody else's demand; choose another execution_id");
        }
        if record.content_hash != demand.content_hash() {
            return taken(
                "is a demand of other content; choose another execution_id or Idempotency-Key, \
                 or send what was sent before",
            );
        }
        Ok(Some(record))
    }

    async fn planned(
        &self,
        request: &Value,
        demand: &Demand,
        sender: Option<&str>,
        idempotency_key: Option<String>,
    ) -> Result<NewDemand, AcceptError> {
        let plan = plan_within(demand, &self.sites, &self.policy).await?;
        let now = now();
        let submission = &plan.submission;
        let (state, accepted) =
            State::accepted(submission.names(1), submission.clean_up.is_some(), now);
        Ok(NewDemand {
            record: Record {
                execution_id: demand.execution_id().to_string(),
                created_at: now,
                version: 1,
                execution_type: demand.execution_type().to_owned(),
                user: demand.user().map(str::to_owned),
                submitted_by: sender.map(str::to_owned),
                job_queue: submission.job_queue.clone(),
                tags: demand.tags().cloned().unwrap_or_default(),
                content_hash: demand.content_hash().to_owned(),
                traceparent: traces::here(),
                state,
            },
            request: serde_json::to_string(request)?,
            plan: serde_json::to_string(&plan)?,
            accepted,
            idempotency_key,
        })
    }
}

/// The plan of `demand` on the site of now, within `policy`. What the catalogue lacks is looked
/// for once more in a newer one, since it may have been made since.
pub async fn plan_within(
    demand: &Demand,
    sites: &Sites,
    policy: &Policy,
) -> Result<Plan, PlanError> {
    let site = sites.now().await?;
    let mut planned = plan(demand, &site);
    if let Err(faults) = &planned
        && faults.as_slice().iter().any(is_miss)
    {
        match sites.newer(&site).await {
            Ok(Some(site)) => planned = plan(demand, &site),
            // Nobody can tell whether it is there; only other faults are certain.
            Err(unknown) if faults.as_slice().iter().all(is_miss) => return Err(unknown.into()),
            Ok(None) | Err(_) => {}
        }
    }
    let plan = planned?;
    policy.check(demand, &plan)?;
    Ok(plan)
}

fn is_miss(fault: &Fault) -> bool {
    matches!(fault.code, Code::FileSystemNotFound | Code::AccessPointNotFound)
}
