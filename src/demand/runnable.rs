//! What a demand needs beyond being readable before it can be planned, whatever the site.
//!
//! The reference finds these only when it plans, so the functions that only read or rewrite a
//! demand take one without them. A request that cannot be read is told of them at once.

use std::collections::BTreeSet;

use super::{
    Demand,
    fault::{Code, Fault},
    s3::S3Path,
};

impl Demand {
    /// What keeps this demand from being planned on any site.
    pub(crate) fn unrunnable(&self) -> Vec<Fault> {
        let places = self.places();
        let mut faults = Vec::new();
        if self.parameters.command().is_empty() {
            faults.push(places.command.fault(Code::NoCommand, "there is no command to run"));
        }
        if self.aws_batch.is_none() {
            let detail = "`aws_batch` must say which job queue the demand goes to";
            faults.push(places.platform.fault(Code::NoPlatform, detail));
        }
        for (parameter, paths) in self.parameters.inputs().chain(self.parameters.outputs()) {
            if let Err(error) = S3Path::parse(&paths.remote) {
                let place = places.params.key(&parameter.name);
                faults.push(place.fault(Code::InvalidS3Path, error.to_string()));
            }
        }
        faults
    }

    /// Adds [`Self::unrunnable`] faults for places that have none yet.
    pub(super) fn add_unrunnable(&self, found: &mut Vec<Fault>) {
        let known: BTreeSet<String> = found.iter().map(|fault| fault.pointer.clone()).collect();
        for fault in self.unrunnable() {
            // The first place that does not sort before this one is this one or below it, if any is.
            let next = known.range(fault.pointer.clone()..).next();
            if !next.is_some_and(|place| place.starts_with(&fault.pointer)) {
                found.push(fault);
            }
        }
    }
}
