//! A request body that records whether the HTTP client has asked for it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};

/// Records whether anything of a request can have left.
///
/// A time-out does not say whether it came before the connection or after the request. The client asks for the body
/// when it writes the head, never without a connection: a body that was not asked for was not sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct BodyProbe(Arc<AtomicBool>);

impl BodyProbe {
    pub(crate) fn definitely_not_sent(&self) -> bool {
        !self.0.load(Ordering::SeqCst)
    }

    /// A body under this probe. The client never asks for an empty one, which therefore proves nothing.
    pub(crate) fn body(&self, bytes: &[u8]) -> reqwest::Body {
        self.0.store(bytes.is_empty(), Ordering::SeqCst);
        reqwest::Body::wrap(ProbedBody { body: bytes.to_vec().into(), probe: self.clone() })
    }
}

struct ProbedBody {
    body: reqwest::Body,
    probe: BodyProbe,
}

impl Body for ProbedBody {
    type Data = <reqwest::Body as Body>::Data;
    type Error = reqwest::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.probe.0.store(true, Ordering::SeqCst);
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
