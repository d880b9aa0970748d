//! Reads `execution_parameters` and tells everything that is wrong with them.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::{
    environment::{env_name, why_forbidden},
    fault::{Code, Pointer},
    pairs,
    parameters::{Listed, Parameter, Parameters},
    python,
    reader::{self, Fields, Found},
    reference::{MAX_VALUE_BYTES, ReferenceError},
    resolvable::{self, Direction, Prefix, Resolvable},
    s3::S3Path,
};

impl Parameters {
    /// Without any field.
    pub(super) fn empty() -> Self {
        Self {
            command: Vec::new(),
            params: IndexMap::new(),
            inputs: Listed::default(),
            outputs: Listed::default(),
            outputs_metadata: Map::new(),
            output_s3_prefix: None,
            param_pair_overrides: None,
            verbosity: false,
            resolved: Vec::new(),
        }
    }

    pub(super) fn read(value: &Value, at: Pointer, found: &mut Found) -> Self {
        let Some(fields) = Fields::read(value, at, found) else { return Self::empty() };
        let overrides = pairs::read(&fields, found);
        let mut parameters = Self {
            command: fields.strings("command", found),
            inputs: Listed { names: fields.strings("inputs", found), positions: Vec::new() },
            outputs: Listed { names: fields.strings("outputs", found), positions: Vec::new() },
            outputs_metadata: read_outputs_metadata(&fields, found),
            output_s3_prefix: read_s3_path(&fields, "output_s3_prefix", found),
            verbosity: fields.optional_bool("verbosity", found).unwrap_or(false),
            ..Self::empty()
        };
        parameters.read_params(&fields, found);
        if let Some(overrides) = overrides {
            found.extend(pairs::check(
                &overrides,
                &parameters.inputs.names,
                &parameters.outputs.names,
            ));
            let entries = overrides.into_iter().map(|(_, entry)| entry);
            parameters.param_pair_overrides = Some(entries.collect());
        }
        parameters
    }

    fn read_params(&mut self, fields: &Fields<'_>, found: &mut Found) {
        let before = found.len();
        let inputs = env_names(&self.inputs.names, &fields.place("inputs"), found);
        let outputs = env_names(&self.outputs.names, &fields.place("outputs"), found);
        let roles = Roles::of(&inputs, &outputs, found);
        let at = fields.place("params");
        if let Some((_, value)) = fields.get("params") {
            let Value::Object(map) = value else {
                found.push(reader::wrong_type(&at, "an object", value));
                return;
            };
            let prefix = match self.output_s3_prefix.clone() {
                Some(path) => Prefix::Path(path),
                None if fields.get_some("output_s3_prefix").is_some() => Prefix::Faulty,
                None => Prefix::Absent,
            };
            for (name, value) in map {
                let place = at.key(name);
                let Some(env_name) = usable_name(name, &place, found) else { continue };
                let resolvable = match roles.of_variable(&env_name) {
                    Some(Direction::Input) => resolvable::read_input(value, &place, found),
                    Some(Direction::Output) => {
                        resolvable::read_output(value, &prefix, &place, found)
                    }
                    None => None,
                };
                let parameter = read_parameter(env_name, value, resolvable, &place, found);
                self.params.insert(name.clone(), parameter);
            }
        }
        let known = self.check_collisions(&at, found);
        // A listed name may be that of a parameter whose name is the fault.
        let misnamed = found[before..].iter().any(|fault| fault.code == Code::InvalidParameterName);
        for (listed, variables) in [(&mut self.inputs, inputs), (&mut self.outputs, outputs)] {
            for (name, place) in variables {
                if let Some(position) = known.get(&name) {
                    listed.positions.push(*position);
                } else if !misnamed {
                    let detail = format!("no parameter makes the environment variable {name}");
                    found.push(place.fault(Code::UnknownParameter, detail));
                }
            }
        }
        if found.len() == before {
            found.extend(self.refresh(&at));
        }
    }

    /// The variables that parameters make, and where in `params` these are; two parameters must
    /// not make one.
    fn check_collisions(&self, at: &Pointer, found: &mut Found) -> BTreeMap<String, usize> {
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        for (position, (name, parameter)) in self.params.iter().enumerate() {
            let variable = &parameter.env_name;
            if let Some(other) = known.get(variable).and_then(|at| self.params.get_index(*at)) {
                let detail =
                    format!("`{}` and `{name}` both make the variable {variable}", other.0);
                found.push(at.key(name).fault(Code::NameCollision, detail));
            } else {
                known.insert(variable.clone(), position);
            }
        }
        known
    }
}

/// Which variables are inputs, and which outputs.
struct Roles<'a> {
    inputs: BTreeSet<&'a str>,
    outputs: BTreeSet<&'a str>,
}

impl<'a> Roles<'a> {
    fn of(
        inputs: &'a [(String, Pointer)],
        outputs: &'a [(String, Pointer)],
        found: &mut Found,
    ) -> Self {
        let names = |listed: &'a [(String, Pointer)]| listed.iter().map(|(name, _)| name.as_str());
        let roles = Self { inputs: names(inputs).collect(), outputs: names(outputs).collect() };
        for (name, at) in outputs {
            if roles.inputs.contains(name.as_str()) {
                let detail = format!("`{name}` is an input and an output");
                found.push(at.fault(Code::InputOutputOverlap, detail));
            }
        }
        roles
    }

    fn of_variable(&self, env_name: &str) -> Option<Direction> {
        if self.inputs.contains(env_name) {
            return Some(Direction::Input);
        }
        self.outputs.contains(env_name).then_some(Direction::Output)
    }
}

fn read_parameter(
    env_name: String,
    value: &Value,
    resolvable: Option<Resolvable>,
    at: &Pointer,
    found: &mut Found,
) -> Parameter {
    let sent = reader::json(value, at, found);
    let text = python::to_str(&sent);
    if text.len() > MAX_VALUE_BYTES {
        found.push(ReferenceError::TooLarge.at(at));
    }
    Parameter { env_name, sent, text, resolvable, settled: false }
}

fn usable_name(name: &str, at: &Pointer, found: &mut Found) -> Option<String> {
    let Some(env_name) = env_name(name) else {
        let detail = format!(
            "`{name}` makes no environment variable: letters, digits, `_`, `-` and `.` only, \
             no digit first"
        );
        found.push(at.fault(Code::InvalidParameterName, detail));
        return None;
    };
    if let Some(why) = why_forbidden(&env_name) {
        let detail = format!("a parameter must not set {env_name}: {why}");
        found.push(at.fault(Code::ForbiddenParameterName, detail));
    }
    Some(env_name)
}

/// The variables of listed names, and where each is listed.
fn env_names(names: &[String], at: &Pointer, found: &mut Found) -> Vec<(String, Pointer)> {
    let mut listed = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        let place = at.index(index);
        if let Some(env_name) = env_name(name) {
            listed.push((env_name, place));
        } else {
            let detail = format!("`{name}` makes no environment variable");
            found.push(place.fault(Code::InvalidParameterName, detail));
        }
    }
    listed
}

fn read_outputs_metadata(fields: &Fields<'_>, found: &mut Found) -> Map<String, Value> {
    let mut metadata = Map::new();
    let Some((at, value)) = fields.get("outputs_metadata") else { return metadata };
    let Value::Object(map) = value else {
        found.push(reader::wrong_type(&at, "an object of objects", value));
        return metadata;
    };
    for (name, entry) in map {
        let place = at.key(name);
        if !entry.is_object() {
            found.push(reader::wrong_type(&place, "an object", entry));
        }
        metadata.insert(name.clone(), reader::json(entry, &place, found));
    }
    metadata
}

/// An optional S3 path.
pub(super) fn read_s3_path(fields: &Fields<'_>, name: &str, found: &mut Found) -> Option<S3Path> {
    let (at, value) = fields.get_some(name)?;
    let Value::String(text) = value else {
        found.push(reader::wrong_type(&at, "an S3 path", value));
        return None;
    };
    S3Path::parse(text)
        .map_err(|error| found.push(at.fault(Code::InvalidS3Path, error.to_string())))
        .ok()
}
