//! From a submission to the order a supervisor is given: the command, its environment, its limits.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::LocalSettings;
use super::durable::{self, RecordError};
use super::record::{Order, Submission, TryDir};
use crate::plan::submission::ResourceRequirement;
use crate::plan::worker::TASK_VARIABLE;

/// The most bytes one string of a program's environment may have on Linux, its end included
/// (`MAX_ARG_STRLEN`, <https://man7.org/linux/man-pages/man2/execve.2.html>).
const LONGEST_STRING: usize = 128 * 1024;

impl Submission {
    /// The command: the submission's, or else the definition's.
    fn command(&self) -> &[String] {
        let overriding = &self.submit_job.container_overrides.command;
        if overriding.is_empty() {
            &self.definition.register.container_properties.command
        } else {
            overriding
        }
    }

    /// Whether there is something to run.
    pub fn has_command(&self) -> bool {
        !self.command().is_empty()
    }

    /// The slots the job takes: whole vCPUs, at least one.
    pub fn slots(&self) -> usize {
        let vcpus = |requirements: &[ResourceRequirement]| {
            let vcpu = requirements.iter().find(|requirement| requirement.kind == "VCPU")?;
            vcpu.value.parse::<f64>().ok()
        };
        let wanted = vcpus(&self.submit_job.container_overrides.resource_requirements)
            .or_else(|| vcpus(&self.definition.register.container_properties.resource_requirements))
            .unwrap_or(1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "`as` saturates: what is no number of slots becomes 0 or the largest there is"
        )]
        let whole = wanted.ceil() as usize;
        whole.max(1)
    }

    /// The order for a try in `dir`, and the files it names.
    pub fn order(&self, settings: &LocalSettings, dir: &TryDir) -> (Order, Vec<(PathBuf, String)>) {
        let mut environment: IndexMap<String, String> = settings.environment.clone();
        let own = &self.submit_job.container_overrides.environment;
        environment.extend(own.iter().map(|pair| (pair.name.clone(), pair.value.clone())));
        let files = spill_task(&mut environment, dir.path());
        let timeout = self.submit_job.timeout.or(self.definition.register.timeout);
        let order = Order {
            command: on_this_machine(self.command(), &settings.demand_binary),
            environment,
            image: self.definition.register.container_properties.image.clone(),
            timeout_seconds: timeout.map(|timeout| timeout.attempt_duration_seconds),
            terminate_grace_millis: u64::try_from(settings.terminate_grace.as_millis())
                .unwrap_or(u64::MAX),
        };
        (order, files)
    }

    /// Makes the directory of a try with all its supervisor needs.
    pub fn prepare(&self, settings: &LocalSettings, dir: &TryDir) -> Result<(), RecordError> {
        let (order, files) = self.order(settings, dir);
        durable::create_directory(dir.path())?;
        for (path, content) in files {
            durable::write(&path, content.as_bytes())?;
        }
        dir.create(&order)
    }
}

/// The worker's image has `demand` on its path; here it is this very program.
fn on_this_machine(command: &[String], demand_binary: &Path) -> Vec<String> {
    let mut command = command.to_vec();
    if let Some(program) = command.first_mut().filter(|program| *program == "demand") {
        *program = demand_binary.to_string_lossy().into_owned();
    }
    command
}

/// Replaces a task too large for one string by the absolute path of a file that holds it.
fn spill_task(environment: &mut IndexMap<String, String>, dir: &Path) -> Vec<(PathBuf, String)> {
    let Some(task) = environment.get_mut(TASK_VARIABLE) else { return Vec::new() };
    if TASK_VARIABLE.len() + "=".len() + task.len() < LONGEST_STRING {
        return Vec::new();
    }
    let path = dir.join("task.json");
    let content = std::mem::replace(task, path.to_string_lossy().into_owned());
    vec![(path, content)]
}
