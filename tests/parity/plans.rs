//! Whole plans: requests with what `PrepareDemandScaffoldingHandler` returned.

use std::path::Path;

use demand_context_manager::{
    demand::Demand,
    plan::{self, Site},
};
use serde_json::{Value, json};

use super::{Tally, compare::differences, lines};

/// Compares every case of one site.
pub fn compare(path: &Path, tally: &mut Tally) {
    let lines = lines(path);
    let Some((first, cases)) = lines.split_first() else { return };
    let site = site(&first["site"]);
    let file = path.file_name().unwrap().to_string_lossy();
    for case in cases {
        let name = format!("{file} {}", case["name"]);
        tally.record(&name, outcome(case, &site));
    }
}

/// The site with what it takes to do as the reference does.
fn site(described: &Value) -> Site {
    let mut described = described.clone();
    let mounted = described["mounted"] == json!(true);
    described["plan"] = json!({
        "privileged": true,
        "mirror_outputs": true,
        "env_file_writer": if mounted { "stage_in" } else { "none" },
    });
    serde_json::from_value(described).unwrap()
}

fn outcome(case: &Value, site: &Site) -> Result<(), String> {
    let planned = Demand::parse(&case["request"]).and_then(|demand| plan::plan(&demand, site));
    let plan = match (planned, case.get("error")) {
        (Ok(plan), None) => plan,
        (Err(_), Some(_)) => return Ok(()),
        (Ok(_), Some(error)) => return Err(format!("the reference raised {error}")),
        (Err(faults), None) => return Err(format!("the reference answered, we: {faults}")),
    };
    let plan = serde_json::to_value(plan).unwrap();
    let env_file = plan["submission"].get("env_file").unwrap_or(&Value::Null);
    let ours = json!({
        "demand_execution": plan["demand_execution"],
        "setup_configs": plan["setup_configs"],
        "cleanup_configs": plan["cleanup_configs"],
        "context": plan["submission"]["context"],
        "env_file": env_file,
    });
    let response = &case["response"];
    let theirs = json!({
        "demand_execution": response["demand_execution"],
        "setup_configs": response["setup_configs"],
        "cleanup_configs": response["cleanup_configs"],
        "context": case["context"],
        "env_file": case.get("env_file").unwrap_or(&Value::Null),
    });
    differences(&theirs, &ours)
}
