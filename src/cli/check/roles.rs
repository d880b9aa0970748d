//! Whether the roles that jobs run as are there, and the service may hand them over.

use aws_config::SdkConfig;
use aws_sdk_iam::Client;
use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, PolicyEvaluationDecisionType};

use super::finding::Finding;
use crate::aws::{CallError, call};
use crate::config::Config;

/// Whom Batch hands job roles to
/// (<https://docs.aws.amazon.com/batch/latest/userguide/job_definition_parameters.html>, `jobRoleArn`).
const PASSED_TO: &str = "ecs-tasks.amazonaws.com";

pub(super) async fn check(config: &Config, sdk: &SdkConfig, caller: Option<&str>) -> Vec<Finding> {
    let workers = config.data_sync.job_role.as_deref();
    let allowed = config.policy.job_roles.plain().filter(|role| Some(*role) != workers);
    let roles: Vec<&str> = workers.into_iter().chain(allowed).collect();
    let iam = Client::new(sdk);
    let mut findings = Vec::new();
    for role in roles {
        findings.push(check_one(&iam, role, caller).await);
    }
    findings
}

async fn check_one(iam: &Client, role: &str, caller: Option<&str>) -> Finding {
    let what = format!("role {role}");
    let name = role.rsplit('/').next().filter(|_| role.contains(":role/"));
    let Some(name) = name else {
        let what = format!("{what} is no role's ARN");
        return Finding::missing(what, "write it as arn:aws:iam::ACCOUNT:role/NAME");
    };
    let found = iam.get_role().role_name(name).send().await.map_err(call("GetRole"));
    if let Err(error) = found
        && error.code.as_deref() == Some("NoSuchEntity")
    {
        return Finding::missing(
            format!("{what} does not exist"),
            "create it, or correct its name",
        );
    }
    let Some(caller) = caller else {
        let what = format!("{what}: whether it may be passed is not known without an identity");
        return Finding::warning(what, "see that STS can be reached");
    };
    let passing = format!("allow the service's identity iam:PassRole on it, for {PASSED_TO}");
    match may_pass(iam, caller, role).await {
        Ok(true) => Finding::ok(format!("{what} may be passed to jobs")),
        Ok(false) => Finding::missing(format!("{what} may not be passed to jobs"), passing),
        Err(error) => {
            let what = format!("{what}: cannot tell whether it may be passed to jobs");
            let known = format!("{passing}; to have it checked, iam:SimulatePrincipalPolicy too");
            Finding::failed(&what, &error, known).uncertain()
        }
    }
}

async fn may_pass(iam: &Client, caller: &str, role: &str) -> Result<bool, CallError> {
    // Nothing is denied to an account's root, nor can it be simulated.
    if caller.ends_with(":root") {
        return Ok(true);
    }
    let passed_to = ContextEntry::builder()
        .context_key_name("iam:PassedToService")
        .context_key_type(ContextKeyTypeEnum::String)
        .context_key_values(PASSED_TO)
        .build();
    let simulated = iam
        .simulate_principal_policy()
        .policy_source_arn(principal(iam, caller).await)
        .action_names("iam:PassRole")
        .resource_arns(role)
        .context_entries(passed_to)
        .send()
        .await
        .map_err(call("SimulatePrincipalPolicy"))?;
    let results = simulated.evaluation_results();
    let allowed = PolicyEvaluationDecisionType::Allowed;
    Ok(!results.is_empty() && results.iter().all(|result| *result.eval_decision() == allowed))
}

/// The user or role behind an identity: simulations know no sessions. A session's ARN leaves out
/// the path of its role, which only the role itself can tell.
async fn principal(iam: &Client, caller: &str) -> String {
    let Some((account, session)) = caller.split_once(":assumed-role/") else {
        return caller.to_owned();
    };
    let name = session.split('/').next().unwrap_or(session);
    let found = iam.get_role().role_name(name).send().await;
    match found.ok().and_then(|found| found.role) {
        Some(role) => role.arn,
        None => format!("{}:role/{name}", account.replacen(":sts:", ":iam:", 1)),
    }
}
