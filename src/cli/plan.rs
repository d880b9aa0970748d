//! `demand plan`: plans requests against a site given as a file. Needs no service and no network.

use std::io::{self, BufRead, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::exit::Exit;
use super::failure::complain;
use crate::demand::{Demand, Faults, json};
use crate::http::Problem;
use crate::plan::{Site, plan};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The site as JSON: `{env_base, region, catalog, plan?, file_system_configurations?,
    /// context_manager_configuration?}`
    #[arg(long, value_name = "SITE.json")]
    site: PathBuf,
    /// Read a request a line, and write an answer a line: a plan, or a problem document
    #[arg(long)]
    jsonl: bool,
    /// A DemandExecution as JSON; `-` or nothing reads standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Why nothing could be planned at all.
#[derive(Debug, thiserror::Error)]
enum PlanError {
    #[error("cannot read {name}")]
    Read { name: String, source: io::Error },
    #[error("{name} is no site: {why}")]
    Site { name: String, why: String },
    #[error("cannot write the answer")]
    Write(#[from] io::Error),
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    match answer(arguments) {
        Ok(exit) => exit,
        // `demand plan … | head` has what it wanted.
        Err(PlanError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
        Err(error) => {
            complain(&error);
            Exit::Usage
        }
    }
}

fn answer(arguments: &Arguments) -> Result<Exit, PlanError> {
    let site = read_site(&arguments.site)?;
    let mut input = open(arguments.file.as_deref())?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let name = || name_of(arguments.file.as_deref());
    let unread = |source| PlanError::Read { name: name(), source };
    if arguments.jsonl {
        let mut line = Vec::new();
        while {
            line.clear();
            input.read_until(b'\n', &mut line).map_err(unread)? > 0
        } {
            if !line.trim_ascii().is_empty() {
                match plan_one(&line, &site) {
                    Ok(planned) => write_line(&mut out, &planned)?,
                    Err(problem) => write_line(&mut out, &problem)?,
                }
                // Whoever sends a request may wait for its answer before the next.
                out.flush()?;
            }
        }
        return Ok(Exit::Done);
    }
    let mut request = Vec::new();
    input.read_to_end(&mut request).map_err(unread)?;
    let exit = match plan_one(&request, &site) {
        Ok(planned) => {
            write_line(&mut out, &planned)?;
            Exit::Done
        }
        Err(problem) => {
            write_line(&mut out, &problem)?;
            Exit::Usage
        }
    };
    out.flush()?;
    Ok(exit)
}

fn plan_one(request: &[u8], site: &Site) -> Result<crate::plan::Plan, Problem> {
    let request = json::read(request).map_err(|fault| Problem::invalid_json(&fault))?;
    let refused = |faults: Faults| Problem::invalid_demand(faults);
    let demand = Demand::parse(&request).map_err(refused)?;
    plan(&demand, site).map_err(refused)
}

fn read_site(file: &Path) -> Result<Site, PlanError> {
    let name = file.display().to_string();
    let text =
        std::fs::read(file).map_err(|source| PlanError::Read { name: name.clone(), source })?;
    // The first line of a file of cases is a site as well: {"site": {…}}.
    let first = serde_json::Deserializer::from_slice(&text).into_iter::<Value>().next();
    let site = match first {
        Some(Ok(Value::Object(mut members))) => {
            members.shift_remove("site").unwrap_or(Value::Object(members))
        }
        Some(Ok(_)) => return Err(PlanError::Site { name, why: "not a JSON object".to_owned() }),
        Some(Err(error)) => return Err(PlanError::Site { name, why: error.to_string() }),
        None => return Err(PlanError::Site { name, why: "it is empty".to_owned() }),
    };
    serde_json::from_value(site).map_err(|error| PlanError::Site { name, why: error.to_string() })
}

fn open(file: Option<&Path>) -> Result<Box<dyn BufRead>, PlanError> {
    match file.filter(|file| *file != Path::new("-")) {
        None => Ok(Box::new(io::BufReader::new(io::stdin()))),
        Some(path) => std::fs::File::open(path)
            .map(|file| Box::new(io::BufReader::new(file)) as Box<dyn BufRead>)
            .map_err(|source| PlanError::Read { name: name_of(file), source }),
    }
}

fn name_of(file: Option<&Path>) -> String {
    match file.filter(|file| *file != Path::new("-")) {
        Some(file) => file.display().to_string(),
        None => "standard input".to_owned(),
    }
}

fn write_line(out: &mut impl Write, document: &impl Serialize) -> Result<(), PlanError> {
    serde_json::to_writer(&mut *out, document).map_err(io::Error::from)?;
    out.write_all(b"\n")?;
    Ok(())
}
