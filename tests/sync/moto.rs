//! `demand sync` against moto's S3 (<https://docs.getmoto.org>), which nobody here wrote. Ignored
//! without a Python that has what `tests/requirements.txt` lists, named by `TEST_PYTHON`.

mod bytes;
mod filters;
mod moving;
mod requests;
mod rules;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::ops::Deref;
use std::process::{Child, Command, Stdio};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};

use crate::lab::{BUCKET, Lab};

/// The server, until dropped, with two buckets; and a directory.
struct Moto {
    process: Child,
    lab: Lab,
    client: Client,
}

/// A second bucket.
const OTHER: &str = "other";

impl Moto {
    async fn start() -> Self {
        let python = std::env::var_os("TEST_PYTHON")
            .expect("TEST_PYTHON names a Python with what tests/requirements.txt lists");
        let mut process = Command::new(python)
            .args(["-m", "moto.server", "-p", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let url = lines
            .by_ref()
            .find_map(|line| line.unwrap().split_once("Running on ").map(|(_, at)| at.to_owned()))
            .expect("the server says where it answers");
        // It must not block on a pipe that nobody reads.
        std::thread::spawn(move || lines.for_each(drop));
        let lab = Lab::at(url.trim());
        let client = lab.client("a-secret-key");
        let moto = Self { process, lab, client };
        for bucket in [BUCKET, OTHER] {
            moto.make_bucket(bucket).await;
        }
        moto
    }

    async fn make_bucket(&self, bucket: &str) {
        let place = CreateBucketConfiguration::builder()
            .location_constraint(BucketLocationConstraint::UsWest2)
            .build();
        let made = self.client.create_bucket().bucket(bucket).create_bucket_configuration(place);
        made.send().await.unwrap();
    }

    async fn put(&self, key: &str, content: impl Into<Vec<u8>>) {
        let body = ByteStream::from(content.into());
        let put = self.client.put_object().bucket(BUCKET).key(key).body(body);
        put.send().await.unwrap();
    }

    /// The objects of `bucket` below `prefix`: what follows it, and their bytes.
    async fn objects(&self, bucket: &str, prefix: &str) -> BTreeMap<String, Vec<u8>> {
        let mut objects = BTreeMap::new();
        let mut pages =
            self.client.list_objects_v2().bucket(bucket).prefix(prefix).into_paginator().send();
        while let Some(page) = pages.next().await {
            for object in page.unwrap().contents() {
                let key = object.key().unwrap();
                let found = self.client.get_object().bucket(bucket).key(key).send().await.unwrap();
                let content = found.body.collect().await.unwrap().to_vec();
                objects.insert(key[prefix.len()..].to_owned(), content);
            }
        }
        objects
    }

    async fn keys(&self, bucket: &str, prefix: &str) -> Vec<String> {
        self.objects(bucket, prefix).await.into_keys().collect()
    }
}

impl Deref for Moto {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.lab
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Files or objects by their names, as [`Moto::objects`] gives them.
fn named<const N: usize>(files: [(&str, &str); N]) -> BTreeMap<String, Vec<u8>> {
    files.into_iter().map(|(name, content)| (name.to_owned(), content.into())).collect()
}

/// The files below a directory, likewise.
fn files(lab: &Lab, relative: &str) -> BTreeMap<String, Vec<u8>> {
    let tree = crate::lab::tree(&lab.path(relative));
    tree.into_iter().map(|(path, content)| (path.to_str().unwrap().to_owned(), content)).collect()
}
