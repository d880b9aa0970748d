//! What is moved before and after the command, and what is removed afterwards.
//!
//! The reference's `pre_execution_data_sync_requests`, `post_execution_data_sync_requests` and
//! `post_execution_remove_data_paths_requests`. What workers remove is less than the plan's list
//! says: see [`worker_removals`].

use super::{
    PlanErrors,
    context::ExecutionContext,
    data_sync::{DataSyncRequest, RemoteToLocalConfig, RemoveDataPathsRequest},
    mount_point::{EfsUri, efs_uri},
};
use crate::demand::{
    JobParameter, Resolvable,
    configuration::{ContextConfiguration, DataSyncConfiguration},
    fault::{Code, Fault, Faults},
    python::PurePath,
    s3::S3Path,
};

/// The largest batch a large transfer is cut into: 75 GiB.
const BATCH_SIZE_BYTES_LIMIT: u64 = 75 * 1024 * 1024 * 1024;

/// What is moved and removed for one demand.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Transfers {
    pub before: Vec<DataSyncRequest>,
    pub after: Vec<DataSyncRequest>,
    pub removals: Vec<RemoveDataPathsRequest>,
    pub worker_removals: Vec<RemoveDataPathsRequest>,
}

impl Transfers {
    pub fn of(
        context: &ExecutionContext,
        configuration: &ContextConfiguration,
        mirror_outputs: bool,
    ) -> Result<Self, PlanErrors> {
        let parameters = context.demand().parameters();
        let (mut faults, mut before, mut after, mut inputs) = (vec![], vec![], vec![], vec![]);
        let settings = &configuration.input_data_sync_configuration;
        for (index, (parameter, paths)) in parameters.inputs().enumerate() {
            match ends(context, parameter, paths) {
                Ok((remote, local)) => {
                    before.push(DataSyncRequest {
                        source_path: remote.to_string(),
                        destination_path: local.to_string(),
                        retain_source_data: true,
                        require_lock: true,
                        // Others may read what is there already: only ever add.
                        delete: false,
                        ..request(paths, settings, &format!("input_{index}/"))
                    });
                    inputs.push(local);
                }
                Err(fault) => faults.push(fault),
            }
        }
        let settings = &configuration.output_data_sync_configuration;
        for (index, (parameter, paths)) in parameters.outputs().enumerate() {
            match ends(context, parameter, paths) {
                Ok((remote, local)) => after.push(DataSyncRequest {
                    source_path: local.to_string(),
                    destination_path: remote.to_string(),
                    retain_source_data: false,
                    delete: mirror_outputs,
                    ..request(paths, settings, &format!("output_{index}/"))
                }),
                Err(fault) => faults.push(fault),
            }
        }
        let working = &context.working_path().efs;
        let cleanup_inputs = configuration.cleanup_inputs.unwrap_or(true);
        let cleanup_working_dir = configuration.cleanup_working_dir.unwrap_or(true);
        let listed_inputs = cleanup_inputs.then(|| inputs.clone());
        let listed_working = cleanup_working_dir.then(|| vec![working.clone()]);
        let listed: Vec<Vec<EfsUri>> = listed_inputs.into_iter().chain(listed_working).collect();
        let worker_removals = worker_removals(listed.concat(), working);
        let removals = listed.iter().map(|uris| removal(uris)).collect();
        Faults::or(faults, Self { before, after, removals, worker_removals })
    }
}

/// What a worker removes: nothing outside the working directory, so never the shared volume;
/// nothing twice; nothing whose parent goes too; in order.
pub(super) fn worker_removals(
    mut uris: Vec<EfsUri>,
    working: &EfsUri,
) -> Vec<RemoveDataPathsRequest> {
    uris.retain(|uri| uri.is_within(working));
    // With the slash before every other character, what is below a path follows it at once.
    uris.sort_by_cached_key(|uri| uri.to_string().replace('/', "\0"));
    uris.dedup_by(|below, above| below.is_within(above));
    if uris.is_empty() { Vec::new() } else { vec![removal(&uris)] }
}

pub(super) fn removal(uris: &[EfsUri]) -> RemoveDataPathsRequest {
    RemoveDataPathsRequest { paths: uris.iter().map(ToString::to_string).collect() }
}

/// Both ends of an input's or output's transfer.
fn ends(
    context: &ExecutionContext,
    parameter: &JobParameter,
    paths: &Resolvable,
) -> Result<(S3Path, EfsUri), Fault> {
    let place = || context.demand().places().params.key(&parameter.name);
    let remote = S3Path::parse(&paths.remote)
        .map_err(|error| place().fault(Code::InvalidS3Path, error.to_string()))?;
    let local = efs_uri(&PurePath::new(&paths.local), context.mounts()).ok_or_else(|| {
        let detail = format!("`{}` is on none of the demand's volumes", paths.local);
        place().fault(Code::PathOutsideDirectory, detail)
    })?;
    Ok((remote, local))
}

/// What both directions have in common, and the reference's defaults.
fn request(
    paths: &Resolvable,
    settings: &DataSyncConfiguration,
    payload_directory: &str,
) -> DataSyncRequest {
    let payloads = settings.temporary_request_payload_path.as_ref();
    DataSyncRequest {
        source_path: String::new(),
        destination_path: String::new(),
        source_path_prefix: None,
        filter_config: paths.filter_config(),
        filter_root: None,
        max_concurrency: 25,
        retain_source_data: true,
        delete: false,
        require_lock: false,
        force: settings.force.unwrap_or(false),
        size_only: settings.size_only.unwrap_or(true),
        fail_if_missing: true,
        include_detailed_response: false,
        remote_to_local_config: RemoteToLocalConfig::default(),
        batch_size_bytes_limit: Some(BATCH_SIZE_BYTES_LIMIT),
        temporary_request_payload_path: payloads
            .map(|root| root.join(payload_directory).to_string()),
    }
}
