//! Who calls, and what they may do (design §10): bearer tokens of this service, JSON Web Tokens of
//! an identity provider, or, where neither is set up, anybody.

mod caller;
mod jwks;
mod jwt;
mod scope;
pub mod tokens;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use jiff::Timestamp;

pub use caller::Caller;
pub(super) use caller::{Reader, Writer};
pub use jwks::JwksError;
pub use jwt::Verifier;
pub use scope::{Scope, Scopes};
use tokens::TokenFile;

use super::problem::{Kind, Problem};
use crate::telemetry::chain;

/// How callers are told from one another.
#[derive(Debug, Default)]
pub struct Authority {
    /// Tokens that `demand token` makes.
    pub tokens: Option<TokenFile>,
    /// Tokens that an identity provider signs.
    pub jwt: Option<Verifier>,
}

impl Authority {
    /// Whether nobody is asked who they are.
    pub fn is_open(&self) -> bool {
        self.tokens.is_none() && self.jwt.is_none()
    }

    /// Who sent a request with these headers.
    async fn identify(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        if self.is_open() {
            return Ok(Caller::anybody());
        }
        let Some(header) = headers.get(AUTHORIZATION) else { return Err(missing()) };
        let bearer = header.to_str().ok().and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let Some(bearer) = bearer.filter(|bearer| !bearer.is_empty()) else {
            return Err(missing());
        };
        if let Some(tokens) = self.tokens.as_ref().filter(|_| tokens::has_form(bearer)) {
            let token = tokens.find(bearer, Timestamp::now()).ok_or_else(|| {
                invalid("The token is unknown, revoked or expired; ask an operator for another.")
            })?;
            return Ok(Caller::named(format!("token:{}", token.name), token.scopes));
        }
        let Some(verifier) = &self.jwt else {
            return Err(invalid("The token is none of this service's; demand token makes them."));
        };
        match verifier.verify(bearer).await {
            Ok((subject, scopes)) => Ok(Caller::named(subject, scopes)),
            Err(jwt::Refusal::Invalid(why)) => {
                Err(invalid(&format!("The token is refused: {why}.")))
            }
            Err(jwt::Refusal::NoKeys(why)) => {
                tracing::warn!(error = %chain(&why), "no key to verify tokens with");
                let detail = "The identity provider's keys cannot be read at present; try again.";
                Err(Problem::new(Kind::Unavailable, detail).retry_after(5))
            }
        }
    }
}

/// The challenges of RFC 6750, section 3.
const REALM: &str = "Bearer realm=\"demands\"";

fn missing() -> Problem {
    Problem::new(Kind::Unauthenticated, "Send a token: Authorization: Bearer TOKEN.")
        .challenge(REALM.to_owned())
}

fn invalid(detail: &str) -> Problem {
    Problem::new(Kind::Unauthenticated, detail)
        .challenge(format!("{REALM}, error=\"invalid_token\""))
}
