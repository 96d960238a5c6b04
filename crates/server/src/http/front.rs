//! What every request passes: its id, its path made canonical, the time limit, the panic barrier, the
//! headers of every answer and the one event in the log.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::uri::{PathAndQuery, Uri};
use axum::http::{HeaderMap, HeaderValue, Request, Response};
use axum::response::IntoResponse;
use tower::ServiceExt;

use super::error::{Failure, LoggedFailure};
use super::request_id::RequestId;
use super::tenancy::{Addresses, ProviderIndex};

const SERVICE_VERSION: HeaderValue = HeaderValue::from_static(env!("CARGO_PKG_VERSION"));

/// Longest path in the log. Ours are short, a stranger's need not be kept.
const MAX_LOGGED_PATH_CHARS: usize = 128;

/// The way to the routes.
#[derive(Debug)]
pub(crate) struct Front {
    addresses: Addresses,
    router: Router,
    timeout: Duration,
}

impl Front {
    pub(crate) fn new(router: Router, addresses: Addresses, timeout: Duration) -> Self {
        Self { addresses, router, timeout }
    }

    /// Answers one request, whatever it is.
    pub(crate) async fn answer<B>(&self, request: Request<B>, remote: SocketAddr) -> Response<Body>
    where
        B: hyper::body::Body<Data = axum::body::Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let started = Instant::now();
        let id = RequestId::of(request.headers());
        let method = request.method().clone();
        let path: String = request.uri().path().chars().take(MAX_LOGGED_PATH_CHARS).collect();
        let client_id = client_request_id(request.headers());
        let mut response = self.routed(request.map(Body::new), id.clone()).await;
        let failure = response.extensions_mut().remove::<LoggedFailure>().unwrap_or_default();
        let headers = response.headers_mut();
        headers.insert("x-ms-maa-service-version", SERVICE_VERSION);
        headers.insert("x-ms-request-id", id.header());
        if let Some((client_id, true)) = &client_id {
            headers.insert("x-ms-client-request-id", client_id.clone());
        }
        tracing::info!(
            request_id = id.as_str(),
            client_request_id = client_id.as_ref().and_then(|(id, _)| id.to_str().ok()),
            remote = %remote,
            method = %method,
            path,
            status = response.status().as_u16(),
            error_code = failure.code,
            failed_check = failure.failed_check,
            detail = failure.detail,
            duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            "request"
        );
        response
    }

    async fn routed(&self, mut request: Request<Body>, id: RequestId) -> Response<Body> {
        let Some((provider, uri)) = self.canonical(request.uri(), request.headers()) else {
            return Failure::not_found().into_response();
        };
        *request.uri_mut() = uri;
        request.extensions_mut().insert(provider);
        request.extensions_mut().insert(id);
        let answer = AssertUnwindSafe(self.router.clone().oneshot(request));
        match tokio::time::timeout(self.timeout, CatchUnwind(Box::pin(answer.0))).await {
            Ok(Ok(Ok(response))) if is_plain_text(&response) => Failure::malformed_path().into_response(),
            Ok(Ok(Ok(response))) => response,
            Ok(Ok(Err(never))) => match never {},
            Ok(Err(panic)) => Failure::panicked(&panic).into_response(),
            Err(_) => Failure::timed_out().into_response(),
        }
    }

    /// The provider, and the URI with its path in lower case and without the provider's prefix. Health is
    /// asked with or without a prefix: it is the process's.
    fn canonical(&self, uri: &Uri, headers: &HeaderMap) -> Option<(ProviderIndex, Uri)> {
        let lower_case = uri.path().to_ascii_lowercase();
        let (provider, path) = match self.addresses.find(&lower_case, headers) {
            Some(found) => found,
            None if lower_case.starts_with("/healthz/") => (ProviderIndex(0), lower_case.as_str()),
            None => return None,
        };
        let path_and_query = match uri.query() {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::try_from(path_and_query).ok()?);
        Some((provider, Uri::from_parts(parts).ok()?))
    }
}

/// Whether the router refused by itself, which it does in plain text for a path whose escapes are no UTF-8.
/// Clients read JSON only.
fn is_plain_text(response: &Response<Body>) -> bool {
    let media_type = response.headers().get(CONTENT_TYPE);
    media_type.is_some_and(|value| value.as_bytes().starts_with(b"text/plain"))
}

/// A future whose panic is a value.
struct CatchUnwind<F>(std::pin::Pin<Box<F>>);

impl<F: Future> Future for CatchUnwind<F> {
    type Output = Result<F::Output, String>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        let future = self.0.as_mut();
        match std::panic::catch_unwind(AssertUnwindSafe(|| future.poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
                std::task::Poll::Ready(Err(text.unwrap_or_else(|| "no message".to_owned())))
            }
        }
    }
}

/// The caller's own id of the request, if it is harmless text, and whether the caller wants it back.
fn client_request_id(headers: &HeaderMap) -> Option<(HeaderValue, bool)> {
    let id = headers.get("x-ms-client-request-id")?;
    let harmless = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    if id.is_empty() || id.len() > 64 || !id.as_bytes().iter().all(harmless) {
        return None;
    }
    let wanted = headers.get("x-ms-return-client-request-id");
    let wanted = wanted.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
    Some((id.clone(), wanted))
}

#[cfg(test)]
mod tests {
    use axum::extract::Path;
    use axum::http::StatusCode;
    use axum::routing::get;
    use http_body_util::BodyExt;

    use super::*;

    fn front(prefix: Option<&str>) -> Front {
        async fn panics() -> StatusCode {
            panic!("a secret of the handler")
        }
        async fn never() -> StatusCode {
            std::future::pending().await
        }
        let router = Router::new()
            .route("/panics", get(panics))
            .route("/never", get(never))
            .route("/path/{segment}", get(|uri: Uri| async move { uri.to_string().into_bytes() }))
            .route("/text/{segment}", get(|Path(segment): Path<String>| async move { segment.into_bytes() }));
        let mut config = crate::config::Config::default();
        config.provider.path_prefix = prefix.map(str::to_owned);
        Front::new(router, Addresses::of(&config), Duration::from_millis(100))
    }

    async fn get_from(front: &Front, path: &str) -> (StatusCode, HeaderMap, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = front.answer(request, "127.0.0.1:1".parse().unwrap()).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_that_tells_nothing() {
        let front = front(None);
        for _ in 0..2 {
            let (status, headers, body) = get_from(&front, "/panics").await;
            assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
            assert!(!headers["x-ms-request-id"].is_empty());
            assert_eq!(headers["x-ms-error-code"], "InternalServerError");
            assert!(!body.contains("secret"), "{body}");
        }
    }

    #[tokio::test]
    async fn a_handler_that_never_answers_is_given_up() {
        let (status, headers, _) = get_from(&front(None), "/never").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(headers["retry-after"], "1");
    }

    #[tokio::test]
    async fn the_routers_own_refusals_are_as_ours() {
        let front = front(None);
        assert_eq!(get_from(&front, "/text/%c3%a4").await.2, "ä");
        let (status, headers, body) = get_from(&front, "/text/%ff").await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(headers["x-ms-error-code"], "InvalidParameter");
        assert_eq!(headers["content-type"], "application/json; charset=utf-8");
        assert!(body.contains("percent-encoded"), "{body}");
    }

    #[tokio::test]
    async fn paths_match_in_any_case_and_under_the_prefix_only() {
        let plain = front(None);
        assert_eq!(get_from(&plain, "/PATH/Segment?Query=Kept").await.2, "/path/segment?Query=Kept");
        let prefixed = front(Some("team1"));
        assert_eq!(get_from(&prefixed, "/Team1/Path/A").await.2, "/path/a");
        for path in ["/path/a", "/team1", "/team12/path/a", "/team2/path/a", "/team1path/a"] {
            assert_eq!(get_from(&prefixed, path).await.0, StatusCode::NOT_FOUND, "{path}");
        }
    }
}
