//! The types a setting may have, each read from a TOML value or, out of the environment or a
//! flag, from a string.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::plan::site::EnvFileWriter;
use crate::policy::Allowed;
use figment::value::Value;
use jiff::{SignedDuration, Span, SpanRelativeTo};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use url::Url;

/// A type that settings have.
pub(super) trait Setting: Sized {
    /// What is expected, as in "expects a duration".
    const EXPECTS: &'static str;
    /// Whether the value is an object in which anything may be set.
    const FREE_FORM: bool = false;

    /// Reads it. The error says why the value does not fit, where that is not plain from
    /// [`Self::EXPECTS`].
    fn read(value: &Value) -> Result<Self, Option<String>>;
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For log collectors: one object a line.
    Json,
}

/// Where an identity provider's keys are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwksSource {
    /// The provider's own `jwks_uri`.
    Url(Url),
    /// A file of the same content.
    File(PathBuf),
}

/// A number of bytes.
pub(super) struct Bytes(pub usize);

/// Directives of `EnvFilter`.
pub(super) struct LogFilter(pub String);

/// Web origins.
#[derive(Default)]
pub(super) struct Origins(pub Vec<String>);

/// `s3://bucket/…`.
pub(super) struct S3Uri(pub String);

/// `http://…` or `https://…`.
pub(super) struct HttpUrl(pub String);

/// Globs of names.
#[derive(Default)]
pub(super) struct NameGlobs(pub Allowed);

/// Globs of paths.
#[derive(Default)]
pub(super) struct PathGlobs(pub Allowed);

/// Globs of S3 paths.
#[derive(Default)]
pub(super) struct S3Globs(pub Allowed);

/// A free-form object.
pub(super) struct Object(pub serde_json::Value);

impl Default for Object {
    fn default() -> Self {
        Self(serde_json::Value::Object(serde_json::Map::new()))
    }
}

/// The value as it is shown to whoever set it.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(_, text) => format!("`{text}`"),
        Value::Char(_, letter) => format!("`{letter}`"),
        Value::Bool(_, flag) => format!("`{flag}`"),
        Value::Num(_, number) => match (number.to_i128(), number.to_u128(), number.to_f64()) {
            (Some(integer), _, _) => format!("`{integer}`"),
            (_, Some(integer), _) => format!("`{integer}`"),
            (_, _, Some(float)) => format!("`{float}`"),
            _ => "a number".to_owned(),
        },
        Value::Empty(..) => "nothing".to_owned(),
        Value::Dict(..) => "a table".to_owned(),
        Value::Array(..) => "a list".to_owned(),
    }
}

/// Why a text is no duration.
#[derive(Debug, thiserror::Error)]
pub enum DurationError {
    /// It cannot be read as one; months and years, which have no fixed length, included.
    #[error("no duration such as \"72h\" or \"1.5s\" ({0})")]
    Unreadable(jiff::Error),
    /// It is one, but below zero.
    #[error("a duration cannot be negative here")]
    Negative,
}

/// Reads a duration as people write it: `72h`, `1.5s`, `1h 30m`, `30d` (days have 24 hours).
///
/// # Errors
/// When it is none, or negative.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    // `SignedDuration` knows fractions but no days; `Span` knows days.
    let signed = text
        .parse::<SignedDuration>()
        .or_else(|_| text.parse::<Span>()?.to_duration(SpanRelativeTo::days_are_24_hours()))
        .map_err(DurationError::Unreadable)?;
    Duration::try_from(signed).map_err(|_| DurationError::Negative)
}

fn text(value: &Value) -> Result<&str, Option<String>> {
    value.as_str().ok_or(None)
}

fn whole(value: &Value) -> Result<u64, Option<String>> {
    if let Some(text) = value.as_str() {
        return text.trim().parse().map_err(|_| None);
    }
    let signed = value.to_i128().and_then(|number| u64::try_from(number).ok());
    signed.or_else(|| value.to_u128().and_then(|number| u64::try_from(number).ok())).ok_or(None)
}

impl Setting for bool {
    const EXPECTS: &'static str = "true or false";

    fn read(value: &Value) -> Result<Self, Option<String>> {
        match value.as_str() {
            Some(text) => text.trim().parse().map_err(|_| None),
            None => value.to_bool().ok_or(None),
        }
    }
}

impl Setting for u32 {
    const EXPECTS: &'static str = "a whole number of at least 1";

    fn read(value: &Value) -> Result<Self, Option<String>> {
        whole(value)?.try_into().ok().filter(|number| *number > 0).ok_or(None)
    }
}

impl Setting for usize {
    const EXPECTS: &'static str = "a whole number of at least 1";

    fn read(value: &Value) -> Result<Self, Option<String>> {
        whole(value)?.try_into().ok().filter(|number| *number > 0).ok_or(None)
    }
}

impl Setting for Bytes {
    const EXPECTS: &'static str = "a number of bytes such as 1048576 or \"1 MiB\"";

    fn read(value: &Value) -> Result<Self, Option<String>> {
        let Some(text) = value.as_str() else { return usize::read(value).map(Self) };
        let text = text.trim();
        let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(unit_at);
        let unit: usize = match unit.trim() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(None),
        };
        let number: usize = number.parse().map_err(|_| None)?;
        number.checked_mul(unit).filter(|bytes| *bytes > 0).map(Self).ok_or(None)
    }
}

impl Setting for String {
    const EXPECTS: &'static str = "a text that is not empty";

    fn read(value: &Value) -> Result<Self, Option<String>> {
        Some(text(value)?.trim()).filter(|text| !text.is_empty()).map(str::to_owned).ok_or(None)
    }
}

impl Setting for PathBuf {
    const EXPECTS: &'static str = "a path";

    fn read(value: &Value) -> Result<Self, Option<String>> {
        Some(text(value)?).filter(|path| !path.is_empty()).map(Self::from).ok_or(None)
    }
}

impl Setting for SocketAddr {
    const EXPECTS: &'static str = "an IP address and a port such as \"127.0.0.1:8080\"";

    fn read(value: &Value) -> Result<Self, Option<String>> {
        text(value)?.trim().parse().map_err(|_| None)
    }
}

impl Setting for Duration {
    const EXPECTS: &'static str = "a duration such as \"72h\", \"1.5s\" or \"0s\"";

    fn read(value: &Value) -> Result<Self, Option<String>> {
        parse_duration(text(value)?).map_err(|error| Some(error.to_string()))
    }
}

/// A duration that a job may take: whole seconds, at least one.
pub(super) struct Seconds(u32);

impl Seconds {
    pub fn get(self) -> u32 {
        self.0
    }
}

impl Setting for Seconds {
    const EXPECTS: &'static str = "a duration of whole seconds such as \"24h\" or \"90s\"";

    fn read(value: &Value) -> Result<Self, Option<String>> {
        let duration = Duration::read(value)?;
        let seconds = u32::try_from(duration.as_secs()).ok().filter(|seconds| *seconds > 0);
        seconds.filter(|_| duration.subsec_nanos() == 0).map(Self).ok_or(None)
    }
}

impl Setting for Vec<String> {
    const EXPECTS: &'static str = "a list of texts (in a variable: separated by commas)";

    fn read(value: &Value) -> Result<Self, Option<String>> {
        if let Some(text) = value.as_str() {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            return Ok(parts.map(str::to_owned).collect());
        }
        value.as_array().ok_or(None)?.iter().map(String::read).collect()
    }
}

impl Setting for Origins {
    const EXPECTS: &'static str = "a list of origins such as \"https://lab.example.org\"";

    fn read(value: &Value) -> Result<Self, Option<String>> {
        let origins = Vec::<String>::read(value)?;
        for origin in &origins {
            // A browser sends the origin in this form and no other, and it is compared as text.
            let sent = Url::parse(origin).map(|url| url.origin().ascii_serialization());
            if sent.as_deref() != Ok(origin) {
                return Err(Some(format!("`{origin}` is no origin")));
            }
        }
        Ok(Self(origins))
    }
}

impl Setting for S3Uri {
    const EXPECTS: &'static str = "an S3 path such as \"s3://bucket/prefix\"";

    fn read(value: &Value) -> Result<Self, Option<String>> {
        let text = text(value)?.trim();
        let bucket = text.strip_prefix("s3://").and_then(|path| path.split('/').next());
        bucket.filter(|bucket| !bucket.is_empty()).map(|_| Self(text.to_owned())).ok_or(None)
    }
}

impl HttpUrl {
    /// The URL that `text` is.
    pub fn parse(text: String) -> Result<Self, Option<String>> {
        let url = Url::parse(&text).map_err(|error| Some(error.to_string()))?;
        let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
        if is_http { Ok(Self(text)) } else { Err(None) }
    }
}

impl Setting for HttpUrl {
    const EXPECTS: &'static str = "a URL such as \"https://example.org/path\"";

    fn read(value: &Value) -> Result<Self, Option<String>> {
        Self::parse(String::read(value)?)
    }
}

impl Setting for JwksSource {
    const EXPECTS: &'static str = "a URL such as \"https://id.example.org/jwks\", or a path";

    fn read(value: &Value) -> Result<Self, Option<String>> {
        if text(value)?.contains("://") {
            let HttpUrl(url) = HttpUrl::read(value)?;
            return Url::parse(&url).map(Self::Url).map_err(|error| Some(error.to_string()));
        }
        PathBuf::read(value).map(Self::File)
    }
}

/// What lists of globs are told to be.
const GLOBS: &str = "a list of globs (in a variable: separated by commas)";

impl Setting for NameGlobs {
    const EXPECTS: &'static str = GLOBS;

    fn read(value: &Value) -> Result<Self, Option<String>> {
        Allowed::names(Vec::read(value)?).map(Self).map_err(|error| Some(error.to_string()))
    }
}

impl Setting for PathGlobs {
    const EXPECTS: &'static str = GLOBS;

    fn read(value: &Value) -> Result<Self, Option<String>> {
        Allowed::paths(Vec::read(value)?).map(Self).map_err(|error| Some(error.to_string()))
    }
}

impl Setting for S3Globs {
    const EXPECTS: &'static str = "a list of globs such as \"s3://bucket/folder\"";

    fn read(value: &Value) -> Result<Self, Option<String>> {
        let PathGlobs(allowed) = PathGlobs::read(value)?;
        // Any other would never match, and refuse every demand.
        let stray = allowed.globs().iter().find(|glob| !glob.starts_with("s3://") && *glob != "*");
        match stray {
            Some(glob) => Err(Some(format!("`{glob}` begins with neither `s3://` nor is `*`"))),
            None => Ok(Self(allowed)),
        }
    }
}

impl Setting for Object {
    const EXPECTS: &'static str = "a table (in a variable: a JSON object)";
    const FREE_FORM: bool = true;

    fn read(value: &Value) -> Result<Self, Option<String>> {
        let object: serde_json::Value = match value.as_str() {
            Some(text) => serde_json::from_str(text).map_err(|error| Some(error.to_string()))?,
            None => value.deserialize().map_err(|error| Some(error.to_string()))?,
        };
        if object.is_object() { Ok(Self(object)) } else { Err(None) }
    }
}

impl Setting for EnvFileWriter {
    const EXPECTS: &'static str = "\"stage_in\" or \"none\"";

    fn read(value: &Value) -> Result<Self, Option<String>> {
        match text(value)? {
            "stage_in" => Ok(Self::StageIn),
            "none" => Ok(Self::None),
            _ => Err(None),
        }
    }
}

impl Setting for LogFormat {
    const EXPECTS: &'static str = "\"text\" or \"json\"";

    fn read(value: &Value) -> Result<Self, Option<String>> {
        match text(value)? {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(None),
        }
    }
}

impl Setting for LogFilter {
    const EXPECTS: &'static str = "a level such as \"info\", or directives as RUST_LOG takes them";

    fn read(value: &Value) -> Result<Self, Option<String>> {
        let directives = String::read(value)?;
        // A lone word that is no level would be taken for a module's name, and silence the rest.
        if !directives.contains(['=', '[', ',']) && directives.parse::<LevelFilter>().is_err() {
            return Err(None);
        }
        match EnvFilter::try_new(&directives) {
            Ok(_) => Ok(Self(directives)),
            Err(error) => Err(Some(error.to_string())),
        }
    }
}
