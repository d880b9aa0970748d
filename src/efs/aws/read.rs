//! `DescribeFileSystems` and `DescribeAccessPoints`, every page of them, as a [`Catalog`].

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_efs::Client;
use aws_sdk_efs::types::{AccessPointDescription, FileSystemDescription, LifeCycleState};

use crate::aws::{CallError, call};
use crate::plan::catalog::{AccessPoint, Catalog, FileSystem, RootDirectory, Tag};

/// Items on a page: the most that `DescribeFileSystems` gives
/// (<https://docs.aws.amazon.com/efs/latest/ug/API_DescribeFileSystems.html>).
const PAGE: i32 = 100;

/// Tries of one call. Few, since a request may be waiting.
const ATTEMPTS: u32 = 3;

/// Reads catalogues.
pub(super) struct Reader {
    efs: Client,
}

impl Reader {
    pub fn new(config: &SdkConfig) -> Self {
        let retries = RetryConfig::standard().with_max_attempts(ATTEMPTS);
        let config = aws_sdk_efs::config::Builder::from(config).retry_config(retries).build();
        Self { efs: Client::from_conf(config) }
    }

    /// All there is that can be mounted.
    pub async fn read(&self) -> Result<Catalog, CallError> {
        let (file_systems, access_points) =
            tokio::try_join!(self.file_systems(), self.access_points())?;
        Ok(Catalog { file_systems, access_points })
    }

    async fn file_systems(&self) -> Result<Vec<FileSystem>, CallError> {
        let mut pages =
            self.efs.describe_file_systems().into_paginator().page_size(PAGE).items().send();
        let mut found = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(call("DescribeFileSystems"))?;
            if !is_going(Some(&item.life_cycle_state)) {
                found.push(file_system(item));
            }
        }
        Ok(found)
    }

    async fn access_points(&self) -> Result<Vec<AccessPoint>, CallError> {
        let mut pages =
            self.efs.describe_access_points().into_paginator().page_size(PAGE).items().send();
        let mut found = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(call("DescribeAccessPoints"))?;
            if !is_going(item.life_cycle_state.as_ref()) {
                found.extend(access_point(item));
            }
        }
        Ok(found)
    }
}

/// What is being deleted cannot be mounted, and must not make the name of its successor
/// ambiguous.
fn is_going(state: Option<&LifeCycleState>) -> bool {
    matches!(state, Some(LifeCycleState::Deleting | LifeCycleState::Deleted))
}

fn file_system(described: FileSystemDescription) -> FileSystem {
    FileSystem {
        file_system_id: described.file_system_id,
        name: described.name,
        tags: tags(described.tags),
    }
}

/// Every field of an access point is optional in the SDK; AWS leaves out neither of the ids.
fn access_point(described: AccessPointDescription) -> Option<AccessPoint> {
    Some(AccessPoint {
        access_point_id: described.access_point_id?,
        file_system_id: described.file_system_id?,
        name: described.name,
        root_directory: described.root_directory.map(|root| RootDirectory { path: root.path }),
        tags: tags(described.tags.unwrap_or_default()),
    })
}

fn tags(tags: Vec<aws_sdk_efs::types::Tag>) -> Vec<Tag> {
    tags.into_iter().map(|tag| Tag { key: tag.key, value: tag.value }).collect()
}
