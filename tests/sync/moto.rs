//! `demand sync` against moto's S3 (<https://docs.getmoto.org>), which nobody here wrote. Ignored
//! without a Python that has what `tests/requirements.txt` lists, named by `TEST_PYTHON`.

mod bytes;
mod filters;
mod moving;
mod requests;
mod rules;

use std::collections::BTreeMap;
use std::ops::Deref;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};

use crate::lab::{BUCKET, Lab};
use crate::plain::Server;

/// The server with two buckets; and a directory.
struct Moto {
    _server: Server,
    lab: Lab,
    client: Client,
}

/// A second bucket.
const OTHER: &str = "other";

impl Moto {
    async fn start() -> Self {
        let server = Server::start();
        let lab = Lab::at(&server.url);
        let client = lab.client("a-secret-key");
        let moto = Self { _server: server, lab, client };
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

/// Files or objects by their names, as [`Moto::objects`] gives them.
fn named<const N: usize>(files: [(&str, &str); N]) -> BTreeMap<String, Vec<u8>> {
    files.into_iter().map(|(name, content)| (name.to_owned(), content.into())).collect()
}

/// The files below a directory, likewise.
fn files(lab: &Lab, relative: &str) -> BTreeMap<String, Vec<u8>> {
    let tree = crate::lab::tree(&lab.path(relative));
    tree.into_iter().map(|(path, content)| (path.to_str().unwrap().to_owned(), content)).collect()
}
