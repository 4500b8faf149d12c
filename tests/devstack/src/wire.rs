//! HTTP/1.1 by hand, for emulators that show every byte they got and misbehave on demand.
//!
//! A server library gives neither: it folds header names, hides the framing and never sends half an answer.

mod answer;
mod gate;
mod request;

use std::future::Future;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub use answer::Answer;
pub(crate) use answer::Framing;
pub use gate::{At, Gate};
pub(crate) use gate::{Barrier, Verdict, patiently, stand};
pub(crate) use request::{Head, ReadError, Wire};

/// Accepts connections for ever and gives each one its own task. Ends all of them when it is dropped.
pub(crate) async fn accept<F, S>(listener: TcpListener, serve: F)
where
    F: Fn(TcpStream, u64) -> S,
    S: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut number = 0;
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else { continue };
                let _ = socket.set_nodelay(true);
                number += 1;
                connections.spawn(serve(socket, number));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}
