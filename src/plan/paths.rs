//! The local paths of inputs and outputs, made absolute in the container
//! (`update_demand_execution_parameter_inputs` and `…_outputs`).
//!
//! Every one must stay inside the directory it belongs to: the reference lets `..` and absolute
//! paths reach other demands' files.

use super::PlanErrors;
use crate::demand::{
    Demand, Resolvable,
    fault::{Code, Fault, Faults},
    python::{PurePath, sha256_hex},
};

/// Gives inputs their places: below the working directory where they are isolated, else below
/// the shared volume, under the SHA-256 of their remote path.
pub fn update_parameter_inputs(
    demand: &Demand,
    container_shared_path: &str,
    container_working_path: &str,
    isolate_inputs: bool,
) -> Result<Demand, PlanErrors> {
    let mut updated = demand.clone();
    let shared = PurePath::new(container_shared_path);
    let working = PurePath::new(container_working_path);
    settle_inputs(&mut updated, &shared, &working, isolate_inputs)?;
    Ok(updated)
}

/// Gives outputs their places, below the working directory.
pub fn update_parameter_outputs(
    demand: &Demand,
    container_working_path: &str,
) -> Result<Demand, PlanErrors> {
    let mut updated = demand.clone();
    settle_outputs(&mut updated, &PurePath::new(container_working_path))?;
    Ok(updated)
}

pub(super) fn settle_inputs(
    demand: &mut Demand,
    shared: &PurePath,
    working: &PurePath,
    isolate_inputs: bool,
) -> Result<(), PlanErrors> {
    settle(demand, |demand, settle_one| {
        for (parameter, paths) in demand.parameters().inputs() {
            if isolate_inputs {
                settle_one(&parameter.name, paths, working.join(&paths.local), working);
            } else {
                let local = shared.join(&sha256_hex(&paths.remote));
                settle_one(&parameter.name, paths, local, shared);
            }
        }
    })
}

pub(super) fn settle_outputs(demand: &mut Demand, working: &PurePath) -> Result<(), PlanErrors> {
    settle(demand, |demand, settle_one| {
        for (parameter, paths) in demand.parameters().outputs() {
            settle_one(&parameter.name, paths, working.join(&paths.local), working);
        }
    })
}

/// Lets `each` name parameters with their new local paths and the directories these belong to,
/// and puts them in place.
fn settle(
    demand: &mut Demand,
    each: impl FnOnce(&Demand, &mut dyn FnMut(&str, &Resolvable, PurePath, &PurePath)),
) -> Result<(), PlanErrors> {
    let params = demand.places().params.clone();
    let (mut settled, mut faults): (Vec<(String, Resolvable)>, Vec<Fault>) = Default::default();
    each(demand, &mut |name, paths, local, directory| {
        let moved = Resolvable { local: local.to_string(), ..paths.clone() };
        if !local.resolve().is_relative_to(&directory.resolve()) {
            let detail = format!("`{}` leaves its directory `{directory}`", paths.local);
            faults.push(params.key(name).fault(Code::PathOutsideDirectory, detail));
        } else if moved.is_unwritable() {
            let detail = format!(
                "`{}` has whitespace, which only an input or output with filters can carry",
                paths.local
            );
            faults.push(params.key(name).fault(Code::InvalidValue, detail));
        } else {
            settled.push((name.to_owned(), moved));
        }
    });
    if !settled.is_empty() {
        faults.extend(demand.parameters_mut().settle(settled, &params));
    }
    Faults::or(faults, ())
}
