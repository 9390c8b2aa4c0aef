//! TLS from PEM files.

use crate::config::Tls;
use std::{path::PathBuf, sync::Arc};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read or is no PEM of its kind.
    #[error("{what} {path}: {why}")]
    File {
        /// `server.tls_cert` or `server.tls_key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the reader said.
        why: rustls::pki_types::pem::Error,
    },
    /// Certificate and key don't fit, or the key is of a kind that isn't supported.
    #[error("server.tls_cert and server.tls_key can't be used together: {0}")]
    Pair(#[from] rustls::Error),
}

/// Reads certificate chain and key.
///
/// # Errors
/// See [`TlsError`].
pub fn acceptor(tls: &Tls) -> Result<TlsAcceptor, TlsError> {
    let cert_error = |why| TlsError::File { what: "server.tls_cert", path: tls.cert.clone(), why };
    let chain = CertificateDer::pem_file_iter(&tls.cert).map_err(cert_error)?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(cert_error)?;
    let key_error = |why| TlsError::File { what: "server.tls_key", path: tls.key.clone(), why };
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(key_error)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
