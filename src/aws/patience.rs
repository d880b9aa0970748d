//! An HTTP client that waits for an endpoint on this machine to come back.
//!
//! A refused connection means that nothing listens: nothing was sent, so sending the request then
//! repeats nothing. The SDK's own tries end after half a minute, and a restart of the service that
//! serves local mode's S3 may take longer. Every other failure is the SDK's to try again.

use std::error::Error;
use std::io;
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
}

impl Patient {
    /// Has each call of `inner` wait at most `patience` for an endpoint that refuses connections.
    pub fn new(inner: SharedHttpClient, patience: Duration) -> Self {
        Self { inner, patience }
    }
}

impl HttpClient for Patient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Connector { inner, patience: self.patience })
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
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (inner, patience) = (self.inner.clone(), self.patience);
        HttpConnectorFuture::new(async move {
            let deadline = Instant::now() + patience;
            let (mut request, mut pause) = (request, FIRST_PAUSE);
            loop {
                let again = request.try_clone();
                let ended = inner.call(request).await;
                let left = deadline.saturating_duration_since(Instant::now());
                match (ended, again) {
                    (Err(error), Some(again)) if is_refused(&error) && !left.is_zero() => {
                        tracing::debug!("waiting for an endpoint that refuses connections");
                        sleep(pause.min(left)).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                        request = again;
                    }
                    (ended, _) => return ended,
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
