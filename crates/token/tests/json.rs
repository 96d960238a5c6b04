//! What the strict JSON reader takes, keeps and refuses.

use serde_json::{Value, json};
use token::JsonError;
use token::json::{MAX_DEPTH, MAX_VALUES, parse, parse_object};

#[test]
fn ordinary_documents_read_as_serde_json_reads_them() {
    for text in [
        r#"{}"#,
        r#" { "a" : [ 1 , -2.5 , 0 , true , false , null , "x" , { } , [ ] ] , "b" : { "c" : "d" } } "#,
        "\t\r\n[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\ud83d\\ude00\\u0000é😀\"]",
        r#""""#,
        "-0",
        "0.10",
    ] {
        assert_eq!(parse(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap(), "{text}");
    }
}

#[test]
fn numbers_keep_their_spelling() {
    let text = r#"{"a":1E5,"b":1.10,"c":123456789012345678901234567890,"d":-0.0,"e":1e+05,"f":18446744073709551615}"#;
    assert_eq!(serde_json::to_string(&parse(text.as_bytes()).unwrap()).unwrap(), text);
}

#[test]
fn members_come_out_in_byte_order() {
    let text = r#"{"b":1,"a":2,"é":3,"B":4,"x-ms":5,"":6}"#;
    let sorted = r#"{"":6,"B":4,"a":2,"b":1,"x-ms":5,"é":3}"#;
    assert_eq!(serde_json::to_string(&parse(text.as_bytes()).unwrap()).unwrap(), sorted);
}

/// Names that the features of `serde_json` in use here give a meaning to.
#[test]
fn no_member_name_is_special() {
    for name in ["$serde_json::private::Number", "$serde_json::private::RawValue"] {
        let text = format!(r#"{{"a":{{"{name}":"1"}}}}"#);
        let object = parse_object(text.as_bytes()).unwrap();
        assert_eq!(object["a"][name], json!("1"));
        assert_eq!(serde_json::to_string(&object).unwrap(), text);
    }
}

#[test]
fn a_name_that_repeats_is_refused_at_any_depth() {
    for (text, offset) in
        [(r#"{"a":1,"a":1}"#, 7), (r#"{"x":[{"a":1,"b":2,"a":3}]}"#, 19), ("{\"a\":1,\"\\u0061\":2}", 7)]
    {
        let error = JsonError::DuplicateName { name: "a".into(), offset };
        assert_eq!(parse(text.as_bytes()), Err(error), "{text}");
    }
    assert!(parse(br#"{"a":{"a":{"a":1}},"A":1}"#).is_ok());
}

#[test]
fn depth_and_number_of_values_are_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
    assert_eq!(
        parse(nested(MAX_DEPTH + 1).as_bytes()),
        Err(JsonError::TooDeep { limit: MAX_DEPTH, offset: MAX_DEPTH })
    );
    let bomb = "{\"a\":".repeat(1_000_000);
    assert_eq!(parse(bomb.as_bytes()), Err(JsonError::TooDeep { limit: MAX_DEPTH, offset: MAX_DEPTH * 5 }));
    let zeros = |count: usize| format!("[{}0]", "0,".repeat(count - 1));
    assert!(parse(zeros(MAX_VALUES - 1).as_bytes()).is_ok());
    assert_eq!(parse(zeros(MAX_VALUES).as_bytes()), Err(JsonError::TooManyValues { limit: MAX_VALUES }));
}

#[test]
fn only_an_object_is_an_object() {
    for text in ["[]", "1", "\"{}\"", "null", "true"] {
        assert_eq!(parse_object(text.as_bytes()), Err(JsonError::NotObject), "{text}");
    }
}

#[test]
fn malformed_text_is_refused_where_it_is_malformed() {
    let unexpected = |expected, offset| JsonError::Unexpected { expected, offset };
    for (text, error) in [
        ("", unexpected("a value", 0)),
        ("  ", unexpected("a value", 2)),
        ("{} x", unexpected("the end of the text", 3)),
        ("{}\0", unexpected("the end of the text", 2)),
        ("\u{feff}{}", unexpected("a value", 0)),
        ("{a:1}", unexpected("a member name in double quotes", 1)),
        ("{'a':1}", unexpected("a member name in double quotes", 1)),
        (r#"{"a":1,}"#, unexpected("a member name in double quotes", 7)),
        (r#"{"a" 1}"#, unexpected("`:`", 5)),
        (r#"{"a":1 "b":2}"#, unexpected("`,` or `}`", 7)),
        (r#"{"a":}"#, unexpected("a value", 5)),
        ("[1,]", unexpected("a value", 3)),
        ("[1 2]", unexpected("`,` or `]`", 3)),
        ("[", unexpected("a value", 1)),
        ("\"abc", unexpected("the closing quote of a string", 4)),
        ("\"a\nb\"", unexpected("an escape instead of a control character", 2)),
        ("tru", unexpected("a value", 0)),
        ("truee", unexpected("the end of the text", 4)),
        ("NaN", unexpected("a value", 0)),
        ("+1", unexpected("a value", 0)),
        (".5", unexpected("a value", 0)),
        ("01", unexpected("the end of the text", 1)),
        ("// x\n1", unexpected("a value", 0)),
        ("-", JsonError::InvalidNumber { offset: 1 }),
        ("1.", JsonError::InvalidNumber { offset: 2 }),
        ("1e", JsonError::InvalidNumber { offset: 2 }),
        ("1e+", JsonError::InvalidNumber { offset: 3 }),
        ("-x", JsonError::InvalidNumber { offset: 1 }),
        (r#""\x""#, JsonError::InvalidEscape { offset: 1 }),
        (r#""\u12""#, JsonError::InvalidEscape { offset: 1 }),
        (r#""\u+123""#, JsonError::InvalidEscape { offset: 1 }),
        (r#""\ud800""#, JsonError::InvalidEscape { offset: 1 }),
        (r#""\ud800\u0041""#, JsonError::InvalidEscape { offset: 1 }),
        (r#""\udc00""#, JsonError::InvalidEscape { offset: 1 }),
        ("\"\\é\"", JsonError::InvalidEscape { offset: 1 }),
        ("\"\\", JsonError::InvalidEscape { offset: 1 }),
        ("\"\\u00é\"", JsonError::InvalidEscape { offset: 1 }),
    ] {
        assert_eq!(parse(text.as_bytes()), Err(error), "{text:?}");
    }
    assert_eq!(parse(b"{\"a\":\"\xff\"}"), Err(JsonError::InvalidUtf8 { offset: 6 }));
}

/// Every prefix and every one-byte change of a document is read or refused, never a panic.
#[test]
fn mutilated_documents_do_no_harm() {
    let text = r#"{"a":[1,-2.5e+3,true,null,"x\u00e9\ud83d\ude00é"],"b":{"c":{}}}"#.as_bytes();
    for end in 0..text.len() {
        assert!(parse(&text[..end]).is_err());
    }
    for at in 0..text.len() {
        for byte in 0..=255 {
            let mut changed = text.to_vec();
            changed[at] = byte;
            if let Ok(ours) = parse(&changed) {
                let theirs: Value = serde_json::from_slice(&changed).unwrap();
                // `serde_json` respells exponents.
                let plain = |value: Value| value.to_string().to_lowercase().replace("e+", "e");
                assert_eq!(plain(ours), plain(theirs));
            }
        }
    }
}
