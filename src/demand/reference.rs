//! References between parameters: `${X}` in a value stands for the value of the parameter whose
//! environment variable is X (the reference's `JobParamRef` and `JobParamResolver`).
//!
//! References nest, and are normalised as names are. The reference hangs on some that cannot be
//! resolved; here each is named, and so is every circle.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use super::{
    environment::is_identifier,
    fault::{Code, Fault, Pointer},
    python::text::is_word,
};

/// Linux refuses an environment string of 128 KiB (`MAX_ARG_STRLEN`); nothing longer is made, so
/// that values that double by nesting stay small.
pub const MAX_VALUE_BYTES: usize = 128 * 1024 - 1024;

/// A value that may hold references: of a parameter with this environment variable.
#[derive(Debug)]
pub(super) struct Unresolved<'a> {
    /// The parameter's variable.
    pub env_name: &'a str,
    /// Its value; what others that refer to it get.
    pub value: &'a str,
    /// More text of it in which references are replaced.
    pub remote: Option<&'a str>,
}

/// Both texts with every reference replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Resolved {
    pub value: String,
    pub remote: Option<String>,
}

/// Why a parameter's references cannot be replaced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReferenceError {
    #[error("`${{{0}}}` refers to no parameter")]
    Missing(String),
    #[error("the parameters refer to each other in a circle: {}", .0.join(" -> "))]
    Cycle(Vec<String>),
    #[error("the value is more than {MAX_VALUE_BYTES} bytes once its references are replaced")]
    TooLarge,
}

impl ReferenceError {
    /// The fault of the parameter at that place.
    pub(super) fn at(&self, place: &Pointer) -> Fault {
        let code = match self {
            Self::Missing(_) => Code::UnresolvedReference,
            Self::Cycle(_) => Code::ReferenceCycle,
            Self::TooLarge => Code::TooLarge,
        };
        place.fault(code, self.to_string())
    }
}

/// The references in `text`: where each is, and the variable it names, in upper case.
pub(super) fn find(text: &str) -> Vec<(Range<usize>, String)> {
    let mut references = Vec::new();
    let mut from = 0;
    while let Some(offset) = text[from..].find("${") {
        let start = from + offset;
        let name_start = start + 2;
        let name = &text[name_start..];
        let name = &name[..name.find(|c: char| !is_word(c)).unwrap_or(name.len())];
        let end = name_start + name.len();
        if is_identifier(name) && text[end..].starts_with('}') {
            references.push((start..end + 1, name.to_ascii_uppercase()));
            from = end + 1;
        } else {
            from = name_start;
        }
    }
    references
}

/// Replaces every reference. Errors come with the index of the parameter they are about; a
/// parameter that merely depends on a broken one has none of its own.
pub(super) fn resolve(
    parameters: &[Unresolved<'_>],
) -> Result<Vec<Resolved>, Vec<(usize, ReferenceError)>> {
    if parameters.iter().all(|p| !mentions(p.value) && !p.remote.is_some_and(mentions)) {
        return Ok(parameters.iter().map(as_it_is).collect());
    }
    let index = parameters.iter().enumerate().map(|(i, p)| (p.env_name, i)).collect();
    let mut resolver = Resolver {
        parameters,
        index,
        states: vec![State::Unseen; parameters.len()],
        resolved: vec![Resolved::default(); parameters.len()],
        errors: Vec::new(),
    };
    for position in 0..parameters.len() {
        resolver.visit(position);
    }
    if resolver.errors.is_empty() { Ok(resolver.resolved) } else { Err(resolver.errors) }
}

fn mentions(text: &str) -> bool {
    text.contains("${")
}

fn as_it_is(parameter: &Unresolved<'_>) -> Resolved {
    Resolved { value: parameter.value.to_owned(), remote: parameter.remote.map(str::to_owned) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unseen,
    /// On the way from a parameter down to what it refers to.
    Open,
    Done,
    Broken,
}

struct Resolver<'a> {
    parameters: &'a [Unresolved<'a>],
    index: BTreeMap<&'a str, usize>,
    states: Vec<State>,
    resolved: Vec<Resolved>,
    errors: Vec<(usize, ReferenceError)>,
}

/// A parameter on the way down, and what is still to be looked at of what it refers to.
struct Open {
    position: usize,
    targets: Vec<usize>,
    broken: bool,
}

impl Resolver<'_> {
    /// Depth first, with a stack of its own: a chain of references may be as long as the request.
    fn visit(&mut self, start: usize) {
        if self.states[start] != State::Unseen {
            return;
        }
        let mut way = vec![self.open(start)];
        while let Some(top) = way.last_mut() {
            let Some(target) = top.targets.pop() else {
                let Open { position, broken, .. } = *top;
                way.pop();
                let done = !broken && self.replace(position);
                self.states[position] = if done { State::Done } else { State::Broken };
                if let Some(parent) = way.last_mut() {
                    parent.broken |= !done;
                }
                continue;
            };
            match self.states[target] {
                State::Done => {}
                State::Broken => top.broken = true,
                State::Unseen => {
                    let opened = self.open(target);
                    way.push(opened);
                }
                State::Open => {
                    top.broken = true;
                    let circle = way.iter().map(|open| open.position);
                    let circle = circle.skip_while(|position| *position != target).chain([target]);
                    let names = circle.map(|i| self.parameters[i].env_name.to_owned()).collect();
                    self.errors.push((target, ReferenceError::Cycle(names)));
                }
            }
        }
    }

    /// Starts on a parameter; references to nothing are errors at once.
    fn open(&mut self, position: usize) -> Open {
        self.states[position] = State::Open;
        let parameter = &self.parameters[position];
        let texts = [Some(parameter.value), parameter.remote].into_iter().flatten();
        let names: BTreeSet<String> =
            texts.flat_map(|text| find(text).into_iter().map(|(_, name)| name)).collect();
        let mut opened = Open { position, targets: Vec::new(), broken: false };
        for name in names {
            if let Some(target) = self.index.get(name.as_str()) {
                opened.targets.push(*target);
            } else {
                opened.broken = true;
                self.errors.push((position, ReferenceError::Missing(name)));
            }
        }
        opened
    }

    /// Replaces the references of a parameter whose targets are all done.
    fn replace(&mut self, position: usize) -> bool {
        let parameter = &self.parameters[position];
        let value = self.replaced(parameter.value);
        let remote = parameter.remote.map(|remote| self.replaced(remote));
        match (value, remote) {
            (Some(value), None) => self.resolved[position] = Resolved { value, remote: None },
            (Some(value), Some(Some(remote))) => {
                self.resolved[position] = Resolved { value, remote: Some(remote) };
            }
            _ => {
                self.errors.push((position, ReferenceError::TooLarge));
                return false;
            }
        }
        true
    }

    /// `None` where the text would be too large.
    fn replaced(&self, text: &str) -> Option<String> {
        let references = find(text);
        if references.is_empty() {
            return Some(text.to_owned());
        }
        let (mut out, mut from) = (String::with_capacity(text.len()), 0);
        for (range, name) in references {
            out.push_str(&text[from..range.start]);
            if let Some(target) = self.index.get(name.as_str()) {
                out.push_str(&self.resolved[*target].value);
            }
            if out.len() > MAX_VALUE_BYTES {
                return None;
            }
            from = range.end;
        }
        out.push_str(&text[from..]);
        Some(out)
    }
}
