//! A mounted file system, and paths seen from both of its sides.
//!
//! The reference's `MountPointConfiguration` and path functions (`aws_utils.efs.mount_point`,
//! `aws_utils.efs.paths`). An *EFS path* is absolute on the file system; a *mounted path* is
//! absolute in the container.

use super::{
    catalog::{AccessPoint, Catalog, FileSystem, LookupError, Wanted},
    efs_id,
    submission::Mount,
};
use crate::demand::python::PurePath;

/// A file system, perhaps through an access point, mounted somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPoint {
    file_system_id: String,
    access_point_id: Option<String>,
    access_point_path: PurePath,
    path: PurePath,
}

/// What is mounted: ids, ARNs or names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MountSource<'a> {
    /// The file system; that of the access point where absent.
    pub file_system: Option<&'a str>,
    /// The access point.
    pub access_point: Option<&'a str>,
    /// The value of the tag `env_base` that both must have.
    pub env_base: Option<&'a str>,
}

/// A path that belongs to neither side of a mount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is below neither the mount point `{mount_point}` nor `{access_point_path}`")]
pub struct NotMounted {
    path: String,
    mount_point: String,
    access_point_path: String,
}

impl MountPoint {
    /// Looks `source` up and mounts it at `mount_point` (`MountPointConfiguration.build`).
    pub fn build(
        catalog: &Catalog,
        mount_point: &str,
        source: MountSource<'_>,
    ) -> Result<Self, LookupError> {
        let env_base = source.env_base;
        let named = source.file_system.map(|text| {
            let id = efs_id::file_system_id(text);
            let name = if id.is_none() { Some(text) } else { None };
            catalog.file_system(Wanted { id, name, env_base })
        });
        let named = named.transpose()?;
        let access_point = source.access_point.map(|text| {
            let id = efs_id::access_point_id(text);
            let name = if id.is_none() { Some(text) } else { None };
            let within = named.map(|found| found.file_system_id.as_str());
            catalog.access_point(Wanted { id, name, env_base }, within)
        });
        let access_point = access_point.transpose()?;
        let file_system = match (named, access_point) {
            (Some(file_system), _) => file_system,
            (None, Some(entered)) => {
                let id = Some(entered.file_system_id.as_str());
                catalog.file_system(Wanted { id, ..Wanted::default() })?
            }
            (None, None) => return Err(LookupError::NothingWanted),
        };
        Ok(Self::of(file_system, access_point, mount_point))
    }

    /// Mounts what is known already.
    pub fn of(
        file_system: &FileSystem,
        access_point: Option<&AccessPoint>,
        mount_point: &str,
    ) -> Self {
        let root =
            access_point.and_then(|entered| entered.root_directory.as_ref()?.path.as_deref());
        Self {
            file_system_id: file_system.file_system_id.clone(),
            access_point_id: access_point.map(|entered| entered.access_point_id.clone()),
            access_point_path: PurePath::new(root.unwrap_or("/")),
            path: PurePath::new(mount_point),
        }
    }

    /// `fs-…`.
    pub fn file_system_id(&self) -> &str {
        &self.file_system_id
    }

    /// `fsap-…`.
    pub fn access_point_id(&self) -> Option<&str> {
        self.access_point_id.as_deref()
    }

    /// Where the mount enters the file system.
    pub fn access_point_path(&self) -> &PurePath {
        &self.access_point_path
    }

    /// Where it is mounted.
    pub fn mount_point(&self) -> &PurePath {
        &self.path
    }

    /// The path relative to the mount: of an absolute path on either side, or `path` itself.
    ///
    /// Where one side lies within the other, the longer one is tried first.
    pub fn as_relative_path(&self, path: &PurePath) -> Result<PurePath, NotMounted> {
        if !path.is_absolute() {
            return Ok(path.clone());
        }
        let mounted = || path.relative_to(&self.path);
        let on_efs = || path.relative_to(&self.access_point_path);
        let relative = if self.path.length() > self.access_point_path.length() {
            mounted().or_else(on_efs)
        } else {
            on_efs().or_else(mounted)
        };
        relative.ok_or_else(|| NotMounted {
            path: path.to_string(),
            mount_point: self.path.to_string(),
            access_point_path: self.access_point_path.to_string(),
        })
    }

    /// The path on the file system.
    pub fn as_efs_path(&self, path: &PurePath) -> Result<PurePath, NotMounted> {
        Ok(self.access_point_path.join_path(&self.as_relative_path(path)?).resolve())
    }

    /// The path in the container.
    pub fn as_mounted_path(&self, path: &PurePath) -> Result<PurePath, NotMounted> {
        Ok(self.path.join_path(&self.as_relative_path(path)?).resolve())
    }

    /// `fs-…:/path`.
    pub fn as_efs_uri(&self, path: &PurePath) -> Result<EfsUri, NotMounted> {
        let path = self.as_efs_path(path)?;
        Ok(EfsUri { file_system_id: self.file_system_id.clone(), path })
    }

    /// Whether `path` is below the mount point.
    pub fn is_mounted_path(&self, path: &PurePath) -> bool {
        path.is_relative_to(&self.path)
    }

    /// As a worker is told of it.
    pub fn to_mount(&self) -> Mount {
        Mount {
            file_system: self.file_system_id.clone(),
            access_point: self.access_point_id.clone(),
            access_point_path: self.access_point_path.to_string(),
            mount_point: self.path.to_string(),
        }
    }
}

/// A place on a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EfsUri {
    /// `fs-…`.
    pub file_system_id: String,
    /// Absolute, without `..`.
    pub path: PurePath,
}

impl EfsUri {
    /// Whether `self` is `other` or lies below it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.file_system_id == other.file_system_id && self.path.is_relative_to(&other.path)
    }
}

impl std::fmt::Display for EfsUri {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file_system_id, self.path)
    }
}

/// The place a container path has on the first mount that covers it (`get_efs_path`).
pub fn efs_uri(path: &PurePath, mounts: &[MountPoint]) -> Option<EfsUri> {
    mounts.iter().find(|mount| mount.is_mounted_path(path))?.as_efs_uri(path).ok()
}

/// The container path of a place, through the first mount that reaches it (`get_local_path`).
pub fn container_path(uri: &EfsUri, mounts: &[MountPoint]) -> Option<PurePath> {
    let reaches = |mount: &&MountPoint| {
        mount.file_system_id == uri.file_system_id
            && uri.path.is_relative_to(&mount.access_point_path)
    };
    mounts.iter().find(reaches)?.as_mounted_path(&uri.path).ok()
}
