//! What an operator allows beyond what can be planned. PURE.
//!
//! A rule is a list of globs, held against the text as the demand has it: queues and roles by name
//! or by ARN, images with registry and tag, inputs and outputs after their references were
//! replaced. In names `*` stands for anything, as in policies of IAM. In paths (images, S3) it
//! stays within a segment of `/`, and what is allowed is allowed with all below it: so
//! `*.example.org/tools` cannot be met by `elsewhere.net/x.example.org/tools`.

use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::demand::fault::{Code, Fault, Pointer};
use crate::demand::{Demand, Faults};
use crate::plan::data_sync::DataSyncRequest;
use crate::plan::submission::{PlannedStep, Step};
use crate::plan::{Plan, budget};

/// The operator's rules; none by default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policy {
    /// The only paths at which a demand's volumes may be mounted. In local mode nothing mounts
    /// anything: a volume is where it is.
    pub mount_paths: Option<BTreeSet<String>>,
    /// What demands may name.
    pub rules: Rules,
    /// Whether tasks must fit in what a job's container is told, there being no other place for
    /// them (`data_sync.payload_prefix`).
    pub tasks_must_fit: bool,
}

/// What demands may name, by kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules {
    /// `policy.job_queues`: the queue of the command.
    pub job_queues: Allowed,
    /// `policy.images`: its image, or a path that it is below.
    pub images: Allowed,
    /// `policy.job_roles`: its role; having none is always allowed.
    pub job_roles: Allowed,
    /// `policy.input_prefixes`: where inputs come from, or a path above it.
    pub input_prefixes: Allowed,
    /// `policy.output_prefixes`: where outputs go, or a path above it.
    pub output_prefixes: Allowed,
}

/// A list of globs; an empty one allows everything.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    globs: Vec<String>,
    set: GlobSet,
    are_paths: bool,
}

/// Two lists of the same globs allow the same.
impl PartialEq for Allowed {
    fn eq(&self, other: &Self) -> bool {
        self.globs == other.globs
    }
}

impl Allowed {
    /// What these globs of names allow.
    pub fn names(globs: Vec<String>) -> Result<Self, globset::Error> {
        Self::parse(globs, false)
    }

    /// What these globs of paths allow.
    pub fn paths(globs: Vec<String>) -> Result<Self, globset::Error> {
        Self::parse(globs, true)
    }

    fn parse(globs: Vec<String>, are_paths: bool) -> Result<Self, globset::Error> {
        let mut set = GlobSetBuilder::new();
        for glob in &globs {
            let glob = if are_paths { glob.trim_end_matches('/') } else { glob };
            set.add(GlobBuilder::new(glob).literal_separator(are_paths).build()?);
        }
        Ok(Self { set: set.build()?, globs, are_paths })
    }

    /// The globs as they were written.
    pub fn globs(&self) -> &[String] {
        &self.globs
    }

    /// Those without a wildcard.
    pub fn plain(&self) -> impl Iterator<Item = &str> {
        let is_plain = |glob: &&str| !glob.contains(['*', '?', '[', ']', '{', '}', '\\']);
        self.globs.iter().map(String::as_str).filter(is_plain)
    }

    /// Whether `text` is allowed, or, of paths, one that it is below.
    pub fn allows(&self, text: &str) -> bool {
        if self.globs.is_empty() || self.set.is_match(text) {
            return true;
        }
        let path = text.trim_end_matches('/');
        let mut above = path.match_indices('/').map(|(end, _)| &path[..end]).chain([path]);
        self.are_paths && above.any(|path| self.set.is_match(path))
    }

    /// The fault of what the rule of this name does not allow.
    fn refusal(&self, rule: &str, place: &Pointer, what: &str) -> Fault {
        let detail = format!(
            "`{what}` is not allowed by this service's policy.{rule}, which has: {}",
            self.globs.join(", ")
        );
        place.fault(Code::NotAllowed, detail)
    }
}

impl Policy {
    /// Every rule that the plan breaks.
    pub fn check(&self, demand: &Demand, plan: &Plan) -> Result<(), Faults> {
        let mut faults = self.mounts(plan);
        self.rules.check(demand, plan, &mut faults);
        if self.tasks_must_fit {
            let submission = &plan.submission;
            let steps = submission.steps.iter().chain(&submission.clean_up);
            let place = &demand.places().params;
            faults
                .extend(steps.filter_map(too_large).map(|told| place.fault(Code::TooLarge, told)));
        }
        Faults::or(faults, ())
    }

    fn mounts(&self, plan: &Plan) -> Vec<Fault> {
        let Some(allowed) = &self.mount_paths else { return Vec::new() };
        plan.submission
            .context
            .efs_mount_points
            .iter()
            .filter(|mount| !allowed.contains(&mount.mount_point))
            .map(|mount| Fault {
                pointer: "/file_system_configurations".to_owned(),
                code: Code::InvalidValue,
                detail: format!(
                    "`{}` cannot be mounted: volumes are directories of this machine here, and \
                     stay where they are; leave file_system_configurations out",
                    mount.mount_point
                ),
            })
            .collect()
    }
}

impl Rules {
    fn check(&self, demand: &Demand, plan: &Plan, faults: &mut Vec<Fault>) {
        let places = demand.places();
        let job = &plan.setup_configs.batch_create_request;
        if !self.job_queues.allows(&job.job_queue_name) {
            let queue = &job.job_queue_name;
            faults.push(self.job_queues.refusal("job_queues", &places.job_queue_name, queue));
        }
        if !self.images.allows(&job.image) {
            faults.push(self.images.refusal("images", &places.execution_image, &job.image));
        }
        if let Some(role) = &job.job_role_arn
            && !self.job_roles.allows(role)
        {
            faults.push(self.job_roles.refusal("job_roles", &places.job_role, role));
        }
        // The plan has one transfer an input and one an output, in their order.
        let parameters = demand.parameters();
        let inputs = parameters.inputs().zip(&plan.setup_configs.data_sync_requests);
        let outputs = parameters.outputs().zip(&plan.cleanup_configs.data_sync_requests);
        let mut remote = |rule, allowed: &Allowed, parameter: &str, path: &str| {
            if !allowed.allows(path) {
                faults.push(allowed.refusal(rule, &places.params.key(parameter), path));
            }
        };
        for ((parameter, _), DataSyncRequest { source_path, .. }) in inputs {
            remote("input_prefixes", &self.input_prefixes, &parameter.name, source_path);
        }
        for ((parameter, _), DataSyncRequest { destination_path, .. }) in outputs {
            remote("output_prefixes", &self.output_prefixes, &parameter.name, destination_path);
        }
    }
}

/// Why a worker cannot be told its task, if it cannot.
fn too_large(planned: &PlannedStep) -> Option<String> {
    if planned.step == Step::Execute {
        return None;
    }
    let budget = planned.budgets.iter().find(|of| of.name == budget::CONTAINER_OVERRIDES)?;
    (budget.used > budget.limit).then(|| {
        format!(
            "what the job of {} is told of its transfers and variables has {} bytes; AWS Batch \
             takes {}, and this service has no other place for it (data_sync.payload_prefix)",
            planned.step.as_str(),
            budget.used,
            budget.limit
        )
    })
}
