//! An HTTP client that waits for an endpoint on this machine to come back.
//!
//! A refused connection means that nothing listens: nothing was sent, so sending the request then
//! repeats nothing. The SDK's own tries end after half a minute, and a restart of the service that
//! serves local mode's S3 may take longer. Every other failure is the SDK's to try again.

use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::{
    RuntimeComponents, RuntimeComponentsBuilder,
};
use aws_smithy_types::config_bag::ConfigBag;
use tokio::time::{Instant, sleep};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Another client, with patience for refused connections.
#[derive(Debug)]
pub struct Patient {
    inner: SharedHttpClient,
    patience: Duration,
    down_since: Arc<Mutex<Option<Instant>>>,
}

impl Patient {
    /// Has the calls of `inner` wait for an endpoint that refuses connections, at most `patience`
    /// from the first that was refused on.
    pub fn new(inner: SharedHttpClient, patience: Duration) -> Self {
        Self { inner, patience, down_since: Arc::default() }
    }
}

impl HttpClient for Patient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        let down_since = Arc::clone(&self.down_since);
        SharedHttpConnector::new(Connector { inner, patience: self.patience, down_since })
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.inner.validate_base_client_config(components, config)
    }

    fn validate_final_config(
        &self,
        components: &RuntimeComponents,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.inner.validate_final_config(components, config)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.inner.connector_metadata()
    }
}

#[derive(Debug)]
struct Connector {
    inner: SharedHttpConnector,
    patience: Duration,
    /// Since when connections are refused, for all calls and all their tries.
    down_since: Arc<Mutex<Option<Instant>>>,
}

/// When `patience` with an endpoint ends that is down by now.
fn deadline(down_since: &Mutex<Option<Instant>>, patience: Duration) -> Instant {
    let mut since = down_since.lock().unwrap_or_else(PoisonError::into_inner);
    let since = since.get_or_insert_with(|| {
        let minutes = patience.as_secs() / 60;
        tracing::warn!("the S3 endpoint refuses connections; waiting up to {minutes} min for it");
        Instant::now()
    });
    *since + patience
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (inner, patience) = (self.inner.clone(), self.patience);
        let down_since = Arc::clone(&self.down_since);
        HttpConnectorFuture::new(async move {
            let (mut request, mut pause) = (request, FIRST_PAUSE);
            loop {
                let again = request.try_clone();
                let ended = inner.call(request).await;
                if !ended.as_ref().is_err_and(is_refused) {
                    *down_since.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    return ended;
                }
                let deadline = deadline(&down_since, patience);
                let left = deadline.saturating_duration_since(Instant::now());
                match again {
                    Some(again) if !left.is_zero() => {
                        sleep(pause.min(left)).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                        request = again;
                    }
                    _ => return ended,
                }
            }
        })
    }
}

fn is_refused(error: &ConnectorError) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = error.source();
    }
    false
}
