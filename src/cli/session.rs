//! What every command of the client has in common: where the service is, who calls, how answers
//! are printed, and what is said when none can be given.

use std::str::FromStr;

use reqwest::header::HeaderValue;
use url::Url;

use super::client::Client;
use super::exit::Exit;
use super::failure::{Failure, complain};
use super::terminal::Terminal;

/// Where the service is and who calls.
#[derive(Debug, clap::Args)]
pub(super) struct Connection {
    /// Address of the service
    #[arg(
        long,
        env = "DEMAND_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:8080",
        value_parser = service_url,
        help_heading = "Connection"
    )]
    pub url: Url,
    /// Bearer token; better in the environment, since other users see command lines
    #[arg(long, env = "DEMAND_TOKEN", hide_env_values = true, help_heading = "Connection")]
    token: Option<Token>,
}

/// How answers are printed.
#[derive(Debug, clap::Args)]
pub(super) struct Form {
    /// Print JSON documents, and nothing else
    #[arg(long)]
    pub json: bool,
}

/// A bearer token, which no `Debug` shows; an empty one is none, as in `DEMAND_TOKEN=`.
#[derive(Debug, Clone)]
struct Token(Option<HeaderValue>);

impl FromStr for Token {
    type Err = &'static str;

    fn from_str(token: &str) -> Result<Self, Self::Err> {
        let token = token.trim();
        if token.is_empty() {
            return Ok(Self(None));
        }
        let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| "a token has visible ASCII characters only")?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }
}

fn service_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("it must start with http:// or https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it must hold no credentials; give a token instead".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("it must hold no query and no fragment".to_owned());
    }
    Ok(url)
}

/// An id as it may stand in a path. The service knows what else an id may be, but these would name
/// another path there.
pub(super) fn execution_id(text: &str) -> Result<String, &'static str> {
    match text {
        "" | "." | ".." => Err("not an execution id"),
        _ => Ok(text.to_owned()),
    }
}

/// Runs `command` with a client and a place to print, and tells why it could not do what was
/// asked.
pub(super) async fn session(
    connection: Connection,
    form: &Form,
    command: impl AsyncFnOnce(&Client, &mut Terminal) -> Result<Exit, Failure>,
) -> Exit {
    let mut terminal = Terminal::new(form.json);
    let authorization = connection.token.and_then(|Token(value)| value);
    let outcome = match Client::new(connection.url, authorization) {
        Ok(client) => command(&client, &mut terminal).await,
        Err(error) => Err(error.into()),
    };
    outcome.unwrap_or_else(|Failure { exit, error, problem }| {
        if let Some(problem) = problem.filter(|_| form.json) {
            // Whether or not it can be printed, the exit code tells the same.
            let _ = terminal.document(&problem);
        }
        complain(&*error);
        exit
    })
}
