//! TLS for the clients of HTTP in this binary: rustls on ring, as the AWS SDK has it too.

use std::sync::Once;

/// Installs the implementation that rustls uses where none is named.
pub fn install_provider() {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // It fails only where one is installed already, which does as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
