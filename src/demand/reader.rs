//! Reads JSON as the reference's pydantic models do in their lax mode, collecting every fault.
//!
//! Fields have two names: `snake_case` and the camelCase that `pydantic.alias_generators.to_camel`
//! makes of it; the latter wins where both are given. Booleans and integers may come as strings
//! and as each other (<https://docs.pydantic.dev/latest/concepts/conversion_table/>). `null` is
//! no value where a field is optional. A reader that finds a fault records it and gives a
//! stand-in; nobody sees the result unless there was none.

use serde_json::{Map, Value};

use super::{
    fault::{Code, Fault, Pointer},
    python::{number, text::is_space},
};

/// Where faults are gathered.
pub(super) type Found = Vec<Fault>;

/// The members of one JSON object and its place.
#[derive(Clone)]
pub(super) struct Fields<'v> {
    map: &'v Map<String, Value>,
    at: Pointer,
}

impl<'v> Fields<'v> {
    pub fn read(value: &'v Value, at: Pointer, found: &mut Found) -> Option<Self> {
        let Value::Object(map) = value else {
            found.push(wrong_type(&at, "an object", value));
            return None;
        };
        Some(Self { map, at })
    }

    /// Where `name` is, by the key it was sent under, or would be.
    pub fn place(&self, name: &str) -> Pointer {
        self.get(name).map_or_else(|| self.at.key(name), |(place, _)| place)
    }

    /// The members of the member of that name, if it is an object.
    pub fn below(&self, name: &str) -> Option<Self> {
        let (at, value) = self.get(name)?;
        value.as_object().map(|map| Self { map, at })
    }

    /// The member of that name, or of its camelCase one.
    pub fn get(&self, name: &str) -> Option<(Pointer, &'v Value)> {
        let camel = camel_case(name);
        let key = if self.map.contains_key(&camel) { camel.as_str() } else { name };
        self.map.get(key).map(|value| (self.at.key(key), value))
    }

    /// The member of exactly that key.
    pub fn get_key(&self, key: &str) -> Option<(Pointer, &'v Value)> {
        self.map.get(key).map(|value| (self.at.key(key), value))
    }

    /// The member, unless it is absent or `null`.
    pub fn get_some(&self, name: &str) -> Option<(Pointer, &'v Value)> {
        self.get(name).filter(|(_, value)| !value.is_null())
    }

    pub fn required_string(&self, name: &str, found: &mut Found) -> String {
        if let Some((at, value)) = self.get(name) {
            return string(value, &at, found);
        }
        found.push(self.at.key(name).fault(Code::Missing, format!("`{name}` is required")));
        String::new()
    }

    pub fn optional_string(&self, name: &str, found: &mut Found) -> Option<String> {
        self.get_some(name).map(|(at, value)| string(value, &at, found))
    }

    pub fn optional_bool(&self, name: &str, found: &mut Found) -> Option<bool> {
        self.get(name).map(|(at, value)| boolean(value, &at, found))
    }

    /// A list of strings; empty where absent.
    pub fn strings(&self, name: &str, found: &mut Found) -> Vec<String> {
        self.get(name).map(|(at, value)| strings(value, &at, found)).unwrap_or_default()
    }
}

/// `to_camel`: `output_s3_prefix` becomes `outputS3Prefix`.
pub(super) fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut upper = false;
    for c in name.chars() {
        if c == '_' {
            upper = true;
        } else {
            camel.push(if upper { c.to_ascii_uppercase() } else { c });
            upper = false;
        }
    }
    camel
}

/// Strings are taken as they are, nothing is made one.
pub(super) fn string(value: &Value, at: &Pointer, found: &mut Found) -> String {
    let Value::String(text) = value else {
        found.push(wrong_type(at, "a string", value));
        return String::new();
    };
    text.clone()
}

pub(super) fn strings(value: &Value, at: &Pointer, found: &mut Found) -> Vec<String> {
    let Value::Array(items) = value else {
        found.push(wrong_type(at, "a list of strings", value));
        return Vec::new();
    };
    items.iter().enumerate().map(|(i, item)| string(item, &at.index(i), found)).collect()
}

/// `true`, `1`, `1.0`, `"yes"` and their like.
pub(super) fn boolean(value: &Value, at: &Pointer, found: &mut Found) -> bool {
    let read = match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => match number.as_f64() {
            Some(0.0) => Some(false),
            Some(1.0) => Some(true),
            _ => None,
        },
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "1" | "on" | "t" | "true" | "y" | "yes" => Some(true),
            "0" | "off" | "f" | "false" | "n" | "no" => Some(false),
            _ => None,
        },
        _ => None,
    };
    read.unwrap_or_else(|| {
        found.push(wrong_type(at, "a boolean", value));
        false
    })
}

/// `8`, `8.0`, `true`, `" 8 "`, `"1_000"`, `"8.00"`; not negative, and small enough to ask for.
pub(super) fn amount(value: &Value, at: &Pointer, found: &mut Found) -> u64 {
    let digits = match value {
        Value::Bool(flag) => Some(u8::from(*flag).to_string()),
        Value::Number(number) if number::is_integer(number) => Some(number.to_string()),
        Value::Number(number) => {
            number.as_f64().filter(|float| float.fract() == 0.0).map(|float| format!("{float:.0}"))
        }
        Value::String(text) => integer_text(text),
        _ => None,
    };
    let Some(digits) = digits else {
        found.push(wrong_type(at, "an integer", value));
        return 0;
    };
    let zero = digits.trim_start_matches(['-', '0']).is_empty();
    if digits.starts_with('-') && !zero {
        found.push(at.fault(Code::OutOfRange, format!("{digits} is negative")));
        return 0;
    }
    let read = if zero { Ok(0) } else { digits.trim_start_matches('0').parse::<u32>() };
    read.map_or_else(
        |_| {
            let detail = format!("{digits} is more than {}", u32::MAX);
            found.push(at.fault(Code::OutOfRange, detail));
            0
        },
        u64::from,
    )
}

/// The digits, and the minus sign, of what pydantic reads as an integer.
fn integer_text(text: &str) -> Option<String> {
    let text = text.trim_matches(is_space);
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let whole = match rest.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|b| b == b'0') => whole,
        Some(_) => return None,
        None => rest,
    };
    let grouped = whole
        .split('_')
        .all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit()));
    grouped.then(|| format!("{sign}{}", whole.replace('_', "")))
}

/// Any JSON value, its numbers written as Python writes them.
pub(super) fn json(value: &Value, at: &Pointer, found: &mut Found) -> Value {
    match value {
        Value::Number(number) => {
            if let Err(error) = number::check(number) {
                found.push(at.fault(Code::OutOfRange, error.to_string()));
            }
            number::canonical(number).parse().map_or_else(|_| value.clone(), Value::Number)
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| json(item, &at.index(index), found))
            .collect(),
        Value::Object(map) => Value::Object(
            map.iter().map(|(key, item)| (key.clone(), json(item, &at.key(key), found))).collect(),
        ),
        plain => plain.clone(),
    }
}

/// One of a few words.
pub(super) fn word<T: Copy>(
    value: &Value,
    at: &Pointer,
    words: &[(&str, T)],
    found: &mut Found,
) -> Option<T> {
    let known = value.as_str().and_then(|text| words.iter().find(|(word, _)| *word == text));
    if known.is_none() {
        let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let detail = format!("{} is none of {}", show(value), names.join(", "));
        found.push(at.fault(Code::UnknownValue, detail));
    }
    known.map(|(_, known)| *known)
}

pub(super) fn wrong_type(at: &Pointer, wanted: &str, value: &Value) -> Fault {
    at.fault(Code::WrongType, format!("{wanted} is wanted, not {}", show(value)))
}

/// A value, cut short, for the words of a fault.
pub(super) fn show(value: &Value) -> String {
    const LONGEST: usize = 80;
    let text = value.to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}
