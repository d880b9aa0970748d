//! JSON Web Tokens (RFC 7519) of an identity provider: signed by one of its keys, for this service,
//! and of now. Scopes are those of the claim `scope` (RFC 8693, section 4.2), or of `scp`, which
//! some providers write instead.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;

use super::Scopes;
use super::jwks::{Jwks, JwksError};
use crate::config::JwksSource;

/// Algorithms of a key pair alone: a shared secret would be no provider's.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
/// Seconds by which clocks may differ.
const LEEWAY: u64 = 60;

/// Verifies the tokens of one provider.
#[derive(Debug)]
pub struct Verifier {
    issuer: String,
    audience: String,
    jwks: Jwks,
}

/// Why a token is not accepted.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It is not valid; the reason, for its bearer.
    Invalid(String),
    /// Nobody can tell.
    NoKeys(JwksError),
}

#[derive(Debug, Deserialize)]
struct Claims {
    sub: String,
    scope: Option<Names>,
    scp: Option<Names>,
}

/// Names as providers write them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Names {
    Text(String),
    List(Vec<String>),
}

impl Verifier {
    /// Takes tokens of `issuer` that are meant for `audience`. `http` asks for the keys.
    pub fn new(issuer: &str, audience: &str, keys: JwksSource, http: reqwest::Client) -> Self {
        let jwks = Jwks::new(keys, http);
        Self { issuer: issuer.to_owned(), audience: audience.to_owned(), jwks }
    }

    /// Who a token speaks for, and what it permits.
    pub(super) async fn verify(&self, token: &str) -> Result<(String, Scopes), Refusal> {
        let invalid = |why: &str| Refusal::Invalid(why.to_owned());
        let header = decode_header(token).map_err(|_| invalid("it is no JSON Web Token"))?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(invalid("its algorithm is not accepted"));
        }
        let keys = self.jwks.candidates(header.kid.as_deref()).await.map_err(Refusal::NoKeys)?;
        let mut validation = Validation::new(header.alg);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let mut refused = invalid("no key of the provider fits it");
        for key in keys {
            let Ok(key) = DecodingKey::from_jwk(&key) else { continue };
            match decode::<Claims>(token, &key, &validation) {
                Ok(token) => return self.accept(token.claims),
                Err(error) => match reason(error.kind()) {
                    // Another key may fit.
                    None => {}
                    Some(why) => refused = Refusal::Invalid(why),
                },
            }
        }
        Err(refused)
    }

    fn accept(&self, claims: Claims) -> Result<(String, Scopes), Refusal> {
        let Claims { sub, scope, scp } = claims;
        // The names of this service's own tokens are nobody else's.
        if sub.is_empty() || sub.starts_with("token:") {
            let issuer = &self.issuer;
            return Err(Refusal::Invalid(format!("`{sub}` is no subject that {issuer} may name")));
        }
        let scopes = match scope.or(scp) {
            Some(Names::Text(names)) => Scopes::among(names.split_whitespace()),
            Some(Names::List(names)) => Scopes::among(names.iter().map(String::as_str)),
            None => Scopes::default(),
        };
        Ok((sub, scopes))
    }
}

/// What to tell the bearer; nothing where only the key does not fit.
fn reason(kind: &ErrorKind) -> Option<String> {
    Some(match kind {
        ErrorKind::ExpiredSignature => "it has expired".to_owned(),
        ErrorKind::ImmatureSignature => "it is not valid yet".to_owned(),
        ErrorKind::InvalidIssuer => "it is of another issuer".to_owned(),
        ErrorKind::InvalidAudience => "it is meant for another audience".to_owned(),
        ErrorKind::MissingRequiredClaim(claim) => format!("it has no `{claim}`"),
        ErrorKind::InvalidClaimFormat(claim) => format!("its `{claim}` has another form"),
        ErrorKind::Json(_) => "its claims have another form".to_owned(),
        _ => return None,
    })
}
