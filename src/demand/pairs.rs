//! Which inputs belong to which outputs, where the demand says so.
//!
//! The reference's `ParamPair` and `ParamSetPair` (`models/demand_execution/param_pair.py`), under
//! `param_pair_overrides` or one of its former names.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{
    fault::{Code, Fault, Pointer},
    reader::{self, Fields, Found},
};

/// Former names of `param_pair_overrides`, in the order they are read after it.
pub(super) const FORMER_NAMES: [&str; 5] = [
    "param_pairs",
    "param_set_pairs",
    "param_set_pair_overrides",
    "input_output_pairs",
    "input_output_pair_overrides",
];

/// One entry of `param_pair_overrides`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PairOverride {
    /// One input, one output, or one of both.
    Pair {
        /// The input's name.
        input: Option<String>,
        /// The output's name.
        output: Option<String>,
    },
    /// Inputs that together make outputs; without duplicates, in the order given.
    Set {
        /// The inputs' names.
        inputs: Vec<String>,
        /// The outputs' names.
        outputs: Vec<String>,
    },
}

impl PairOverride {
    pub(super) fn to_value(&self) -> Value {
        let mut map = Map::new();
        match self {
            Self::Pair { input, output } => {
                for (key, name) in [("input", input), ("output", output)] {
                    if let Some(name) = name {
                        map.insert(key.to_owned(), Value::String(name.clone()));
                    }
                }
            }
            Self::Set { inputs, outputs } => {
                for (key, names) in [("inputs", inputs), ("outputs", outputs)] {
                    let names = names.iter().cloned().map(Value::String).collect();
                    map.insert(key.to_owned(), names);
                }
            }
        }
        Value::Object(map)
    }
}

/// Reads the overrides of `parameters`; `None` where there are none.
///
/// As in the reference, the camelCase name wins over all others and alone may say "none" with an
/// empty list.
pub(super) fn read(
    parameters: &Fields<'_>,
    found: &mut Found,
) -> Option<Vec<(Pointer, PairOverride)>> {
    let mut entries = Vec::new();
    for name in ["param_pair_overrides"].into_iter().chain(FORMER_NAMES) {
        if let Some((at, value)) = parameters.get_key(name).filter(|(_, value)| !value.is_null()) {
            read_list(value, &at, found, &mut entries);
        }
    }
    if let Some((at, value)) = parameters.get_key("paramPairOverrides") {
        entries.clear();
        if value.is_null() {
            return None;
        }
        read_list(value, &at, found, &mut entries);
        return Some(entries);
    }
    (!entries.is_empty()).then_some(entries)
}

fn read_list(
    value: &Value,
    at: &Pointer,
    found: &mut Found,
    entries: &mut Vec<(Pointer, PairOverride)>,
) {
    let Value::Array(items) = value else {
        found.push(reader::wrong_type(at, "a list of pairs", value));
        return;
    };
    for (index, item) in items.iter().enumerate() {
        let at = at.index(index);
        if let Some(pair) = read_entry(item, &at, found) {
            entries.push((at, pair));
        }
    }
}

/// An object that could be both is what more of its fields say, a set where that is even.
fn read_entry(value: &Value, at: &Pointer, found: &mut Found) -> Option<PairOverride> {
    let fields = Fields::read(value, at.clone(), found)?;
    let count = |names: [&str; 2]| names.iter().filter(|name| fields.get(name).is_some()).count();
    let (mut in_set, mut in_pair) = (Vec::new(), Vec::new());
    let set = PairOverride::Set {
        inputs: names(&fields, "inputs", found, &mut in_set),
        outputs: names(&fields, "outputs", found, &mut in_set),
    };
    let pair = PairOverride::Pair {
        input: fields.optional_string("input", &mut in_pair),
        output: fields.optional_string("output", &mut in_pair),
    };
    let prefer_set = count(["inputs", "outputs"]) >= count(["input", "output"]);
    match (in_set.is_empty(), in_pair.is_empty()) {
        (true, true) => Some(if prefer_set { set } else { pair }),
        (true, false) => Some(set),
        (false, true) => Some(pair),
        (false, false) => {
            found.append(&mut in_set);
            found.append(&mut in_pair);
            None
        }
    }
}

/// The names of a set. What is no collection of simple values is wrong whatever else the entry
/// may be read as; what merely holds no strings leaves the entry a chance as a pair.
fn names(fields: &Fields<'_>, name: &str, found: &mut Found, in_set: &mut Found) -> Vec<String> {
    let Some((at, value)) = fields.get(name) else { return Vec::new() };
    let mut names: Vec<String> = match value {
        Value::Object(map) => map.keys().cloned().collect(),
        Value::Array(items) if !items.iter().any(|i| i.is_array() || i.is_object()) => {
            reader::strings(value, &at, in_set)
        }
        other => {
            found.push(reader::wrong_type(&at, "a list of parameter names", other));
            Vec::new()
        }
    };
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// Every name must be an input or output, and no two sets may have the same outputs.
pub(super) fn check(
    overrides: &[(Pointer, PairOverride)],
    inputs: &[String],
    outputs: &[String],
) -> Vec<Fault> {
    let known: BTreeSet<&str> = inputs.iter().chain(outputs).map(String::as_str).collect();
    let mut faults = Vec::new();
    let mut sets: Vec<(&Pointer, BTreeSet<&str>)> = Vec::new();
    let mut paired: BTreeMap<Option<&str>, &Pointer> = BTreeMap::new();
    for (at, entry) in overrides {
        let names: Vec<&str> = match entry {
            PairOverride::Set { inputs, outputs } => {
                sets.push((at, outputs.iter().map(String::as_str).collect()));
                inputs.iter().chain(outputs).map(String::as_str).collect()
            }
            PairOverride::Pair { input, output } => {
                paired.entry(output.as_deref()).or_insert(at);
                // An empty output counts as none, an empty input as a name.
                let output = output.as_deref().filter(|name| !name.is_empty());
                input.as_deref().into_iter().chain(output).collect()
            }
        };
        for name in names.into_iter().filter(|name| !known.contains(name)) {
            let detail = format!("`{name}` is neither an input nor an output");
            faults.push(at.fault(Code::InvalidPair, detail));
        }
    }
    // Pairs of one output make one set; these come after the sets written as such.
    for (output, at) in paired {
        let output = output.filter(|name| !name.is_empty());
        sets.push((at, output.into_iter().collect()));
    }
    let mut seen = BTreeSet::new();
    for (at, set) in sets.into_iter().filter(|(_, set)| !set.is_empty()) {
        let names = set.iter().copied().collect::<Vec<_>>().join(", ");
        if !seen.insert(set) {
            let detail = format!("the outputs {names} are paired twice");
            faults.push(at.fault(Code::InvalidPair, detail));
        }
    }
    faults
}
