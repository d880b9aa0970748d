//! The EFS file systems and access points known, and how one is looked up.
//!
//! Shapes are those of `DescribeFileSystems` and `DescribeAccessPoints`
//! (<https://docs.aws.amazon.com/efs/latest/ug/API_DescribeFileSystems.html>); look-ups answer as
//! the reference's `aws_utils.efs.core` does: exactly one, or an error that says none or many.

use serde::{Deserialize, Serialize};

/// An EFS file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct FileSystem {
    /// `fs-…`.
    pub file_system_id: String,
    /// Its name, which is its tag `Name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<Tag>,
}

/// An EFS access point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AccessPoint {
    /// `fsap-…`.
    pub access_point_id: String,
    /// The file system it enters.
    pub file_system_id: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where on the file system it enters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_directory: Option<RootDirectory>,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<Tag>,
}

/// Where an access point enters its file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RootDirectory {
    /// Absolute path; `/` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// Every file system and access point known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// File systems.
    pub file_systems: Vec<FileSystem>,
    /// Access points.
    pub access_points: Vec<AccessPoint>,
}

/// What a look-up was for. Empty names ask for nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// This id.
    pub id: Option<&'a str>,
    /// This name.
    pub name: Option<&'a str>,
    /// A tag `env_base` of this value.
    pub env_base: Option<&'a str>,
}

/// A look-up that did not give exactly one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No file system.
    #[error("no file system has {0}")]
    NoFileSystem(String),
    /// Several file systems.
    #[error("{count} file systems have {wanted}")]
    ManyFileSystems {
        /// How many.
        count: usize,
        /// What was asked for.
        wanted: String,
    },
    /// No access point.
    #[error("no access point has {0}")]
    NoAccessPoint(String),
    /// Several access points.
    #[error("{count} access points have {wanted}")]
    ManyAccessPoints {
        /// How many.
        count: usize,
        /// What was asked for.
        wanted: String,
    },
    /// Neither a file system nor an access point was asked for.
    #[error("a volume needs a file system or an access point")]
    NothingWanted,
}

impl Catalog {
    /// The one file system that has all that is wanted.
    pub fn file_system(&self, wanted: Wanted<'_>) -> Result<&FileSystem, LookupError> {
        let mut fitting = self
            .file_systems
            .iter()
            .filter(|known| wanted.fits(&known.file_system_id, known.name.as_deref(), &known.tags));
        match (fitting.next(), fitting.count()) {
            (Some(only), 0) => Ok(only),
            (None, _) => Err(LookupError::NoFileSystem(wanted.describe(None))),
            (Some(_), more) => {
                Err(LookupError::ManyFileSystems { count: more + 1, wanted: wanted.describe(None) })
            }
        }
    }

    /// The one access point, of that file system if one is given, that has all that is wanted.
    pub fn access_point(
        &self,
        wanted: Wanted<'_>,
        file_system_id: Option<&str>,
    ) -> Result<&AccessPoint, LookupError> {
        let mut fitting = self.access_points.iter().filter(|known| {
            file_system_id.is_none_or(|id| known.file_system_id == id)
                && wanted.fits(&known.access_point_id, known.name.as_deref(), &known.tags)
        });
        match (fitting.next(), fitting.count()) {
            (Some(only), 0) => Ok(only),
            (None, _) => Err(LookupError::NoAccessPoint(wanted.describe(file_system_id))),
            (Some(_), more) => Err(LookupError::ManyAccessPoints {
                count: more + 1,
                wanted: wanted.describe(file_system_id),
            }),
        }
    }
}

impl Wanted<'_> {
    fn fits(&self, id: &str, name: Option<&str>, tags: &[Tag]) -> bool {
        self.id.is_none_or(|wanted| wanted == id)
            && self.name.is_none_or(|wanted| wanted.is_empty() || Some(wanted) == name)
            && self.env_base.is_none_or(|wanted| {
                // Of two tags with one key the last counts.
                let tag = tags.iter().rev().find(|tag| tag.key == "env_base");
                tag.is_some_and(|tag| tag.value == wanted)
            })
    }

    fn describe(&self, file_system_id: Option<&str>) -> String {
        let named = [
            ("id", self.id),
            ("name", self.name),
            ("tag env_base", self.env_base),
            ("file system", file_system_id),
        ];
        let given = named.into_iter().filter_map(|(what, value)| Some((what, value?)));
        let words: Vec<String> = given.map(|(what, value)| format!("{what} `{value}`")).collect();
        if words.is_empty() { "any properties".to_owned() } else { words.join(" and ") }
    }
}
