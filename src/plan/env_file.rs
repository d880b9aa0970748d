//! Variables that reach the command through a file, and when they must.
//!
//! Container overrides are limited to 8192 bytes
//! (<https://docs.aws.amazon.com/batch/latest/APIReference/API_ContainerOverrides.html>). A file
//! in the working directory, which the command sources, has no limit.

use indexmap::IndexMap;

use super::{
    batch_job::BatchCreateRequest,
    budget::{CONTAINER_OVERRIDES_LIMIT, json_size},
    steps::execute_overrides,
};
use crate::demand::python::text::{is_word, size_of_env_name, size_of_str};

/// The file's name, in the working directory. The worker leaves files of this name out of what it
/// transfers: values may be secrets.
pub(crate) const NAME: &str = ".demand.env";

/// The variable that holds the file's path.
pub(super) const VARIABLE: &str = "_ENVIRONMENT_FILE";

/// Variables the reference makes itself, under plain `str` keys.
const OWN: [&str; 3] = ["EXECUTION_ID", "WORKING_DIR", "TMPDIR"];

/// Splits variables in those that `words` mention, in the order they do, and the rest.
pub(super) fn split<'w>(
    mut environment: IndexMap<String, String>,
    words: impl Iterator<Item = &'w str>,
) -> (IndexMap<String, String>, IndexMap<String, String>) {
    let mut direct = IndexMap::new();
    for name in words.flat_map(mentioned) {
        if let Some((name, value)) = environment.get_key_value(name) {
            direct.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
    environment.retain(|name, _| !direct.contains_key(name));
    (direct, environment)
}

/// Every X of `$X` and `${X}`: what `\$\{?(\w+)\}?` finds.
fn mentioned(word: &str) -> impl Iterator<Item = &str> {
    word.split('$').skip(1).filter_map(|rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        (end > 0).then(|| &rest[..end])
    })
}

/// The reference's measure: more than 90 % of 8192 by `sys.getsizeof`.
pub(super) fn is_large_in_python(environment: &IndexMap<String, String>) -> bool {
    let size: usize = environment
        .iter()
        .map(|(name, value)| {
            let own = OWN.contains(&name.as_str());
            size_of_str(value) + if own { size_of_str(name) } else { size_of_env_name(name) }
        })
        .sum();
    size * 10 > 8192 * 9
}

/// Whether the call as it would be sent breaks AWS's limit.
pub(super) fn is_too_large_to_send(create: &BatchCreateRequest) -> bool {
    json_size(&execute_overrides(create)) > CONTAINER_OVERRIDES_LIMIT
}
