//! The log, as collectors of JSON lines get it.

use serde_json::Value;

use crate::service::{Service, demand};
use crate::tokens::token;

fn lines(service: &Service) -> Vec<Value> {
    let log = std::fs::read_to_string(service.site.directory().join("service.log")).unwrap();
    log.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect()
}

fn saying<'a>(lines: &'a [Value], message: &str, execution_id: &str) -> &'a Value {
    let found = lines
        .iter()
        .find(|line| line["message"] == message && line["execution.id"] == execution_id);
    found.unwrap_or_else(|| panic!("nothing says `{message}` of {execution_id}: {lines:#?}"))
}

#[tokio::test]
async fn the_log_tells_of_a_demand_by_the_ids_of_request_demand_step_and_job() {
    let directory = tempfile::TempDir::new().unwrap();
    let tokens = directory.path().join("tokens.json");
    let new = token(&tokens, &["new", "lab", "--scope", "demands:admin"]).await;
    let secret = new["token"].as_str().unwrap();
    let service = Service::start_with(&[
        ("DEMAND_LOG__FORMAT", "json"),
        ("DEMAND_AUTH__TOKENS_FILE", tokens.to_str().unwrap()),
    ])
    .await;
    let sent = service
        .post("/demands")
        .bearer_auth(secret)
        .header("X-Request-Id", "request-7")
        .json(&demand("told", "exit 3"))
        .send();
    assert_eq!(sent.await.unwrap().status(), 201);
    let ended = service.get("/demands/told?wait=50").bearer_auth(secret).send().await.unwrap();
    let ended: Value = ended.json().await.unwrap();
    service.get("/health/live").send().await.unwrap();
    service.get("/health/ready").send().await.unwrap();

    let lines = lines(&service);
    let accepted = saying(&lines, "accepted", "told");
    assert_eq!(accepted["spans"][0]["request.id"], "request-7", "{accepted:#}");
    let submitted = saying(&lines, "submitted", "told");
    assert_eq!(submitted["step"], "execute");
    assert_eq!(submitted["job.id"], ended["steps"][0]["job_id"]);
    let end = saying(&lines, "ended", "told");
    assert_eq!((&end["status"], &end["reason"]), (&"FAILED".into(), &"COMMAND_FAILED".into()));
    let all = format!("{lines:?}");
    assert!(!all.contains("/health/"), "{all}");
    assert!(!all.contains(secret), "{all}");
}
