//! The bytes of large objects and of strange names, up and down.

use std::fs;

use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use serde_json::json;

use super::{Moto, files};
use crate::lab::{BUCKET, bytes};

const LARGE: usize = 40 << 20;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/run aws"]
async fn a_large_file_goes_up_in_parts_and_down_in_ranges() {
    let moto = Moto::start().await;
    let content = bytes(LARGE);
    moto.write("large", &content);
    let up = moto.sync(&moto.text("large"), "s3://data/large", json!({})).await.ok();
    assert_eq!(up["bytes_transferred"], LARGE);
    let head = moto.client.head_object().bucket(BUCKET).key("large").send().await.unwrap();
    assert!(head.e_tag().unwrap().trim_matches('"').ends_with("-5"), "{:?}", head.e_tag());
    let uploads = moto.client.list_multipart_uploads().bucket(BUCKET).send().await.unwrap();
    assert!(uploads.uploads().is_empty());

    moto.sync("s3://data/large", &moto.text("back"), json!({})).await.ok();
    assert!(fs::read(moto.path("back")).unwrap() == content);
    let again = moto.sync("s3://data/large", &moto.text("back"), json!({})).await.ok();
    assert_eq!(again["files_skipped"], 1);
    let again = moto.sync(&moto.text("large"), "s3://data/large", json!({})).await.ok();
    assert_eq!(again["files_skipped"], 1);

    moto.sync("s3://data/large", "s3://other/copy", json!({})).await.ok();
    assert!(moto.objects("other", "").await["copy"] == content);
}

/// Uploads as boto3 before 1.36 did: in parts of 5 MiB, without a checksum.
async fn put_in_parts(moto: &Moto, key: &str, content: &[u8]) {
    let config = moto.client.config().to_builder();
    let config = config.request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
    let client = aws_sdk_s3::Client::from_conf(config.build());
    let upload = client.create_multipart_upload().bucket(BUCKET).key(key).send().await.unwrap();
    let id = upload.upload_id().unwrap();
    let mut parts = Vec::new();
    for (number, chunk) in (1..).zip(content.chunks(5 << 20)) {
        let part = client
            .upload_part()
            .bucket(BUCKET)
            .key(key)
            .upload_id(id)
            .part_number(number)
            .body(ByteStream::from(chunk.to_vec()))
            .send()
            .await
            .unwrap();
        parts.push(CompletedPart::builder().part_number(number).set_e_tag(part.e_tag).build());
    }
    client
        .complete_multipart_upload()
        .bucket(BUCKET)
        .key(key)
        .upload_id(id)
        .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
        .send()
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/run aws"]
async fn an_object_that_another_client_uploaded_in_parts_arrives_and_is_copied() {
    let moto = Moto::start().await;
    let content = bytes((11 << 20) + 3);
    put_in_parts(&moto, "f/object", &content).await;
    let head = moto.client.head_object().bucket(BUCKET).key("f/object").send().await.unwrap();
    assert!(head.e_tag().unwrap().contains("-3"), "{:?}", head.e_tag());
    // A larger one is asked for the size of its parts, on condition of its tag, which moto holds
    // against the part's. The S3 in memory, which does not, is asked in `faults`.
    moto.sync("s3://data/f", &moto.text("f"), json!({})).await.ok();
    assert!(fs::read(moto.path("f/object")).unwrap() == content);
    moto.sync("s3://data/f", "s3://other/f", json!({})).await.ok();
    assert!(moto.objects("other", "f/").await["object"] == content);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs moto: tests/run aws"]
async fn strange_names_go_up_across_and_down_unchanged() {
    // No line break: moto's routes have none.
    let moto = Moto::start().await;
    let strange = [
        "a b",
        "a+b",
        "a%41b",
        "a&b=c",
        "a?b#c",
        "ü 漢 🧪",
        "it's \"quoted\"",
        "back\\slash",
        "~*()!",
        "tab\tbed",
        "..dots",
        "A/case",
        "a/case",
    ];
    for name in strange {
        moto.write(&format!("s/{name}"), name);
    }
    moto.sync(&moto.text("s"), "s3://data/s", json!({})).await.ok();
    moto.sync("s3://data/s", "s3://other/s", json!({})).await.ok();
    moto.sync("s3://other/s", &moto.text("back"), json!({})).await.ok();
    let mut wanted = strange.to_vec();
    wanted.sort_unstable();
    assert_eq!(files(&moto, "back").into_keys().collect::<Vec<_>>(), wanted);
    assert_eq!(files(&moto, "back"), files(&moto, "s"));
    let moved = json!({"retain_source_data": false});
    moto.sync("s3://other/s", &moto.text("back"), moved).await.ok();
    assert!(moto.keys("other", "").await.is_empty());
}
