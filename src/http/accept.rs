//! Which representation a request accepts (RFC 9110, 12.5.1).

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::ACCEPT;

use super::problem::{Kind, Problem};

pub(super) const JSON: &str = "application/json";
pub(super) const EVENT_STREAM: &str = "text/event-stream";

/// The best of `offers` by what the request accepts; the first of those it likes equally.
pub(super) fn preferred<'o>(headers: &HeaderMap, offers: &[&'o str]) -> Result<&'o str, Problem> {
    let ranges: Vec<Range> = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(Range::parse)
        .collect();
    let quality = |offer: &str| {
        // The range that says most about it decides.
        let best = ranges.iter().filter(|range| range.covers(offer));
        best.max_by_key(|range| range.precision()).map_or(0, |range| range.quality)
    };
    let mut best = (0, None);
    for offer in offers {
        let quality = if ranges.is_empty() { 1000 } else { quality(offer) };
        if quality > best.0 {
            best = (quality, Some(*offer));
        }
    }
    best.1.ok_or_else(|| {
        let detail = format!("This is to be had as {}; say so in Accept.", offers.join(" or "));
        Problem::new(Kind::NotAcceptable, detail)
    })
}

/// Refuses requests that do not accept JSON, before anything is done for them.
pub(super) async fn json(request: Request, next: Next) -> Response {
    match preferred(request.headers(), &[JSON]) {
        Ok(_) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// A media range and its weight, in thousandths.
struct Range<'h> {
    kind: &'h str,
    subtype: &'h str,
    quality: u16,
}

impl<'h> Range<'h> {
    /// One that cannot be read is passed over.
    fn parse(text: &'h str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        let quality = match weight {
            None => 1000,
            Some(weight) => thousandths(weight)?,
        };
        Some(Self { kind, subtype, quality })
    }

    fn covers(&self, offer: &str) -> bool {
        let Some((kind, subtype)) = offer.split_once('/') else { return false };
        (self.kind == "*" && self.subtype == "*")
            || self.kind.eq_ignore_ascii_case(kind)
                && (self.subtype == "*" || self.subtype.eq_ignore_ascii_case(subtype))
    }

    fn precision(&self) -> u8 {
        u8::from(self.kind != "*") + u8::from(self.subtype != "*")
    }
}

/// `1`, `0.5`, `0.125`: at most three decimals.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, decimals) = weight.split_once('.').unwrap_or((weight, ""));
    let whole: u16 = whole.parse().ok().filter(|whole| *whole <= 1)?;
    let decimals: u16 = format!("{decimals:0<3}").get(..3)?.parse().ok()?;
    Some((whole * 1000 + decimals).min(1000))
}
