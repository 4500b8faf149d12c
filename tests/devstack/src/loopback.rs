//! Servers and clients on this machine's loopback interface, ports chosen by the system.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A server that ends when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    _task: Task,
}

impl Server {
    /// Serves `router` on a free port.
    ///
    /// # Errors
    /// No port can be had.
    pub async fn start(router: Router) -> std::io::Result<Self> {
        Ok(Self::on(listen().await?, router))
    }

    /// Serves `router` on a listener that was made before, for an address that had to be known earlier.
    ///
    /// # Panics
    /// The listener has no address.
    #[must_use]
    pub fn on(listener: TcpListener, router: Router) -> Self {
        let address = listener.local_addr().expect("a listener has an address");
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self { address, _task: Task(serving) }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its origin, by the numeric address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// A background task that ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Task(pub(crate) JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A listener on a free port.
///
/// # Errors
/// No port can be had.
pub async fn listen() -> std::io::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", 0)).await
}

/// A listener on a port that a person has chosen, or on a free one for 0.
///
/// # Errors
/// The port is taken or not allowed; the text says what to do.
pub async fn listen_on(port: u16) -> Result<TcpListener, String> {
    TcpListener::bind(("127.0.0.1", port)).await.map_err(|error| {
        if error.kind() == std::io::ErrorKind::AddrInUse {
            return format!(
                "port {port} is taken by another program: choose another, or leave it out to get a free one"
            );
        }
        format!("port {port} cannot be used: {error}")
    })
}

/// A client for loopback: no proxy, no redirects, no cookies, no trust in anybody's certificate.
///
/// # Panics
/// The TLS provider does not build, which no input can cause.
#[must_use]
pub fn client() -> reqwest::Client {
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring speaks the default versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .build()
        .expect("a client without files and environment builds")
}
