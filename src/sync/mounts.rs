//! Mounted file systems as the reference's environment variables name them
//! (`aibs_informatics_aws_utils.efs.mount_point`): `EFS_MOUNT_POINT_PATH_x` is where, and
//! `EFS_MOUNT_POINT_ID_x` which file system or access point, by id or ARN.

use std::path::Path;

use aws_sdk_efs::Client;

use crate::aws::{self, CallError, call};
use crate::plan::efs_id::{access_point_id, file_system_id};
use crate::plan::submission::Mount;

const PATH: &str = "EFS_MOUNT_POINT_PATH";
const ID: &str = "EFS_MOUNT_POINT_ID";

/// A mount that was named, but in a way that tells no file system.
#[derive(Debug, thiserror::Error)]
#[error("{variable} is passed over")]
pub struct MountError {
    /// The variable that names the mount point.
    pub variable: String,
    /// Why.
    #[source]
    pub source: MountFault,
}

/// Why a mount is not known.
#[derive(Debug, thiserror::Error)]
pub enum MountFault {
    /// A path of its own meaning in each directory.
    #[error("`{0}` is no absolute path of a directory")]
    NoDirectory(String),
    /// The other variable is missing.
    #[error("{0} is not set")]
    NoId(String),
    /// The other variable names neither.
    #[error("`{0}` is neither a file system nor an access point")]
    StrangeId(String),
    /// AWS does not know it.
    #[error("there is no access point `{0}`")]
    NoAccessPoint(String),
    /// AWS did not tell which file system an access point leads to.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// The mounts that `variables` name, in the order of their names, and those that they do not name
/// well. Asks AWS about access points.
pub async fn mounts(
    variables: impl IntoIterator<Item = (String, String)>,
) -> (Vec<Mount>, Vec<MountError>) {
    let mut variables: Vec<_> = variables.into_iter().collect();
    variables.sort_unstable();
    let (mut mounts, mut errors) = (Vec::new(), Vec::new());
    for (variable, path) in &variables {
        let Some(name) = variable.strip_prefix(PATH) else { continue };
        let named = format!("{ID}{name}");
        let id = variables.iter().find(|(variable, _)| *variable == named).map(|(_, id)| id);
        let id = id.ok_or(MountFault::NoId(named));
        match async { mount(path, id?).await }.await {
            Ok(mount) => mounts.push(mount),
            Err(source) => errors.push(MountError { variable: variable.clone(), source }),
        }
    }
    (mounts, errors)
}

async fn mount(path: &str, id: &str) -> Result<Mount, MountFault> {
    if !Path::new(path).is_absolute() || !Path::new(path).is_dir() {
        return Err(MountFault::NoDirectory(path.to_owned()));
    }
    let mount = |file_system: &str, access_point: Option<&str>, root: &str| Mount {
        file_system: file_system.to_owned(),
        access_point: access_point.map(str::to_owned),
        access_point_path: root.to_owned(),
        mount_point: path.to_owned(),
    };
    if let Some(id) = file_system_id(id) {
        return Ok(mount(id, None, "/"));
    }
    let id = access_point_id(id).ok_or_else(|| MountFault::StrangeId(id.to_owned()))?;
    let answer = Client::new(&aws::config().await)
        .describe_access_points()
        .access_point_id(id)
        .send()
        .await
        .map_err(call("DescribeAccessPoints"))?;
    let found = answer.access_points().first();
    let found = found.and_then(|found| {
        let root = found.root_directory().and_then(|root| root.path()).unwrap_or("/");
        Some(mount(found.file_system_id()?, Some(id), root))
    });
    found.ok_or_else(|| MountFault::NoAccessPoint(id.to_owned()))
}
