//! Where in the request the things are that planning may find fault with.

use super::{fault::Pointer, reader::Fields};

/// Places in the request as it was sent; of what was not sent, where it would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    pub execution_type: Pointer,
    pub execution_id: Pointer,
    pub execution_image: Pointer,
    pub command: Pointer,
    pub params: Pointer,
    pub platform: Pointer,
    pub job_queue_name: Pointer,
    pub job_role: Pointer,
    pub file_systems: Pointer,
    pub metadata: Pointer,
}

impl Places {
    pub(super) fn of(siblings: &Fields<'_>, demand: &Fields<'_>) -> Self {
        let parameters = demand.place("execution_parameters");
        let platform = demand.below("execution_platform");
        let aws_batch = platform.as_ref().and_then(|platform| platform.below("aws_batch"));
        let of_aws_batch = |name| match &aws_batch {
            Some(fields) => fields.place(name),
            None => demand.place("execution_platform").key("aws_batch").key(name),
        };
        Self {
            execution_type: demand.place("execution_type"),
            execution_id: demand.place("execution_id"),
            execution_image: demand.place("execution_image"),
            command: parameters.key("command"),
            params: parameters.key("params"),
            platform: demand.place("execution_platform"),
            job_queue_name: of_aws_batch("job_queue_name"),
            job_role: of_aws_batch("job_role"),
            file_systems: siblings.place("file_system_configurations"),
            metadata: demand.place("execution_metadata"),
        }
    }
}
