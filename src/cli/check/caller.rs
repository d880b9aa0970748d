//! Who the service is to AWS.

use aws_config::SdkConfig;
use aws_sdk_sts::config::ProvideCredentials;

use super::finding::Finding;
use crate::aws::call;

/// Whether there are credentials; and the ARN they belong to, where AWS tells.
pub(super) async fn check(sdk: &SdkConfig) -> (Option<String>, Finding) {
    const GET: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run \
                       the service with an IAM role";
    let Some(provider) = sdk.credentials_provider() else {
        return (None, Finding::missing("credentials: there are none", GET));
    };
    if let Err(error) = provider.provide_credentials().await {
        return (None, Finding::failed("credentials", &error, GET));
    }
    let identity = aws_sdk_sts::Client::new(sdk).get_caller_identity().send().await;
    match identity.map_err(call("GetCallerIdentity")) {
        Ok(identity) => {
            let arn = identity.arn.unwrap_or_else(|| "an identity without an ARN".to_owned());
            let finding = Finding::ok(format!("credentials of {arn}"));
            (Some(arn), finding)
        }
        Err(error) => {
            let refused = error.code.is_some();
            let finding = Finding::of_call("credentials", &error, "sts:GetCallerIdentity", GET);
            // Without an answer nothing is known: STS may be closed off where Batch is not.
            (None, if refused { finding } else { finding.uncertain() })
        }
    }
}
