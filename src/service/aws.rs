//! What a service on AWS brings along: the `aws_batch` engine and the EFS catalogue of its account
//! and region.

use std::sync::Arc;

use aws_config::SdkConfig;

use super::{Parts, Service, StartError, run};
use crate::config::Config;
use crate::efs::AwsCatalogue;
use crate::engine::aws_batch::{AwsBatch, AwsBatchSettings};
use crate::lifecycle::Lifecycle;
use crate::plan::Site;
use crate::plan::catalog::Catalog;
use crate::plan::site::{Configurations, DataSyncJobs, EnvBase, PlanPolicy, SiteError};
use crate::policy::Policy;
use crate::run::Sites;
use crate::store::Store;

pub(super) async fn start(config: &Config, lifecycle: &Lifecycle) -> Result<Service, StartError> {
    let sdk = crate::aws::config_of(config).await;
    let sites = sites(config, &sdk)?;
    let store = Store::open(&config.store.path).await?;
    let settings = AwsBatchSettings {
        payload_prefix: config.data_sync.payload_prefix.clone(),
        log_group: config.batch.log_group.clone(),
        events_queue_url: config.batch.events_queue_url.clone(),
        job_queues: config.batch.job_queues.clone(),
    };
    let engine = Arc::new(AwsBatch::new(settings, &sdk, store.clone()));
    let parts = Parts { engine, sites, policy: policy(config) };
    let address = run(config, lifecycle, store.clone(), parts).await?;
    Ok(Service { address, store, local: None })
}

/// The sites of this service: its settings, and the catalogue that AWS gives.
pub fn sites(config: &Config, sdk: &SdkConfig) -> Result<Sites, SiteError> {
    let catalogue = AwsCatalogue::new(sdk, config.efs.cache_ttl);
    Ok(Sites::new(site(config, Arc::default())?, Arc::new(catalogue)))
}

/// The service's settings as a site with this catalogue.
pub fn site(config: &Config, catalog: Arc<Catalog>) -> Result<Site, SiteError> {
    let configurations = Configurations::read(
        Some(&config.file_system_configurations),
        Some(&config.context_manager_configuration),
    )?;
    let jobs = &config.data_sync;
    Ok(Site {
        env_base: EnvBase::parse(&config.env_base)?,
        region: config.region.clone(),
        catalog,
        policy: PlanPolicy {
            privileged: config.plan.privileged,
            mirror_outputs: config.plan.mirror_outputs,
            env_file_writer: config.plan.env_file_writer,
        },
        data_sync: DataSyncJobs {
            image: jobs.image.clone(),
            job_queue: jobs.job_queue.clone(),
            job_role: jobs.job_role.clone(),
            memory: jobs.memory,
            vcpus: jobs.vcpus,
        },
        timeouts: config.timeouts,
        file_systems: configurations.file_systems,
        configuration: configurations.context,
    })
}

/// What this service allows.
pub fn policy(config: &Config) -> Policy {
    Policy {
        mount_paths: None,
        rules: config.policy.clone(),
        tasks_must_fit: config.data_sync.payload_prefix.is_none(),
    }
}
