//! Objects made of parts, some of which are ranges of other objects that no test could hold: what
//! they are made of is remembered instead of their bytes.

use std::collections::BTreeMap;
use std::ops::Range;

use s3s::dto::{
    CompletedPart, CopySource, CreateMultipartUploadInput, ETag, HeadObjectOutput, Timestamp,
    UploadPartCopyInput,
};
use s3s::{S3Result, s3_error};

use super::{Held, crc64nvme, tag};

/// A range of another object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Bucket and key.
    pub source: String,
    /// The tag that the source was to have, if any was named.
    pub if_match: Option<String>,
    pub range: Range<u64>,
}

/// What describes an object beside its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    pub content_type: Option<String>,
    pub content_encoding: Option<String>,
    pub content_language: Option<String>,
    pub content_disposition: Option<String>,
    pub cache_control: Option<String>,
    pub expires: Option<Timestamp>,
    pub metadata: BTreeMap<String, String>,
}

impl Attributes {
    pub(super) fn describe(&self, output: &mut HeadObjectOutput) {
        let it = self.clone();
        output.content_type = it.content_type;
        output.content_encoding = it.content_encoding;
        output.content_language = it.content_language;
        output.content_disposition = it.content_disposition;
        output.cache_control = it.cache_control;
        output.expires = it.expires;
        output.metadata = Some(it.metadata.into_iter().collect());
    }
}

/// An upload under way.
#[derive(Debug)]
pub(super) struct Upload {
    pub parts: BTreeMap<i32, Part>,
    pub attributes: Attributes,
}

#[derive(Debug, Clone)]
pub(super) enum Part {
    Sent(Vec<u8>),
    Copied(Copied),
}

impl Part {
    pub fn tag(&self) -> ETag {
        match self {
            Self::Sent(content) => tag(content),
            Self::Copied(copied) => tag(format!("{copied:?}").as_bytes()),
        }
    }
}

impl Upload {
    pub fn begin(input: CreateMultipartUploadInput) -> Self {
        let attributes = Attributes {
            content_type: input.content_type,
            content_encoding: input.content_encoding,
            content_language: input.content_language,
            content_disposition: input.content_disposition,
            cache_control: input.cache_control,
            expires: input.expires,
            metadata: input.metadata.unwrap_or_default().into_iter().collect(),
        };
        Self { parts: BTreeMap::new(), attributes }
    }

    /// The parts that complete it: those that are named, in rising order and by their tags.
    pub fn listed(&self, named: Option<Vec<CompletedPart>>) -> S3Result<Vec<Part>> {
        let (mut parts, mut last) = (Vec::new(), 0);
        for named in named.unwrap_or_default() {
            let number = named.part_number.ok_or_else(|| s3_error!(MalformedXML))?;
            if number <= last {
                return Err(s3_error!(InvalidPartOrder));
            }
            last = number;
            let part = self.parts.get(&number).ok_or_else(|| s3_error!(InvalidPart))?;
            if !named.e_tag.is_some_and(|tag| tag.strong_cmp(&part.tag())) {
                return Err(s3_error!(InvalidPart));
            }
            parts.push(part.clone());
        }
        Ok(parts)
    }
}

impl Held {
    /// Describes an object.
    pub fn describe(&self, key: &str, attributes: Attributes) {
        self.attributes.lock().unwrap().insert(key.to_owned(), attributes);
    }

    /// What describes an object.
    pub fn described(&self, key: &str) -> Attributes {
        self.attributes.lock().unwrap().get(key).cloned().unwrap_or_default()
    }

    /// What an object consists of that was copied in parts.
    pub fn made_of(&self, key: &str) -> Vec<Copied> {
        self.copied.lock().unwrap().get(key).cloned().unwrap_or_default()
    }

    /// The tag of an object.
    pub fn tag_of(&self, key: &str) -> String {
        self.tag(key, &self.get(key).unwrap()).value().to_owned()
    }

    pub(super) fn copy_part(&self, input: &UploadPartCopyInput) -> S3Result<Copied> {
        let CopySource::Bucket { bucket, key, .. } = &input.copy_source else {
            return Err(s3_error!(InvalidArgument));
        };
        let content = self.find(key)?;
        let if_match = input.copy_source_if_match.as_ref().and_then(|tag| tag.as_etag());
        if if_match.is_some_and(|expected| !expected.strong_cmp(&self.tag(key, &content))) {
            return Err(s3_error!(PreconditionFailed));
        }
        let size = u64::try_from(self.size(key, &content).unwrap()).unwrap();
        let range = input.copy_source_range.as_deref().and_then(inclusive).unwrap_or(0..size);
        // S3 takes no range beyond the end, and no part of more than 5 GiB.
        if range.is_empty() || range.end > size || range.end - range.start > 5 << 30 {
            return Err(s3_error!(InvalidArgument));
        }
        let if_match = if_match.map(|tag| tag.value().to_owned());
        Ok(Copied { source: format!("{bucket}/{key}"), if_match, range })
    }

    /// Makes an object of `parts`.
    pub(super) fn assemble(&self, key: &str, parts: Vec<Part>) {
        let (mut sent, mut copied) = (Vec::new(), Vec::new());
        for part in parts {
            match part {
                Part::Sent(content) => sent.push(content),
                Part::Copied(part) => copied.push(part),
            }
        }
        if copied.is_empty() {
            let content = sent.concat();
            // As S3 has it: of the whole, where the parts were sent with theirs.
            self.sign(key, &crc64nvme(&content));
            self.put_in_parts_of(key, content, sent.iter().map(Vec::len).collect());
            return;
        }
        assert!(sent.is_empty(), "nobody mixes them");
        let size: u64 = copied.iter().map(|part| part.range.end - part.range.start).sum();
        self.claim(key, i64::try_from(size).unwrap());
        self.opaque.lock().unwrap().remove(key);
        let ETag::Strong(whole) = tag(format!("{copied:?}").as_bytes()) else { return };
        let whole = ETag::Strong(format!("{whole}-{}", copied.len()));
        self.tags.lock().unwrap().insert(key.to_owned(), whole);
        self.copied.lock().unwrap().insert(key.to_owned(), copied);
    }
}

/// The range that `bytes=…` names.
fn inclusive(header: &str) -> Option<Range<u64>> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    Some(first.parse().ok()?..last.parse::<u64>().ok()? + 1)
}
