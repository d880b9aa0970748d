//! `demand demo`: the whole of it in one command. Starts a local service, seeds a bucket, submits
//! an example, shows its progress, and tells where its outputs are.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::client::{Call, Client};
use super::document::{Demand, Document};
use super::exit::{self, Exit};
use super::failure::{Failure, complain};
use super::follow::{Goal, to_the_end};
use super::terminal::Terminal;
use crate::config::{Config, Flag, Mode};
use crate::lifecycle::Lifecycle;
use crate::local::site::DataDir;
use crate::service::Service;
use crate::telemetry::{self, traces};

const DEMAND: &str = include_str!("demand.json");

/// What the example's bucket holds before it runs.
const OBJECTS: [(&str, &str); 4] = [
    ("motifs.txt", "GATTACA\nTATA\n"),
    ("reads/s1.txt", "CCGATTACATTTATAGG\nTATAGATTACA\n"),
    ("reads/s2.txt", "AAAATATACCCC\n"),
    ("reads/s3.txt", "GATTACAGATTACAGATTACA\n"),
];

#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub(super) struct Arguments {
    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = ".demand")]
    data_dir: PathBuf,
    /// Print the demand's final status as JSON, and nothing else
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Arguments) -> Exit {
    let mut terminal = Terminal::new(arguments.json);
    demo(&arguments, &mut terminal).await.unwrap_or_else(|Failure { exit, error, .. }| {
        complain(&*error);
        exit
    })
}

async fn demo(arguments: &Arguments, terminal: &mut Terminal) -> Result<Exit, Failure> {
    let flag = |name, key, value| Flag { name, key, value };
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let flags = [
        flag("demo", "listen", any_port.to_string()),
        flag("--data-dir", "local.data_dir", arguments.data_dir.display().to_string()),
        // Progress is what is to be seen here, not the log of a service.
        flag("demo", "log.level", "warn".to_owned()),
    ];
    let config =
        Config::load(Mode::Local, None, std::env::vars_os(), &flags).map_err(Failure::usage)?;
    let environment = telemetry::Environment::of_process();
    let traces =
        telemetry::init(&config.log, &config.traces, &environment).map_err(Failure::usage)?;
    let lifecycle = Lifecycle::new();
    let service = Service::start(&config, Mode::Local, &lifecycle).await.map_err(Failure::of)?;
    let buckets = service.data_dir().map(DataDir::buckets).unwrap_or_default();
    let ended = follow_example(&service, &buckets, terminal).await;
    lifecycle.stop();
    lifecycle.run(config.lifecycle.shutdown_grace).await.map_err(Failure::of)?;
    if matches!(ended, Ok(Exit::Done)) {
        show_outputs(&buckets.join("demo/counts"), terminal)?;
        terminal.note(&format!(
            "\nTo serve demands of your own from here:\n  demand serve --local --data-dir {}",
            arguments.data_dir.display()
        ));
    }
    service.close().await;
    traces::close(traces).await;
    ended
}

async fn follow_example(
    service: &Service,
    buckets: &Path,
    terminal: &mut Terminal,
) -> Result<Exit, Failure> {
    let bucket = buckets.join("demo");
    for (key, text) in OBJECTS {
        put(&bucket.join(key), text).map_err(Failure::of)?;
    }
    terminal.note(&format!("seeded the bucket s3://demo in {}", bucket.display()));
    let mut request: Value = serde_json::from_str(DEMAND).map_err(Failure::of)?;
    request["execution_id"] = Uuid::now_v7().to_string().into();
    let url = Url::parse(&service.url()).map_err(Failure::of)?;
    let client = Client::new(url, None)?;
    let answer = client.send(&Call::post(&["demands"], Some(&request))).await?;
    let demand: Document<Demand> = answer.document()?;
    let id = &demand.read.execution_id;
    terminal.note(&format!("submitted the demand {id} to {}", service.url()));
    to_the_end(&client, &Goal { execution_id: id, attempt: 1, timeout: None }, terminal).await
}

fn put(path: &Path, text: &str) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    std::fs::write(path, text)
}

fn show_outputs(directory: &Path, terminal: &Terminal) -> Result<(), Failure> {
    terminal.note(&format!("\noutputs, s3://demo/counts/, are in {}:", directory.display()));
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(Failure::of)?;
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(Failure::of)?;
        let name = file.file_name().unwrap_or_default().display().to_string();
        terminal.note(&format!("{name}\n{}", text.trim_end()));
    }
    Ok(())
}
