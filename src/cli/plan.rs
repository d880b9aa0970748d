//! `demand plan`: plans requests against a site given as a file, which needs no service and no
//! network, or against the service's own, whose file systems AWS tells.

use std::io::{self, BufRead, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::exit::Exit;
use super::failure::complain;
use crate::config::{Config, ConfigErrors, Mode};
use crate::demand::{Demand, json};
use crate::efs::CatalogueError;
use crate::http::{Kind, Problem};
use crate::plan::site::SiteError;
use crate::plan::{Plan, Site};
use crate::policy::Policy;
use crate::run::{self, Sites, plan_within};
use crate::service::aws;
use crate::telemetry::chain;

/// What `--site` takes for the service's own site.
const AWS: &str = "aws";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The site as JSON: `{env_base, region, catalog, plan?, file_system_configurations?,
    /// context_manager_configuration?}`; or `aws`: that of the service, with its configuration,
    /// its policy, and the EFS file systems there are
    #[arg(long, value_name = "SITE.json|aws")]
    site: PathBuf,
    /// The service's configuration file, for `--site aws`
    #[arg(long, env = "DEMAND_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
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
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    #[error(transparent)]
    Own(#[from] SiteError),
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    #[error("cannot write the answer")]
    Write(#[from] io::Error),
}

/// What requests are planned for.
struct Planner {
    sites: Sites,
    policy: Policy,
}

pub(super) async fn run(arguments: &Arguments) -> Exit {
    match answer(arguments).await {
        Ok(exit) => exit,
        // `demand plan … | head` has what it wanted.
        Err(PlanError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
        Err(error @ PlanError::Catalogue(_)) => {
            complain(&error);
            Exit::Unreachable
        }
        Err(error) => {
            complain(&error);
            Exit::Usage
        }
    }
}

async fn answer(arguments: &Arguments) -> Result<Exit, PlanError> {
    let planner = planner(arguments).await?;
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
                match planner.plan(&line).await? {
                    Ok(plan) => write_line(&mut out, &plan)?,
                    Err(problem) => write_line(&mut out, &problem)?,
                }
            }
        }
        out.flush()?;
        return Ok(Exit::Done);
    }
    let mut request = Vec::new();
    input.read_to_end(&mut request).map_err(unread)?;
    let exit = match planner.plan(&request).await? {
        Ok(plan) => {
            write_line(&mut out, &plan)?;
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

async fn planner(arguments: &Arguments) -> Result<Planner, PlanError> {
    if arguments.site != Path::new(AWS) {
        let site = Arc::new(read_site(&arguments.site)?);
        return Ok(Planner { sites: site.into(), policy: Policy::default() });
    }
    let file = arguments.config.as_deref();
    let config = Config::load(Mode::AwsBatch, file, std::env::vars_os(), &[])?;
    let sdk = crate::aws::config_of(&config).await;
    Ok(Planner { sites: aws::sites(&config, &sdk)?, policy: aws::policy(&config) })
}

impl Planner {
    /// The plan, or why the request has none.
    async fn plan(&self, request: &[u8]) -> Result<Result<Plan, Problem>, CatalogueError> {
        let request = match json::read(request) {
            Ok(request) => request,
            Err(fault) => {
                let detail = format!("{}.", chain(&fault));
                return Ok(Err(Problem::new(Kind::InvalidJson, detail)));
            }
        };
        let demand = match Demand::parse(&request) {
            Ok(demand) => demand,
            Err(faults) => return Ok(Err(Problem::invalid_demand(faults))),
        };
        match plan_within(&demand, &self.sites, &self.policy).await {
            Ok(plan) => Ok(Ok(plan)),
            Err(run::PlanError::Faults(faults)) => Ok(Err(Problem::invalid_demand(faults))),
            Err(run::PlanError::Catalogue(error)) => Err(error),
        }
    }
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
