//! What a command prints: documents or text on stdout, notes on stderr. A reader that goes away
//! (`demand logs … | head`) is no error and no panic; there is only nobody to print for.

use std::io::{self, ErrorKind, IsTerminal, Write};

use clap::builder::styling::{AnsiColor, Style};
use serde_json::Value;

/// Where a command prints, and how.
pub(super) struct Terminal {
    json: bool,
    colours: bool,
    closed: bool,
}

impl Terminal {
    pub fn new(json: bool) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colours = io::stdout().is_terminal() && !no_color && !dumb;
        Self { json, colours, closed: false }
    }

    /// Whether documents are wanted instead of text.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Whether stdout has no reader any more.
    pub fn closed(&self) -> bool {
        self.closed
    }

    /// Prints a line of text, or several.
    pub fn print(&mut self, text: &str) -> io::Result<()> {
        self.write(text)
    }

    /// Prints a document on one line; over several for a person to look at.
    pub fn document(&mut self, document: &Value) -> io::Result<()> {
        let text =
            if io::stdout().is_terminal() { format!("{document:#}") } else { document.to_string() };
        self.write(&text)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            written => written,
        }
    }

    /// Says something beside the answer, on stderr.
    pub fn note(&self, text: &str) {
        if !self.json {
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// A status, coloured by how good it is.
    pub fn coloured(&self, status: &str) -> String {
        if !self.colours {
            return status.to_owned();
        }
        let colour = match status {
            "COMPLETED" | "SUCCEEDED" => AnsiColor::Green,
            "FAILED" | "LOST" | "REJECTED" => AnsiColor::Red,
            "ABORTED" | "CANCELING" => AnsiColor::Yellow,
            _ => AnsiColor::Cyan,
        };
        let style = Style::new().fg_color(Some(colour.into()));
        format!("{style}{status}{style:#}")
    }
}

/// The text on one line and without control characters: what others wrote shall not move the
/// cursor of whoever reads it.
pub(super) fn printable(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
