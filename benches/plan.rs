//! How long planning takes: `Demand` to `Plan`, without JSON, for 3 inputs and 2 outputs.
//! The median is to stay under 100 µs.

#![allow(clippy::expect_used, reason = "a benchmark has nobody to report to")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use demand_context_manager::{
    demand::Demand,
    plan::{Site, plan},
};
use serde_json::{Value, json};

fn site() -> Site {
    let file_systems: Vec<Value> = (0..4)
        .map(|n| {
            json!({
                "FileSystemId": format!("fs-0000000{n}"),
                "Name": format!("dev-efs{n}"),
                "Tags": [{"Key": "env_base", "Value": "dev"}],
            })
        })
        .collect();
    let mut access_points = Vec::new();
    for n in 0..4 {
        for (role, name) in ["scratch", "shared", "tmp"].into_iter().enumerate() {
            access_points.push(json!({
                "AccessPointId": format!("fsap-000000{n}{role}"),
                "FileSystemId": format!("fs-0000000{n}"),
                "Name": if n == 0 { name.to_owned() } else { format!("{name}{n}") },
                "RootDirectory": {"Path": format!("/{name}")},
                "Tags": [{"Key": "env_base", "Value": "dev"}],
            }));
        }
    }
    let catalog = json!({"file_systems": file_systems, "access_points": access_points});
    serde_json::from_value(json!({
        "env_base": "dev", "region": "us-west-2", "catalog": catalog,
        "context_manager_configuration": {"env_file_write_mode": "IF_REQUIRED"},
    }))
    .expect("the site is valid")
}

fn demand() -> Demand {
    Demand::parse(&json!({
        "execution_id": "0198f6a2-7c1e-7cc0-9b6f-3f1f5f3f8a11",
        "execution_type": "align",
        "execution_image": "ghcr.io/acme/align:1.2",
        "execution_parameters": {
            "command": ["align", "--reads", "${READS}", "--out", "${OUT}", "--log", "${LOG}"],
            "params": {
                "reads": "s3://data-bucket/run-1/reads @ reads",
                "genome": {"local": "genome", "remote": "s3://data-bucket/hg38/", "exclude": [".*\\.tmp"]},
                "index": "s3://data-bucket/hg38-index/",
                "out": "out",
                "log": "logs/${SAMPLE} @ s3://log-bucket/${SAMPLE}/",
                "sample": "s-17",
                "threads": 8,
                "options": {"seed": 1, "modes": ["fast", 0.5]},
            },
            "inputs": ["reads", "genome", "index"],
            "outputs": ["out", "log"],
            "output_s3_prefix": "s3://out-bucket/runs/17",
        },
        "execution_platform": {"aws_batch": {"job_queue_name": "q1"}},
        "resource_requirements": {"memory": 16384, "vcpus": 8},
        "execution_metadata": {"user": "ana", "tags": {"project": "p1"}},
    }))
    .expect("the demand is valid")
}

fn planning(criterion: &mut Criterion) {
    let (site, demand) = (site(), demand());
    criterion.bench_function("plan 3 inputs and 2 outputs", |bencher| {
        bencher.iter_with_large_drop(|| plan(black_box(&demand), black_box(&site)));
    });
}

criterion_group!(benches, planning);
criterion_main!(benches);
