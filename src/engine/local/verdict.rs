//! What follows from a try's end: whether the job runs again, and how it stands if not. PURE.
//!
//! Batch's rules: <https://docs.aws.amazon.com/batch/latest/userguide/job_retries.html>,
//! <https://docs.aws.amazon.com/batch/latest/APIReference/API_EvaluateOnExit.html> and
//! <https://docs.aws.amazon.com/batch/latest/userguide/job_timeouts.html>.

use super::record::{Cause, TryEnd};
use crate::plan::submission::{EvaluateOnExit, RetryStrategy};

/// What becomes of a job whose try has ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It runs again.
    Again,
    /// It has succeeded.
    Succeeded,
    /// It has failed, for this reason (Batch's `statusReason`).
    Failed(String),
}

/// Judges `end`, the end of try number `tries`, of a job whose end may have been asked for.
pub(super) fn judge(
    strategy: &RetryStrategy,
    tries: usize,
    end: &TryEnd,
    terminate_reason: Option<&str>,
) -> Verdict {
    match (&end.cause, terminate_reason) {
        (Cause::Exited, _) if end.exit_code == Some(0) => Verdict::Succeeded,
        // The command's own failure is told even where somebody wanted its end a moment later.
        (Cause::Exited | Cause::Terminated { .. } | Cause::TimedOut, Some(_))
        | (Cause::Terminated { .. } | Cause::TimedOut, None) => failed(end),
        (Cause::Lost | Cause::NotStarted { .. }, Some(reason)) => {
            Verdict::Failed(reason.to_owned())
        }
        (_, None) if retries(strategy, tries, end) => Verdict::Again,
        (_, None) => failed(end),
    }
}

fn failed(end: &TryEnd) -> Verdict {
    Verdict::Failed(end.status_reason().to_owned())
}

fn retries(strategy: &RetryStrategy, tries: usize, end: &TryEnd) -> bool {
    let allowed = strategy.attempts.clamp(1, 10) as usize;
    let decisive = strategy.evaluate_on_exit.iter().find(|rule| applies(rule, end));
    tries < allowed && decisive.is_none_or(|rule| rule.action.eq_ignore_ascii_case("RETRY"))
}

/// Every pattern given must match; what is unknown of the end counts as empty, which `*` matches.
fn applies(rule: &EvaluateOnExit, end: &TryEnd) -> bool {
    let exit_code = end.exit_code.map(|code| code.to_string()).unwrap_or_default();
    let container_reason = end.container_reason().unwrap_or_default();
    [
        (&rule.on_status_reason, end.status_reason()),
        (&rule.on_reason, &container_reason),
        (&rule.on_exit_code, &exit_code),
    ]
    .into_iter()
    .all(|(pattern, value)| pattern.as_deref().is_none_or(|pattern| matches(pattern, value)))
}

/// An asterisk means something at the end only. AWS says of actions alone that case does not
/// matter, so in patterns it does.
fn matches(pattern: &str, value: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => value.starts_with(start),
        None => value == pattern,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn strategy(attempts: u32, rules: serde_json::Value) -> RetryStrategy {
        let evaluate_on_exit = serde_json::from_value(rules).unwrap();
        RetryStrategy { attempts, evaluate_on_exit }
    }

    fn exited(code: i32) -> TryEnd {
        TryEnd::now(Cause::Exited, Some(code))
    }

    #[test]
    fn without_rules_any_failure_is_retried_until_the_tries_are_used_up() {
        let strategy = strategy(3, json!([]));
        assert_eq!(judge(&strategy, 1, &exited(1), None), Verdict::Again);
        assert_eq!(judge(&strategy, 2, &exited(1), None), Verdict::Again);
        let reason = "Essential container in task exited".to_owned();
        assert_eq!(judge(&strategy, 3, &exited(1), None), Verdict::Failed(reason));
        assert_eq!(judge(&strategy, 1, &exited(0), None), Verdict::Succeeded);
    }

    #[test]
    fn the_first_rule_that_matches_decides_and_none_matching_means_a_retry() {
        let rules = json!([
            {"action": "retry", "onExitCode": "14*"},
            {"action": "EXIT", "onExitCode": "1*"},
            {"action": "EXIT", "onExitCode": "2"},
        ]);
        let strategy = strategy(9, rules);
        assert_eq!(judge(&strategy, 1, &exited(143), None), Verdict::Again);
        assert!(matches!(judge(&strategy, 1, &exited(1), None), Verdict::Failed(_)));
        assert!(matches!(judge(&strategy, 1, &exited(2), None), Verdict::Failed(_)));
        assert_eq!(judge(&strategy, 1, &exited(22), None), Verdict::Again);
    }

    #[test]
    fn every_pattern_of_a_rule_must_match() {
        let rules = json!([
            {
                "action": "RETRY",
                "onStatusReason": "Task failed to start",
                "onReason": "DockerTimeoutError*",
            },
            {"action": "RETRY", "onStatusReason": "Host EC2*"},
            {"action": "EXIT", "onStatusReason": "*"},
        ]);
        let strategy = strategy(5, rules);
        let not_started = TryEnd::now(Cause::NotStarted { error: "no such file".to_owned() }, None);
        assert!(matches!(judge(&strategy, 1, &not_started, None), Verdict::Failed(_)));
        assert_eq!(judge(&strategy, 1, &TryEnd::now(Cause::Lost, None), None), Verdict::Again);
        assert!(matches!(judge(&strategy, 1, &exited(1), None), Verdict::Failed(_)));
    }

    #[test]
    fn an_asterisk_alone_matches_a_reason_that_is_absent() {
        let strategy = strategy(5, json!([{"action": "EXIT", "onReason": "*"}]));
        assert!(matches!(judge(&strategy, 1, &exited(1), None), Verdict::Failed(_)));
    }

    #[test]
    fn what_was_terminated_or_timed_out_is_not_retried() {
        let strategy = strategy(5, json!([]));
        let terminated = TryEnd::now(Cause::Terminated { reason: "enough".to_owned() }, Some(143));
        let enough = || Verdict::Failed("enough".to_owned());
        assert_eq!(judge(&strategy, 1, &terminated, Some("enough")), enough());
        assert_eq!(judge(&strategy, 1, &TryEnd::now(Cause::Lost, None), Some("enough")), enough());
        let timed_out = TryEnd::now(Cause::TimedOut, Some(143));
        assert!(matches!(judge(&strategy, 1, &timed_out, None), Verdict::Failed(_)));
    }
}
