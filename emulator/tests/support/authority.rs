//! Certificates made for one test, and a TLS front for a broker that shows them.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// An authority and what it has signed, all made for one test.
pub struct Authority {
    pub ca: String,
    pub server: rustls::ServerConfig,
    pub client_certificate: String,
    pub client_key: String,
}

pub fn authority(expired: bool) -> Authority {
    let ca_key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).expect("a certificate").pem();
    let issuer = rcgen::Issuer::from_params(&params, ca_key);
    let signed = |name: &str, expired: bool| {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(vec![name.into()]).expect("parameters");
        if expired {
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        (params.signed_by(&key, &issuer).expect("a certificate"), key)
    };
    let (certificate, key) = signed("broker.example", expired);
    let (client, client_key) = signed("modem", false);

    let mut roots = rustls::RootCertStore::empty();
    let pem: Vec<_> = rustls::pki_types::pem::PemObject::pem_slice_iter(ca.as_bytes())
        .collect::<Result<Vec<rustls::pki_types::CertificateDer<'_>>, _>>()
        .expect("one certificate");
    roots.add_parsable_certificates(pem);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        Arc::clone(&provider),
    )
    .allow_unauthenticated()
    .build()
    .expect("a verifier");
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a server");
    Authority {
        ca,
        server,
        client_certificate: client.pem(),
        client_key: client_key.serialize_pem(),
    }
}

/// A TLS front for a broker; tells for each connection whether the client showed a certificate.
pub async fn tls_front(
    broker: u16,
    server: rustls::ServerConfig,
) -> (u16, mpsc::UnboundedReceiver<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let (report, reports) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut front) = acceptor.accept(stream).await else {
                continue;
            };
            let shown = front.get_ref().1.peer_certificates().is_some();
            report.send(shown).expect("the test listens");
            tokio::spawn(async move {
                let mut back = TcpStream::connect(("127.0.0.1", broker)).await.expect("a broker");
                let _ = tokio::io::copy_bidirectional(&mut front, &mut back).await;
            });
        }
    });
    (port, reports)
}
