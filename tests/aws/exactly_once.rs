//! What must hold however submissions went: every demand completed, every step has one job.

use std::collections::BTreeMap;

use aws_sdk_batch::types::JobSummary;

use crate::service::Service;

/// Waits for the end of these demands, and compares their steps with the jobs there are. A step
/// that has more or fewer than one is told with its jobs and its demand's history.
pub async fn all_completed_with_one_job_a_step(service: &Service, ids: &[String]) {
    let mut demands = BTreeMap::new();
    for id in ids {
        let document = service.ended(id).await;
        assert_eq!(document["status"], "COMPLETED", "{document:#}");
        for step in document["steps"].as_array().unwrap() {
            demands.insert(step["job_name"].as_str().unwrap().to_owned(), id);
        }
    }
    let mut jobs: BTreeMap<String, Vec<JobSummary>> = BTreeMap::new();
    for job in service.site.moto.jobs().await {
        jobs.entry(job.job_name().unwrap().to_owned()).or_default().push(job);
    }
    for (name, jobs) in &jobs {
        let id = demands.get(name).unwrap_or_else(|| panic!("nobody's: {jobs:#?}"));
        if jobs.len() != 1 {
            panic!("not one job: {jobs:#?}\n{:#?}", service.events(id).await);
        }
    }
    assert_eq!(jobs.len(), demands.len(), "every step has a job");
}
