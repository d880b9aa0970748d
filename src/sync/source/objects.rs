//! Looking at an S3 source.

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::{EncodingType, Object};
use percent_encoding::percent_decode_str;
use tokio::sync::mpsc;

use super::{AHEAD, Item, Items, Origin, Source, Unlisted};
use crate::sync::error::{Failure, SyncError};
use crate::sync::location::S3Path;
use crate::sync::s3::integrity::head;
use crate::sync::s3::wire::persist;
use crate::sync::s3::{length, time};
use crate::sync::unfinished::is_mark;

/// Looks at an S3 source. `prefix` is what is cut off keys to get relative paths.
pub(in crate::sync) async fn in_s3(
    client: &Client,
    source: &S3Path,
    prefix: Option<&str>,
) -> Result<Source, SyncError> {
    if let Some(prefix) = prefix.filter(|prefix| !source.key.starts_with(*prefix)) {
        return Err(SyncError::Prefix(prefix.to_owned()));
    }
    let folder = source.with_key(source.folder_key());
    let prefix = match prefix {
        // Cut at whole segments where it ends at one.
        Some(prefix) if folder.key[prefix.len()..].starts_with('/') => format!("{prefix}/"),
        Some(prefix) => prefix.to_owned(),
        None => folder.key.clone(),
    };
    let has_folder = async {
        // Of two one is no mark.
        let first = list_page(client, &folder, None, Some(2)).await?;
        Ok::<_, SyncError>(
            first.contents().iter().any(|object| !is_mark_key(&key_of(&first, object))),
        )
    };
    if source.is_folder() {
        return Ok(if has_folder.await? {
            Source::Folder(list(client.clone(), folder, prefix))
        } else {
            Source::Missing
        });
    }
    match tokio::try_join!(head(client, source), has_folder)? {
        (Some(_), true) => Err(SyncError::ObjectAndFolder),
        (None, true) => Ok(Source::Folder(list(client.clone(), folder, prefix))),
        (None, false) => Ok(Source::Missing),
        (Some(head), false) => Ok(Source::Single(Box::new(Item {
            relative: source.key.strip_prefix(&prefix).unwrap_or_default().into(),
            size: length(head.content_length()).unwrap_or(0),
            modified: time(head.last_modified()),
            origin: Origin::Object {
                path: source.clone(),
                etag: head.e_tag().unwrap_or_default().to_owned(),
            },
        }))),
    }
}

/// The objects below `folder`, in the order of their keys, listed ahead of what is done with them.
pub(in crate::sync) fn list(client: Client, folder: S3Path, prefix: String) -> Items {
    listed(client, folder, prefix, false)
}

/// The same, and the worker's own marks among them.
pub(in crate::sync) fn list_all(client: Client, folder: S3Path, prefix: String) -> Items {
    listed(client, folder, prefix, true)
}

fn listed(client: Client, folder: S3Path, prefix: String, marks: bool) -> Items {
    let (found, ahead) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        let mut token = None;
        loop {
            let page = match list_page(&client, &folder, token, None).await {
                Ok(page) => page,
                Err(error) => {
                    let failure = Failure::new(&folder, &error);
                    let _ = found.send(Err(Unlisted::Folder(failure))).await;
                    return;
                }
            };
            for object in page.contents() {
                let key = key_of(&page, object);
                if !marks && is_mark_key(&key) {
                    continue;
                }
                let item = Item {
                    relative: key.strip_prefix(&prefix).unwrap_or(&key).to_owned().into(),
                    size: length(object.size()).unwrap_or(0),
                    modified: time(object.last_modified()),
                    origin: Origin::Object {
                        path: folder.with_key(key),
                        etag: object.e_tag().unwrap_or_default().to_owned(),
                    },
                };
                if found.send(Ok(item)).await.is_err() {
                    return;
                }
            }
            token = page.next_continuation_token;
            if token.is_none() {
                return;
            }
        }
    });
    ahead
}

/// A page of a listing, asked for again where it was cut off.
async fn list_page(
    client: &Client,
    folder: &S3Path,
    token: Option<String>,
    limit: Option<i32>,
) -> Result<ListObjectsV2Output, SyncError> {
    persist(|| async {
        let page = ask_for_page(client, folder, token.clone(), limit).await?;
        if is_whole(&page) && !goes_round(&page, token.as_ref()) {
            Ok(page)
        } else {
            Err(SyncError::Truncated)
        }
    })
    .await
}

/// Whether nothing of a page is missing: the SDK takes the end of an answer for the end of the
/// listing, and who mirrors by it would delete the rest.
fn is_whole(page: &ListObjectsV2Output) -> bool {
    let found = page.contents().len() + page.common_prefixes().len();
    let told = page.key_count().and_then(|count| usize::try_from(count).ok());
    let is_continued = page.next_continuation_token().is_some();
    told.is_none_or(|told| told == found) && page.is_truncated() == Some(is_continued)
}

/// Whether the page that follows would be this one again, without end.
fn goes_round(page: &ListObjectsV2Output, token: Option<&String>) -> bool {
    token.is_some() && page.next_continuation_token.as_ref() == token
}

async fn ask_for_page(
    client: &Client,
    folder: &S3Path,
    token: Option<String>,
    limit: Option<i32>,
) -> Result<ListObjectsV2Output, SyncError> {
    client
        .list_objects_v2()
        .bucket(&folder.bucket)
        .prefix(&folder.key)
        // XML has no way to carry every key.
        .encoding_type(EncodingType::Url)
        .set_continuation_token(token)
        .set_max_keys(limit)
        .send()
        .await
        .map_err(SyncError::s3("ListObjectsV2"))
}

fn key_of(page: &ListObjectsV2Output, object: &Object) -> String {
    let key = object.key().unwrap_or_default();
    // A server that does not know of encodings passes over that it was asked for one.
    let is_encoded = page.encoding_type() == Some(&EncodingType::Url);
    if is_encoded { decode(key) } else { key.to_owned() }
}

fn is_mark_key(key: &str) -> bool {
    is_mark(key.rsplit('/').next().unwrap_or_default().as_bytes())
}

/// S3 writes a space as `+` and a plus as `%2B`.
fn decode(key: &str) -> String {
    percent_decode_str(&key.replace('+', " ")).decode_utf8_lossy().into_owned()
}
