//! The embedded S3 endpoint, as any S3 client sees it.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumMode, CompletedMultipartUpload, CompletedPart, Delete, EncodingType, ObjectIdentifier,
};

use demand_context_manager::local::s3::{Credentials, Running, serve};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::lab::{BUCKET, Lab, bytes, client, names};

const SECRET: &str = "a-secret-key";

#[tokio::test(flavor = "multi_thread")]
async fn listings_are_in_order_paged_and_rolled_up() {
    let lab = Lab::open().await;
    // `a-` and `a.` sort before `a/`, `a0` after it.
    for key in ["a-/x", "a.txt", "a/1", "a/2/3", "a0", "b"] {
        lab.put(key, "x");
    }
    for index in 0..2500 {
        lab.put(&format!("many/{index:04}"), "");
    }
    let client = lab.client(SECRET);
    let mut keys = Vec::new();
    let mut pages = client.list_objects_v2().bucket(BUCKET).into_paginator().send();
    let mut sizes = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        sizes.push(page.contents().len());
        keys.extend(page.contents().iter().map(|object| object.key().unwrap().to_owned()));
    }
    assert_eq!(sizes, [1000, 1000, 506]);
    assert!(keys.is_sorted() && keys[..6] == ["a-/x", "a.txt", "a/1", "a/2/3", "a0", "b"]);

    let mut rolled = Vec::new();
    let mut pages =
        client.list_objects_v2().bucket(BUCKET).delimiter("/").max_keys(2).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        rolled.extend(page.common_prefixes().iter().map(|p| p.prefix().unwrap().to_owned()));
        rolled.extend(page.contents().iter().map(|o| o.key().unwrap().to_owned()));
    }
    rolled.sort();
    assert_eq!(rolled, ["a-/", "a.txt", "a/", "a0", "b", "many/"]);

    let below = client.list_objects_v2().bucket(BUCKET).prefix("a/").delimiter("/");
    let below = below.send().await.unwrap();
    assert_eq!(below.contents()[0].key(), Some("a/1"));
    assert_eq!(below.common_prefixes()[0].prefix(), Some("a/2/"));
    let after = client.list_objects_v2().bucket(BUCKET).start_after("a/1").max_keys(2);
    let after = after.send().await.unwrap();
    assert_eq!(after.contents()[0].key(), Some("a/2/3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_put_there_by_hand_are_objects_and_replacing_them_changes_their_tag() {
    let lab = Lab::open().await;
    let client = lab.client(SECRET);
    client
        .put_object()
        .bucket(BUCKET)
        .key("k")
        .body(ByteStream::from_static(b"one"))
        .send()
        .await
        .unwrap();
    let first = client.head_object().bucket(BUCKET).key("k").send().await.unwrap();
    assert_eq!(fs::read(lab.object("k")).unwrap(), b"one");
    fs::remove_file(lab.object("k")).unwrap();
    lab.put("k", "two!");

    let answer = client
        .get_object()
        .bucket(BUCKET)
        .key("k")
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await
        .unwrap();
    assert_ne!(answer.e_tag(), first.e_tag());
    assert!(answer.checksum_crc64_nvme().is_some());
    assert_eq!(answer.body.collect().await.unwrap().to_vec(), b"two!");
    let stale =
        client.get_object().bucket(BUCKET).key("k").if_match(first.e_tag().unwrap()).send().await;
    assert_eq!(stale.unwrap_err().code(), Some("PreconditionFailed"));
    assert_eq!(fs::read_dir(lab.object("")).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_and_multipart_uploads_hold_the_right_bytes() {
    let lab = Lab::open().await;
    let client = lab.client(SECRET);
    let content = bytes((11 << 20) + 5);
    let upload =
        client.create_multipart_upload().bucket(BUCKET).key("deep/large").send().await.unwrap();
    let id = upload.upload_id().unwrap();
    let mut parts = Vec::new();
    for (number, chunk) in (1..).zip(content.chunks(5 << 20)) {
        let part = client
            .upload_part()
            .bucket(BUCKET)
            .key("deep/large")
            .upload_id(id)
            .part_number(number)
            .body(ByteStream::from(chunk.to_vec()))
            .send()
            .await
            .unwrap();
        parts.push(
            CompletedPart::builder().part_number(number).e_tag(part.e_tag().unwrap()).build(),
        );
    }
    assert!(!lab.object("deep").exists());
    client
        .complete_multipart_upload()
        .bucket(BUCKET)
        .key("deep/large")
        .upload_id(id)
        .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
        .send()
        .await
        .unwrap();
    assert!(fs::read(lab.object("deep/large")).unwrap() == content);

    for (range, expected) in [
        ("bytes=0-9", &content[..10]),
        ("bytes=6000000-6000099", &content[6_000_000..6_000_100]),
        ("bytes=-7", &content[content.len() - 7..]),
    ] {
        let answer =
            client.get_object().bucket(BUCKET).key("deep/large").range(range).send().await.unwrap();
        assert_eq!(answer.body.collect().await.unwrap().to_vec(), expected);
    }
    let beyond = client.get_object().bucket(BUCKET).key("deep/large").range("bytes=99999999-");
    assert_eq!(beyond.send().await.unwrap_err().code(), Some("InvalidRange"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_no_object_and_deleting_leaves_no_empty_ones() {
    let lab = Lab::open().await;
    let client = lab.client(SECRET);
    lab.put("x/y/z", "z");
    for key in ["x", "x/", "x/y"] {
        let head = client.head_object().bucket(BUCKET).key(key).send().await;
        assert!(head.unwrap_err().into_service_error().is_not_found(), "{key}");
        client.delete_object().bucket(BUCKET).key(key).send().await.unwrap();
    }
    assert!(lab.object("x/y/z").exists());
    let clash = client.put_object().bucket(BUCKET).key("x").body(ByteStream::from_static(b"x"));
    assert_eq!(clash.send().await.unwrap_err().code(), Some("InvalidRequest"));
    let gone = |key: &str| ObjectIdentifier::builder().key(key).build().unwrap();
    let delete = Delete::builder().objects(gone("x/y/z")).objects(gone("never")).build().unwrap();
    let deleted = client.delete_objects().bucket(BUCKET).delete(delete).send().await.unwrap();
    assert!(deleted.errors().is_empty());
    assert!(!lab.object("x").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn strange_keys_survive_and_impossible_ones_are_refused() {
    let lab = Lab::open().await;
    let client = lab.client(SECRET);
    let strange = "a b+c%41&d=?#/ü漢🧪\n'\"\\*~";
    client
        .put_object()
        .bucket(BUCKET)
        .key(strange)
        .body(ByteStream::from_static(b"x"))
        .send()
        .await
        .unwrap();
    assert!(lab.object(strange).exists());
    let plain = client.list_objects_v2().bucket(BUCKET).send().await.unwrap();
    assert_eq!(plain.contents()[0].key(), Some(strange));
    let encoded = client.list_objects_v2().bucket(BUCKET).encoding_type(EncodingType::Url);
    let encoded = encoded.send().await.unwrap();
    assert!(encoded.contents()[0].key().unwrap().starts_with("a%20b%2Bc%2541%26d%3D%3F%23/"));
    for key in ["../x", "a//b", "a/../../x", "./x"] {
        let put = client.put_object().bucket(BUCKET).key(key);
        let refused = put.body(ByteStream::from_static(b"x")).send().await;
        assert!(refused.is_err(), "{key}");
    }
    assert!(!lab.path("s3/x").exists() && !lab.path("x").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_own_credentials_open_it() {
    let lab = Lab::open().await;
    lab.put("k", "secret");
    let refused = lab.client("another-secret").get_object().bucket(BUCKET).key("k").send().await;
    assert_eq!(refused.unwrap_err().code(), Some("SignatureDoesNotMatch"));
}

/// An endpoint over `root`, and what stops it.
async fn endpoint(root: &std::path::Path) -> (Running, CancellationToken) {
    let stop = CancellationToken::new();
    let credentials = Credentials {
        access_key_id: "an-access-key".to_owned(),
        secret_access_key: SECRET.to_owned(),
    };
    (serve(root, credentials, 0, stop.clone()).await.unwrap(), stop)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_parts_goes_on_after_a_restart() {
    let directory = tempfile::TempDir::new().unwrap();
    let under_way = directory.path().join(".uploads");
    fs::create_dir(directory.path().join(BUCKET)).unwrap();
    let content = bytes((5 << 20) + 1);
    let (mut parts, mut upload_id) = (Vec::new(), None);
    for (number, chunk) in (1..).zip(content.chunks(5 << 20)) {
        let (running, stop) = endpoint(directory.path()).await;
        let client = client(&running.endpoint_url(), SECRET);
        if upload_id.is_none() {
            let created = client.create_multipart_upload().bucket(BUCKET).key("k").send().await;
            upload_id = created.unwrap().upload_id;
        }
        let part = client
            .upload_part()
            .bucket(BUCKET)
            .key("k")
            .set_upload_id(upload_id.clone())
            .part_number(number)
            .body(ByteStream::from(chunk.to_vec()))
            .send()
            .await
            .unwrap();
        let part = CompletedPart::builder().part_number(number).set_e_tag(part.e_tag);
        parts.push(part.build());
        drop(client);
        stop.cancel();
        running.finished().await.unwrap();
    }
    fs::write(under_way.join("stray"), "of a request that ended with its process").unwrap();
    let abandoned = under_way.join("00000000-0000-0000-0000-000000000000");
    fs::create_dir(&abandoned).unwrap();
    let long_ago = SystemTime::now() - Duration::from_hours(8 * 24);
    File::open(&abandoned).unwrap().set_modified(long_ago).unwrap();

    let (running, _stop) = endpoint(directory.path()).await;
    assert_eq!(fs::read_dir(&under_way).unwrap().count(), 1);
    client(&running.endpoint_url(), SECRET)
        .complete_multipart_upload()
        .bucket(BUCKET)
        .key("k")
        .set_upload_id(upload_id)
        .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
        .send()
        .await
        .unwrap();
    assert!(fs::read(directory.path().join(BUCKET).join("k")).unwrap() == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_goes_on_after_any_key() {
    let lab = Lab::open().await;
    let client = lab.client("a-secret-key");
    for key in ["k/a\u{1}b", "k/b\u{1b}", "k/c"] {
        client.put_object().bucket(BUCKET).key(key).send().await.unwrap();
    }
    lab.sync("s3://data/k", &lab.text("d"), json!({})).await.ok();
    assert_eq!(names(&lab.path("d")), ["a\u{1}b", "b\u{1b}", "c"]);
}
