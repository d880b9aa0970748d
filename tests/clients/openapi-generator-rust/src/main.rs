//! Submits demands, follows them to their end, and reads their plans, histories and logs, lists and
//! problems, through the crate that openapi-generator made of openapi/openapi.json.
//!
//! `DEMAND_URL` tells where the service is; `DEMAND_TOKEN` may read and write demands.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fmt::Debug;

use demand_client::apis;
use demand_client::apis::configuration::Configuration;
use demand_client::apis::demands_api::{
    CancelDemandParams, GetDemandLogsParams, GetDemandParams, GetDemandPlanParams,
    ListDemandEventsParams, ListDemandsParams, SubmitDemandParams, cancel_demand, get_demand,
    get_demand_logs, get_demand_plan, list_demand_events, list_demands, submit_demand,
};
use demand_client::models::{
    AwsBatchPlatform, DemandRequest, EventType, ExecutionParameters, ExecutionPlatform, FaultCode,
    Phase, Problem, ReasonCode, Status, StatusDocument, Step, StepStatus,
};

const EXECUTION_TYPE: &str = "openapi-generator-rust";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let base_path = env::var("DEMAND_URL")?;
    let stranger = Configuration { base_path, ..Configuration::default() };
    let client =
        Configuration { bearer_access_token: Some(env::var("DEMAND_TOKEN")?), ..stranger.clone() };

    a_caller_without_a_token_is_refused(&stranger).await?;
    a_bad_demand_is_told_all_its_faults(&client).await?;
    an_unknown_demand_is_not_found(&client).await?;
    a_demand_runs_to_its_end(&client).await?;
    a_running_demand_can_be_canceled(&client).await?;
    lists_have_every_demand_once(&client).await
}

fn demand(execution_id: &str, parameters: ExecutionParameters) -> DemandRequest {
    let platform = ExecutionPlatform::new(AwsBatchPlatform::new("local".to_owned()));
    DemandRequest {
        execution_id: Some(execution_id.to_owned()),
        execution_parameters: Some(parameters),
        ..DemandRequest::new(
            "public.ecr.aws/docker/library/bash:5".to_owned(),
            platform,
            EXECUTION_TYPE.to_owned(),
        )
    }
}

async fn submit(client: &Configuration, execution_id: &str, command: &str) -> Result<()> {
    let parameters = ExecutionParameters::new(vec![command.to_owned()]);
    let demand_request = demand(execution_id, parameters);
    submit_demand(client, SubmitDemandParams { demand_request, idempotency_key: None }).await?;
    Ok(())
}

/// Waits until the demand is as wanted. The service holds each answer until there is a change.
async fn until(
    client: &Configuration,
    execution_id: &str,
    wanted: impl Fn(&StatusDocument) -> bool,
) -> Result<StatusDocument> {
    let (mut if_none_match, mut wait) = (None, None);
    loop {
        let execution_id = execution_id.to_owned();
        let params = GetDemandParams { execution_id, if_none_match, wait };
        let document = get_demand(client, params).await?;
        if wanted(&document) {
            return Ok(document);
        }
        assert!(!has_ended(&document), "The demand ended otherwise: {document:?}");
        // The crate hides headers; the version is the number in the ETag.
        if_none_match = Some(format!("\"{}\"", document.version));
        wait = Some(50);
    }
}

fn has_ended(document: &StatusDocument) -> bool {
    document.phase == Phase::Done
}

fn is_running(document: &StatusDocument) -> bool {
    document.steps.iter().any(|step| step.status == StepStatus::Running)
}

/// The ids of this program's demands with any of these statuses, from all pages.
async fn listed(client: &Configuration, status: Option<Vec<Status>>) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    let mut cursor = None;
    loop {
        let params = ListDemandsParams {
            execution_type: Some(vec![EXECUTION_TYPE.to_owned()]),
            status: status.clone(),
            limit: Some(2),
            cursor,
            ..everything()
        };
        let page = list_demands(client, params).await?;
        assert!(page.demands.len() <= 2, "A page holds no more than its limit.");
        ids.extend(page.demands.into_iter().map(|document| document.execution_id));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(ids);
        }
    }
}

/// No filter: the crate gives the parameters no default.
fn everything() -> ListDemandsParams {
    ListDemandsParams {
        status: None,
        phase: None,
        execution_type: None,
        user: None,
        job_queue: None,
        tag: None,
        created_after: None,
        created_before: None,
        ids: None,
        limit: None,
        cursor: None,
    }
}

/// The problem that a call ends with. It is read from the body: all errors of the crate's enums
/// have one shape, so that it names the first of them, whatever the status.
fn problem<T: Debug, E: Debug>(answer: std::result::Result<T, apis::Error<E>>) -> Result<Problem> {
    match answer {
        Err(apis::Error::ResponseError(response)) => Ok(serde_json::from_str(&response.content)?),
        other => panic!("The answer is {other:?} instead of a problem."),
    }
}

async fn a_caller_without_a_token_is_refused(stranger: &Configuration) -> Result<()> {
    let problem = problem(list_demands(stranger, everything()).await)?;
    assert_eq!(problem.status, 401, "A caller without a token is refused.");
    assert_eq!(problem.r#type, "urn:demand:problem:unauthenticated", "The problem says why.");
    Ok(())
}

async fn a_bad_demand_is_told_all_its_faults(client: &Configuration) -> Result<()> {
    let parameters = ExecutionParameters {
        inputs: Some(vec!["reads".to_owned()]),
        ..ExecutionParameters::new(Vec::new())
    };
    let demand_request = demand("ogr-bad", parameters);
    let params = SubmitDemandParams { demand_request, idempotency_key: None };
    let problem = problem(submit_demand(client, params).await)?;
    assert_eq!(problem.status, 422, "A demand without a command is refused.");
    let faults = problem.errors.unwrap_or_default();
    let faults: BTreeMap<_, _> = faults.iter().map(|it| (it.pointer.as_str(), it.code)).collect();
    let expected = [
        ("/execution_parameters/command", FaultCode::NoCommand),
        ("/execution_parameters/inputs/0", FaultCode::UnknownParameter),
    ];
    assert_eq!(faults, expected.into(), "The problem names every fault and its place.");
    Ok(())
}

async fn an_unknown_demand_is_not_found(client: &Configuration) -> Result<()> {
    let execution_id = "ogr-unknown".to_owned();
    let params = GetDemandParams { execution_id, if_none_match: None, wait: None };
    let problem = problem(get_demand(client, params).await)?;
    assert_eq!(problem.status, 404, "A demand that nobody submitted is not found.");
    assert_eq!(
        problem.r#type, "urn:demand:problem:unknown-demand",
        "The problem says what is not."
    );
    Ok(())
}

async fn a_demand_runs_to_its_end(client: &Configuration) -> Result<()> {
    submit(client, "ogr-hello", "echo hello").await?;
    let ended = until(client, "ogr-hello", has_ended).await?;
    let reason = &ended.reason;
    assert_eq!(ended.status, Status::Completed, "It ends well, not because of {reason:?}.");

    let execution_id = ended.execution_id.clone();
    let plan = get_demand_plan(client, GetDemandPlanParams { execution_id }).await?;
    let planned = plan.submission.steps.iter().find(|planned| planned.step == Step::Execute);
    let planned = planned.ok_or("A plan has the step that executes the command.")?;
    let run = ended.steps.iter().find(|run| run.step == Step::Execute);
    let run = run.ok_or("A demand has run the step that executes its command.")?;
    assert_eq!(run.exit_code, Some(0), "Its command exits with 0.");
    assert_eq!(run.job_name, planned.submit_job.job_name, "Its job has the name of the plan.");

    let execution_id = ended.execution_id.clone();
    let params = ListDemandEventsParams { execution_id, after: None, last_event_id: None };
    let events = list_demand_events(client, params).await?.events;
    let [first, .., last] = events.as_slice() else { return Err("It has a history.".into()) };
    assert_eq!(first.r#type, EventType::Accepted, "Its history starts with its acceptance.");
    assert_eq!(last.to.as_deref(), Some("DONE"), "Its history ends with its end.");
    assert!(first.at < last.at, "Its history tells times, oldest first.");

    let execution_id = ended.execution_id;
    let params =
        GetDemandLogsParams { execution_id, step: None, attempt: None, cursor: None, limit: None };
    let log = get_demand_logs(client, params).await?;
    let printed = log.lines.last().map(|line| line.message.as_str());
    assert_eq!(printed, Some("hello"), "Its log has what the command printed.");
    Ok(())
}

async fn a_running_demand_can_be_canceled(client: &Configuration) -> Result<()> {
    submit(client, "ogr-sleep", "sleep 60").await?;
    until(client, "ogr-sleep", is_running).await?;
    cancel_demand(client, CancelDemandParams { execution_id: "ogr-sleep".to_owned() }).await?;
    let ended = until(client, "ogr-sleep", has_ended).await?;
    assert_eq!(ended.status, Status::Aborted, "A canceled demand is aborted.");
    let reason = ended.reason.map(|reason| reason.code);
    assert_eq!(reason, Some(ReasonCode::Canceled), "Its reason says that it was canceled.");
    Ok(())
}

async fn lists_have_every_demand_once(client: &Configuration) -> Result<()> {
    let more = ["ogr-1", "ogr-2", "ogr-3"];
    for execution_id in more {
        submit(client, execution_id, "true").await?;
    }
    for execution_id in more {
        until(client, execution_id, has_ended).await?;
    }
    let newest_first = ["ogr-3", "ogr-2", "ogr-1", "ogr-sleep", "ogr-hello"];

    let all = listed(client, None).await?;
    assert_eq!(all, newest_first, "Pages have every demand once, newest first.");
    let either = listed(client, Some(vec![Status::Completed, Status::Aborted])).await?;
    assert_eq!(
        either, newest_first,
        "A filter that is repeated lets through what any of its values does."
    );
    let aborted = listed(client, Some(vec![Status::Aborted])).await?;
    assert_eq!(aborted, ["ogr-sleep"], "A filter leaves out what it does not name.");

    let ids = Some(vec!["ogr-1".to_owned(), "ogr-hello".to_owned()]);
    let page = list_demands(client, ListDemandsParams { ids, ..everything() }).await?;
    let named: Vec<_> = page.demands.iter().map(|document| &document.execution_id).collect();
    assert_eq!(named, ["ogr-1", "ogr-hello"], "Demands can be asked for by their ids.");
    Ok(())
}
