//! `demand openapi`: prints the OpenAPI document.

use super::exit::Exit;
use super::failure::complain;
use super::terminal::Terminal;
use crate::http::document;

pub(super) fn run() -> Exit {
    let printed = document()
        .to_pretty_json()
        .map_err(std::io::Error::from)
        .and_then(|text| Terminal::new(true).print(&text));
    match printed {
        Ok(()) => Exit::Done,
        Err(error) => {
            complain(&error);
            Exit::Failed
        }
    }
}
