//! The site of local mode: a data directory, and a catalogue whose file systems lie in it.
//!
//! One file system with two access points, `scratch` and `shared`, each a directory. Its mount
//! paths are the directories' real paths, so that what a plan says about containers is true of
//! this machine.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::config::Config;

/// The id of the one file system.
const FILE_SYSTEM: &str = "fs-00000001";

/// The directories of a local service. Their paths are absolute and free of symbolic links. As
/// long as this value lives, no other process takes the same directory.
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    _lock: File,
}

/// Why a directory cannot hold a local service's data.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It cannot be made or found.
    #[error("cannot prepare the data directory {}", path.display())]
    Prepare {
        /// Which directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process uses it.
    #[error(
        "another process serves from the data directory {}; stop it, or choose another with \
         --data-dir",
        path.display()
    )]
    InUse {
        /// Which directory.
        path: PathBuf,
    },
    /// Commands could not name what lies in it.
    #[error(
        "the data directory {} has `{offending}` in its path; the commands of demands name their \
         files unquoted, so choose a path of letters, digits and `/._-+@%:,=`",
        path.display()
    )]
    Unquotable {
        /// Which directory.
        path: PathBuf,
        /// The character.
        offending: char,
    },
}

impl DataDir {
    /// Makes the directory and those in it.
    pub fn prepare(path: &Path) -> Result<Self, DataDirError> {
        let failed = |source| DataDirError::Prepare { path: path.to_owned(), source };
        // Demands may hold secrets: what is made here is for its owner only.
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let root = path.canonicalize().map_err(failed)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:,=".contains(c);
        if let Some(offending) = root.to_string_lossy().chars().find(|c| !plain(*c)) {
            return Err(DataDirError::Unquotable { path: root, offending });
        }
        let lock = File::create(root.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DataDirError::InUse { path: root }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let data_dir = Self { root, _lock: lock };
        for directory in [data_dir.scratch(), data_dir.shared(), data_dir.buckets()] {
            std::fs::create_dir_all(&directory)
                .map_err(|source| DataDirError::Prepare { path: directory, source })?;
        }
        Ok(data_dir)
    }

    /// The working directories.
    pub fn scratch(&self) -> PathBuf {
        self.root.join("efs/scratch")
    }

    /// Inputs shared between demands.
    pub fn shared(&self) -> PathBuf {
        self.root.join("efs/shared")
    }

    /// The buckets of the embedded S3.
    pub fn buckets(&self) -> PathBuf {
        self.root.join("s3")
    }

    /// The jobs of the `local` engine.
    pub fn jobs(&self) -> PathBuf {
        self.root.join("jobs")
    }

    /// Where the S3 endpoint's address and credentials are kept.
    pub fn s3_environment(&self) -> PathBuf {
        self.root.join("s3.env")
    }

    /// The site, in the shape that `demand plan --site` takes.
    pub fn site(&self, config: &Config) -> Value {
        let volume = |name: &str, access_point_id: &str, path: &Path| {
            let access_point = json!({
                "AccessPointId": access_point_id,
                "FileSystemId": FILE_SYSTEM,
                "Name": name,
                "RootDirectory": {"Path": format!("/{name}")},
                "Tags": [
                    {"Key": "Name", "Value": name},
                    {"Key": "env_base", "Value": config.env_base},
                ],
            });
            let configuration = json!([{
                "file_system": FILE_SYSTEM,
                "access_point": access_point_id,
                "container_path": path,
            }]);
            (access_point, configuration)
        };
        let (scratch, scratch_configuration) = volume("scratch", "fsap-00000001", &self.scratch());
        let (shared, shared_configuration) = volume("shared", "fsap-00000002", &self.shared());
        json!({
            "env_base": config.env_base,
            "region": config.region,
            "catalog": {
                "file_systems": [{
                    "FileSystemId": FILE_SYSTEM,
                    "Name": "local",
                    "Tags": [
                        {"Key": "Name", "Value": "local"},
                        {"Key": "env_base", "Value": config.env_base},
                    ],
                }],
                "access_points": [scratch, shared],
            },
            "plan": {
                "privileged": config.plan.privileged,
                "mirror_outputs": config.plan.mirror_outputs,
                "env_file_writer": config.plan.env_file_writer,
            },
            "data_sync": {
                "image": config.data_sync.image,
                "job_queue": config.data_sync.job_queue,
                "job_role": config.data_sync.job_role,
                "memory": config.data_sync.memory,
                "vcpus": config.data_sync.vcpus,
            },
            "timeouts": config.timeouts,
            "file_system_configurations": {
                "scratch": scratch_configuration,
                "shared": shared_configuration,
                "tmp": [],
            },
            "context_manager_configuration": config.context_manager_configuration,
        })
    }
}
