//! TLS in front of an emulator, with its answers kept: what the functions wait for costs next to nothing and is the
//! same each time.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use devstack::loopback;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::NoServerSessionStorage;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Certificates of this run: one authority, one server that is called `localhost`.
pub(crate) struct Certificates {
    /// The authority, as PEM.
    pub(crate) root: String,
    acceptor: TlsAcceptor,
}

impl Certificates {
    pub(crate) fn new() -> Result<Self, rcgen::Error> {
        let mut authority = CertificateParams::default();
        // Of another name than the server's: else it would look as if that had signed itself.
        authority.distinguished_name.push(DnType::CommonName, "bench");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let server = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &authority)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(vec![server.der().clone()], key))
            .map_err(|_| rcgen::Error::CouldNotParseCertificate)?;
        // All fronts have the same name: a client would resume the session of one at another, and a cold start would
        // look cheaper than it is.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self { root: authority.pem(), acceptor: TlsAcceptor::from(Arc::new(config)) })
    }
}

/// Traffic through a front.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrafficCounts {
    /// Calls by operation, without requests that only open a connection.
    pub(crate) calls: BTreeMap<String, u64>,
    /// Connections made.
    pub(crate) connections: u64,
    /// Bytes on the wire, both ways, handshakes included.
    pub(crate) bytes: u64,
}

impl TrafficCounts {
    /// The difference from `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let calls = self.calls.iter().map(|(name, count)| {
            let before = before.calls.get(name).copied().unwrap_or_default();
            (name.clone(), count - before)
        });
        Self {
            calls: calls.filter(|(_, count)| *count > 0).collect(),
            connections: self.connections - before.connections,
            bytes: self.bytes - before.bytes,
        }
    }
}

/// A TLS server on loopback in front of an emulator.
pub(crate) struct Front {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    upstream: String,
    client: reqwest::Client,
    seen: Mutex<TrafficCounts>,
    bytes: AtomicU64,
    /// Added to each answer, in microseconds.
    round_trip: AtomicU64,
    /// The answers so far, while they are kept.
    kept: Mutex<Option<HashMap<Key, CachedAnswer>>>,
}

type Key = (String, Option<String>, Bytes);

#[derive(Clone)]
struct CachedAnswer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Front {
    /// In front of `upstream`, an origin.
    pub(crate) async fn open(certificates: &Certificates, upstream: String) -> io::Result<Self> {
        let listener = loopback::listen().await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream,
            client: loopback::client(),
            seen: Mutex::default(),
            bytes: AtomicU64::new(0),
            round_trip: AtomicU64::new(0),
            kept: Mutex::default(),
        });
        let router = Router::new().fallback(answer).layer(DefaultBodyLimit::disable()).with_state(shared.clone());
        let (connected, connections) = mpsc::channel(64);
        let (acceptor, counting) = (certificates.acceptor.clone(), shared.clone());
        let accepting = async move {
            // Each handshake for itself: a slow one holds up no other.
            while let Ok((socket, from)) = listener.accept().await {
                let (acceptor, connected, counting) = (acceptor.clone(), connected.clone(), counting.clone());
                let _ = socket.set_nodelay(true);
                lock(&counting.seen).connections += 1;
                tokio::spawn(async move {
                    // One for TCP, one for TLS.
                    counting.travel(2).await;
                    if let Ok(stream) = acceptor.accept(CountingSocket { socket, shared: counting }).await {
                        let _ = connected.send((stream, from)).await;
                    }
                });
            }
        };
        let task = tokio::spawn(async move {
            let serving = axum::serve(Accepted { connections, address }, router);
            tokio::select! {
                _ = serving.into_future() => {}
                () = accepting => {}
            }
        });
        Ok(Self { address, shared, task })
    }

    /// Its origin.
    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// From now on a request that was answered before is answered alike, without asking the emulator.
    pub(crate) fn keep_answers(&self) {
        lock(&self.shared.kept).get_or_insert_default();
    }

    /// How much longer than on loopback a round trip takes from now on.
    pub(crate) fn set_round_trip(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.shared.round_trip.store(micros, Ordering::Relaxed);
    }

    /// The traffic so far.
    pub(crate) fn seen(&self) -> TrafficCounts {
        let mut seen = lock(&self.shared.seen).clone();
        seen.bytes = self.shared.bytes.load(Ordering::Relaxed);
        seen
    }
}

impl Shared {
    /// Takes as long as so many round trips. The timer's steps are of a millisecond: the rest is waited for awake, on the
    /// emulators' own core.
    async fn travel(&self, round_trips: u32) {
        let began = Instant::now();
        let time = Duration::from_micros(self.round_trip.load(Ordering::Relaxed)) * round_trips;
        if let Some(most) = time.checked_sub(Duration::from_millis(2)) {
            tokio::time::sleep(most).await;
        }
        while began.elapsed() < time {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    shared.travel(1).await;
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok()).map(str::to_owned);
    let operation = match &target {
        Some(target) => target.rsplit('.').next().unwrap_or(target).to_owned(),
        None => format!("{} {}", head.method, head.uri.path()),
    };
    if !matches!(operation.as_str(), "GET /" | "HEAD /") {
        *lock(&shared.seen).calls.entry(operation).or_default() += 1;
    }
    let key = (format!("{} {}", head.method, head.uri), target, body.clone());
    let kept = lock(&shared.kept).as_ref().and_then(|kept| kept.get(&key).cloned());
    if let Some(answer) = kept {
        return answer.into_response();
    }
    match forward(&shared, head.method, &head.uri, head.headers, body).await {
        Ok(answer) => {
            if let Some(kept) = &mut *lock(&shared.kept) {
                kept.insert(key, answer.clone());
            }
            answer.into_response()
        }
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

async fn forward(
    shared: &Shared,
    method: axum::http::Method,
    uri: &Uri,
    mut headers: HeaderMap,
    body: Bytes,
) -> Result<CachedAnswer, reqwest::Error> {
    headers.remove("host");
    headers.remove("connection");
    headers.remove("content-length");
    let url = format!("{}{uri}", shared.upstream);
    let response = shared.client.request(method, url).headers(headers).body(body).send().await?;
    let (status, mut headers) = (response.status(), response.headers().clone());
    headers.remove("connection");
    headers.remove("transfer-encoding");
    headers.remove("content-length");
    Ok(CachedAnswer { status, headers, body: response.bytes().await? })
}

impl IntoResponse for CachedAnswer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// Connections whose handshake is done.
struct Accepted {
    connections: mpsc::Receiver<(TlsStream<CountingSocket>, SocketAddr)>,
    address: SocketAddr,
}

impl Listener for Accepted {
    type Io = TlsStream<CountingSocket>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.connections.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}

/// A socket whose bytes are counted.
struct CountingSocket {
    socket: TcpStream,
    shared: Arc<Shared>,
}

impl AsyncRead for CountingSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(context, buffer);
        self.shared.bytes.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        read
    }
}

impl AsyncWrite for CountingSocket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        if let Poll::Ready(Ok(number)) = &written {
            self.shared.bytes.fetch_add(*number as u64, Ordering::Relaxed);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
