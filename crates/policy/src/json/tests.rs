//! Reading, printing and comparing JSON.

use super::*;
use crate::error::JsonError;
use crate::limits::Limits;

fn read(text: &str) -> Result<Json, ReadError> {
    Json::read(text, &mut Budget::new(Limits::DEFAULT))
}

fn printed(text: &str) -> String {
    let mut out = String::new();
    read(text).unwrap().print(&mut out, &mut Budget::new(Limits::DEFAULT), "print").unwrap();
    out
}

#[test]
fn prints_compactly_what_it_read() {
    let text = " { \"b\" : [ 1 , -2.50 , 1e3, true,false,null, \"a\\u00e4\\n\\\"\\\\\\ud83d\\ude00\" ] , \"a\":{ } }\n";
    assert_eq!(printed(text), "{\"a\":{},\"b\":[1,-2.5,1000.0,true,false,null,\"aä\\n\\\"\\\\😀\"]}");
    assert_eq!(printed("18446744073709551615"), "18446744073709551615");
    assert_eq!(printed("-9223372036854775808"), "-9223372036854775808");
    assert_eq!(printed("{\"a\":1,\"a\":2}"), "{\"a\":2}");
    assert_eq!(printed("-0"), "0");
}

#[test]
fn what_serde_json_refuses_is_refused() {
    for text in [
        "",
        " ",
        "abc",
        "tru",
        "nul",
        "[1,]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{\"a\":1,}",
        "01",
        "1.",
        ".5",
        "1e",
        "-",
        "+1",
        "\"a",
        "\"\\x\"",
        "\"\n\"",
        "\"\\ud800\"",
        "[",
        "{",
        "1 2",
        "\u{feff}1",
        "\"\\",
        "'a'",
        "NaN",
    ] {
        assert!(serde_json::from_str::<serde_json::Value>(text).is_err(), "{text}");
        assert!(matches!(read(text), Err(ReadError::Text(JsonError::Syntax { .. }))), "{text}");
    }
}

#[test]
fn the_place_of_an_error_is_told() {
    let Err(ReadError::Text(error)) = read("{\n \"ä\": x}") else { panic!("accepted") };
    assert_eq!(error, JsonError::Syntax { line: 2, column: 7 });
}

#[test]
fn numbers_and_nesting_are_bounded() {
    for text in ["18446744073709551616", "-9223372036854775809", "1e999"] {
        assert!(matches!(read(text), Err(ReadError::Text(JsonError::NumberOutOfRange { .. }))), "{text}");
    }
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(read(&nested(64)).is_ok());
    assert!(matches!(read(&nested(65)), Err(ReadError::Text(JsonError::TooDeep { limit: 64 }))));
}

#[test]
fn numbers_compare_exactly() {
    let order = |a: &str, b: &str| {
        let (Json::Number(a), Json::Number(b)) = (read(a).unwrap(), read(b).unwrap()) else { panic!() };
        a.order(&b)
    };
    assert_eq!(order("1", "1.0"), Ordering::Equal);
    assert_eq!(order("9007199254740993", "9007199254740992"), Ordering::Greater);
    assert_eq!(order("9007199254740993", "9007199254740992.0"), Ordering::Greater);
    assert_eq!(order("-3", "-2.5"), Ordering::Less);
    assert_eq!(order("-2", "-2.5"), Ordering::Greater);
    assert_eq!(order("18446744073709551615", "1e300"), Ordering::Less);
    assert_eq!(order("-1e300", "0"), Ordering::Less);
}
