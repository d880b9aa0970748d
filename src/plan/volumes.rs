//! Which file systems a demand gets: one candidate for each role, always the same for the same
//! demand (the reference's `PrepareDemandScaffoldingHandler` and `select_file_system`).

use super::{
    PlanErrors,
    context::Volumes,
    lookup_fault,
    mount_point::{MountPoint, MountSource},
    site::Site,
    volume::Volume,
};
use crate::demand::{
    Demand,
    configuration::{Candidates, FileSystemConfiguration, FileSystemConfigurations},
    fault::{Code, Fault, Faults, Pointer},
    python::{PurePath, random},
};

/// Picks and looks up the volumes of a demand.
pub(super) fn choose(demand: &Demand, site: &Site) -> Result<Volumes, PlanErrors> {
    let [shared, scratch, tmp] = demand.file_systems().over(&site.file_systems);
    let role = |name: &str, candidates, read_only| {
        let place = demand.places().file_systems.key(name);
        let (place, chosen) = pick(demand, name, candidates, place);
        look_up(site, name, &chosen, read_only, &place)
    };
    let scratch = role("scratch", scratch, false);
    let shared = role("shared", shared, true);
    let tmp = tmp.filter(|candidates| !candidates.configurations.is_empty());
    let tmp = tmp.map(|candidates| role("tmp", Some(candidates), false)).transpose();
    match (scratch, shared, tmp) {
        (Ok(scratch), Ok(shared), Ok(tmp)) => Ok(Volumes { scratch, shared, tmp }),
        (scratch, shared, tmp) => {
            let errors = [scratch.err(), shared.err(), tmp.err()].into_iter().flatten();
            Err(Faults::of(errors.collect()))
        }
    }
}

/// Every volume that a demand may get which says nothing of file systems, with the role it is for;
/// or why it cannot be had.
pub fn candidates(site: &Site) -> Vec<(&'static str, Result<Volume, Fault>)> {
    let silent = FileSystemConfigurations::default();
    let [shared, scratch, tmp] = silent.over(&site.file_systems);
    let nothing_said = Candidates::default();
    let of_site = Pointer::default().key("file_system_configurations");
    let mut found = Vec::new();
    for (role, candidates, read_only) in [
        ("scratch", scratch.unwrap_or(&nothing_said), false),
        ("shared", shared.unwrap_or(&nothing_said), true),
        ("tmp", tmp.unwrap_or(&nothing_said), false),
    ] {
        let place = of_site.key(role);
        for (chosen, place) in candidates.configurations.iter().zip(&candidates.places) {
            found.push((role, look_up(site, role, chosen, read_only, place)));
        }
        // Without a word of them there are defaults, but for `tmp`, which is not needed.
        if candidates.configurations.is_empty() && role != "tmp" {
            let chosen = FileSystemConfiguration::default();
            found.push((role, look_up(site, role, &chosen, read_only, &place)));
        }
    }
    found
}

/// A candidate drawn with a seed of the demand's own, and where it was said. Nothing said is a
/// candidate that says nothing.
fn pick(
    demand: &Demand,
    role: &str,
    candidates: Option<&Candidates>,
    place: Pointer,
) -> (Pointer, FileSystemConfiguration) {
    let Some(candidates) = candidates else { return (place, FileSystemConfiguration::default()) };
    let seed = format!("{}#{role}", demand.execution_id());
    let index = random::choice(&seed, candidates.configurations.len());
    let chosen = candidates.configurations.get(index).cloned().unwrap_or_default();
    (candidates.places.get(index).cloned().unwrap_or(place), chosen)
}

/// Without an access point that named after the role, without a path `/opt/efs/<role>`.
fn look_up(
    site: &Site,
    role: &str,
    chosen: &FileSystemConfiguration,
    read_only: bool,
    place: &Pointer,
) -> Result<Volume, Fault> {
    let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let path = said(&chosen.container_path).unwrap_or_else(|| format!("/opt/efs/{role}"));
    let parsed = PurePath::new(&path);
    if !parsed.is_absolute() || path.starts_with("//") || parsed.has_parent_segment() {
        let detail = format!("the container path `{path}` must be absolute, without `..`");
        return Err(place.key("container_path").fault(Code::InvalidValue, detail));
    }
    let access_point = said(&chosen.access_point).unwrap_or_else(|| role.to_owned());
    let source = MountSource {
        file_system: chosen.file_system.as_deref(),
        access_point: Some(&access_point),
        env_base: Some(site.env_base.as_str()),
    };
    let mount = MountPoint::build(&site.catalog, &path, source)
        .map_err(|error| lookup_fault(place, &error))?;
    Ok(Volume::new(mount, read_only))
}
