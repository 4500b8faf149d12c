//! A request body that tells whether a connection has begun to take it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};

/// Whether anything of a request can have left.
///
/// A time-out does not say whether it came before the connection or after the request. The client asks for the body
/// in the same breath in which it writes the head, never without a connection: not asked for means not sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken(Arc<AtomicBool>);

impl Taken {
    pub(crate) fn is_sure_not_to_be(&self) -> bool {
        !self.0.load(Ordering::SeqCst)
    }

    /// A body that is watched. An empty one is never asked for, so that nothing can be said of it.
    pub(crate) fn watch(&self, bytes: &[u8]) -> reqwest::Body {
        self.0.store(bytes.is_empty(), Ordering::SeqCst);
        reqwest::Body::wrap(Watched { body: bytes.to_vec().into(), taken: self.clone() })
    }
}

struct Watched {
    body: reqwest::Body,
    taken: Taken,
}

impl Body for Watched {
    type Data = <reqwest::Body as Body>::Data;
    type Error = reqwest::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.taken.0.store(true, Ordering::SeqCst);
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
