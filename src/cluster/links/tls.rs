//! TLS between nodes: both sides show a certificate of the cluster's own authority.

use super::frame::Stream;
use crate::config::ClusterTls;
use std::{io, path::Path, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        self, ClientConfig, RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
        server::WebPkiClientVerifier,
    },
};

/// Why links can't be TLS.
#[derive(Debug, thiserror::Error)]
pub enum LinkTlsError {
    /// A file can't be read or is no PEM of its kind.
    #[error("{setting} {path}: {why}")]
    File {
        /// Which.
        setting: &'static str,
        /// The file.
        path: String,
        /// What the reader said.
        why: rustls::pki_types::pem::Error,
    },
    /// The files don't fit together.
    #[error("cluster.tls_cert, tls_key and tls_ca can't be used together: {0}")]
    Config(#[from] rustls::Error),
    /// No certificate can be checked against it.
    #[error("cluster.tls_ca: {0}")]
    Authority(#[from] rustls::server::VerifierBuilderError),
}

/// Both ends of TLS.
pub(super) struct LinkTls {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

impl std::fmt::Debug for LinkTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinkTls")
    }
}

impl LinkTls {
    pub(super) fn new(tls: &ClusterTls) -> Result<Self, LinkTlsError> {
        let chain = certificates("cluster.tls_cert", &tls.cert)?;
        let key_error =
            |why| LinkTlsError::File { setting: "cluster.tls_key", path: tls.key.display().to_string(), why };
        let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(key_error)?;
        let mut roots = RootCertStore::empty();
        for authority in certificates("cluster.tls_ca", &tls.ca)? {
            roots.add(authority)?;
        }
        let roots = Arc::new(roots);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone()).build()?;
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), key.clone_key())?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(server)), connector: TlsConnector::from(Arc::new(client)) })
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<Stream> {
        Ok(Box::new(self.acceptor.accept(stream).await?))
    }

    /// The certificate must be for the host of `address`.
    pub(super) async fn connect(&self, address: &str, stream: TcpStream) -> io::Result<Stream> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        Ok(Box::new(self.connector.connect(name, stream).await?))
    }
}

fn certificates(setting: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, LinkTlsError> {
    let error = |why| LinkTlsError::File { setting, path: path.display().to_string(), why };
    CertificateDer::pem_file_iter(path).map_err(error)?.collect::<Result<_, _>>().map_err(error)
}
