//! The body of a response that keeps something until the last of its bytes is written to the socket.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};

/// A body, with what is kept until it is taken. The library keeps bytes that the peer does not take after it has dropped
/// the body, so each part of it has a clone.
pub struct Taken<B, H> {
    body: B,
    held: H,
}

impl<B, H> Taken<B, H> {
    /// The body keeps this.
    pub const fn new(body: B, held: H) -> Self {
        Self { body, held }
    }
}

/// A part of a response, with what it keeps.
struct Part<H> {
    bytes: Bytes,
    _held: H,
}

impl<H> AsRef<[u8]> for Part<H> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<B, H> HttpBody for Taken<B, H>
where
    B: HttpBody<Data = Bytes> + Unpin,
    H: Clone + Unpin + Send + 'static,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        frame.map_ok(|frame| {
            frame.map_data(|bytes| {
                Bytes::from_owner(Part {
                    bytes,
                    _held: self.held.clone(),
                })
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
