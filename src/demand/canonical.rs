//! The content of a request: what must be equal for a request sent twice to be the same one.
//!
//! The known fields as they were sent, before any default: wrapped or bare, camelCase or
//! `snake_case`, in any order of keys, with numbers spelt as Python spells them. Not the
//! `execution_id`, which says which request it is, nor fields nobody reads.

use serde_json::{Map, Value};

use super::{
    pairs::FORMER_NAMES,
    python::{dumps, number, sha256_hex},
    reader::camel_case,
};

/// What is known of a value's fields.
#[derive(Clone, Copy)]
enum Shape {
    /// All of it counts.
    Any,
    /// These fields count.
    Fields(&'static [(&'static str, Shape)]),
    /// These fields count, of it or of each of its items.
    OneOrMany(&'static [(&'static str, Shape)]),
}

use Shape::{Any, Fields, OneOrMany};

const REQUEST: Shape = Fields(&[
    ("demand_execution", DEMAND_EXECUTION),
    ("file_system_configurations", FILE_SYSTEMS),
    ("context_manager_configuration", CONTEXT),
]);

const DEMAND_EXECUTION: Shape = Fields(&[
    ("execution_type", Any),
    ("execution_image", Any),
    ("execution_parameters", PARAMETERS),
    (
        "execution_metadata",
        Fields(&[
            ("user", Any),
            ("arn", Any),
            ("tag", Any),
            ("tags", Any),
            ("notify_on", Any),
            ("notify_list", Any),
        ]),
    ),
    (
        "execution_platform",
        Fields(&[("aws_batch", Fields(&[("job_queue_name", Any), ("job_role", Any)]))]),
    ),
    ("resource_requirements", Fields(&[("gpu", Any), ("memory", Any), ("vcpus", Any)])),
]);

const PARAMETERS: Shape = Fields(&[
    ("command", Any),
    ("params", Any),
    ("inputs", Any),
    ("outputs", Any),
    ("outputs_metadata", Any),
    ("output_s3_prefix", Any),
    ("param_pair_overrides", Any),
    (FORMER_NAMES[0], Any),
    (FORMER_NAMES[1], Any),
    (FORMER_NAMES[2], Any),
    (FORMER_NAMES[3], Any),
    (FORMER_NAMES[4], Any),
    ("verbosity", Any),
]);

const FILE_SYSTEMS: Shape = Fields(&[
    ("shared", CANDIDATES),
    ("scratch", CANDIDATES),
    ("tmp", CANDIDATES),
    ("selection_strategy", Any),
]);

const CANDIDATES: Shape =
    OneOrMany(&[("file_system", Any), ("access_point", Any), ("container_path", Any)]);

const CONTEXT: Shape = Fields(&[
    ("isolate_inputs", Any),
    ("cleanup_inputs", Any),
    ("cleanup_working_dir", Any),
    ("env_file_write_mode", Any),
    ("input_data_sync_configuration", DATA_SYNC),
    ("output_data_sync_configuration", DATA_SYNC),
]);

const DATA_SYNC: Shape =
    Fields(&[("temporary_request_payload_path", Any), ("force", Any), ("size_only", Any)]);

/// The content of `request`, in the wrapped shape.
pub fn content(request: &Value) -> Value {
    let (wrapper, _) = super::envelope(request);
    let Some(map) = request.as_object() else { return normal(request, Any) };
    if wrapper.is_some() {
        return normal(request, REQUEST);
    }
    let mut enveloped = Map::new();
    enveloped.insert("demand_execution".to_owned(), request.clone());
    for name in ["file_system_configurations", "context_manager_configuration"] {
        let key = camel_case(name);
        if let Some(value) = map.get(&key).or_else(|| map.get(name)) {
            enveloped.insert(name.to_owned(), value.clone());
        }
    }
    normal(&Value::Object(enveloped), REQUEST)
}

/// SHA-256, hex, of [`content`].
pub fn content_hash(request: &Value) -> String {
    sha256_hex(&dumps(&content(request)))
}

fn normal(value: &Value, shape: Shape) -> Value {
    match (shape, value) {
        (Fields(fields) | OneOrMany(fields), Value::Object(map)) => {
            let known = fields.iter().filter_map(|(name, shape)| {
                let camel = camel_case(name);
                let value = map.get(&camel).or_else(|| map.get(*name))?;
                Some(((*name).to_owned(), normal(value, *shape)))
            });
            Value::Object(known.collect())
        }
        (OneOrMany(_), Value::Array(items)) => {
            items.iter().map(|item| normal(item, shape)).collect()
        }
        (_, Value::Array(items)) => items.iter().map(|item| normal(item, Any)).collect(),
        (_, Value::Object(map)) => {
            Value::Object(map.iter().map(|(key, item)| (key.clone(), normal(item, Any))).collect())
        }
        (_, Value::Number(number)) => {
            number::canonical(number).parse().map_or_else(|_| value.clone(), Value::Number)
        }
        (_, plain) => plain.clone(),
    }
}
