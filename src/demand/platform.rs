//! `execution_platform` and `resource_requirements`: where the command runs, and with how much
//! (the reference's `platform.py` and `resource_requirements.py`).

use serde_json::{Map, Value};

use super::{
    fault::Pointer,
    reader::{self, Fields, Found},
};

/// AWS Batch as a platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsBatch {
    /// Name or ARN of the job queue.
    pub job_queue_name: String,
    /// ARN or name of the job's IAM role.
    pub job_role: Option<String>,
}

impl AwsBatch {
    /// Reads `execution_platform`; `None` where it names no `aws_batch`.
    pub(super) fn read(value: &Value, at: Pointer, found: &mut Found) -> Option<Self> {
        let platform = Fields::read(value, at, found)?;
        let (at, value) = platform.get_some("aws_batch")?;
        let fields = Fields::read(value, at, found)?;
        Some(Self {
            job_queue_name: fields.required_string("job_queue_name", found),
            job_role: fields.optional_string("job_role", found),
        })
    }

    pub(super) fn to_value(&self) -> Value {
        let mut map = Map::new();
        map.insert("job_queue_name".to_owned(), self.job_queue_name.as_str().into());
        if let Some(job_role) = &self.job_role {
            map.insert("job_role".to_owned(), job_role.as_str().into());
        }
        Value::Object(map)
    }
}

/// What the command asks for; nothing said leaves it to the job definition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resources {
    /// GPUs.
    pub gpu: Option<u64>,
    /// Memory in MiB.
    pub memory: Option<u64>,
    /// Virtual CPUs.
    pub vcpus: Option<u64>,
}

impl Resources {
    /// As in the reference, 0 in any spelling but a string's says nothing.
    pub(super) fn read(value: &Value, at: Pointer, found: &mut Found) -> Self {
        let Some(fields) = Fields::read(value, at, found) else { return Self::default() };
        let mut amount = |name| {
            let (at, value) = fields.get_some(name)?;
            let nothing = match value {
                Value::Bool(flag) => !flag,
                Value::Number(number) => number.as_f64() == Some(0.0),
                _ => false,
            };
            (!nothing).then(|| reader::amount(value, &at, found))
        };
        Self { gpu: amount("gpu"), memory: amount("memory"), vcpus: amount("vcpus") }
    }

    /// The amounts by the names AWS Batch has for them.
    pub fn by_kind(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [("GPU", self.gpu), ("MEMORY", self.memory), ("VCPU", self.vcpus)]
            .into_iter()
            .filter_map(|(kind, amount)| amount.map(|amount| (kind, amount)))
    }

    pub(super) fn to_value(self) -> Value {
        let named = [("gpu", self.gpu), ("memory", self.memory), ("vcpus", self.vcpus)];
        let given = named.into_iter().filter_map(|(name, amount)| Some((name, amount?)));
        Value::Object(given.map(|(name, amount)| (name.to_owned(), amount.into())).collect())
    }
}
