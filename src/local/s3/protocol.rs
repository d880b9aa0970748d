//! What the protocol library asks of a backend: each call of S3 that is answered here. The others
//! are refused as not implemented.

use std::io::{self, SeekFrom};
use std::time::SystemTime;

use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, Bucket, Checksum, CommonPrefix,
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput,
    CopyObjectResult, CopyPartResult, CreateBucketInput, CreateBucketOutput,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteBucketInput, DeleteBucketOutput,
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject,
    ETag, Error, GetBucketLocationInput, GetBucketLocationOutput, GetObjectInput, GetObjectOutput,
    HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListBucketsInput,
    ListBucketsOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
    ListObjectsV2Output, PutObjectInput, PutObjectOutput, StreamingBlob, Timestamp,
    UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::buckets::{
    Buckets, CHUNK, PAGE, continuation_token, copy_source, key_of, key_text, length, must_match,
    part_file,
};
use super::digests::Digests;
use super::listing::Entry;
use super::objects::internal;
use super::uploads::Upload;

/// What two kinds of input say of their bodies, in fields of the same names.
macro_rules! digests {
    ($input:ident, $trailers:expr) => {
        Digests {
            md5: $input.content_md5,
            algorithm: $input.checksum_algorithm.map(|name| name.as_str().to_owned()),
            given: Checksum {
                checksum_crc32: $input.checksum_crc32,
                checksum_crc32c: $input.checksum_crc32c,
                checksum_crc64nvme: $input.checksum_crc64nvme,
                checksum_sha1: $input.checksum_sha1,
                checksum_sha256: $input.checksum_sha256,
                ..Checksum::default()
            },
            trailers: $trailers,
        }
    };
}

#[async_trait::async_trait]
impl S3 for Buckets {
    async fn create_bucket(
        &self,
        req: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let path = self.store.root().join(&req.input.bucket);
        match std::fs::create_dir(path) {
            Ok(()) => Ok(S3Response::new(CreateBucketOutput::default())),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(s3_error!(BucketAlreadyOwnedByYou))
            }
            Err(error) => Err(internal(error)),
        }
    }

    async fn delete_bucket(
        &self,
        req: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        let path = self.store.bucket(&req.input.bucket)?;
        match std::fs::remove_dir(path) {
            Ok(()) => Ok(S3Response::new(DeleteBucketOutput::default())),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                Err(s3_error!(BucketNotEmpty))
            }
            Err(error) => Err(internal(error)),
        }
    }

    async fn head_bucket(
        &self,
        req: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.store.bucket(&req.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn get_bucket_location(
        &self,
        req: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.store.bucket(&req.input.bucket)?;
        Ok(S3Response::new(GetBucketLocationOutput::default()))
    }

    async fn list_buckets(
        &self,
        _req: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        let mut buckets = Vec::new();
        for entry in std::fs::read_dir(self.store.root()).map_err(internal)? {
            let entry = entry.map_err(internal)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if entry.path().is_dir() && s3s::path::check_bucket_name(&name) {
                let metadata = entry.metadata().map_err(internal)?;
                let made = metadata.created().or_else(|_| metadata.modified());
                buckets.push(Bucket {
                    name: Some(name),
                    creation_date: made.ok().map(|made: SystemTime| Timestamp::from(made)),
                    ..Bucket::default()
                });
            }
        }
        buckets.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(buckets),
            ..ListBucketsOutput::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = req.input;
        let page = self.page(&input).await?;
        let encoding = input.encoding_type.as_ref();
        let count = i32::try_from(page.entries.len()).map_err(internal)?;
        let (mut contents, mut common_prefixes) = (Vec::new(), Vec::new());
        for entry in page.entries {
            match entry {
                Entry::Object(key, object) => contents.push(s3s::dto::Object {
                    key: Some(key_text(key, encoding)),
                    size: Some(length(object.size)?),
                    e_tag: Some(object.strong_etag()),
                    last_modified: Some(object.modified),
                    ..s3s::dto::Object::default()
                }),
                Entry::Folder(key) => {
                    common_prefixes.push(CommonPrefix { prefix: Some(key_text(key, encoding)) });
                }
            }
        }
        Ok(S3Response::new(ListObjectsV2Output {
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.map(continuation_token),
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            key_count: Some(count),
            max_keys: Some(input.max_keys.unwrap_or(PAGE)),
            prefix: input.prefix.map(|prefix| key_text(prefix, encoding)),
            delimiter: input.delimiter.map(|delimiter| key_text(delimiter, encoding)),
            start_after: input.start_after.map(|after| key_text(after, encoding)),
            continuation_token: input.continuation_token,
            encoding_type: input.encoding_type,
            name: Some(input.bucket),
            ..ListObjectsV2Output::default()
        }))
    }

    async fn list_objects(
        &self,
        req: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let marker = req.input.marker.clone();
        let mut req = req.map_input(ListObjectsV2Input::from);
        req.input.start_after.clone_from(&marker);
        let page = self.list_objects_v2(req).await?;
        Ok(page.map_output(|page| ListObjectsOutput {
            next_marker: page
                .next_continuation_token
                .and_then(|token| key_of(&token))
                .map(|next| key_text(next, page.encoding_type.as_ref())),
            contents: page.contents,
            common_prefixes: page.common_prefixes,
            delimiter: page.delimiter,
            encoding_type: page.encoding_type,
            name: page.name,
            prefix: page.prefix,
            max_keys: page.max_keys,
            is_truncated: page.is_truncated,
            marker,
            ..ListObjectsOutput::default()
        }))
    }

    async fn head_object(
        &self,
        req: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = req.input;
        let object = self.find(input.bucket, input.key).await?;
        must_match(input.if_match.as_ref(), &object)?;
        let (checksum, checksum_type) =
            self.checksum(&object, input.checksum_mode.as_ref()).await?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: Some(length(object.size)?),
            e_tag: Some(object.strong_etag()),
            last_modified: Some(object.modified.clone()),
            accept_ranges: Some("bytes".to_owned()),
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_type,
            ..HeadObjectOutput::default()
        }))
    }

    async fn get_object(
        &self,
        req: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = req.input;
        let object = self.find(input.bucket, input.key).await?;
        must_match(input.if_match.as_ref(), &object)?;
        let whole = 0..object.size;
        let range = input.range.map_or(Ok(whole.clone()), |range| range.check(object.size))?;
        let (checksum, checksum_type) = if range == whole {
            self.checksum(&object, input.checksum_mode.as_ref()).await?
        } else {
            (Checksum::default(), None)
        };
        let size = range.end - range.start;
        let body = if size == 0 {
            StreamingBlob::from(s3s::Body::empty())
        } else {
            let mut file =
                tokio::fs::File::open(&object.path).await.map_err(|_| s3_error!(NoSuchKey))?;
            file.seek(SeekFrom::Start(range.start)).await.map_err(internal)?;
            file.set_max_buf_size(CHUNK);
            StreamingBlob::wrap(ReaderStream::with_capacity(file.take(size), CHUNK))
        };
        Ok(S3Response::new(GetObjectOutput {
            body: Some(body),
            content_length: Some(length(size)?),
            content_range: input.range.map(|_| {
                format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), object.size)
            }),
            e_tag: Some(object.strong_etag()),
            last_modified: Some(object.modified.clone()),
            accept_ranges: Some("bytes".to_owned()),
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_type,
            ..GetObjectOutput::default()
        }))
    }

    async fn put_object(
        &self,
        req: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let input = req.input;
        let (bucket, key) = (input.bucket, input.key);
        self.store.make_bucket(&bucket)?;
        self.store.locate(&bucket, &key)?;
        let digests = digests!(input, req.trailing_headers);
        if key.ends_with('/') && input.content_length.unwrap_or(0) == 0 {
            let made = self.blocking(move |store| store.make_placeholder(&bucket, &key)).await?;
            return Ok(S3Response::new(PutObjectOutput {
                e_tag: Some(made.strong_etag()),
                ..PutObjectOutput::default()
            }));
        }
        if key.ends_with('/') {
            return Err(s3_error!(InvalidArgument, "A key that ends in / holds nothing here"));
        }
        let file = self.receive(input.body, digests).await?;
        let (if_match, if_none_match) = (input.if_match, input.if_none_match);
        let object = self
            .blocking(move |store| {
                if if_none_match.is_some() && store.find(&bucket, &key).is_ok() {
                    return Err(s3_error!(PreconditionFailed));
                }
                if if_match.is_some() {
                    must_match(if_match.as_ref(), &store.find(&bucket, &key)?)?;
                }
                store.publish(&bucket, &key, file)
            })
            .await?;
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(object.strong_etag()),
            ..PutObjectOutput::default()
        }))
    }

    async fn copy_object(
        &self,
        req: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let input = req.input;
        let (source_bucket, source_key) = copy_source(input.copy_source)?;
        self.store.make_bucket(&input.bucket)?;
        let source = self.find(source_bucket, source_key).await?;
        must_match(input.copy_source_if_match.as_ref(), &source)?;
        let (bucket, key) = (input.bucket, input.key);
        let object = self
            .blocking(move |store| {
                if key.ends_with('/') {
                    return store.make_placeholder(&bucket, &key);
                }
                let mut file = store.temporary().map_err(internal)?;
                part_file(None, &source, file.as_file_mut()).map_err(internal)?;
                store.publish(&bucket, &key, file)
            })
            .await?;
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(CopyObjectResult {
                e_tag: Some(object.strong_etag()),
                last_modified: Some(object.modified),
                ..CopyObjectResult::default()
            }),
            ..CopyObjectOutput::default()
        }))
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = req.input;
        self.blocking(move |store| store.delete(&input.bucket, &input.key, None)).await?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let DeleteObjectsInput { bucket, delete, .. } = req.input;
        let quiet = delete.quiet.unwrap_or(false);
        self.blocking(move |store| {
            let (mut deleted, mut errors) = (Vec::new(), Vec::new());
            for object in delete.objects {
                let tag = object.e_tag.map(ETag::into_value);
                match store.delete(&bucket, &object.key, tag.as_deref()) {
                    Ok(()) if quiet => {}
                    Ok(()) => deleted
                        .push(DeletedObject { key: Some(object.key), ..DeletedObject::default() }),
                    Err(error) => errors.push(Error {
                        code: Some(error.code().as_str().to_owned()),
                        message: error.message().map(str::to_owned),
                        key: Some(object.key),
                        ..Error::default()
                    }),
                }
            }
            Ok(S3Response::new(DeleteObjectsOutput {
                deleted: Some(deleted),
                errors: Some(errors),
                ..DeleteObjectsOutput::default()
            }))
        })
        .await
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let CreateMultipartUploadInput { bucket, key, .. } = req.input;
        self.store.make_bucket(&bucket)?;
        let upload_id = Upload::create(&self.store, &bucket, &key)?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(bucket),
            key: Some(key),
            upload_id: Some(upload_id),
            ..CreateMultipartUploadOutput::default()
        }))
    }

    async fn upload_part(
        &self,
        req: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let input = req.input;
        let upload = Upload::find(&self.store, &input.bucket, &input.key, &input.upload_id)?;
        let digests = digests!(input, req.trailing_headers);
        let file = self.receive(input.body, digests).await?;
        Ok(S3Response::new(UploadPartOutput {
            e_tag: Some(ETag::Strong(upload.keep(input.part_number, file)?)),
            ..UploadPartOutput::default()
        }))
    }

    async fn upload_part_copy(
        &self,
        req: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let input = req.input;
        let upload = Upload::find(&self.store, &input.bucket, &input.key, &input.upload_id)?;
        let (source_bucket, source_key) = copy_source(input.copy_source)?;
        let source = self.find(source_bucket, source_key).await?;
        must_match(input.copy_source_if_match.as_ref(), &source)?;
        let range = input.copy_source_range;
        let tag = self
            .blocking(move |store| {
                let mut file = store.temporary().map_err(internal)?;
                part_file(range.as_deref(), &source, file.as_file_mut())
                    .map_err(|_| s3_error!(InvalidRange))?;
                upload.keep(input.part_number, file)
            })
            .await?;
        Ok(S3Response::new(UploadPartCopyOutput {
            copy_part_result: Some(CopyPartResult {
                e_tag: Some(ETag::Strong(tag)),
                ..CopyPartResult::default()
            }),
            ..UploadPartCopyOutput::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = req.input;
        let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let parts: Vec<_> = parts
            .into_iter()
            .map(|part| (part.part_number.unwrap_or_default(), part.e_tag.map(ETag::into_value)))
            .collect();
        if parts.is_empty() {
            return Err(s3_error!(InvalidPart, "An upload has at least one part"));
        }
        let (bucket, key) = (input.bucket, input.key);
        let upload = Upload::find(&self.store, &bucket, &key, &input.upload_id)?;
        let output = self
            .blocking(move |store| {
                let file = upload.join(store, &parts)?;
                let object = store.publish(&bucket, &key, file)?;
                upload.forget();
                Ok(CompleteMultipartUploadOutput {
                    bucket: Some(bucket),
                    key: Some(key),
                    e_tag: Some(object.strong_etag()),
                    ..CompleteMultipartUploadOutput::default()
                })
            })
            .await?;
        Ok(S3Response::new(output))
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let input = req.input;
        Upload::find(&self.store, &input.bucket, &input.key, &input.upload_id)?.forget();
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}
