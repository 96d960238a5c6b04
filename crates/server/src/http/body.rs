//! Reads a request's body, within a length and a time.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use axum::http::{HeaderMap, Request};
use http_body_util::{BodyExt, Limited};

use super::admission::{Admission, Overloaded, Place};

/// A body that is too long is read up to here and thrown away, so that its sender, who is still writing,
/// gets to read the answer. Beyond, the connection is cut.
const MAX_DISCARDED_BYTES: usize = 64 * 1024 * 1024;

/// Bodies up to this length, as nearly all are, need no place: those of all connections together take little
/// memory. Longer ones take one of few, so that who sends slowly holds up other long ones and nobody else.
const SMALL_BYTES: usize = 32 * 1024;

/// Why there is no body. The sender must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyError {
    Broken,
    Overloaded(Overloaded),
    TooLong { max_bytes: usize },
    TooSlow { timeout: Duration },
}

/// A whole body, with the place it was read in.
#[derive(Debug)]
pub(super) struct Received {
    bytes: Vec<u8>,
    _place: Option<Place>,
}

impl Received {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl std::ops::Deref for Received {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads the body; a long one once there is a place among `long`.
pub(super) async fn read(
    request: Request<Body>,
    long: &Admission,
    max_bytes: usize,
    timeout: Duration,
) -> Result<Received, BodyError> {
    let (parts, body) = request.into_parts();
    let reading = async {
        if declared_length(&parts.headers).is_some_and(|length| length > max_bytes) {
            // Who asks first whether to send (RFC 9110 §10.1.1) is not made to.
            if !parts.headers.contains_key(EXPECT) {
                discard(body).await;
            }
            return Err(BodyError::TooLong { max_bytes });
        }
        collect(body, long, max_bytes).await
    };
    tokio::time::timeout(timeout, reading).await.unwrap_or(Err(BodyError::TooSlow { timeout }))
}

async fn collect(mut body: Body, long: &Admission, max_bytes: usize) -> Result<Received, BodyError> {
    let mut bytes = Vec::new();
    let mut place = None;
    while let Some(frame) = body.frame().await {
        // What is no data are trailers, which mean nothing here.
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        let length = bytes.len().saturating_add(data.len());
        if length > max_bytes {
            return Err(BodyError::TooLong { max_bytes });
        }
        if length > SMALL_BYTES && place.is_none() {
            place = Some(long.enter().await.map_err(BodyError::Overloaded)?);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Received { bytes, _place: place })
}

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn discard(body: Body) {
    let mut body = Limited::new(body, MAX_DISCARDED_BYTES);
    while let Some(Ok(_)) = body.frame().await {}
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;

    use super::*;

    /// A body that ends with an error, as one does whose connection was cut.
    struct Cut;

    impl hyper::body::Body for Cut {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, std::io::Error>>> {
            std::task::Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionReset.into())))
        }
    }

    #[tokio::test]
    async fn bodies_that_are_none() {
        let second = Duration::from_secs(1);
        let long = Admission::new(1, 0, second);
        let read = async |request| read(request, &long, 10, second).await.map(|body| body.to_vec());
        let cut = Request::post("/").body(Body::new(Cut)).unwrap();
        assert_eq!(read(cut).await, Err(BodyError::Broken));
        let too_long = Request::post("/").body(Body::from("12345678901")).unwrap();
        assert_eq!(read(too_long).await, Err(BodyError::TooLong { max_bytes: 10 }));
        let declared = Request::post("/").header(CONTENT_LENGTH, "11").body(Body::empty()).unwrap();
        assert_eq!(read(declared).await, Err(BodyError::TooLong { max_bytes: 10 }));
        let exact = Request::post("/").header(CONTENT_LENGTH, "10").body(Body::from("1234567890")).unwrap();
        assert_eq!(read(exact).await, Ok(b"1234567890".to_vec()));
    }

    #[tokio::test]
    async fn only_long_bodies_need_a_place() {
        let second = Duration::from_secs(1);
        let long = Admission::new(1, 0, second);
        let read = async |length: usize| {
            read(Request::post("/").body(Body::from(vec![b'a'; length])).unwrap(), &long, 1 << 20, second)
                .await
        };
        let held = read(SMALL_BYTES + 1).await.unwrap();
        assert_eq!(held.len(), SMALL_BYTES + 1);
        assert_eq!(read(SMALL_BYTES + 1).await.err(), Some(BodyError::Overloaded(Overloaded)));
        assert_eq!(read(SMALL_BYTES).await.unwrap().len(), SMALL_BYTES);
        drop(held);
        assert!(read(SMALL_BYTES + 1).await.is_ok());
    }
}
