//! Who sent a request, and extractors that refuse those who may not.

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::super::App;
use super::super::problem::{Kind, Problem};
use super::{Scope, Scopes};
use crate::run::record::Record;

/// Whoever sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    subject: Option<String>,
    scopes: Scopes,
}

impl Caller {
    /// Anybody, where nobody is asked: they may do everything.
    pub(super) fn anybody() -> Self {
        Self { subject: None, scopes: Scope::ALL.into_iter().collect() }
    }

    pub(super) fn named(subject: String, scopes: Scopes) -> Self {
        Self { subject: Some(subject), scopes }
    }

    /// What a demand records as its submitter: `token:NAME`, or a JWT's `sub`.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    fn must(self, scope: Scope) -> Result<Self, Problem> {
        if self.scopes.permit(scope) {
            return Ok(self);
        }
        let challenge =
            format!("Bearer realm=\"demands\", error=\"insufficient_scope\", scope=\"{scope}\"");
        let detail = format!("This needs a token of the scope {scope}.");
        Err(Problem::new(Kind::Forbidden, detail).challenge(challenge))
    }

    /// Refuses the demands of others, but to admins.
    pub(in crate::http) fn must_own(&self, record: &Record) -> Result<(), Problem> {
        let owns = record.submitted_by.as_deref() == self.subject();
        if owns || self.scopes.permit(Scope::Admin) {
            return Ok(());
        }
        let detail = format!(
            "`{}` is somebody else's demand; this needs its owner or the scope {}.",
            record.execution_id,
            Scope::Admin
        );
        Err(Problem::new(Kind::Forbidden, detail))
    }
}

/// A caller who may look.
pub(in crate::http) struct Reader(pub Caller);

/// A caller who may change.
pub(in crate::http) struct Writer(pub Caller);

impl FromRequestParts<App> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        app.authority.identify(&parts.headers).await?.must(Scope::Read).map(Self)
    }
}

impl FromRequestParts<App> for Writer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        app.authority.identify(&parts.headers).await?.must(Scope::Write).map(Self)
    }
}
