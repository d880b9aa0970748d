//! An S3 in memory: it holds what no file system can, answers MD5 tags as S3 does, and lies on
//! demand.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use md5::{Digest, Md5};
use s3s::auth::SimpleAuth;
use s3s::dto::{
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CopyPartResult,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, ETag, GetObjectInput, GetObjectOutput,
    HeadObjectInput, HeadObjectOutput, ListObjectsV2Input, ListObjectsV2Output, Object,
    PutObjectInput, PutObjectOutput, StreamingBlob, Timestamp, UploadPartCopyInput,
    UploadPartCopyOutput,
};
use s3s::service::S3ServiceBuilder;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

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

#[derive(Debug, Clone, Default)]
pub struct Held {
    objects: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    faults: Arc<Mutex<BTreeMap<String, Fault>>>,
    /// Sizes that objects only claim to have.
    claims: Arc<Mutex<BTreeMap<String, i64>>>,
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
        self.objects.lock().unwrap().insert(key.to_owned(), content.into());
    }

    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.objects.lock().unwrap().get(key).cloned()
    }

    pub fn fail(&self, key: &str, fault: Fault) {
        self.faults.lock().unwrap().insert(key.to_owned(), fault);
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

    fn size(&self, key: &str, content: &[u8]) -> Option<i64> {
        self.claims.lock().unwrap().get(key).copied().or(length(content))
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
        let app = axum::Router::new().fallback_service(service);
        tokio::spawn(async move { axum::serve(listener, app).await });
        addr
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

fn tag(content: &[u8]) -> ETag {
    let digest: [u8; 16] = Md5::digest(content).into();
    ETag::Strong(format!("{:032x}", u128::from_be_bytes(digest)))
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
        let content = self.find(&req.input.key)?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: self.size(&req.input.key, &content),
            e_tag: Some(tag(&content)),
            last_modified: Some(long_ago()),
            ..HeadObjectOutput::default()
        }))
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
        let e_tag = tag(&content);
        if let Some(expected) = req.input.if_match.as_ref().and_then(|tag| tag.as_etag())
            && !expected.strong_cmp(&e_tag)
        {
            return Err(s3_error!(PreconditionFailed));
        }
        let total = content.len();
        let range = match req.input.range {
            Some(range) => range.check(total as u64)?,
            None => 0..total as u64,
        };
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        let mut body = content[range.clone()].to_vec();
        let content_length = length(&body);
        match fault {
            Some(Fault::SlowDown(_)) => return Err(s3_error!(SlowDown)),
            Some(Fault::Truncated(_)) => body.truncate(body.len() / 2),
            Some(Fault::Corrupt(_)) => body[0] ^= 1,
            _ => {}
        }
        let body = stream::iter([Ok::<_, std::io::Error>(Bytes::from(body))]);
        Ok(S3Response::new(GetObjectOutput {
            body: Some(StreamingBlob::wrap(body)),
            content_length,
            content_range: req
                .input
                .range
                .map(|_| format!("bytes {}-{}/{total}", range.start, range.end - 1)),
            e_tag: Some(e_tag),
            last_modified: Some(long_ago()),
            ..GetObjectOutput::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let prefix = req.input.prefix.unwrap_or_default();
        let objects = self.objects.lock().unwrap();
        let contents = objects
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix))
            .map(|(key, content)| Object {
                key: Some(key.clone()),
                size: self.size(key, content),
                e_tag: Some(tag(content)),
                last_modified: Some(long_ago()),
                ..Object::default()
            })
            .collect();
        Ok(S3Response::new(ListObjectsV2Output {
            contents: Some(contents),
            is_truncated: Some(false),
            ..ListObjectsV2Output::default()
        }))
    }

    async fn put_object(
        &self,
        req: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        use futures::TryStreamExt;
        let body = req.input.body.unwrap();
        let chunks: Vec<Bytes> = body.try_collect().await.map_err(|_| s3_error!(IncompleteBody))?;
        self.put(&req.input.key, chunks.concat());
        Ok(S3Response::new(PutObjectOutput::default()))
    }

    async fn create_multipart_upload(
        &self,
        _: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let upload_id = Some("an-upload".to_owned());
        Ok(S3Response::new(CreateMultipartUploadOutput { upload_id, ..Default::default() }))
    }

    async fn upload_part_copy(
        &self,
        _: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let now = self.copying.now.fetch_add(1, SeqCst) + 1;
        self.copying.most.fetch_max(now, SeqCst);
        // Long enough for every other part that may come to come.
        tokio::time::sleep(Duration::from_millis(50)).await;
        self.copying.now.fetch_sub(1, SeqCst);
        self.copying.all.fetch_add(1, SeqCst);
        let copy_part_result = CopyPartResult { e_tag: Some(tag(b"")), ..Default::default() };
        Ok(S3Response::new(UploadPartCopyOutput {
            copy_part_result: Some(copy_part_result),
            ..Default::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.put(&req.input.key, "");
        Ok(S3Response::new(CompleteMultipartUploadOutput::default()))
    }
}
