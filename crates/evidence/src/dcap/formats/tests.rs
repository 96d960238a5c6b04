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

#[test]
fn what_nests_without_end_is_refused() {
    // Open Enclave endorsements whose TCB info are Open Enclave endorsements, and so on.
    const LEVELS: u32 = 20_000;
    const HEADER: u32 = 52;
    let mut nested = Vec::new();
    for inner in (0..LEVELS).rev() {
        nested.extend([1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0]);
        let end = inner * HEADER;
        for offset in [0, 0, end, end, end, end, end, end, end] {
            nested.extend(u32::to_le_bytes(offset));
        }
    }
    assert!(Collection::new().add(&nested).is_err());
}
