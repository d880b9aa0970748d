//! The DemandExecution model: wire shape to valid values. PURE.
//!
//! Fields, defaults, aliases, deprecated keys, coercions and validations are those of the
//! reference's core 1.1.0 (`aibs_informatics_core.models.demand_execution`), but for what design
//! §5 lists as different on purpose. Whatever is wrong is told at once, as [`Faults`].

pub mod canonical;
pub mod configuration;
mod environment;
pub mod fault;
pub mod filter;
mod id;
pub mod json;
mod metadata;
mod pairs;
mod parameters;
mod parameters_read;
mod places;
mod platform;
pub mod python;
mod reader;
mod reference;
mod resolvable;
mod runnable;
pub mod s3;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use configuration::{ContextConfiguration, FileSystemConfigurations};
use fault::{Code, Pointer};
use reader::{Fields, Found};

pub use environment::{env_name, why_forbidden};
pub use fault::{Fault, Faults};
pub use id::{ExecutionId, ExecutionIdError, RESERVED};
pub use metadata::Metadata;
pub use parameters::{JobParameter, Parameters};
pub(crate) use places::Places;
pub use platform::{AwsBatch, Resources};
pub use resolvable::{Direction, Resolvable};

/// A demand as a user submits it, and how they want it treated; valid by construction.
#[derive(Debug, Clone, PartialEq)]
pub struct Demand {
    execution_id: ExecutionId,
    execution_type: String,
    execution_image: String,
    parameters: Parameters,
    metadata: Metadata,
    aws_batch: Option<AwsBatch>,
    resources: Resources,
    file_systems: FileSystemConfigurations,
    configuration: ContextConfiguration,
    content_hash: String,
    places: Places,
}

impl Demand {
    /// Reads a request: a DemandExecution with the optional siblings `file_system_configurations`
    /// and `context_manager_configuration`, or the reference's `{demand_execution, …}`.
    pub fn parse(request: &Value) -> Result<Self, Faults> {
        read(request, None::<fn() -> ExecutionId>)
    }

    /// The same, where a request without an `execution_id` gets `make_id()`.
    pub fn parse_with_id(
        request: &Value,
        make_id: impl FnOnce() -> ExecutionId,
    ) -> Result<Self, Faults> {
        read(request, Some(make_id))
    }

    /// The id.
    pub fn execution_id(&self) -> &ExecutionId {
        &self.execution_id
    }

    /// The kind of computation, free text that names jobs.
    pub fn execution_type(&self) -> &str {
        &self.execution_type
    }

    /// The container image.
    pub fn execution_image(&self) -> &str {
        &self.execution_image
    }

    /// Command, parameters, inputs and outputs.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Who asked, in their own words.
    pub fn user(&self) -> Option<&str> {
        self.metadata.user.as_deref()
    }

    /// Its labels, those of the deprecated `tag` included.
    pub fn tags(&self) -> Option<&IndexMap<String, String>> {
        self.metadata.tags.as_ref()
    }

    /// The platform it runs on; planning needs one.
    pub fn aws_batch(&self) -> Option<&AwsBatch> {
        self.aws_batch.as_ref()
    }

    /// What it asks for.
    pub fn resources(&self) -> Resources {
        self.resources
    }

    /// The request's own `file_system_configurations`.
    pub fn file_systems(&self) -> &FileSystemConfigurations {
        &self.file_systems
    }

    /// The request's own `context_manager_configuration`.
    pub fn configuration(&self) -> &ContextConfiguration {
        &self.configuration
    }

    /// SHA-256, hex, of the request's content (see [`canonical`]): equal for a request sent again.
    pub fn content_hash(&self) -> &str {
        &self.content_hash
    }

    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    pub(crate) fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    /// The demand as the reference's model writes it.
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        map.insert("execution_type".to_owned(), self.execution_type.as_str().into());
        map.insert("execution_id".to_owned(), self.execution_id.as_str().into());
        map.insert("execution_image".to_owned(), self.execution_image.as_str().into());
        map.insert("execution_parameters".to_owned(), self.parameters.to_value());
        map.insert("execution_metadata".to_owned(), self.metadata.to_value());
        let mut platform = Map::new();
        if let Some(aws_batch) = &self.aws_batch {
            platform.insert("aws_batch".to_owned(), aws_batch.to_value());
        }
        map.insert("execution_platform".to_owned(), Value::Object(platform));
        map.insert("resource_requirements".to_owned(), self.resources.to_value());
        Value::Object(map)
    }

    /// `get_execution_hash(strict=False)`: of type, image and command.
    pub fn loose_hash(&self) -> String {
        let mut text = self.loosely_hashed();
        text.push(']');
        python::sha256_hex(&text)
    }

    /// `get_execution_hash(strict=True)`: of id, parameters, inputs and outputs as well.
    pub fn strict_hash(&self) -> String {
        let mut text = self.loosely_hashed();
        text.push_str(", ");
        python::dumps::write_string(&mut text, self.execution_id.as_str());
        text.push_str(", ");
        self.parameters.write_hashed(&mut text);
        text.push(']');
        python::sha256_hex(&text)
    }

    fn loosely_hashed(&self) -> String {
        let mut text = String::from("[");
        for part in [&self.execution_type, &self.execution_image] {
            python::dumps::write_string(&mut text, part);
            text.push_str(", ");
        }
        python::dumps::write_list(&mut text, self.parameters.command(), |out, argument| {
            python::dumps::write_string(out, argument);
        });
        text
    }
}

/// The key a wrapped request has its demand under, and the demand.
fn envelope(request: &Value) -> (Option<&'static str>, &Value) {
    for key in ["demandExecution", "demand_execution"] {
        if let Some(demand) = request.get(key) {
            return (Some(key), demand);
        }
    }
    (None, request)
}

fn read<F: FnOnce() -> ExecutionId>(request: &Value, make_id: Option<F>) -> Result<Demand, Faults> {
    let mut found = Found::new();
    let root = Pointer::default();
    let Some(siblings) = Fields::read(request, root.clone(), &mut found) else {
        return Err(Faults::of(found));
    };
    find_nul(request, &root, &mut found);
    let (wrapper, demand) = envelope(request);
    let at = wrapper.map_or(root.clone(), |key| root.key(key));
    let Some(fields) = Fields::read(demand, at.clone(), &mut found) else {
        return Err(Faults::of(found));
    };
    let execution_type = fields.required_string("execution_type", &mut found);
    let execution_image = fields.required_string("execution_image", &mut found);
    let execution_id = read_id(&fields, make_id, &mut found);
    let parameters = section(&fields, "execution_parameters", &mut found, Parameters::read)
        .unwrap_or_else(Parameters::empty);
    let metadata =
        section(&fields, "execution_metadata", &mut found, Metadata::read).unwrap_or_default();
    let aws_batch = section(&fields, "execution_platform", &mut found, AwsBatch::read).flatten();
    let resources =
        section(&fields, "resource_requirements", &mut found, Resources::read).unwrap_or_default();
    let file_systems = section(
        &siblings,
        "file_system_configurations",
        &mut found,
        FileSystemConfigurations::read,
    )
    .unwrap_or_default();
    let configuration =
        section(&siblings, "context_manager_configuration", &mut found, ContextConfiguration::read)
            .unwrap_or_default();
    let places = Places::of(&siblings, &fields);
    let demand = Demand {
        // Where there is none there is a fault, and the demand leaves this function only as faults.
        execution_id: execution_id.unwrap_or_else(ExecutionId::stand_in),
        execution_type,
        execution_image,
        parameters,
        metadata,
        aws_batch,
        resources,
        file_systems,
        configuration,
        content_hash: canonical::content_hash(request),
        places,
    };
    if !found.is_empty() {
        demand.add_unrunnable(&mut found);
    }
    Faults::or(found, demand)
}

fn section<T>(
    fields: &Fields<'_>,
    name: &str,
    found: &mut Found,
    read: impl FnOnce(&Value, Pointer, &mut Found) -> T,
) -> Option<T> {
    fields.get(name).map(|(at, value)| read(value, at, found))
}

fn read_id<F: FnOnce() -> ExecutionId>(
    fields: &Fields<'_>,
    make_id: Option<F>,
    found: &mut Found,
) -> Option<ExecutionId> {
    match (fields.get("execution_id"), make_id) {
        (None, Some(make_id)) => Some(make_id()),
        (None, None) => {
            fields.required_string("execution_id", found);
            None
        }
        (Some((at, value)), _) => {
            let Value::String(text) = value else {
                found.push(reader::wrong_type(&at, "a string", value));
                return None;
            };
            ExecutionId::parse(text)
                .map_err(|why| found.push(at.fault(Code::InvalidExecutionId, why.to_string())))
                .ok()
        }
    }
}

/// NUL ends strings in every environment and path this request will reach.
fn find_nul(value: &Value, at: &Pointer, found: &mut Found) {
    match value {
        Value::String(text) if text.contains('\0') => {
            found.push(at.fault(Code::NulCharacter, "the string holds a NUL character"));
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                find_nul(item, &at.index(index), found);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                let place = at.key(key);
                if key.contains('\0') {
                    found.push(place.fault(Code::NulCharacter, "the key holds a NUL character"));
                }
                find_nul(item, &place, found);
            }
        }
        _ => {}
    }
}
