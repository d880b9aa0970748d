//! The execution context: where a demand's directories are, in the container and on EFS.
//!
//! The reference's `DemandExecutionContextManager` as pure functions
//! (`demand/context_manager.py`).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    PlanErrors, lookup_fault,
    mount_point::{EfsUri, MountPoint, efs_uri},
    paths,
    site::Site,
    submission::Mount,
    volume::Volume,
};
use crate::demand::{
    Demand,
    fault::{Code, Fault, Faults},
    python::PurePath,
};

/// A demand on its volumes, its inputs and outputs at their places.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecutionContext {
    demand: Demand,
    volumes: Vec<Volume>,
    mounts: Vec<MountPoint>,
    working_path: Place,
    tmp_path: Place,
    shared_path: Place,
}

/// One directory, seen from both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Absolute in the container.
    pub container: PurePath,
    /// On its file system.
    pub efs: EfsUri,
}

/// The volumes of a demand by role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volumes {
    /// Working directories are here.
    pub scratch: Volume,
    /// What demands share is here.
    pub shared: Volume,
    /// Temporary files are here; below `scratch` where absent.
    pub tmp: Option<Volume>,
}

/// The context's paths and mounts as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContextPaths {
    /// The working directory in the container.
    pub container_working_path: String,
    /// The directory for temporary files in the container.
    pub container_tmp_path: String,
    /// The shared volume in the container.
    pub container_shared_path: String,
    /// The working directory, `fs-…:/path`.
    pub efs_working_path: String,
    /// The directory for temporary files, `fs-…:/path`.
    pub efs_tmp_path: String,
    /// The shared volume, `fs-…:/path`.
    pub efs_shared_path: String,
    /// The demand's job queue.
    pub batch_job_queue_name: String,
    /// What is mounted where: scratch, shared, and tmp if there is one.
    pub efs_mount_points: Vec<Mount>,
}

impl ExecutionContext {
    /// Puts a demand on its volumes: first its inputs get their places, then its outputs.
    pub fn new(
        demand: &Demand,
        volumes: Volumes,
        isolate_inputs: bool,
    ) -> Result<Self, PlanErrors> {
        let Volumes { scratch, shared, tmp } = volumes;
        let mut mounts = vec![scratch.mount.clone(), shared.mount.clone()];
        mounts.extend(tmp.as_ref().map(|volume| volume.mount.clone()));
        let below_scratch = |name: &str| scratch.mount.as_mounted_path(&PurePath::new(name)).ok();
        let tmp_path = match &tmp {
            Some(volume) => Some(volume.mount.mount_point().clone()),
            None => below_scratch("tmp"),
        };
        let place = |path: Option<PurePath>| {
            let container = path.ok_or_else(|| unreachable_place(demand))?;
            let efs = efs_uri(&container, &mounts).ok_or_else(|| unreachable_place(demand))?;
            Ok::<_, Fault>(Place { container, efs })
        };
        let working_path = place(below_scratch(demand.execution_id().as_str()))?;
        let tmp_path = place(tmp_path)?;
        let shared_path = place(Some(shared.mount.mount_point().clone()))?;
        let mut demand = demand.clone();
        let (container_shared, container_working) =
            (&shared_path.container, &working_path.container);
        paths::settle_inputs(&mut demand, container_shared, container_working, isolate_inputs)?;
        paths::settle_outputs(&mut demand, container_working)?;
        let volumes = [scratch, shared].into_iter().chain(tmp).collect();
        Ok(Self { demand, volumes, mounts, working_path, tmp_path, shared_path })
    }

    /// The context of a demand on the default volumes of `site`: its access points named
    /// `scratch` and `shared` (`from_demand_execution`).
    pub fn from_demand_execution(demand: &Demand, site: &Site) -> Result<Self, PlanErrors> {
        let env_base = site.env_base.as_str();
        let volume = |name: &str, read_only| {
            let path = format!("/opt/efs/{name}");
            Volume::resolve(&site.catalog, env_base, &path, name, None, read_only)
                .map_err(|error| lookup_fault(&demand.places().file_systems.key(name), &error))
        };
        let volumes = match (volume("scratch", false), volume("shared", true)) {
            (Ok(scratch), Ok(shared)) => Volumes { scratch, shared, tmp: None },
            (scratch, shared) => {
                let faults: Vec<Fault> =
                    [scratch.err(), shared.err()].into_iter().flatten().collect();
                return Err(Faults::of(faults));
            }
        };
        let isolate_inputs = site.configuration.isolate_inputs.unwrap_or(true);
        Self::new(demand, volumes, isolate_inputs)
    }

    /// The demand, its local paths absolute.
    pub fn demand(&self) -> &Demand {
        &self.demand
    }

    /// Scratch, shared, and tmp if there is one.
    pub fn volumes(&self) -> &[Volume] {
        &self.volumes
    }

    /// What is mounted, in the order of [`Self::volumes`].
    pub fn mounts(&self) -> &[MountPoint] {
        &self.mounts
    }

    /// The demand's own directory.
    pub fn working_path(&self) -> &Place {
        &self.working_path
    }

    /// The directory for temporary files.
    pub fn tmp_path(&self) -> &Place {
        &self.tmp_path
    }

    /// What demands share.
    pub fn shared_path(&self) -> &Place {
        &self.shared_path
    }

    /// The paths and mounts as text.
    pub fn to_paths(&self) -> Result<ContextPaths, PlanErrors> {
        Ok(ContextPaths {
            container_working_path: self.working_path.container.to_string(),
            container_tmp_path: self.tmp_path.container.to_string(),
            container_shared_path: self.shared_path.container.to_string(),
            efs_working_path: self.working_path.efs.to_string(),
            efs_tmp_path: self.tmp_path.efs.to_string(),
            efs_shared_path: self.shared_path.efs.to_string(),
            batch_job_queue_name: batch_job_queue_name(&self.demand)?.to_owned(),
            efs_mount_points: self.mounts.iter().map(MountPoint::to_mount).collect(),
        })
    }
}

/// The job queue a demand goes to (`get_batch_job_queue_name`).
pub fn batch_job_queue_name(demand: &Demand) -> Result<&str, PlanErrors> {
    demand.aws_batch().map(|aws_batch| aws_batch.job_queue_name.as_str()).ok_or_else(|| {
        let detail = "the demand has no AWS Batch platform";
        Faults::from(demand.places().platform.fault(Code::NoPlatform, detail))
    })
}

fn unreachable_place(demand: &Demand) -> Fault {
    let detail = "a directory of the demand is on none of its volumes";
    demand.places().file_systems.fault(Code::InvalidValue, detail)
}
