//! The steps of a demand: each one Batch job, with the payload of every call it takes.

use indexmap::IndexMap;

use super::{
    batch_job::{BatchCreateRequest, BatchJob, retry_strategy, volume_component_size},
    budget::{self, budget, json_size},
    context::ExecutionContext,
    data_sync::{DataSyncRequest, RemoveDataPathsRequest},
    definition,
    mount_point::MountPoint,
    naming::{JOB_NAME_LIMIT, VOLUME_COMPONENT_BUDGET},
    site::Site,
    submission::{
        Budget, ContainerOverrides, EnvFile, JobDefinition, KeyValuePair, PlannedStep, Step,
        SubmitJob, Task,
    },
    transfers::{Transfers, worker_removals},
    worker,
};
use crate::demand::configuration::ContextConfiguration;

/// The steps in order, and what is run after a failure or cancellation.
pub(super) struct Steps {
    pub steps: Vec<PlannedStep>,
    pub clean_up: Option<PlannedStep>,
}

/// Makes the steps of one demand; a step with nothing to do does not exist.
pub(super) struct Planner<'a> {
    context: &'a ExecutionContext,
    site: &'a Site,
    job: &'a BatchJob,
    tags: IndexMap<String, String>,
    worker: JobDefinition,
    worker_size: u64,
}

/// What a worker does in a step.
#[derive(Clone, Copy, Default)]
struct Work<'a> {
    env_file: Option<&'a EnvFile>,
    transfers: &'a [DataSyncRequest],
    removals: &'a [RemoveDataPathsRequest],
}

impl<'a> Planner<'a> {
    pub fn new(context: &'a ExecutionContext, site: &'a Site, job: &'a BatchJob) -> Self {
        let tags = context.demand().tags().map(definition::tags).unwrap_or_default();
        let worker = worker::definition(context, site);
        let worker_size = json_size(&worker.register);
        Self { context, site, job, tags, worker, worker_size }
    }

    pub fn steps(&self, transfers: &Transfers, configuration: &ContextConfiguration) -> Steps {
        let before = Work {
            env_file: self.job.env_file.as_ref(),
            transfers: &transfers.before,
            ..Work::default()
        };
        let after = Work {
            transfers: &transfers.after,
            removals: &transfers.worker_removals,
            ..Work::default()
        };
        let stage_in = self.worker_step(Step::StageIn, before);
        let wrap_up = self.worker_step(Step::WrapUp, after);
        let steps = stage_in.into_iter().chain([self.execute()]).chain(wrap_up).collect();
        let cleanup_working_dir = configuration.cleanup_working_dir.unwrap_or(true);
        let working = &self.context.working_path().efs;
        let leftovers = if cleanup_working_dir { vec![working.clone()] } else { Vec::new() };
        let removals = worker_removals(leftovers, working);
        let clean_up = Work { removals: &removals, ..Work::default() };
        Steps { steps, clean_up: self.worker_step(Step::CleanUp, clean_up) }
    }

    fn execute(&self) -> PlannedStep {
        let create = &self.job.create;
        let job_definition = definition::execute(create);
        let submit_job = SubmitJob {
            job_queue: create.job_queue_name.clone(),
            retry_strategy: create.retry_strategy.clone(),
            ..self.submit_job(Step::Execute, &job_definition, execute_overrides(create))
        };
        let mut budgets = budgets(&submit_job, json_size(&job_definition.register));
        budgets.push(self.volume_budget(&create.job_definition_name));
        PlannedStep { step: Step::Execute, task: None, job_definition, submit_job, budgets }
    }

    fn worker_step(&self, step: Step, work: Work<'_>) -> Option<PlannedStep> {
        let Work { env_file, transfers, removals } = work;
        if env_file.is_none() && transfers.is_empty() && removals.is_empty() {
            return None;
        }
        let task = Task {
            execution_id: self.context.demand().execution_id().to_string(),
            step,
            mounts: self.context.mounts().iter().map(MountPoint::to_mount).collect(),
            working_path: self.context.working_path().container.to_string(),
            env_file: env_file.cloned(),
            data_sync_requests: transfers.to_vec(),
            remove_data_paths_requests: removals.to_vec(),
        };
        // A task is made of texts and numbers alone, which always have a JSON form.
        let told = serde_json::to_string(&task).unwrap_or_default();
        let overrides = worker::overrides(&told, self.site);
        let submit_job = self.submit_job(step, &self.worker, overrides);
        let mut budgets = budgets(&submit_job, self.worker_size);
        budgets.push(self.volume_budget(&self.worker.register.job_definition_name));
        budgets.push(budget("worker_task", told.len() as u64, budget::WORKER_TASK_LIMIT));
        let job_definition = self.worker.clone();
        Some(PlannedStep { step, task: Some(task), job_definition, submit_job, budgets })
    }

    fn submit_job(
        &self,
        step: Step,
        definition: &JobDefinition,
        container_overrides: ContainerOverrides,
    ) -> SubmitJob {
        let queue = self.site.data_sync.job_queue.as_ref();
        SubmitJob {
            job_name: self.job.names.job_name(step, 1),
            job_queue: queue.unwrap_or(&self.job.create.job_queue_name).clone(),
            job_definition: definition.register.job_definition_name.clone(),
            depends_on: Vec::new(),
            container_overrides,
            retry_strategy: retry_strategy(),
            timeout: self.site.timeouts.of(step),
            tags: self.tags.clone(),
            propagate_tags: true,
        }
    }

    fn volume_budget(&self, definition: &str) -> Budget {
        let used = volume_component_size(definition, self.context);
        budget("volume_component", used as u64, VOLUME_COMPONENT_BUDGET as u64)
    }
}

/// What `execute` puts over its definition: all of the demand that can be.
pub(super) fn execute_overrides(create: &BatchCreateRequest) -> ContainerOverrides {
    let variable = |(name, value): (&String, &String)| KeyValuePair {
        name: name.clone(),
        value: value.clone(),
    };
    ContainerOverrides {
        command: create.command.clone(),
        environment: create.environment.iter().map(variable).collect(),
        resource_requirements: create.resource_requirements.clone(),
    }
}

fn budgets(submit_job: &SubmitJob, definition_size: u64) -> Vec<Budget> {
    let overrides = json_size(&submit_job.container_overrides);
    let name = submit_job.job_name.chars().count() as u64;
    vec![
        budget(budget::CONTAINER_OVERRIDES, overrides, budget::CONTAINER_OVERRIDES_LIMIT),
        budget("submit_job", json_size(submit_job), budget::SUBMIT_JOB_LIMIT),
        budget("job_definition", definition_size, budget::JOB_DEFINITION_LIMIT),
        budget("job_name", name, JOB_NAME_LIMIT as u64),
    ]
}
