//! The plan: everything derived from a demand and a site, computed once. PURE.
//!
//! [`plan`] gives what the reference's `PrepareDemandScaffoldingHandler` returns for the same
//! demand, catalogue, environment base and region, and beside it the jobs to submit. Its other
//! public functions are here too:
//!
//! | the reference | here |
//! |---|---|
//! | `BatchEFSConfiguration.build` | [`volume::Volume::build`] |
//! | `BatchEFSConfiguration(mount_point_config, read_only)` | [`volume::Volume::new`] |
//! | `get_batch_efs_configuration` | [`volume::Volume::resolve`] |
//! | `MountPointConfiguration.build` | [`mount_point::MountPoint::build`] |
//! | `MountPointConfiguration.as_…_path`, `as_efs_uri` | [`mount_point::MountPoint`]'s methods of these names |
//! | `get_efs_path`, `get_local_path` | [`mount_point::efs_uri`], [`mount_point::container_path`] |
//! | `DemandExecutionContextManager` | [`context::ExecutionContext`] |
//! | `…from_demand_execution` | [`context::ExecutionContext::from_demand_execution`] |
//! | `update_demand_execution_parameter_inputs`, `…_outputs` | [`paths::update_parameter_inputs`], [`paths::update_parameter_outputs`] |
//! | `get_batch_job_queue_name` | [`context::batch_job_queue_name`] |
//! | `get_execution_hash(strict)` | [`Demand::loose_hash`], [`Demand::strict_hash`] |

pub mod batch_job;
pub mod budget;
pub mod catalog;
pub mod context;
pub mod data_sync;
pub mod definition;
pub mod efs_id;
pub(crate) mod env_file;
pub mod mount_point;
pub mod naming;
pub mod paths;
pub mod site;
mod steps;
pub mod submission;
mod transfers;
pub mod volume;
pub mod volumes;
pub mod worker;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::demand::{
    Demand,
    configuration::EnvFileWriteMode,
    fault::{Code, Fault, Faults, Pointer},
};
use batch_job::{BatchCreateRequest, BatchJob};
use catalog::LookupError;
use context::{ContextPaths, ExecutionContext};
use data_sync::{DataSyncRequest, RemoveDataPathsRequest};
use naming::JobNames;
use steps::Planner;
use submission::{EnvFile, PlannedStep, Step};
use transfers::Transfers;

pub use crate::demand::fault::Faults as PlanErrors;
pub use site::Site;

/// Everything derived from one demand on one site.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// The demand, its local paths absolute in the container.
    #[schema(value_type = std::collections::HashMap<String, Value>)]
    pub demand_execution: Value,
    /// What happens before the command, and the command's job.
    pub setup_configs: SetupConfigs,
    /// What happens after the command.
    pub cleanup_configs: CleanupConfigs,
    /// The jobs to submit.
    pub submission: Submission,
}

/// The reference's `DemandExecutionSetupConfigs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SetupConfigs {
    /// Inputs, from S3 to EFS.
    pub data_sync_requests: Vec<DataSyncRequest>,
    /// The command's job.
    pub batch_create_request: BatchCreateRequest,
}

/// The reference's `DemandExecutionCleanupConfigs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CleanupConfigs {
    /// Outputs, from EFS to S3.
    pub data_sync_requests: Vec<DataSyncRequest>,
    /// Leftovers, in the reference's shape; workers remove what their own tasks say.
    pub remove_data_paths_requests: Vec<RemoveDataPathsRequest>,
}

/// The jobs of a demand, ready to submit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Submission {
    /// The demand's directories and mounts.
    pub context: ContextPaths,
    /// Variables that reach the command through a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub env_file: Option<EnvFile>,
    /// The queue of the step `execute`.
    pub job_queue: String,
    /// What the jobs of any attempt are named after.
    pub job_names: JobNames,
    /// The steps, in order.
    pub steps: Vec<PlannedStep>,
    /// What is run after a failure or cancellation, if anything is to be removed.
    #[schema(required)]
    pub clean_up: Option<PlannedStep>,
}

impl Submission {
    /// The steps, in order, with the names of their jobs in `attempt`.
    pub fn names(&self, attempt: u32) -> Vec<(Step, String)> {
        self.steps
            .iter()
            .map(|planned| (planned.step, self.job_names.job_name(planned.step, attempt)))
            .collect()
    }
}

/// Plans `demand` on `site`; the same two always give the same plan.
pub fn plan(demand: &Demand, site: &Site) -> Result<Plan, PlanErrors> {
    let mut faults = demand.unrunnable();
    let volumes = match volumes::choose(demand, site) {
        Ok(volumes) => volumes,
        Err(errors) => {
            faults.extend(errors.into_vec());
            return Err(Faults::of(faults));
        }
    };
    let configuration = demand.configuration().over(&site.configuration);
    let isolate_inputs = configuration.isolate_inputs.unwrap_or(true);
    let context = match ExecutionContext::new(demand, volumes, isolate_inputs) {
        Ok(context) => context,
        Err(errors) => {
            faults.extend(errors.into_vec());
            return Err(Faults::of(faults));
        }
    };
    if !faults.is_empty() {
        return Err(Faults::of(faults));
    }
    let mode = configuration.env_file_write_mode.unwrap_or(EnvFileWriteMode::Always);
    let job = BatchJob::of(&context, site, mode);
    let transfers = Transfers::of(&context, &configuration, site.policy.mirror_outputs);
    let (job, transfers) = match (job, transfers) {
        (Ok(job), Ok(transfers)) => (job, transfers),
        (job, transfers) => {
            faults.extend(job.err().into_iter().flat_map(Faults::into_vec));
            faults.extend(transfers.err().into_iter().flat_map(Faults::into_vec));
            return Err(Faults::of(faults));
        }
    };
    let steps = Planner::new(&context, site, &job).steps(&transfers, &configuration);
    let faults = breaches(demand, &steps.steps);
    let submission = Submission {
        context: context.to_paths()?,
        job_queue: job.create.job_queue_name.clone(),
        env_file: job.env_file,
        job_names: job.names,
        steps: steps.steps,
        clean_up: steps.clean_up,
    };
    let plan = Plan {
        demand_execution: context.demand().to_value(),
        setup_configs: SetupConfigs {
            data_sync_requests: transfers.before,
            batch_create_request: job.create,
        },
        cleanup_configs: CleanupConfigs {
            data_sync_requests: transfers.after,
            remove_data_paths_requests: transfers.removals,
        },
        submission,
    };
    Faults::or(faults, plan)
}

/// What of the user's own job is more than AWS takes. Workers' budgets are reported only: how
/// large a task can be handed over is their engine's matter.
fn breaches(demand: &Demand, steps: &[PlannedStep]) -> Vec<Fault> {
    let places = demand.places();
    let execute = steps.iter().filter(|step| step.step == Step::Execute);
    execute
        .flat_map(|step| &step.budgets)
        .filter(|budget| budget.used > budget.limit)
        .map(|budget| {
            let place = match budget.name.as_str() {
                "job_definition" => &places.execution_image,
                _ => &places.params,
            };
            let detail = format!(
                "the job's {} would have {} bytes; AWS Batch takes {}",
                budget.name, budget.used, budget.limit
            );
            place.fault(Code::TooLarge, detail)
        })
        .collect()
}

/// The fault of a file system or access point that could not be told.
fn lookup_fault(place: &Pointer, error: &LookupError) -> Fault {
    let code = match error {
        LookupError::NoFileSystem(_) => Code::FileSystemNotFound,
        LookupError::ManyFileSystems { .. } => Code::FileSystemAmbiguous,
        LookupError::NoAccessPoint(_) => Code::AccessPointNotFound,
        LookupError::ManyAccessPoints { .. } => Code::AccessPointAmbiguous,
        LookupError::NothingWanted => Code::Missing,
    };
    place.fault(code, error.to_string())
}
