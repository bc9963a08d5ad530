//! PEM files into rustls' configuration.

use std::{path::PathBuf, sync::Arc};

use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};

use crate::{
    Result,
    credentials::Tls,
    files::{Fault, Watched},
};

const REMEDY: &str = "The files must be there, be PEM, and belong together: see MINTONCE_CA_FILE, \
    MINTONCE_CERTIFICATE_FILE, MINTONCE_KEY_FILE and Tls. A key of another form is converted by: \
    openssl pkcs8 -topk8 -nocrypt -in KEY -out KEY.p8";

/// A configuration that follows the files.
pub(crate) fn watched(tls: &Tls) -> Result<Watched<Arc<ClientConfig>>> {
    let provider = provider()?;
    let files = Files {
        ca: tls.ca_file.clone(),
        certificate: tls.certificate_file.clone(),
        key: tls.key_file.clone(),
    };
    let paths = [&files.ca, &files.certificate, &files.key]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    Watched::new(paths, REMEDY, move |contents| {
        files.configure(contents, provider.clone())
    })
}

struct Files {
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl Files {
    fn configure(
        &self,
        contents: &[Vec<u8>],
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<ClientConfig>, Fault> {
        let mut contents = contents.iter();
        let mut next = |file: &Option<PathBuf>| file.as_ref().and_then(|_| contents.next());
        let (ca, certificate, key) = (next(&self.ca), next(&self.certificate), next(&self.key));
        let roots = match (&self.ca, ca) {
            (Some(path), Some(content)) => authorities(path, content)?,
            _ => system_authorities()?,
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| "the provider of cryptography has no version of TLS".to_owned())?
            .with_root_certificates(roots);
        let mut config = match (&self.certificate, certificate) {
            (Some(path), Some(content)) => {
                let key_path = self.key.as_ref().unwrap_or(path);
                let chain = certificates(path, content)?;
                let key = private_key(key_path, key.unwrap_or(content))?;
                builder.with_client_auth_cert(chain, key).map_err(|_| {
                    format!(
                        "{} and {} are no certificate with its key",
                        path.display(),
                        key_path.display()
                    )
                })?
            }
            _ => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }
}

/// The application's, if it has installed one; else that of this crate's features.
#[allow(clippy::unnecessary_wraps)] // it can fail without those features
fn provider() -> Result<Arc<CryptoProvider>> {
    if let Some(provider) = CryptoProvider::get_default() {
        return Ok(provider.clone());
    }
    #[cfg(feature = "tls-ring")]
    return Ok(Arc::new(tokio_rustls::rustls::crypto::ring::default_provider()));
    #[cfg(all(feature = "tls-aws-lc", not(feature = "tls-ring")))]
    return Ok(Arc::new(
        tokio_rustls::rustls::crypto::aws_lc_rs::default_provider(),
    ));
    #[cfg(not(any(feature = "tls-ring", feature = "tls-aws-lc")))]
    Err(
        crate::Error::unusable("this program has no provider of cryptography for TLS").with_remedy(
            "Turn on the feature tls-ring or tls-aws-lc of mintonce, or install a provider of rustls.",
        ),
    )
}

// The faults below never quote the parser: its errors show lines of the file.

fn authorities(path: &std::path::Path, content: &[u8]) -> Result<RootCertStore, Fault> {
    let fault = || format!("{} holds no certificates of authorities", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(content) {
        roots
            .add(certificate.map_err(|_| fault())?)
            .map_err(|_| fault())?;
    }
    if roots.is_empty() { Err(fault()) } else { Ok(roots) }
}

fn system_authorities() -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        Err("this host has no certificates of authorities".to_owned())
    } else {
        Ok(roots)
    }
}

fn certificates(path: &std::path::Path, content: &[u8]) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let fault = || format!("{} holds no certificate", path.display());
    let chain: Vec<_> = CertificateDer::pem_slice_iter(content)
        .collect::<Result<_, _>>()
        .map_err(|_| fault())?;
    if chain.is_empty() { Err(fault()) } else { Ok(chain) }
}

fn private_key(path: &std::path::Path, content: &[u8]) -> Result<PrivateKeyDer<'static>, Fault> {
    PrivateKeyDer::from_pem_slice(content).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            let encrypted = concat!("-----BEGIN ENCRYPTED ", "PRIVATE KEY-----").as_bytes();
            let is_encrypted = content.windows(encrypted.len()).any(|each| each == encrypted);
            let what = if is_encrypted {
                "an encrypted key"
            } else {
                "no key"
            };
            format!("{} holds {what}", path.display())
        }
        _ => format!("{} holds no key in PEM", path.display()),
    })
}
