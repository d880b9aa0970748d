//! Text as Python writes it.

use demand_context_manager::demand::python::{
    PurePath, dumps,
    number::float_repr,
    random::choice,
    text::{size_of_env_name, size_of_str},
    to_str,
};
use serde_json::Value;

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn str_of_json_values() {
    for (json, text) in [
        ("null", "None"),
        ("true", "True"),
        ("-0", "0"),
        ("-0.0", "-0.0"),
        ("1E2", "100.0"),
        ("1e22", "1e+22"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        (r#""it's""#, "it's"),
        (r#"["it's", "say \"hi\"", "both ' \""]"#, r#"["it's", 'say "hi"', 'both \' "']"#),
        (
            r#"["\t\u0001\u007f\u00ad\u00e9\u200b\ud83d\ude00\u0378"]"#,
            "['\\t\\x01\\x7f\\xadé\\u200b😀\\u0378']",
        ),
        (r#"{"k": {"n": [1, 2.5, null]}, "e": {}}"#, "{'k': {'n': [1, 2.5, None]}, 'e': {}}"),
    ] {
        assert_eq!(to_str(&value(json)), text, "{json}");
    }
}

#[test]
fn dumps_sorts_and_escapes() {
    let sorted = dumps(&value(r#"{"b": [1.0, "é😀\u007f/"], "a": {"z": null, "B": true}}"#));
    assert_eq!(sorted, r#"{"a": {"B": true, "z": null}, "b": [1.0, "\u00e9\ud83d\ude00\u007f/"]}"#);
}

#[test]
fn floats_are_shortest() {
    for (float, text) in [
        (0.1, "0.1"),
        (1e16, "1e+16"),
        (9_999_999_999_999_998.0, "9999999999999998.0"),
        (0.0001, "0.0001"),
        (0.000_01, "1e-05"),
        (5e-324, "5e-324"),
        (f64::MAX, "1.7976931348623157e+308"),
        (123_456_789.125, "123456789.125"),
    ] {
        assert_eq!(float_repr(float), text);
    }
}

/// `random.Random(seed).choice(range(count))` of Python 3.11.
#[test]
fn choices_are_those_of_a_seeded_generator() {
    let long = "x".repeat(200);
    let drawn = |seed: &str| [1, 2, 3, 5, 8, 100].map(|count| choice(seed, count));
    assert_eq!(drawn(""), [0, 1, 1, 3, 7, 58]);
    assert_eq!(drawn("a"), [0, 1, 1, 2, 4, 34]);
    assert_eq!(drawn("run-1#scratch"), [0, 0, 0, 0, 1, 15]);
    assert_eq!(drawn("51ef1922-fe43-c49e-1498-18d11759edc3#tmp"), [0, 1, 1, 2, 4, 37]);
    assert_eq!(drawn("ünïcode ✓#shared"), [0, 0, 0, 0, 0, 6]);
    assert_eq!(drawn(&long), [0, 0, 2, 1, 2, 87]);
}

#[test]
fn paths_join_relate_and_resolve() {
    let base = PurePath::new("/a//b/./c/");
    assert_eq!(base.to_string(), "/a/b/c");
    assert_eq!(base.join("../d").to_string(), "/a/b/c/../d");
    assert_eq!(base.join("../d").resolve().to_string(), "/a/b/d");
    assert_eq!(base.join("/x").to_string(), "/x");
    assert_eq!(base.relative_to(&PurePath::new("/a/b/c")).unwrap().to_string(), ".");
    assert!(base.relative_to(&PurePath::new("/a/b/cc")).is_none());
    assert_eq!(PurePath::new("//a").to_string(), "//a");
    assert_eq!(PurePath::new("///a").to_string(), "/a");
    assert_eq!(PurePath::new("/../a").resolve().to_string(), "/a");
}

#[test]
fn sizes_follow_the_widest_character() {
    let sizes: Vec<usize> = ["", "ab", "é", "✓a", "😀"].map(size_of_str).to_vec();
    assert_eq!(sizes, [49, 51, 74, 78, 80]);
    assert_eq!(size_of_env_name("ABC"), 116);
}
