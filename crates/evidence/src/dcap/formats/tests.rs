use super::*;

#[test]
fn unknown_files_are_refused() {
    let mut collection = Collection::new();
    for bytes in
        [&b""[..], b"hello", b"{}", b"{\"a\":1}", b"[1]", b"-----BEGIN X-----", b"0123", b"#", b"\x30\x82"]
    {
        assert!(collection.add(bytes).is_err(), "{bytes:?}");
    }
    assert!(collection.is_empty());
}
