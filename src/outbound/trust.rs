//! Whom calls over TLS trust: the system's certificate authorities, and those of a file.
//!
//! The system's own, not a list in the binary: what an administrator adds or distrusts counts here, too, and a binary
//! that is a year old knows this year's authorities.

use super::TrustError;
use std::{path::Path, sync::Arc};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::aws_lc_rs::default_provider,
        pki_types::{CertificateDer, pem::PemObject},
    },
};

/// Reads the authorities and prepares TLS 1.2 and 1.3 for clients.
pub(super) fn connector(ca: Option<&Path>) -> Result<TlsConnector, TrustError> {
    let mut roots = RootCertStore::empty();
    // What of the system can't be read is left out; nobody at all is an error below.
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    if let Some(path) = ca {
        let wrong = |why: String| TrustError::File { path: path.to_owned(), why };
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
        let before = roots.len();
        for certificate in certificates {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
        if roots.len() == before {
            return Err(wrong("there is no certificate in it; it must be PEM".into()));
        }
    }
    if roots.is_empty() {
        return Err(TrustError::Nobody);
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
