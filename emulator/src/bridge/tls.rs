//! A TLS context of the modem as a configuration of `rustls`. The modem's notions of trust are
//! looser than those of `rustls`, so that the verifier is its own: names are compared only on
//! request, and dates count only if the modem is told that its clock is right.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::network::TlsOptions;

/// None if the files cannot be used, or if only versions are allowed that nobody speaks any more.
pub(super) fn client(options: &TlsOptions) -> Option<Arc<ClientConfig>> {
    // 3 is TLS 1.2 and 4 is "all", of which TLS 1.2 is the last.
    if options.version < 3 {
        return None;
    }
    let provider = Arc::new(ring::default_provider());
    let chain = match &options.ca {
        Some(ca) => Some(chain_verifier(ca, &provider)?),
        None => None,
    };
    let verifier = Verifier {
        chain,
        ignore_local_time: options.ignore_local_time,
        compare_name: options.name.is_some(),
        provider: Arc::clone(&provider),
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match (&options.certificate, &options.key) {
        (Some(certificate), Some(key)) => {
            config.with_client_auth_cert(certificates(certificate)?, private_key(key)?).ok()?
        }
        _ => config.with_no_client_auth(),
    };
    config.enable_sni = options.server_name;
    Some(Arc::new(config))
}

fn is_pem(file: &[u8]) -> bool {
    file.windows(10).any(|window| window == b"-----BEGIN")
}

fn certificates(file: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    if !is_pem(file) {
        return Some(vec![CertificateDer::from(file.to_vec())]);
    }
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(file).collect();
    all.ok().filter(|all| !all.is_empty())
}

fn private_key(file: &[u8]) -> Option<PrivateKeyDer<'static>> {
    if is_pem(file) {
        PrivateKeyDer::from_pem_slice(file).ok()
    } else {
        PrivateKeyDer::try_from(file.to_vec()).ok()
    }
}

fn chain_verifier(ca: &[u8], provider: &Arc<CryptoProvider>) -> Option<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(ca)?);
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build().ok()
}

#[derive(Debug)]
struct Verifier {
    /// None in authentication mode 0 and 3: the server may be anybody.
    chain: Option<Arc<WebPkiServerVerifier>>,
    ignore_local_time: bool,
    compare_name: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        let at = |time| {
            chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, time)
        };
        let mut verdict = at(now);
        // A clock that does not count stands wherever the certificate wants it to stand. Two
        // steps: one certificate of the chain may be too old, another one too young.
        for _ in 0..2 {
            match &verdict {
                Err(Error::InvalidCertificate(why)) if self.ignore_local_time => match date(why) {
                    Some(time) => verdict = at(time),
                    None => break,
                },
                _ => break,
            }
        }
        match verdict {
            // No manual says that the name is compared; SIM767XX has a key to switch it off.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.compare_name => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A time at which the certificate that failed would have been good.
fn date(why: &CertificateError) -> Option<UnixTime> {
    let second = Duration::from_secs(1);
    match why {
        CertificateError::ExpiredContext { not_after, .. } => {
            let before = Duration::from_secs(not_after.as_secs()).saturating_sub(second);
            Some(UnixTime::since_unix_epoch(before))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            let after = Duration::from_secs(not_before.as_secs()) + second;
            Some(UnixTime::since_unix_epoch(after))
        }
        _ => None,
    }
}
