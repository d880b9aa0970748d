//! `execution_parameters`: the command, its parameters, and which of them are inputs and outputs.
//!
//! The reference's `DemandExecutionParameters` (`models/demand_execution/parameters.py`). A
//! parameter keeps the value it was sent with; what commands see of it, with references replaced,
//! is a [`JobParameter`].

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::{
    fault::{Fault, Pointer},
    pairs::PairOverride,
    python,
    reference::{self, Resolved, Unresolved},
    resolvable::{Direction, Resolvable},
    s3::S3Path,
};

/// The parameters of a demand, valid: names make distinct environment variables, inputs and
/// outputs are parameters and do not overlap, and every reference can be replaced.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    pub(super) command: Vec<String>,
    pub(super) params: IndexMap<String, Parameter>,
    pub(super) inputs: Listed,
    pub(super) outputs: Listed,
    pub(super) outputs_metadata: Map<String, Value>,
    pub(super) output_s3_prefix: Option<S3Path>,
    pub(super) param_pair_overrides: Option<Vec<PairOverride>>,
    pub(super) verbosity: bool,
    pub(super) resolved: Vec<JobParameter>,
}

/// Parameters that are inputs, or outputs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listed {
    /// Their names, as they were listed.
    pub names: Vec<String>,
    /// Where each of them is in `params`.
    pub positions: Vec<usize>,
}

/// One entry of `params`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parameter {
    pub env_name: String,
    /// As it was sent.
    pub sent: Value,
    /// Python's `str()` of it.
    pub text: String,
    /// Its paths, references not replaced; for inputs and outputs.
    pub resolvable: Option<Resolvable>,
    /// Whether the paths are no longer those sent.
    pub settled: bool,
}

/// A parameter as the command sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobParameter {
    /// Its name in `params`.
    pub name: String,
    /// Its environment variable.
    pub env_name: String,
    /// What the variable holds; the local path of inputs and outputs.
    pub value: String,
    /// The paths of inputs and outputs, references replaced.
    pub resolvable: Option<Resolvable>,
}

impl Parameter {
    fn to_value(&self) -> Value {
        match &self.resolvable {
            Some(resolvable) if self.settled => resolvable.to_value(),
            _ => self.sent.clone(),
        }
    }
}

impl Parameters {
    /// The command, one element an argument.
    pub fn command(&self) -> &[String] {
        &self.command
    }

    /// Every parameter as the command sees it, in the order of `params`.
    pub fn job_parameters(&self) -> &[JobParameter] {
        &self.resolved
    }

    /// The inputs, in the order of `inputs`.
    pub fn inputs(&self) -> impl Iterator<Item = (&JobParameter, &Resolvable)> {
        self.listed(&self.inputs, Direction::Input)
    }

    /// The outputs, in the order of `outputs`.
    pub fn outputs(&self) -> impl Iterator<Item = (&JobParameter, &Resolvable)> {
        self.listed(&self.outputs, Direction::Output)
    }

    fn listed<'a>(
        &'a self,
        listed: &'a Listed,
        direction: Direction,
    ) -> impl Iterator<Item = (&'a JobParameter, &'a Resolvable)> {
        listed.positions.iter().filter_map(move |position| {
            let parameter = self.resolved.get(*position)?;
            let resolvable = parameter.resolvable.as_ref()?;
            (resolvable.direction == direction).then_some((parameter, resolvable))
        })
    }

    /// Gives inputs and outputs other local paths, by parameter name; references in their paths
    /// are replaced for good, and every value that refers to them follows.
    pub(crate) fn settle(
        &mut self,
        settled: Vec<(String, Resolvable)>,
        params: &Pointer,
    ) -> Vec<Fault> {
        for (name, resolvable) in settled {
            if let Some(parameter) = self.params.get_mut(&name) {
                parameter.resolvable = Some(resolvable);
                parameter.settled = true;
            }
        }
        self.refresh(params)
    }

    /// Works out what the command sees of every parameter; `params` is where they are.
    pub(super) fn refresh(&mut self, params: &Pointer) -> Vec<Fault> {
        let unresolved: Vec<Unresolved<'_>> = self
            .params
            .values()
            .map(|parameter| {
                let (value, remote) = match &parameter.resolvable {
                    Some(paths) => (paths.local.as_str(), Some(paths.remote.as_str())),
                    None => (parameter.text.as_str(), None),
                };
                Unresolved { env_name: &parameter.env_name, value, remote }
            })
            .collect();
        match reference::resolve(&unresolved) {
            Ok(resolved) => {
                let pairs = self.params.iter().zip(resolved);
                self.resolved = pairs
                    .map(|((name, parameter), resolved)| job_parameter(name, parameter, resolved))
                    .collect();
                Vec::new()
            }
            Err(errors) => errors
                .into_iter()
                .filter_map(|(index, why)| {
                    let (name, _) = self.params.get_index(index)?;
                    Some(why.at(&params.key(name)))
                })
                .collect(),
        }
    }

    /// The parameters as the reference's model writes them.
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        map.insert("command".to_owned(), texts(&self.command));
        map.insert("params".to_owned(), Value::Object(self.params_map()));
        map.insert("inputs".to_owned(), texts(&self.inputs.names));
        map.insert("outputs".to_owned(), texts(&self.outputs.names));
        map.insert("outputs_metadata".to_owned(), Value::Object(self.outputs_metadata.clone()));
        if let Some(prefix) = &self.output_s3_prefix {
            map.insert("output_s3_prefix".to_owned(), prefix.as_str().into());
        }
        if let Some(overrides) = &self.param_pair_overrides {
            let overrides = overrides.iter().map(PairOverride::to_value).collect();
            map.insert("param_pair_overrides".to_owned(), overrides);
        }
        map.insert("verbosity".to_owned(), self.verbosity.into());
        Value::Object(map)
    }

    fn params_map(&self) -> Map<String, Value> {
        self.params.iter().map(|(name, parameter)| (name.clone(), parameter.to_value())).collect()
    }

    /// Appends what the strict hash takes of the parameters: `params`, `inputs`, `outputs`.
    pub(super) fn write_hashed(&self, out: &mut String) {
        python::dumps::write_value(out, &Value::Object(self.params_map()));
        for names in [&self.inputs.names, &self.outputs.names] {
            out.push_str(", ");
            python::dumps::write_list(out, names, |out, name| {
                python::dumps::write_string(out, name);
            });
        }
    }
}

fn job_parameter(name: &str, parameter: &Parameter, resolved: Resolved) -> JobParameter {
    let Resolved { value, remote } = resolved;
    let resolvable = parameter.resolvable.as_ref().map(|paths| Resolvable {
        direction: paths.direction,
        local: value.clone(),
        remote: remote.unwrap_or_default(),
        include: paths.include.clone(),
        exclude: paths.exclude.clone(),
    });
    JobParameter { name: name.to_owned(), env_name: parameter.env_name.clone(), value, resolvable }
}

fn texts(items: &[String]) -> Value {
    items.iter().cloned().map(Value::String).collect()
}
