//! An S3 in memory: it holds what no file system can, answers MD5 tags as S3 does, and lies on
//! demand. What goes wrong with its calls is in `mishaps`.

mod copied;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::{Bound, Range};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use crc_fast::{CrcAlgorithm, checksum};
use futures::{TryStreamExt, stream};
use md5::{Digest, Md5};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::auth::SimpleAuth;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput, CopyObjectResult,
    CopyPartResult, CopySource, CreateMultipartUploadInput, CreateMultipartUploadOutput,
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject,
    ETag, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, ListObjectsV2Input,
    ListObjectsV2Output, Object, PutObjectInput, PutObjectOutput, StreamingBlob, Timestamp,
    UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::service::S3ServiceBuilder;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

pub use self::copied::{Attributes, Copied};
use self::copied::{Part, Upload};
use self::told::Told;
use crate::lab::Lab;
use crate::mishaps::{Mishap, Mishaps};
use crate::traffic::Traffic;

/// What goes wrong with reading an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The body ends early, this many times.
    Truncated(u32),
    /// A byte is another, this many times.
    Corrupt(u32),
    /// The answer is 503 `SlowDown`, this many times.
    SlowDown(u32),
    /// It is another object at each look.
    Restless(u32),
}

/// The most keys in one answer to a listing.
const PAGE: i32 = 1000;

#[derive(Debug, Clone, Default)]
pub struct Held {
    objects: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    faults: Arc<Mutex<BTreeMap<String, Fault>>>,
    /// Sizes that objects only claim to have.
    claims: Arc<Mutex<BTreeMap<String, i64>>>,
    /// Their CRC64NVME, or what is said to be.
    checksums: Arc<Mutex<BTreeMap<String, String>>>,
    /// What else is told of their bytes.
    told: Arc<Mutex<BTreeMap<String, Told>>>,
    /// Those whose tag tells nothing of them, as where KMS has the key.
    opaque: Arc<Mutex<BTreeMap<String, ETag>>>,
    /// The sizes of the parts of those that were uploaded in parts.
    part_sizes: Arc<Mutex<BTreeMap<String, Vec<usize>>>>,
    /// Their tags, once asked for.
    tags: Arc<Mutex<BTreeMap<String, ETag>>>,
    /// What they are described by beside their bytes.
    attributes: Arc<Mutex<BTreeMap<String, Attributes>>>,
    /// Uploads under way, each with its parts.
    uploads: Arc<Mutex<BTreeMap<String, Upload>>>,
    /// What objects were made of that S3 copied in parts.
    copied: Arc<Mutex<BTreeMap<String, Vec<Copied>>>>,
    begun: Arc<AtomicUsize>,
    mishaps: Arc<Mishaps>,
    traffic: Arc<Traffic>,
    /// Keys that it refuses to delete.
    kept: Arc<Mutex<BTreeSet<String>>>,
    copying: Arc<Copying>,
}

/// Parts being copied: now, at most at once, and in all.
#[derive(Debug, Default)]
struct Copying {
    now: AtomicUsize,
    most: AtomicUsize,
    all: AtomicUsize,
}

impl Held {
    pub fn put(&self, key: &str, content: impl Into<Vec<u8>>) {
        self.tags.lock().unwrap().remove(key);
        self.part_sizes.lock().unwrap().remove(key);
        self.told.lock().unwrap().remove(key);
        self.objects.lock().unwrap().insert(key.to_owned(), content.into());
    }

    pub fn remove(&self, key: &str) {
        self.objects.lock().unwrap().remove(key);
    }

    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.objects.lock().unwrap().get(key).cloned()
    }

    pub fn fail(&self, key: &str, fault: Fault) {
        self.faults.lock().unwrap().insert(key.to_owned(), fault);
    }

    /// Has the next `times` calls of `operation` for `key` end so.
    pub fn meet(&self, operation: &'static str, key: &str, times: u32, mishap: Mishap) {
        self.mishaps.add(operation, key, times, mishap);
    }

    /// The keys of the calls of `operation`, in their order.
    pub fn called(&self, operation: &str) -> Vec<String> {
        self.mishaps.called(operation)
    }

    /// What the calls of `operation` for `key` say in a header.
    pub fn said(&self, operation: &str, key: &str, header: &str) -> Vec<String> {
        self.mishaps.said(operation, key, header)
    }

    /// Returns once there was a call of `operation` for `key`.
    pub async fn call(&self, operation: &str, key: &str) {
        self.mishaps.call(operation, key).await;
    }

    /// Says that this is the CRC64NVME of an object.
    pub fn sign(&self, key: &str, checksum: &str) {
        self.checksums.lock().unwrap().insert(key.to_owned(), checksum.to_owned());
    }

    /// Puts an object as if it had been uploaded in parts of `size` bytes.
    pub fn put_in_parts(&self, key: &str, content: impl Into<Vec<u8>>, size: usize) {
        let content = content.into();
        let sizes: Vec<_> = content.chunks(size).map(<[u8]>::len).collect();
        self.put_in_parts_of(key, content, sizes);
    }

    /// Puts an object as if it had been uploaded in parts of these sizes.
    pub fn put_in_parts_of(&self, key: &str, content: impl Into<Vec<u8>>, sizes: Vec<usize>) {
        let content = content.into();
        assert_eq!(sizes.iter().sum::<usize>(), content.len());
        self.put(key, content);
        self.part_sizes.lock().unwrap().insert(key.to_owned(), sizes);
    }

    /// The calls that carry bytes.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// How many uploads were begun and neither completed nor aborted.
    pub fn uploads_left(&self) -> usize {
        self.uploads.lock().unwrap().len()
    }

    /// Has an object claim a size that no test could hold.
    pub fn claim(&self, key: &str, size: i64) {
        self.put(key, "");
        self.claims.lock().unwrap().insert(key.to_owned(), size);
    }

    /// How many parts were copied at once at most, and how many in all.
    pub fn parts_copied(&self) -> (usize, usize) {
        (self.copying.most.load(SeqCst), self.copying.all.load(SeqCst))
    }

    /// The keys below a prefix, without it.
    pub fn names(&self, prefix: &str) -> Vec<String> {
        let objects = self.objects.lock().unwrap();
        objects.keys().filter_map(|key| key.strip_prefix(prefix)).map(str::to_owned).collect()
    }

    /// Refuses to delete an object.
    pub fn keep(&self, key: &str) {
        self.kept.lock().unwrap().insert(key.to_owned());
    }

    /// Deletes it again when it is told to.
    pub fn let_go(&self, key: &str) {
        self.kept.lock().unwrap().remove(key);
    }

    fn delete(&self, key: &str) -> Result<(), s3s::dto::Error> {
        if self.kept.lock().unwrap().contains(key) {
            return Err(s3s::dto::Error {
                code: Some("AccessDenied".to_owned()),
                key: Some(key.to_owned()),
                message: Some("so it is".to_owned()),
                ..Default::default()
            });
        }
        self.remove(key);
        Ok(())
    }

    fn size(&self, key: &str, content: &[u8]) -> Option<i64> {
        self.claims.lock().unwrap().get(key).copied().or(length(content))
    }

    /// The tag of what an object holds: of its parts where it has any.
    fn tag(&self, key: &str, content: &[u8]) -> ETag {
        let mut tags = self.tags.lock().unwrap();
        let computed = || match self.part_sizes.lock().unwrap().get(key) {
            None => tag(content),
            Some(sizes) => {
                let parts = ranges(sizes).map(|part| <[u8; 16]>::from(Md5::digest(&content[part])));
                let parts: Vec<_> = parts.collect();
                let digest: [u8; 16] = Md5::digest(parts.concat()).into();
                ETag::Strong(format!("{:032x}-{}", u128::from_be_bytes(digest), parts.len()))
            }
        };
        if let Some(opaque) = self.opaque.lock().unwrap().get(key) {
            return opaque.clone();
        }
        tags.entry(key.to_owned()).or_insert_with(computed).clone()
    }

    /// Serves it until the runtime ends.
    pub async fn serve(&self) -> SocketAddr {
        let mut builder = S3ServiceBuilder::new(self.clone());
        builder.set_auth(SimpleAuth::from_single("an-access-key", "a-secret-key"));
        let service = axum::error_handling::HandleError::new(builder.build(), |_| async {
            axum::http::StatusCode::INTERNAL_SERVER_ERROR
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (mishaps, traffic) = (Arc::clone(&self.mishaps), Arc::clone(&self.traffic));
        let befall = axum::middleware::from_fn(move |request, next| {
            let mishaps = Arc::clone(&mishaps);
            async move { mishaps.befall(request, next).await }
        });
        let count = axum::middleware::from_fn(move |request, next| {
            let traffic = Arc::clone(&traffic);
            async move { traffic.pass(request, next).await }
        });
        let app = axum::Router::new().fallback_service(service).layer(count).layer(befall);
        tokio::spawn(async move { axum::serve(listener, app).await });
        addr
    }

    /// Serves it, and gives a directory and the binary told to take it for S3.
    pub async fn open(&self) -> Lab {
        Lab::at(format!("http://{}", self.serve().await))
    }

    /// The range of a part, and how many parts there are, where the object has any.
    fn part(&self, key: &str, number: i32, size: usize) -> S3Result<(Range<usize>, Option<i32>)> {
        let sizes = self.part_sizes.lock().unwrap().get(key).cloned();
        let count = sizes.as_ref().and_then(|sizes| i32::try_from(sizes.len()).ok());
        let index = usize::try_from(number - 1).map_err(|_| s3_error!(InvalidArgument))?;
        let range = ranges(&sizes.unwrap_or_else(|| vec![size])).nth(index);
        Ok((range.ok_or_else(|| s3_error!(InvalidRange))?, count))
    }

    fn find(&self, key: &str) -> S3Result<Vec<u8>> {
        self.get(key).ok_or_else(|| s3_error!(NoSuchKey))
    }

    /// The fault that is due, one less of it left.
    fn fault(&self, key: &str) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let fault = faults.get_mut(key)?;
        let due = *fault;
        let (Fault::Truncated(left)
        | Fault::Corrupt(left)
        | Fault::SlowDown(left)
        | Fault::Restless(left)) = fault;
        *left = left.checked_sub(1)?;
        Some(due)
    }
}

/// Where the parts of these sizes lie.
fn ranges(sizes: &[usize]) -> impl Iterator<Item = Range<usize>> {
    let mut end = 0;
    sizes.iter().map(move |size| {
        let start = end;
        end += size;
        start..end
    })
}

fn tag(content: &[u8]) -> ETag {
    let digest: [u8; 16] = Md5::digest(content).into();
    ETag::Strong(format!("{:032x}", u128::from_be_bytes(digest)))
}

fn crc64nvme(content: &[u8]) -> String {
    BASE64_STANDARD.encode(checksum(CrcAlgorithm::Crc64Nvme, content).to_be_bytes())
}

/// A body, which must come to its end.
async fn whole(body: StreamingBlob) -> S3Result<Vec<u8>> {
    let chunks: Vec<Bytes> = body.try_collect().await.map_err(|_| s3_error!(IncompleteBody))?;
    Ok(chunks.concat())
}

fn length(content: &[u8]) -> Option<i64> {
    i64::try_from(content.len()).ok()
}

fn long_ago() -> Timestamp {
    std::time::UNIX_EPOCH.into()
}

#[async_trait::async_trait]
impl S3 for Held {
    async fn head_object(
        &self,
        req: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let key = req.input.key;
        let content = self.find(&key)?;
        let e_tag = Some(self.tag(&key, &content));
        let (mut content_length, mut parts_count) = (self.size(&key, &content), None);
        if let Some(number) = req.input.part_number {
            let part = self.part(&key, number, content.len())?;
            content_length = length(&content[part.0]);
            parts_count = part.1;
        }
        let mut output = HeadObjectOutput {
            content_length,
            e_tag,
            parts_count,
            checksum_crc64nvme: self.checksums.lock().unwrap().get(&key).cloned(),
            server_side_encryption: self.encryption(&key),
            last_modified: Some(long_ago()),
            ..HeadObjectOutput::default()
        };
        if let Some(attributes) = self.attributes.lock().unwrap().get(&key) {
            attributes.describe(&mut output);
        }
        if let Some(told) = self.told.lock().unwrap().get(&key)
            && req.input.checksum_mode.is_some()
        {
            told.in_head(&mut output, req.input.part_number);
        }
        Ok(S3Response::new(output))
    }

    async fn get_object(
        &self,
        req: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let key = req.input.key;
        let mut content = self.find(&key)?;
        let fault = self.fault(&key);
        if let Some(Fault::Restless(left)) = fault {
            self.put(&key, [content.as_slice(), left.to_string().as_bytes()].concat());
            content = self.find(&key)?;
        }
        let e_tag = self.tag(&key, &content);
        let checksum = self.checksums.lock().unwrap().get(&key).cloned();
        if let Some(expected) = req.input.if_match.as_ref().and_then(|tag| tag.as_etag())
            && !expected.strong_cmp(&e_tag)
        {
            return Err(s3_error!(PreconditionFailed));
        }
        let total = content.len();
        let mut parts_count = None;
        let range = match (req.input.range, req.input.part_number) {
            (Some(range), _) => {
                let range = range.check(total as u64)?;
                usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()
            }
            (None, Some(number)) => {
                let part = self.part(&key, number, total)?;
                parts_count = part.1;
                part.0
            }
            (None, None) => 0..total,
        };
        let is_whole = req.input.range.is_none() && req.input.part_number.is_none();
        let mut body = content[range.clone()].to_vec();
        let content_length = length(&body);
        match fault {
            Some(Fault::SlowDown(_)) => return Err(s3_error!(SlowDown)),
            Some(Fault::Truncated(_)) => body.truncate(body.len() / 2),
            Some(Fault::Corrupt(_)) => body[0] ^= 1,
            _ => {}
        }
        let body = stream::iter([Ok::<_, std::io::Error>(Bytes::from(body))]);
        let mut output = GetObjectOutput {
            body: Some(StreamingBlob::wrap(body)),
            content_length,
            content_range: (!is_whole)
                .then(|| format!("bytes {}-{}/{total}", range.start, range.end - 1)),
            parts_count,
            e_tag: Some(e_tag),
            checksum_crc64nvme: checksum.filter(|_| is_whole),
            server_side_encryption: self.encryption(&key),
            last_modified: Some(long_ago()),
            ..GetObjectOutput::default()
        };
        if let Some(told) = self.told.lock().unwrap().get(&key)
            && req.input.checksum_mode.is_some()
            && req.input.range.is_none()
        {
            told.in_get(&mut output, req.input.part_number);
        }
        Ok(S3Response::new(output))
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let prefix = req.input.prefix.unwrap_or_default();
        let limit = usize::try_from(req.input.max_keys.unwrap_or(PAGE).min(PAGE)).unwrap();
        // The token is the last key of the page before.
        let after = req.input.continuation_token;
        let from = match &after {
            Some(key) => Bound::Excluded(key.as_str()),
            None => Bound::Included(prefix.as_str()),
        };
        let objects = self.objects.lock().unwrap();
        let mut matching = objects
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(&prefix));
        let page: Vec<_> = matching.by_ref().take(limit).collect();
        let is_truncated = matching.next().is_some();
        let last = page.last().map(|(key, _)| (*key).clone());
        let contents: Vec<_> = page
            .into_iter()
            .map(|(key, content)| Object {
                // As the worker asks for them.
                key: Some(utf8_percent_encode(key, NON_ALPHANUMERIC).to_string()),
                size: self.size(key, content),
                e_tag: Some(self.tag(key, content)),
                last_modified: Some(long_ago()),
                ..Object::default()
            })
            .collect();
        Ok(S3Response::new(ListObjectsV2Output {
            key_count: i32::try_from(contents.len()).ok(),
            contents: Some(contents),
            is_truncated: Some(is_truncated),
            next_continuation_token: last.filter(|_| is_truncated),
            encoding_type: req.input.encoding_type,
            ..ListObjectsV2Output::default()
        }))
    }

    async fn put_object(
        &self,
        req: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let content = whole(req.input.body.unwrap()).await?;
        let e_tag = Some(tag(&content));
        self.put(&req.input.key, content);
        Ok(S3Response::new(PutObjectOutput { e_tag, ..PutObjectOutput::default() }))
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let id = format!("upload-{}", self.begun.fetch_add(1, SeqCst));
        self.uploads.lock().unwrap().insert(id.clone(), Upload::begin(req.input));
        let upload_id = Some(id);
        Ok(S3Response::new(CreateMultipartUploadOutput { upload_id, ..Default::default() }))
    }

    async fn upload_part(
        &self,
        req: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let content = whole(req.input.body.unwrap()).await?;
        let (e_tag, checksum_crc64nvme) = (Some(tag(&content)), Some(crc64nvme(&content)));
        let mut uploads = self.uploads.lock().unwrap();
        let upload = uploads.get_mut(&req.input.upload_id);
        let upload = upload.ok_or_else(|| s3_error!(NoSuchUpload))?;
        upload.parts.insert(req.input.part_number, Part::Sent(content));
        Ok(S3Response::new(UploadPartOutput {
            e_tag,
            checksum_crc64nvme,
            ..UploadPartOutput::default()
        }))
    }

    async fn upload_part_copy(
        &self,
        req: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let part = Part::Copied(self.copy_part(&req.input)?);
        let e_tag = Some(part.tag());
        let now = self.copying.now.fetch_add(1, SeqCst) + 1;
        self.copying.most.fetch_max(now, SeqCst);
        // Long enough for every other part that may come to come.
        tokio::time::sleep(Duration::from_millis(50)).await;
        self.copying.now.fetch_sub(1, SeqCst);
        self.copying.all.fetch_add(1, SeqCst);
        let mut uploads = self.uploads.lock().unwrap();
        let upload = uploads.get_mut(&req.input.upload_id);
        let upload = upload.ok_or_else(|| s3_error!(NoSuchUpload))?;
        upload.parts.insert(req.input.part_number, part);
        let copy_part_result = CopyPartResult { e_tag, ..Default::default() };
        Ok(S3Response::new(UploadPartCopyOutput {
            copy_part_result: Some(copy_part_result),
            ..Default::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let CompleteMultipartUploadInput { key, upload_id, multipart_upload, .. } = req.input;
        let mut uploads = self.uploads.lock().unwrap();
        let upload = uploads.get(&upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
        let parts = upload.listed(multipart_upload.and_then(|upload| upload.parts))?;
        let attributes = upload.attributes.clone();
        uploads.remove(&upload_id);
        self.assemble(&key, parts);
        self.describe(&key, attributes);
        let e_tag = self.find(&key).ok().map(|content| self.tag(&key, &content));
        Ok(S3Response::new(CompleteMultipartUploadOutput { e_tag, ..Default::default() }))
    }

    async fn copy_object(
        &self,
        req: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let CopySource::Bucket { key: source, .. } = &req.input.copy_source else {
            return Err(s3_error!(NotImplemented));
        };
        let content = self.find(source)?;
        let e_tag = Some(tag(&content));
        self.put(&req.input.key, content);
        let copy_object_result = Some(CopyObjectResult { e_tag, ..Default::default() });
        Ok(S3Response::new(CopyObjectOutput { copy_object_result, ..Default::default() }))
    }

    async fn delete_objects(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for object in req.input.delete.objects {
            match self.delete(&object.key) {
                Ok(()) => {
                    deleted.push(DeletedObject { key: Some(object.key), ..Default::default() });
                }
                Err(error) => errors.push(error),
            }
        }
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: Some(deleted),
            errors: Some(errors),
            ..Default::default()
        }))
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.delete(&req.input.key).map_err(|_| s3_error!(AccessDenied))?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let upload = self.uploads.lock().unwrap().remove(&req.input.upload_id);
        upload.ok_or_else(|| s3_error!(NoSuchUpload))?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}
