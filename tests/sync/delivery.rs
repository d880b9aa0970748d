//! What a `wrap_up` takes away, and when it may say that all is delivered.

use serde_json::{Value, json};

use crate::lab::{Lab, names};
use crate::task::task;

/// Delivers the whole working directory, then removes it.
fn wrap_up(lab: &Lab) -> Value {
    task(
        lab,
        "wrap_up",
        &json!({
            "data_sync_requests": [{
                "source_path": "fs-1:/scratch/one",
                "destination_path": "s3://data/results",
                "retain_source_data": false,
            }],
            "remove_data_paths_requests": [{"paths": ["fs-1:/scratch/one"]}],
        }),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_env_file_is_not_delivered_with_the_working_directory() {
    let lab = Lab::open().await;
    lab.write("mnt/scratch/one/.demand.env", "export TOKEN='secret'");
    lab.write("mnt/scratch/one/result", "result");
    lab.run_task(&wrap_up(&lab)).await.ok();
    assert_eq!(names(&lab.object("results")), ["result"]);
    assert!(!lab.path("mnt/scratch/one").exists());
}
