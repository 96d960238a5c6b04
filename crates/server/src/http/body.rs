//! Reads a request's body, within a length and a time.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use axum::http::{HeaderMap, Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};

/// A body that is too long is read up to here and thrown away, so that its sender, who is still writing,
/// gets to read the answer. Beyond, the connection is cut.
const MAX_DISCARDED_BYTES: usize = 64 * 1024 * 1024;

/// Why there is no body. The sender must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyError {
    Broken,
    TooLong { max_bytes: usize },
    TooSlow { timeout: Duration },
}

pub(super) async fn read(
    request: Request<Body>,
    max_bytes: usize,
    timeout: Duration,
) -> Result<Bytes, BodyError> {
    let (parts, body) = request.into_parts();
    let reading = async {
        if declared_length(&parts.headers).is_some_and(|length| length > max_bytes) {
            // Who asks first whether to send (RFC 9110 §10.1.1) is not made to.
            if !parts.headers.contains_key(EXPECT) {
                discard(body).await;
            }
            return Err(BodyError::TooLong { max_bytes });
        }
        match Limited::new(body, max_bytes).collect().await {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(BodyError::TooLong { max_bytes }),
            Err(_) => Err(BodyError::Broken),
        }
    };
    tokio::time::timeout(timeout, reading).await.unwrap_or(Err(BodyError::TooSlow { timeout }))
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
        let cut = Request::post("/").body(Body::new(Cut)).unwrap();
        assert_eq!(read(cut, 10, second).await, Err(BodyError::Broken));
        let long = Request::post("/").body(Body::from("12345678901")).unwrap();
        assert_eq!(read(long, 10, second).await, Err(BodyError::TooLong { max_bytes: 10 }));
        let declared = Request::post("/").header(CONTENT_LENGTH, "11").body(Body::empty()).unwrap();
        assert_eq!(read(declared, 10, second).await, Err(BodyError::TooLong { max_bytes: 10 }));
        let exact = Request::post("/").header(CONTENT_LENGTH, "10").body(Body::from("1234567890")).unwrap();
        assert_eq!(read(exact, 10, second).await, Ok(Bytes::from_static(b"1234567890")));
    }
}
