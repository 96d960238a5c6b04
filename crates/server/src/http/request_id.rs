//! The id of a request, by which a caller and the log speak of it: a W3C trace context
//! (<https://www.w3.org/TR/trace-context/#traceparent-header>), as the real service writes it.

use axum::http::{HeaderMap, HeaderValue};

/// The id of one request.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// Continues the caller's trace if `traceparent` names one, else begins one.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let caller = headers.get("traceparent").and_then(|value| value.to_str().ok()).and_then(trace_id);
        let trace = match caller {
            Some(trace) => trace.to_owned(),
            None => hex::encode(random::<16>()),
        };
        let text = format!("00-{trace}-{}-00", hex::encode(random::<8>()));
        Self(HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("00")))
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// The id must not be secret, only distinct: a generator that fails is no reason to refuse a request here.
fn random<const N: usize>() -> [u8; N] {
    crypto::random_bytes().unwrap_or([0; N])
}

/// The trace id of `version-traceid-parentid-flags`.
fn trace_id(traceparent: &str) -> Option<&str> {
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let mut parts = traceparent.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let formed = is_hex(version, 2) && is_hex(trace, 32) && is_hex(parent, 16) && is_hex(flags, 2);
    let later_version = version != "00";
    let valid = formed && version != "ff" && trace.bytes().any(|byte| byte != b'0');
    (valid && (later_version || parts.next().is_none())).then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(traceparent: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", traceparent.parse().unwrap());
        RequestId::of(&headers).as_str().to_owned()
    }

    #[test]
    fn the_callers_trace_goes_on() {
        let ours = id("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        assert!(ours.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{ours}");
        assert!(!ours.contains("b7ad6b7169203331"));
        assert_eq!(ours.len(), 55);
    }

    #[test]
    fn what_is_no_trace_begins_a_new_one() {
        for traceparent in [
            "",
            "x",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        ] {
            let ours = id(traceparent);
            assert_eq!(ours.len(), 55, "{traceparent}");
            assert!(!ours.contains("0af7651916cd43dd8448eb211c80319c"), "{traceparent}");
        }
        assert_ne!(id(""), id(""));
    }
}
