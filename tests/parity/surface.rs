//! The reference's other public functions.

use std::path::Path;

use demand_context_manager::{
    demand::{Demand, python::PurePath},
    plan::{
        Site,
        batch_job::Names,
        context::{ExecutionContext, batch_job_queue_name},
        mount_point::{MountPoint, MountSource},
        paths,
        submission::Step,
        volume::Volume,
    },
};
use serde_json::{Map, Value, json};

use super::{Tally, compare::differences, lines};

/// Compares every call.
pub fn compare(path: &Path, tally: &mut Tally) {
    let lines = lines(path);
    let Some((first, calls)) = lines.split_first() else { return };
    let sites: Vec<Site> = first["sites"]
        .as_array()
        .unwrap()
        .iter()
        .map(|site| serde_json::from_value(site.clone()).unwrap())
        .collect();
    for (index, call) in calls.iter().enumerate() {
        let function = call["function"].as_str().unwrap();
        let site = &sites[usize::try_from(call["site"].as_u64().unwrap()).unwrap()];
        let outcome = match (answer(function, &call["arguments"], site), call.get("answer")) {
            (Ok(ours), Some(theirs)) => differences(theirs, &ours),
            (Err(_), None) => Ok(()),
            (Ok(_), None) => Err(format!("the reference raised {}", call["error"])),
            (Err(error), Some(_)) => Err(format!("the reference answered, we: {error}")),
        };
        tally.record(&format!("call {} {function}", index + 1), outcome);
    }
}

fn answer(function: &str, arguments: &Value, site: &Site) -> Result<Value, String> {
    let text = |name: &str| arguments[name].as_str();
    let needed = |name: &str| text(name).unwrap();
    let flag = |name: &str| arguments[name].as_bool().unwrap_or(false);
    let catalog = &site.catalog;
    match function {
        "BatchEFSConfiguration.build" => {
            let (access_point, path) = (needed("access_point"), needed("mount_path"));
            Volume::build(catalog, access_point, path, flag("read_only"))
                .map(|volume| described(&volume))
                .map_err(|error| error.to_string())
        }
        "BatchEFSConfiguration(MountPointConfiguration.build)" => {
            mount(arguments, site).map(|mount| described(&Volume::new(mount, flag("read_only"))))
        }
        "get_batch_efs_configuration" => Volume::resolve(
            catalog,
            site.env_base.as_str(),
            needed("container_path"),
            needed("access_point_name"),
            text("file_system_name"),
            flag("read_only"),
        )
        .map(|volume| described(&volume))
        .map_err(|error| error.to_string()),
        "from_demand_execution" => from_demand_execution(&demand(arguments)?, site),
        "update_demand_execution_parameter_inputs" => paths::update_parameter_inputs(
            &demand(arguments)?,
            needed("container_shared_path"),
            needed("container_working_path"),
            flag("isolate_inputs"),
        )
        .map(|demand| demand.to_value())
        .map_err(|faults| faults.to_string()),
        "update_demand_execution_parameter_outputs" => {
            paths::update_parameter_outputs(&demand(arguments)?, needed("container_working_path"))
                .map(|demand| demand.to_value())
                .map_err(|faults| faults.to_string())
        }
        "get_batch_job_queue_name" => batch_job_queue_name(&demand(arguments)?)
            .map(Value::from)
            .map_err(|faults| faults.to_string()),
        "MountPointConfiguration.paths" => {
            mount(arguments, site).map(|mount| translated(&mount, &arguments["paths"]))
        }
        other => panic!("no counterpart of {other} is known"),
    }
}

fn demand(arguments: &Value) -> Result<Demand, String> {
    Demand::parse(&arguments["demand_execution"]).map_err(|faults| faults.to_string())
}

fn mount(arguments: &Value, site: &Site) -> Result<MountPoint, String> {
    let source = MountSource {
        file_system: arguments["file_system"].as_str(),
        access_point: arguments["access_point"].as_str(),
        env_base: None,
    };
    let path = arguments["mount_point"].as_str().unwrap();
    MountPoint::build(&site.catalog, path, source).map_err(|error| error.to_string())
}

fn described(volume: &Volume) -> Value {
    json!({
        "mount_point": volume.to_mount_point(),
        "volume": volume.to_volume(),
        "mount_path": volume.mount.mount_point().to_string(),
        "read_only": volume.read_only,
    })
}

fn from_demand_execution(demand: &Demand, site: &Site) -> Result<Value, String> {
    let context = ExecutionContext::from_demand_execution(demand, site)
        .map_err(|faults| faults.to_string())?;
    let names = Names::of(&context, site).map_err(|faults| faults.to_string())?;
    Ok(json!({
        "context": context.to_paths().map_err(|faults| faults.to_string())?,
        "scratch": described(&context.volumes()[0]),
        "shared": described(&context.volumes()[1]),
        "demand_execution": context.demand().to_value(),
        "job_name": names.jobs.job_name(Step::Execute, 1),
        "job_definition_name": names.job_definition,
    }))
}

/// Each path as the mount sees it; `null` where it belongs to neither side.
fn translated(mount: &MountPoint, paths: &Value) -> Value {
    let mut answer = Map::new();
    for path in paths.as_array().unwrap() {
        let text = path.as_str().unwrap();
        let path = PurePath::new(text);
        let seen = json!({
            "as_relative_path": mount.as_relative_path(&path).ok().map(|path| path.to_string()),
            "as_efs_path": mount.as_efs_path(&path).ok().map(|path| path.to_string()),
            "as_mounted_path": mount.as_mounted_path(&path).ok().map(|path| path.to_string()),
            "as_efs_uri": mount.as_efs_uri(&path).ok().map(|uri| uri.to_string()),
        });
        answer.insert(text.to_owned(), seen);
    }
    Value::Object(answer)
}
