//! An S3 server that costs next to nothing, so that clients are what a benchmark measures: it
//! serves objects made of one block of bytes in memory, checks and counts what is uploaded, and
//! keeps none of it. `--ceiling` measures it by a client that speaks HTTP and nothing else.
//!
//! It knows the calls that the compared clients make, and no authentication. Entity tags are no
//! MD5s, as with KMS; whole objects have a CRC64NVME, as S3 gives every object.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark has nobody to report to"
)]

mod ceiling;
mod chunked;

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard};
use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest, checksum_combine};
use futures::stream;
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use tokio::net::TcpListener;

use chunked::Decoder;

const CRC: CrcAlgorithm = CrcAlgorithm::Crc64Nvme;
const BLOCK: usize = 16 << 20;
const PAGE: usize = 1000;

#[derive(Debug, Clone, Copy)]
struct Object {
    size: u64,
    crc: u64,
}

struct Server {
    /// The bytes of every object, over and over.
    block: Bytes,
    objects: Mutex<BTreeMap<String, Object>>,
    uploads: Mutex<HashMap<String, BTreeMap<u64, Object>>>,
    started: String,
}

type Body = Either<
    Full<Bytes>,
    StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>,
>;
type Query = HashMap<String, String>;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match arguments.next().as_deref() {
        Some("--ceiling") => {
            let mut next = || arguments.next().expect("ADDRESS down|up COUNT SIZE");
            let (address, direction) = (next(), next());
            let (count, size) = (next().parse().unwrap(), next().parse().unwrap());
            runtime.block_on(ceiling::measure(&address, direction == "up", count, size));
        }
        // COUNT:SIZE:NAME …: the objects `down/NAME/…` to serve.
        first => {
            let sets: Vec<String> = first.map(str::to_owned).into_iter().chain(arguments).collect();
            runtime.block_on(serve(&sets));
        }
    }
}

async fn serve(sets: &[String]) {
    let server: &'static Server = Box::leak(Box::new(Server::new(sets)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        tokio::spawn(async move {
            let service = service_fn(move |request| server.answer(request));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

impl Server {
    fn new(sets: &[String]) -> Self {
        let mut state: u64 = 1;
        let words = (0..BLOCK / 8).flat_map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()
        });
        let block: Bytes = words.collect::<Vec<u8>>().into();
        let mut objects = BTreeMap::new();
        for set in sets {
            let mut parts = set.split(':');
            let mut next = || parts.next().expect("COUNT:SIZE:NAME");
            let (count, size): (u64, u64) = (next().parse().unwrap(), next().parse().unwrap());
            let name = next();
            let mut digest = Digest::new(CRC);
            for range in ranges(0, size) {
                digest.update(&block[range]);
            }
            let object = Object { size, crc: digest.finalize() };
            for index in 0..count {
                let folder = index / 1000;
                objects.insert(format!("down/{name}/{folder:03}/{index:06}.bin"), object);
            }
        }
        let now = jiff::Timestamp::try_from(SystemTime::now()).unwrap();
        let started = now.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string();
        Self { block, objects: objects.into(), uploads: Mutex::default(), started }
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Object>> {
        self.objects.lock().unwrap()
    }

    fn find(&self, key: &str) -> Option<Object> {
        self.objects().get(key).copied()
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let path = percent_decode_str(request.uri().path()).decode_utf8().unwrap();
        let key =
            path.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key).to_owned();
        let query: Query =
            url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        let method = request.method().clone();
        Ok(match method {
            Method::GET if path == "/-/sum" => self.sum(&query),
            Method::GET if key.is_empty() => self.list(&query),
            Method::HEAD | Method::PUT if key.is_empty() => text(StatusCode::OK, ""),
            Method::GET | Method::HEAD => self.get(&key, &method, request.headers()),
            Method::PUT => self.put(key, &query, request).await,
            Method::POST => self.post(key, &query, request).await,
            Method::DELETE => text(StatusCode::NO_CONTENT, ""),
            _ => text(StatusCode::METHOD_NOT_ALLOWED, ""),
        })
    }

    /// How many objects have the prefix, their bytes, and the exclusive or of their checksums.
    fn sum(&self, query: &Query) -> Response<Body> {
        let prefix = &query["prefix"];
        let sum = self
            .objects()
            .range(prefix.clone()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .fold((0_u64, 0_u64, 0_u64), |(count, bytes, crc), (_, object)| {
                (count + 1, bytes + object.size, crc ^ object.crc)
            });
        text(StatusCode::OK, &format!("{} {} {:016x}\n", sum.0, sum.1, sum.2))
    }

    fn get(&self, key: &str, method: &Method, headers: &HeaderMap) -> Response<Body> {
        let Some(object) = self.find(key) else {
            return text(StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code></Error>");
        };
        let range = headers.get("range").map(|range| {
            let (first, last) = range.to_str().unwrap()[6..].split_once('-').unwrap();
            let last = last.parse().map_or(object.size - 1, |last: u64| last.min(object.size - 1));
            first.parse().unwrap()..last + 1
        });
        let whole = range.is_none();
        let sent = range.unwrap_or(0..object.size);
        let length = sent.end - sent.start;
        let body = if *method == Method::HEAD {
            Either::Left(Full::default())
        } else if length <= BLOCK as u64 / 2 && sent.start.is_multiple_of(BLOCK as u64) {
            let length = usize::try_from(length).unwrap();
            Either::Left(Full::new(self.block.slice(..length)))
        } else {
            let frames: Vec<_> = ranges(sent.start, sent.end)
                .map(|range| Ok(Frame::data(self.block.slice(range))))
                .collect();
            Either::Right(StreamBody::new(stream::iter(frames)))
        };
        let mut response = Response::new(body);
        let headers_out = response.headers_mut();
        headers_out.insert("content-length", length.into());
        headers_out.insert("etag", etag(object));
        headers_out.insert("accept-ranges", HeaderValue::from_static("bytes"));
        headers_out
            .insert("last-modified", HeaderValue::from_static("Mon, 02 Mar 2026 03:04:05 GMT"));
        headers_out.insert("content-type", HeaderValue::from_static("binary/octet-stream"));
        if whole {
            if headers.contains_key("x-amz-checksum-mode") {
                headers_out.insert("x-amz-checksum-crc64nvme", crc(object.crc));
                headers_out.insert("x-amz-checksum-type", HeaderValue::from_static("FULL_OBJECT"));
            }
        } else {
            let range = format!("bytes {}-{}/{}", sent.start, sent.end - 1, object.size);
            headers_out.insert("content-range", range.try_into().unwrap());
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        response
    }

    async fn put(&self, key: String, query: &Query, request: Request<Incoming>) -> Response<Body> {
        let sent = match receive(request).await {
            Ok(sent) => sent,
            Err(reason) => return text(StatusCode::BAD_REQUEST, &reason),
        };
        if let Some(id) = query.get("uploadId") {
            let number = query["partNumber"].parse().unwrap();
            let mut uploads = self.uploads.lock().unwrap();
            uploads.entry(id.clone()).or_default().insert(number, sent);
        } else {
            self.objects().insert(key, sent);
        }
        let mut response = text(StatusCode::OK, "");
        response.headers_mut().insert("etag", etag(sent));
        response.headers_mut().insert("x-amz-checksum-crc64nvme", crc(sent.crc));
        response
    }

    async fn post(&self, key: String, query: &Query, request: Request<Incoming>) -> Response<Body> {
        let _ = request.into_body().collect().await;
        let Some(id) = query.get("uploadId") else {
            let id = format!("{:x}", fastrand::u128(..));
            return text(
                StatusCode::OK,
                &format!(
                    "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key>\
                     <UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
                ),
            );
        };
        let parts = self.uploads.lock().unwrap().remove(id).unwrap_or_default();
        let whole = parts.into_values().reduce(|whole, part| Object {
            size: whole.size + part.size,
            crc: checksum_combine(CRC, whole.crc, part.crc, part.size),
        });
        let whole = whole.unwrap();
        self.objects().insert(key, whole);
        let etag = etag(whole);
        let etag = etag.to_str().unwrap().trim_matches('"');
        text(
            StatusCode::OK,
            &format!(
                "<CompleteMultipartUploadResult><Bucket>b</Bucket><Key>k</Key>\
                 <ETag>&quot;{etag}&quot;</ETag></CompleteMultipartUploadResult>"
            ),
        )
    }

    fn list(&self, query: &Query) -> Response<Body> {
        let get = |name: &str| query.get(name).map_or("", String::as_str);
        let prefix = get("prefix");
        let limit = get("max-keys").parse().unwrap_or(PAGE).min(PAGE);
        let after = [get("continuation-token"), get("start-after"), get("marker")];
        let after = after.into_iter().max().unwrap_or_default();
        let objects = self.objects();
        // What follows a common prefix lies beyond all that it stands for.
        let is_folder = after.ends_with('/') && !get("delimiter").is_empty();
        let beyond = if is_folder { format!("{after}\u{10ffff}") } else { after.to_owned() };
        let found = objects
            .range(beyond.as_str().max(prefix).to_owned()..)
            .filter(|(key, _)| after.is_empty() || **key > beyond)
            .take_while(|(key, _)| key.starts_with(prefix));
        let encode = |key: &str| match get("encoding-type") {
            "url" => utf8_percent_encode(key, NON_ALPHANUMERIC).to_string(),
            _ => key.to_owned(),
        };
        let mut xml = String::from("<ListBucketResult><Name>b</Name>");
        if !get("encoding-type").is_empty() {
            xml.push_str("<EncodingType>url</EncodingType>");
        }
        let (mut last, mut count, mut more) = ("", 0, false);
        for (key, object) in found {
            let folder = key[prefix.len()..].find('/').map(|end| &key[..=prefix.len() + end]);
            if let Some(folder) = folder.filter(|_| !get("delimiter").is_empty()) {
                if folder == last {
                    continue;
                }
                more = count == limit;
                if more {
                    break;
                }
                (last, count) = (folder, count + 1);
                let folder = encode(folder);
                write!(xml, "<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>").unwrap();
                continue;
            }
            more = count == limit;
            if more {
                break;
            }
            (last, count) = (key, count + 1);
            let (key, tag, size) = (encode(key), etag(*object), object.size);
            let (tag, started) = (tag.to_str().unwrap().trim_matches('"'), &self.started);
            write!(
                xml,
                "<Contents><Key>{key}</Key><LastModified>{started}</LastModified>\
                 <ETag>&quot;{tag}&quot;</ETag><Size>{size}</Size>\
                 <StorageClass>STANDARD</StorageClass></Contents>"
            )
            .unwrap();
        }
        write!(
            xml,
            "<KeyCount>{count}</KeyCount><MaxKeys>{limit}</MaxKeys><IsTruncated>{more}</IsTruncated>"
        )
        .unwrap();
        if more {
            write!(
                xml,
                "<NextContinuationToken>{last}</NextContinuationToken><NextMarker>{}</NextMarker>",
                encode(last)
            )
            .unwrap();
        }
        xml.push_str("</ListBucketResult>");
        text(StatusCode::OK, &xml)
    }
}

/// Counts and sums up what is uploaded; what its own trailer contradicts is refused.
async fn receive(request: Request<Incoming>) -> Result<Object, String> {
    let header =
        |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let decoded = header("x-amz-decoded-content-length");
    let announced = header("x-amz-checksum-crc64nvme");
    let mut chunks = Decoder::new(decoded.is_some());
    let (mut digest, mut size) = (Digest::new(CRC), 0);
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| error.to_string())?.into_data() else { continue };
        chunks.decode(&data, |bytes| {
            digest.update(bytes);
            size += bytes.len() as u64;
        });
    }
    let found = digest.finalize();
    let announced = announced.or(chunks.trailer("x-amz-checksum-crc64nvme"));
    if decoded.is_some_and(|decoded| decoded.parse() != Ok(size)) {
        return Err(format!("{size} bytes came"));
    }
    if announced.is_some_and(|announced| announced.as_bytes() != crc(found).as_bytes()) {
        return Err("another checksum came".to_owned());
    }
    Ok(Object { size, crc: found })
}

/// The ranges of the block that make up these bytes of any object.
fn ranges(mut start: u64, end: u64) -> impl Iterator<Item = std::ops::Range<usize>> {
    std::iter::from_fn(move || {
        let from = start % BLOCK as u64;
        let length = (end - start).min(BLOCK as u64 - from);
        start += length;
        let from = usize::try_from(from).unwrap();
        (length > 0).then(|| from..from + usize::try_from(length).unwrap())
    })
}

fn etag(object: Object) -> HeaderValue {
    format!("\"{:016x}\"", object.crc).try_into().unwrap()
}

fn crc(crc: u64) -> HeaderValue {
    BASE64_STANDARD.encode(crc.to_be_bytes()).try_into().unwrap()
}

fn text(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(text.to_owned().into())));
    *response.status_mut() = status;
    response
}
