//! Objects too large for one call, which S3 copies itself, in parts.

use std::sync::Arc;

use serde_json::json;

use crate::held::{Attributes, Copied, Held};
use crate::mishaps::Mishap;

const SIZE: u64 = (6 << 30) + 12_345;
/// One that a copy source's header cannot hold as it is.
const NAME: &str = "a b+ü%41?";

/// An object of [`SIZE`] bytes, as it is described.
fn put(held: &Held, attributes: Attributes) -> String {
    let key = format!("f/{NAME}");
    held.claim(&key, i64::try_from(SIZE).unwrap());
    held.describe(&key, attributes);
    key
}

fn attributes() -> Attributes {
    let text = |text: &str| Some(text.to_owned());
    Attributes {
        content_type: text("image/tiff"),
        content_encoding: text("gzip"),
        content_language: text("en"),
        content_disposition: text("attachment; filename=\"stack.tiff\""),
        cache_control: text("no-cache"),
        expires: None,
        metadata: [("specimen", "42"), ("session", "a b")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    }
}

/// Each byte once, in its place.
fn is_whole(parts: &[Copied], source: &str, tag: &str) {
    let mut end = 0;
    for part in parts {
        assert_eq!(part.range.start, end, "{parts:?}");
        assert_eq!(part.source, format!("data/{source}"));
        // Without it, half of the copy may be of another object.
        assert_eq!(part.if_match.as_deref(), Some(tag));
        end = part.range.end;
    }
    assert_eq!(end, SIZE, "{parts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_beyond_five_gib_is_copied_whole_with_what_describes_it() {
    let held = Held::default();
    let lab = held.open().await;
    let key = put(&held, attributes());
    let copied = lab.sync("s3://data/f", "s3://data/copy", json!({})).await.ok();
    assert_eq!(
        (&copied["files_transferred"], &copied["bytes_transferred"]),
        (&json!(1), &json!(SIZE))
    );
    let copy = format!("copy/{NAME}");
    is_whole(&held.made_of(&copy), &key, &held.tag_of(&key));
    assert_eq!(held.described(&copy), attributes());
    assert_eq!(held.uploads_left(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_copied_in_parts_expires_when_it_did() {
    let held = Held::default();
    let lab = held.open().await;
    let expires = std::time::UNIX_EPOCH + std::time::Duration::from_hours(24 * 365 * 70);
    let attributes = Attributes { expires: Some(expires.into()), ..attributes() };
    put(&held, attributes.clone());
    lab.sync("s3://data/f", "s3://data/copy", json!({})).await.ok();
    assert_eq!(held.described(&format!("copy/{NAME}")), attributes);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_replaced_while_it_is_copied_in_parts_leaves_no_copy() {
    let held = Held::default();
    let lab = held.open().await;
    let (key, copy) = (put(&held, attributes()), format!("copy/{NAME}"));
    held.meet("UploadPart", &copy, 2, Mishap::After(Arc::new(|| {})));
    let (changing, it) = (held.clone(), key.clone());
    // As large as before: only its tag tells.
    let happens = move || changing.put(&it, "another");
    held.meet("UploadPart", &copy, 1, Mishap::After(Arc::new(happens)));
    let fields = json!({"max_concurrency": 1, "retain_source_data": false});
    let failures = lab.sync("s3://data/f", "s3://data/copy", fields).await.failures();
    assert!(failures.contains(&key) && failures.contains("changed"), "{failures}");
    assert!(held.get(&copy).is_none());
    assert_eq!(held.get(&key).unwrap(), b"another");
    assert_eq!(held.uploads_left(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_moved_in_parts_is_removed_once_its_copy_is_whole() {
    let held = Held::default();
    let lab = held.open().await;
    let (key, copy) = (put(&held, attributes()), format!("copy/{NAME}"));
    let tag = held.tag_of(&key);
    let fields = json!({"retain_source_data": false});
    // A copy that never comes to its end takes nothing away.
    held.meet("CompleteMultipartUpload", &copy, 1, Mishap::Answer(403, "AccessDenied"));
    lab.sync("s3://data/f", "s3://data/copy", fields.clone()).await.failures();
    assert!(held.get(&key).is_some() && held.get(&copy).is_none());

    let moved = lab.sync("s3://data/f", "s3://data/copy", fields).await.ok();
    assert_eq!(moved["sources_removed"], 1);
    assert!(held.get(&key).is_none());
    is_whole(&held.made_of(&copy), &key, &tag);
}
