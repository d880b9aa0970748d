//! `execution_metadata`: who asked, and under which tags (the reference's
//! `DemandExecutionMetadata`, `models/demand_execution/metadata.py`).

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::{
    fault::{Code, Pointer},
    python::{self, text::is_word},
    reader::{self, Fields, Found},
};

/// The states a user can ask to be told of; the reference's `Status`.
const STATUSES: [&str; 6] =
    ["AWAITING_TRIGGER", "SUBMITTED", "IN_PROGRESS", "COMPLETED", "FAILED", "ABORTED"];

/// Who asked for a demand and how it is labelled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    pub(super) user: Option<String>,
    pub(super) arn: Option<String>,
    pub(super) tags: Option<IndexMap<String, String>>,
    pub(super) notify_on: Option<IndexMap<String, bool>>,
    pub(super) notify_list: Option<Vec<String>>,
}

impl Metadata {
    pub(super) fn read(value: &Value, at: Pointer, found: &mut Found) -> Self {
        let Some(fields) = Fields::read(value, at, found) else { return Self::default() };
        Self {
            user: fields.optional_string("user", found),
            arn: read_arn(&fields, found),
            tags: read_tags(&fields, found),
            notify_on: read_notify_on(&fields, found),
            notify_list: fields
                .get_some("notify_list")
                .map(|(place, value)| reader::strings(value, &place, found)),
        }
    }

    pub(super) fn to_value(&self) -> Value {
        let mut map = Map::new();
        for (key, text) in [("user", &self.user), ("arn", &self.arn)] {
            if let Some(text) = text {
                map.insert(key.to_owned(), text.as_str().into());
            }
        }
        if let Some(tags) = &self.tags {
            let tags = tags.iter().map(|(k, v)| (k.clone(), v.as_str().into())).collect();
            map.insert("tags".to_owned(), Value::Object(tags));
        }
        if let Some(notify_on) = &self.notify_on {
            let flags = notify_on.iter().map(|(k, v)| (k.clone(), (*v).into())).collect();
            map.insert("notify_on".to_owned(), Value::Object(flags));
        }
        if let Some(notify_list) = &self.notify_list {
            map.insert("notify_list".to_owned(), notify_list.iter().cloned().collect());
        }
        Value::Object(map)
    }
}

/// The ARN of a Step Functions execution:
/// `arn:aws:states:<region>:<account>:execution:<machine>:<name>`.
fn read_arn(fields: &Fields<'_>, found: &mut Found) -> Option<String> {
    let (at, value) = fields.get_some("arn")?;
    let text = reader::string(value, &at, found);
    let word = |part: &str| part.chars().all(|c| is_word(c) || c == '-');
    let parts: Vec<&str> = text.split(':').collect();
    let fits = matches!(
        parts.as_slice(),
        ["arn", "aws", "states", region, account, "execution", machine, name]
            if word(region)
                && account.len() == 12
                && account.bytes().all(|byte| byte.is_ascii_digit())
                && [machine, name].iter().all(|part| !part.is_empty() && word(part))
    );
    if value.is_string() && !fits {
        let detail = format!("`{text}` is no ARN of a Step Functions execution");
        found.push(at.fault(Code::InvalidValue, detail));
    }
    Some(text)
}

/// `tags`, over what the deprecated `tag` says.
fn read_tags(fields: &Fields<'_>, found: &mut Found) -> Option<IndexMap<String, String>> {
    let mut tags = IndexMap::new();
    if let Some((_, value)) = fields.get("tag") {
        for text in deprecated_tag(value) {
            for part in text.split(',') {
                let (key, value) = part.split_once('=').unwrap_or((part, part));
                tags.insert(key.to_owned(), value.to_owned());
            }
        }
    }
    let Some((at, value)) = fields.get("tags") else {
        return (!tags.is_empty()).then_some(tags);
    };
    let Value::Object(map) = value else {
        found.push(reader::wrong_type(&at, "an object of strings", value));
        return None;
    };
    for (key, value) in map {
        let text = reader::string(value, &at.key(key), found);
        tags.insert(key.clone(), text);
    }
    Some(tags)
}

/// A string, an integer or a list of these; anything else says nothing, as in the reference.
fn deprecated_tag(value: &Value) -> Vec<String> {
    let simple = |value: &Value| match value {
        Value::String(_) | Value::Bool(_) => true,
        Value::Number(number) => python::number::is_integer(number),
        _ => false,
    };
    match value {
        Value::Array(items) if items.iter().all(simple) => {
            items.iter().map(python::to_str).collect()
        }
        one if simple(one) => vec![python::to_str(one)],
        _ => Vec::new(),
    }
}

fn read_notify_on(fields: &Fields<'_>, found: &mut Found) -> Option<IndexMap<String, bool>> {
    let (at, value) = fields.get_some("notify_on")?;
    let Value::Object(map) = value else {
        found.push(reader::wrong_type(&at, "an object of booleans", value));
        return None;
    };
    let mut notify_on = IndexMap::new();
    for (status, value) in map {
        let place = at.key(status);
        if !STATUSES.contains(&status.as_str()) {
            let detail = format!("`{status}` is none of {}", STATUSES.join(", "));
            found.push(place.fault(Code::UnknownValue, detail));
        }
        notify_on.insert(status.clone(), reader::boolean(value, &place, found));
    }
    Some(notify_on)
}
