//! `demand token`: the bearer tokens of a service, in the file it reads them from.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use super::exit::Exit;
use super::failure::complain;
use super::terminal::Terminal;
use crate::config::{Config, ConfigErrors, Mode, parse_duration};
use crate::http::auth::tokens::{Token, TokenFile, TokensError};
use crate::http::auth::{Scope, Scopes};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a token and print it, once: it is kept nowhere
    New {
        /// Whose it is; demands record token:NAME as their submitter
        name: String,
        /// What it permits: demands:read, demands:write, demands:admin; may be repeated
        #[arg(long, required = true, value_name = "SCOPE")]
        scope: Vec<Scope>,
        /// For how long it is taken, such as 90d [default: until it is revoked]
        #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
        expires_in: Option<std::time::Duration>,
        #[command(flatten)]
        place: Place,
    },
    /// List the tokens
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Take a token's permissions away, at once
    Revoke {
        /// The token's id or name
        id: String,
        #[command(flatten)]
        place: Place,
    },
}

/// Where the tokens are.
#[derive(Debug, Args)]
struct Place {
    /// The file of tokens
    #[arg(long, env = "DEMAND_AUTH__TOKENS_FILE", value_name = "FILE")]
    tokens_file: Option<PathBuf>,
    /// The service's configuration, which names that file
    #[arg(long, env = "DEMAND_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON documents, and nothing else
    #[arg(long)]
    json: bool,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    #[error("name the file of tokens: --tokens-file, or `auth.tokens_file` in --config")]
    NoFile,
    #[error(transparent)]
    Tokens(#[from] TokensError),
    #[error("cannot print")]
    Print(#[from] std::io::Error),
}

pub(super) fn run(arguments: Arguments) -> Exit {
    match carry_out(arguments.command) {
        Ok(()) => Exit::Done,
        Err(failure) => {
            complain(&failure);
            let is_usage =
                !matches!(failure, Failure::Print(_) | Failure::Tokens(TokensError::File { .. }));
            if is_usage { Exit::Usage } else { Exit::Failed }
        }
    }
}

fn carry_out(command: Command) -> Result<(), Failure> {
    match command {
        Command::New { name, scope, expires_in, place } => {
            let now = Timestamp::now();
            let expires_at = expires_in.map(|left| now.saturating_add(left)).transpose();
            // A time beyond the calendar is never reached.
            let expires_at = expires_at.unwrap_or_default();
            let scopes: Scopes = scope.into_iter().collect();
            let (token, bearer) = place.file()?.issue(&name, scopes, now, expires_at)?;
            let mut terminal = Terminal::new(place.json);
            if place.json {
                let mut document = told(&token);
                document["token"] = bearer.into();
                terminal.document(&document)?;
            } else {
                terminal.print(&bearer)?;
                terminal.note("Keep it: it is stored nowhere. Clients take it from DEMAND_TOKEN.");
            }
        }
        Command::List { place } => {
            let tokens = place.file()?.tokens();
            let mut terminal = Terminal::new(place.json);
            if place.json {
                terminal
                    .document(&json!({"tokens": tokens.iter().map(told).collect::<Vec<_>>()}))?;
            }
            for token in tokens.iter().filter(|_| !place.json) {
                let Token { id, name, scopes, created_at, expires_at, .. } = token;
                let until = expires_at.map_or("revoked".to_owned(), |at| at.to_string());
                terminal
                    .print(&format!("{id}  {name}  {scopes}  since {created_at}  until {until}"))?;
            }
        }
        Command::Revoke { id, place } => {
            let token = place.file()?.revoke(&id)?;
            let mut terminal = Terminal::new(place.json);
            if place.json {
                terminal.document(&told(&token))?;
            } else {
                terminal.note(&format!("revoked {} ({})", token.id, token.name));
            }
        }
    }
    Ok(())
}

/// A token without its hash.
fn told(token: &Token) -> serde_json::Value {
    let Token { id, name, scopes, created_at, expires_at, .. } = token;
    json!({
        "id": id, "name": name, "scopes": scopes,
        "created_at": created_at, "expires_at": expires_at,
    })
}

impl Place {
    fn file(&self) -> Result<TokenFile, Failure> {
        let path = match (&self.tokens_file, &self.config) {
            (Some(path), _) => Some(path.clone()),
            (None, Some(config)) => {
                let variables = std::env::vars_os();
                let config = Config::load(Mode::AwsBatch, Some(config), variables, &[])?;
                config.auth.tokens_file
            }
            (None, None) => None,
        };
        Ok(TokenFile::open(&path.ok_or(Failure::NoFile)?)?)
    }
}
