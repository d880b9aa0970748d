//! What an operator allows beyond what can be planned. PURE.

use std::collections::BTreeSet;

use crate::demand::Faults;
use crate::demand::fault::{Code, Fault};
use crate::plan::Plan;

/// The operator's rules; none by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// The only paths at which a demand's volumes may be mounted. In local mode nothing mounts
    /// anything: a volume is where it is.
    pub mount_paths: Option<BTreeSet<String>>,
}

impl Policy {
    /// Every rule that the plan breaks.
    pub fn check(&self, plan: &Plan) -> Result<(), Faults> {
        let Some(allowed) = &self.mount_paths else { return Ok(()) };
        let faults = plan
            .submission
            .context
            .efs_mount_points
            .iter()
            .filter(|mount| !allowed.contains(&mount.mount_point))
            .map(|mount| Fault {
                pointer: "/file_system_configurations".to_owned(),
                code: Code::InvalidValue,
                detail: format!(
                    "`{}` cannot be mounted: volumes are directories of this machine here, and \
                     stay where they are; leave container_path out",
                    mount.mount_point
                ),
            })
            .collect();
        Faults::or(faults, ())
    }
}
