//! Equality of JSON values as Python has it, and what differs where there is none.

use serde_json::{Number, Value};

/// Says where `ours` differs from `theirs`, a few places at most.
pub fn differences(theirs: &Value, ours: &Value) -> Result<(), String> {
    const MOST: usize = 4;
    let mut found = Vec::new();
    walk("", theirs, ours, &mut found);
    if found.is_empty() {
        return Ok(());
    }
    let more = found.len().saturating_sub(MOST);
    found.truncate(MOST);
    if more > 0 {
        found.push(format!("… and {more} more"));
    }
    Err(found.join("\n    "))
}

fn walk(at: &str, theirs: &Value, ours: &Value, found: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            for (key, value) in theirs {
                match ours.get(key) {
                    Some(other) => walk(&format!("{at}/{key}"), value, other, found),
                    None => found.push(format!("{at}/{key}: reference {value}, ours absent")),
                }
            }
            for (key, value) in ours.iter().filter(|(key, _)| !theirs.contains_key(*key)) {
                found.push(format!("{at}/{key}: reference absent, ours {value}"));
            }
        }
        (Value::Array(theirs), Value::Array(ours)) if theirs.len() == ours.len() => {
            for (index, (value, other)) in theirs.iter().zip(ours).enumerate() {
                walk(&format!("{at}/{index}"), value, other, found);
            }
        }
        (Value::Number(theirs), Value::Number(ours)) if same_number(theirs, ours) => {}
        _ if theirs == ours => {}
        _ => found.push(format!("{at}: reference {theirs}, ours {ours}")),
    }
}

/// Integers by their digits, others by value.
fn same_number(theirs: &Number, ours: &Number) -> bool {
    let integer = |number: &Number| !number.as_str().contains(['.', 'e', 'E']);
    if integer(theirs) && integer(ours) {
        return theirs.as_str() == ours.as_str();
    }
    theirs.as_f64() == ours.as_f64()
}
