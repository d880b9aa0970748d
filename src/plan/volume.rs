//! EFS volumes of a job: the reference's `BatchEFSConfiguration` (`demand/context_manager.py`).

use super::{
    catalog::{Catalog, LookupError, Wanted},
    mount_point::{MountPoint, MountSource},
    naming,
    submission::{self, EfsAuthorizationConfig, EfsVolumeConfiguration},
};

/// A mounted file system as AWS Batch is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// What is mounted where.
    pub mount: MountPoint,
    /// Whether the container may not write to it.
    pub read_only: bool,
    name: String,
}

impl Volume {
    /// Names the volume of `mount` (`BatchEFSConfiguration(mount_point_config, read_only)`).
    pub fn new(mount: MountPoint, read_only: bool) -> Self {
        let name = naming::volume_name(&mount);
        Self { mount, read_only, name }
    }

    /// Mounts an access point at `mount_path` (`BatchEFSConfiguration.build`).
    pub fn build(
        catalog: &Catalog,
        access_point: &str,
        mount_path: &str,
        read_only: bool,
    ) -> Result<Self, LookupError> {
        let source = MountSource { access_point: Some(access_point), ..MountSource::default() };
        Ok(Self::new(MountPoint::build(catalog, mount_path, source)?, read_only))
    }

    /// Mounts the access point of that name which belongs to `env_base`, on the file system of
    /// that name if one is given (`get_batch_efs_configuration`).
    pub fn resolve(
        catalog: &Catalog,
        env_base: &str,
        container_path: &str,
        access_point_name: &str,
        file_system_name: Option<&str>,
        read_only: bool,
    ) -> Result<Self, LookupError> {
        let env_base_tag = Some(env_base);
        let file_system = file_system_name.filter(|name| !name.is_empty()).map(|name| {
            let name = naming::prefixed(env_base, &[name]);
            catalog.file_system(Wanted { id: None, name: Some(&name), env_base: env_base_tag })
        });
        let file_system_id = file_system.transpose()?.map(|found| found.file_system_id.as_str());
        let wanted = Wanted { id: None, name: Some(access_point_name), env_base: env_base_tag };
        let access_point = catalog.access_point(wanted, file_system_id)?;
        Self::build(catalog, &access_point.access_point_id, container_path, read_only)
    }

    /// Its name, unique among the volumes of a job.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the job mounts it.
    pub fn to_mount_point(&self) -> submission::MountPoint {
        submission::MountPoint {
            read_only: self.read_only,
            container_path: self.mount.mount_point().to_string(),
            source_volume: self.name.clone(),
        }
    }

    /// What the job mounts. An access point needs transit encryption and `/` as root
    /// (<https://docs.aws.amazon.com/batch/latest/APIReference/API_EFSVolumeConfiguration.html>).
    pub fn to_volume(&self) -> submission::Volume {
        let access_point = self.mount.access_point_id();
        submission::Volume {
            name: self.name.clone(),
            efs_volume_configuration: EfsVolumeConfiguration {
                file_system_id: self.mount.file_system_id().to_owned(),
                root_directory: "/".to_owned(),
                transit_encryption: access_point.map(|_| "ENABLED".to_owned()),
                authorization_config: access_point.map(|id| EfsAuthorizationConfig {
                    access_point_id: id.to_owned(),
                    iam: "DISABLED".to_owned(),
                }),
            },
        }
    }
}
