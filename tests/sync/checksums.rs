//! Whatever S3 tells of an object's bytes, what arrives is held against it; and what is there and
//! right is not fetched again.

use std::collections::BTreeMap;
use std::fs;

use aws_smithy_checksums::ChecksumAlgorithm;
use serde_json::{Value, json};

use crate::held::{Fault, Held};
use crate::lab::{Lab, bytes, names};

const ALGORITHMS: [ChecksumAlgorithm; 5] = [
    ChecksumAlgorithm::Crc64Nvme,
    ChecksumAlgorithm::Crc32c,
    ChecksumAlgorithm::Crc32,
    ChecksumAlgorithm::Sha256,
    ChecksumAlgorithm::Sha1,
];

const MIB: usize = 1 << 20;

/// Of an answer that is held in memory, of one that is not, and of ranges.
const SIZES: [(&str, usize); 3] = [("small", 5000), ("middle", 2 * MIB + 1), ("large", 16 * MIB)];

/// Puts an object below `f/` as if it had been uploaded in parts of so many mebibytes.
fn put_in_parts(held: &Held, name: &str, parts: &[usize]) -> String {
    let (key, sizes) = (format!("f/{name}"), parts.iter().map(|part| part * MIB));
    held.put_in_parts_of(&key, bytes(parts.iter().sum::<usize>() * MIB), sizes.collect());
    key
}

fn name(parts: &[usize]) -> String {
    parts.iter().map(usize::to_string).collect::<Vec<_>>().join("-")
}

async fn bring(lab: &Lab, to: &str) -> crate::lab::Ran {
    lab.sync("s3://data/f", &lab.text(to), json!({})).await
}

/// Every object below `f/` arrives; a second run finds all of them there and fetches none.
async fn arrives_once(held: &Held, lab: &Lab, keys: &[String]) {
    let result = bring(lab, "f").await.ok();
    assert_eq!(result["files_transferred"], keys.len());
    for key in keys {
        assert!(fs::read(lab.path(key)).unwrap() == held.get(key).unwrap(), "{key}");
    }
    let fetched = held.called("GetObject").len();
    let again = bring(lab, "f").await.ok();
    let fetched = held.called("GetObject").split_off(fetched);
    assert!(fetched.is_empty(), "fetched again: {fetched:?}");
    assert_eq!(again["files_skipped"], keys.len());
}

/// A byte that is another once on its way is mended or the object fails; one that stays so is no
/// file.
async fn is_verified(held: &Held, lab: &Lab, keys: &[String]) {
    for key in keys {
        held.fail(key, Fault::Corrupt(1));
    }
    let failed = failed(&bring(lab, "once").await.result);
    for key in keys {
        let arrived = fs::read(lab.path(&key.replacen('f', "once", 1)));
        assert_eq!(arrived.is_err(), failed.contains_key(key), "{key}: {failed:?}");
        let wrong = arrived.is_ok_and(|arrived| arrived != held.get(key).unwrap());
        assert!(!wrong, "{key} is wrong");
    }
    for key in keys {
        held.fail(key, Fault::Corrupt(u32::MAX));
    }
    let ran = bring(lab, "never").await;
    assert_eq!(names(&lab.path("never")), [""; 0], "these are wrong");
    assert_eq!(ran.code, Some(1));
    let failed = self::failed(&ran.result);
    assert!(failed.keys().eq(keys), "{failed:?}");
}

/// The keys of the objects that failed, with the reasons.
fn failed(result: &Value) -> BTreeMap<String, String> {
    let text = |failure: &Value, field: &str| failure[field].as_str().unwrap().to_owned();
    let failures = result["failures"].as_array().unwrap().iter();
    failures
        .map(|failure| {
            let path = text(failure, "path");
            (path.strip_prefix("s3://data/").unwrap().to_owned(), text(failure, "reason"))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_checksum_of_a_whole_object_is_held_against_what_arrives() {
    let held = Held::default();
    let lab = held.open().await;
    let mut keys = Vec::new();
    for algorithm in ALGORITHMS {
        for (size, length) in SIZES {
            let key = format!("f/{}-{size}", algorithm.as_str());
            held.put(&key, bytes(length));
            // So that there is nothing else to go by.
            held.encrypt(&key);
            held.tell(&key, algorithm);
            keys.push(key);
        }
    }
    keys.sort();
    arrives_once(&held, &lab, &keys).await;
    is_verified(&held, &lab, &keys).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_is_the_md5_of_the_object_is_held_against_what_arrives() {
    let held = Held::default();
    let lab = held.open().await;
    let mut keys = SIZES.map(|(size, length)| {
        let key = format!("f/{size}");
        held.put(&key, bytes(length));
        key
    });
    keys.sort();
    arrives_once(&held, &lab, &keys).await;
    is_verified(&held, &lab, &keys).await;
}

/// In even parts, the last of which may be shorter: below 16 MiB, and above.
const EVEN: [&[usize]; 6] = [&[2], &[5, 5], &[5, 5, 3], &[8, 8], &[5, 5, 5, 2], &[17]];
/// In parts of sizes that only S3 knows. A client that streams makes such.
const UNEVEN: [&[usize]; 5] = [&[4, 3, 4], &[5, 6], &[6, 5, 6], &[5, 8, 5], &[6, 6, 5]];

#[tokio::test(flavor = "multi_thread")]
async fn objects_uploaded_in_even_parts_arrive_and_are_not_fetched_again() {
    let held = Held::default();
    let lab = held.open().await;
    let keys = EVEN.map(|parts| put_in_parts(&held, &name(parts), parts));
    arrives_once(&held, &lab, &keys).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_uploaded_in_even_parts_are_held_against_the_tag_of_their_parts() {
    let held = Held::default();
    let lab = held.open().await;
    let mut keys = EVEN.map(|parts| put_in_parts(&held, &name(parts), parts));
    keys.sort();
    is_verified(&held, &lab, &keys).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_uploaded_in_uneven_parts_arrive_and_are_not_fetched_again() {
    let held = Held::default();
    let lab = held.open().await;
    let keys = UNEVEN.map(|parts| put_in_parts(&held, &name(parts), parts));
    arrives_once(&held, &lab, &keys).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_uploaded_in_uneven_parts_are_held_against_the_tag_of_their_parts() {
    let held = Held::default();
    let lab = held.open().await;
    let mut keys = UNEVEN.map(|parts| put_in_parts(&held, &name(parts), parts));
    keys.sort();
    is_verified(&held, &lab, &keys).await;
}

/// Objects below and above 16 MiB whose checksums are those of their parts' checksums.
fn put_composite(held: &Held) -> Vec<String> {
    let mut keys = Vec::new();
    // S3 has no CRC64NVME of this kind.
    for algorithm in &ALGORITHMS[1..] {
        for parts in [[5, 5, 1], [6, 5, 6]] {
            let key =
                put_in_parts(held, &format!("{}-{}", algorithm.as_str(), name(&parts)), &parts);
            held.tell_of_parts(&key, *algorithm);
            keys.push(key);
        }
    }
    keys.sort();
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checksum_of_checksums_is_not_taken_for_one_of_the_whole() {
    let held = Held::default();
    let lab = held.open().await;
    let keys = put_composite(&held);
    arrives_once(&held, &lab, &keys).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_with_checksums_of_checksums_are_held_against_the_tag_of_their_parts() {
    let held = Held::default();
    let lab = held.open().await;
    let keys = put_composite(&held);
    is_verified(&held, &lab, &keys).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checksum_of_checksums_of_an_object_that_kms_encrypts_is_held_against_what_arrives() {
    let held = Held::default();
    let lab = held.open().await;
    let keys = put_composite(&held);
    for key in &keys {
        held.encrypt(key);
    }
    arrives_once(&held, &lab, &keys).await;
    is_verified(&held, &lab, &keys).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_of_an_object_that_kms_encrypts_is_not_taken_for_an_md5() {
    let held = Held::default();
    let lab = held.open().await;
    let mut keys: Vec<_> = [EVEN[2], EVEN[4], UNEVEN[0], UNEVEN[2]]
        .map(|parts| put_in_parts(&held, &name(parts), parts))
        .into();
    for (size, length) in SIZES {
        held.put(&format!("f/{size}"), bytes(length));
        keys.push(format!("f/{size}"));
    }
    for key in &keys {
        held.encrypt(key);
    }
    arrives_once(&held, &lab, &keys).await;
}
