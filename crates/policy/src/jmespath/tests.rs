//! JMESPath: behaviour of each step and function, and its bounds.

use super::Query;
use crate::budget::Budget;
use crate::error::{Fault, QueryError};
use crate::json::Json;
use crate::limits::Limits;

fn search(json: &str, query: &str) -> Result<String, Fault> {
    let mut budget = Budget::new(Limits::DEFAULT);
    let value = Json::read(json, &mut budget).unwrap();
    let query = Query::compile(query, &Limits::DEFAULT)?;
    let result = query.search(&value, &mut budget)?;
    let mut text = String::new();
    result.print(&mut text, &mut budget, "JmesPath")?;
    Ok(text)
}

fn error(json: &str, query: &str) -> QueryError {
    match search(json, query) {
        Err(Fault::Query(error)) => error,
        other => panic!("{query}: {other:?}"),
    }
}

#[test]
fn every_step_of_the_language() {
    let json = r#"{"a":{"b":[1,2.5,{"c":"x"},null,[3,[4]]]},"n":{"y":2,"x":1},"l":[{"k":"p","v":1},{"k":"q","v":2},{"v":3}],"e":[],"ä":7,"s":""}"#;
    for (query, expected) in [
        ("a.b[0]", "1"),
        ("a.b[-1]", "[3,[4]]"),
        ("a.b[-9]", "null"),
        ("a.b[99]", "null"),
        ("missing.deeper[0]", "null"),
        ("a.b[2].c", "\"x\""),
        ("\"ä\"", "7"),
        ("a.b[1:3]", "[2.5,{\"c\":\"x\"}]"),
        ("l[::-1].v", "[3,2,1]"),
        ("l[5:0:-2].v", "[3]"),
        ("l[-2:].v", "[2,3]"),
        ("l[::2147483647].v", "[1]"),
        ("n[0:1]", "null"),
        ("a.b[]", "[1,2.5,{\"c\":\"x\"},3,[4]]"),
        ("l[*].k", "[\"p\",\"q\"]"),
        ("n.*", "[1,2]"),
        ("l.*", "null"),
        ("n[*]", "null"),
        ("l[?v > `1`].v", "[2,3]"),
        ("l[?k].v", "[1,2]"),
        ("l[? v >= `2` && k == 'q' ] | [0].v", "2"),
        ("l[?v < k]", "[]"),
        ("n.[x,y,z]", "[1,2,null]"),
        ("l[*].{name: k, value: v} | [0]", "{\"name\":\"p\",\"value\":1}"),
        ("missing.{a: a}", "null"),
        ("missing.[a]", "null"),
        ("s || e || `{}` || n.x", "1"),
        ("n.x && s", "\"\""),
        ("!s && !e && !missing", "true"),
        ("n.x == `1.0` && n.x != '1'", "true"),
        ("n.x < 'a'", "null"),
        ("a.b == `[1, 2.5, {\"c\": \"x\"}, null, [3, [4]]]`", "true"),
        ("`{\"a\": [1, -2, 1e2, true, \"\\u00e4\"]}`", "{\"a\":[1,-2,100.0,true,\"ä\"]}"),
        ("`18446744073709551615` > `18446744073709551614`", "true"),
        ("'it\\'s \\ raw'", "\"it's \\\\ raw\""),
        ("@ | n | @.x", "1"),
        ("e == `[]` && e != `null`", "true"),
        ("length(@) == `1` && n | @.x", "null"),
        ("map(&v, l)", "[1,2,3]"),
        ("map(&k, l)", "[\"p\",\"q\",null]"),
    ] {
        assert_eq!(
            search(json, query).unwrap_or_else(|error| panic!("{query}: {error}")),
            expected,
            "{query}"
        );
    }
}

#[test]
fn every_function() {
    let json = r#"{"i":[3,1,2],"f":[1.5,2],"t":["b","a"],"o":{"k":1,"j":"x"},"r":[{"a":2,"n":"x"},{"a":1,"n":"y"},{"a":2,"n":"z"}],"s":"häuser"}"#;
    for (query, expected) in [
        ("abs(`-3`)", "3"),
        ("abs(`-1.5`)", "1.5"),
        ("avg(i)", "2"),
        ("avg(f)", "1.75"),
        ("avg(`[]`)", "null"),
        ("ceil(`1.2`)", "2"),
        ("ceil(`5`)", "5"),
        ("ceil(`1e30`)", "1e30"),
        ("floor(`-1.2`)", "-2"),
        ("contains(i, `2`)", "true"),
        ("contains(i, '2')", "false"),
        ("contains(s, 'user')", "true"),
        ("contains(s, `1`)", "false"),
        ("starts_with(s, 'hä')", "true"),
        ("ends_with(s, 'x')", "false"),
        ("equals_ignore_case('A\\B', 'a\\b')", "true"),
        ("equals_ignore_case(missing, 'a')", "false"),
        ("equals_ignore_case(`1`, `1`)", "false"),
        ("join('-', t)", "\"b-a\""),
        ("join('-', `[]`)", "\"\""),
        ("keys(o)", "[\"j\",\"k\"]"),
        ("values(o)", "[\"x\",1]"),
        ("length(s)", "6"),
        ("length(o)", "2"),
        ("length(i)", "3"),
        ("max(i)", "3"),
        ("max(t)", "\"b\""),
        ("max(`[]`)", "null"),
        ("min(i)", "1"),
        ("max_by(r, &a).n", "\"x\""),
        ("min_by(r, &a).n", "\"y\""),
        ("min_by(`[]`, &a)", "null"),
        ("merge(o, `{\"k\": 2}`, `{\"z\": null}`)", "{\"j\":\"x\",\"k\":2,\"z\":null}"),
        ("not_null(missing, i[0], s)", "3"),
        ("not_null(missing)", "null"),
        ("reverse(i)", "[2,1,3]"),
        ("reverse(s)", "\"resuäh\""),
        ("sort(i)", "[1,2,3]"),
        ("sort(t)", "[\"a\",\"b\"]"),
        ("sort_by(r, &a)[*].n", "[\"y\",\"x\",\"z\"]"),
        ("sum(i)", "6"),
        ("sum(f)", "3.5"),
        ("sum(`[]`)", "0"),
        ("to_array(s)", "[\"häuser\"]"),
        ("to_array(t)", "[\"b\",\"a\"]"),
        ("to_number('12')", "12"),
        ("to_number(`1.5`)", "1.5"),
        ("to_number('x')", "null"),
        ("to_number('[1]')", "null"),
        ("to_number(t)", "null"),
        ("to_string(t)", "\"[\\\"b\\\",\\\"a\\\"]\""),
        ("to_string(s)", "\"häuser\""),
        (
            "[type(i), type(o), type(s), type(`1`), type(`true`), type(missing)]",
            "[\"array\",\"object\",\"string\",\"number\",\"boolean\",\"null\"]",
        ),
    ] {
        assert_eq!(
            search(json, query).unwrap_or_else(|error| panic!("{query}: {error}")),
            expected,
            "{query}"
        );
    }
}

#[test]
fn what_cannot_run_says_why() {
    for (query, expected) in [
        ("foo(@)", QueryError::UnknownFunction { name: "foo".into() }),
        ("length()", QueryError::ArgumentCount { function: "length", expected: 1, found: 0 }),
        ("merge()", QueryError::ArgumentCount { function: "merge", expected: 1, found: 0 }),
        ("[::0]", QueryError::SliceStep),
        ("&a", QueryError::MisplacedReference),
        ("length(&a)", QueryError::MisplacedReference),
        (
            "sort_by(@, a)",
            QueryError::ArgumentType {
                function: "sort_by",
                position: 2,
                expected: "an expression written `&…`",
                found: "a value",
            },
        ),
        (
            "length(`1`)",
            QueryError::ArgumentType {
                function: "length",
                position: 1,
                expected: "an array, an object or a string",
                found: "number",
            },
        ),
        (
            "sort(`[1, \"a\"]`)",
            QueryError::ArgumentType {
                function: "sort",
                position: 1,
                expected: "an array of numbers or of strings",
                found: "an array of others",
            },
        ),
        ("sort_by(`[{\"a\":1},{}]`, &a)", QueryError::MixedTypes { function: "sort_by" }),
        ("sum(`[1e308, 1e308]`)", QueryError::NotFinite { function: "sum" }),
        (
            "`18446744073709551616`",
            QueryError::Literal(crate::error::JsonError::NumberOutOfRange {
                literal: "18446744073709551616".into(),
            }),
        ),
    ] {
        assert_eq!(error("{}", query), expected, "{query}");
    }
    for query in [
        "",
        "a.",
        "a[",
        "a b",
        "'a",
        "a ||",
        "a = b",
        "[?",
        "a[-0]",
        "a[99999999999]",
        "n.@.x",
        "ä",
        "`{`",
        "f(a b",
    ] {
        assert!(matches!(error("{}", query), QueryError::Syntax { .. }), "{query}");
    }
}

#[test]
fn deep_and_long_queries_are_refused_before_anything_recurses() {
    let too_deep = QueryError::TooDeep { limit: 64 };
    for part in
        ["(", "[", "{a:", "!", "&", "[?", "a[*].", "*.", "f(", "a[?b==", "[*].[", "&a|", "!(", "a.b[0]."]
    {
        let query = part.repeat(20_000);
        let found = error("{}", &query[..query.len().min(100_000)]);
        assert!(
            found == too_deep || matches!(found, QueryError::TooManyOperators { .. }),
            "{part}: {found:?}"
        );
    }
    let too_many = QueryError::TooManyOperators { limit: 3000 };
    for part in ["a.", "a|", "a||", "a&&", "a==", "[]", "a,"] {
        let query = part.repeat(10_000);
        let found = error("{}", &query);
        assert!(found == too_many || found == too_deep, "{part}: {found:?}");
    }
    assert_eq!(error("{}", &"a".repeat(200_000)), QueryError::TooLarge { limit: 128 * 1024 });
    // Each stage wraps the value once more.
    assert_eq!(error("{}", &format!("{}@", "[@]|".repeat(65))), too_deep);
    assert_eq!(error("{}", &format!("{}a", "a == ".repeat(100))), too_deep);
    assert!(search("{}", &format!("{}@", "[@]|".repeat(60))).is_ok());
}

#[test]
fn nesting_up_to_the_limit_runs() {
    for (open, close) in
        [("(", ")"), ("[", "]"), ("{a:", "}"), ("!", ""), ("[?", "]"), ("to_array(", ")"), ("map(&", ", @)")]
    {
        let levels = 30;
        let query = format!("{}@{}", open.repeat(levels), close.repeat(levels));
        // Deep down, `map` meets what is no array; all that counts here is that it got there.
        let found = search("[[1]]", &query);
        let reached = matches!(&found, Err(Fault::Query(QueryError::ArgumentType { function: "map", .. })));
        assert!(found.is_ok() || (open == "map(&" && reached), "{query}: {found:?}");
    }
    assert!(search("{}", &format!("{}@{}", "(".repeat(60), ")".repeat(60))).is_ok());
}

#[test]
fn long_lists_of_alternatives_are_fine() {
    let query: Vec<String> = (0..1000).map(|n| format!("x == 'digest {n}'")).collect();
    assert_eq!(search("{\"x\":\"digest 999\"}", &query.join(" || ")).unwrap(), "true");
    assert_eq!(search("{}", &format!("{}@", "@|".repeat(1000))).unwrap(), "{}");
}

#[test]
fn bombs_run_out_of_steps() {
    let doubling = format!("@{}", " | [@,@][]".repeat(40));
    let strings = format!("to_array('xxxxxxxx'){}", " | [join('', @), join('', @)]".repeat(40));
    let shared = format!("@{} | to_string(@)", " | [@,@]".repeat(50));
    let equal = format!("[@{0}, @{0}] | [0] == [1]", " | [@,@]".repeat(30));
    let sorted = format!("'{}' | [@]{} | sort(@)", "x".repeat(50_000), " | [@,@][]".repeat(16));
    let many = format!("[{}]", vec!["[1,2,3,4,5,6,7,8,9,10]"; 1000].join(","));
    for (json, query) in [
        ("[1]", doubling.as_str()),
        ("[]", &strings),
        ("[]", &shared),
        ("[]", &equal),
        ("[]", &sorted),
        (
            &many,
            "map(&map(&[@,@,@,@,@,@,@,@,@,@][*].[@,@,@,@,@][], @), @) | [][] | [@,@,@,@][] | [@,@,@,@][] | [@,@,@,@][]",
        ),
    ] {
        let start = std::time::Instant::now();
        let found = search(json, query);
        let elapsed = start.elapsed();
        assert!(
            matches!(found, Err(Fault::OutOfSteps { .. } | Fault::ResultTooLarge { .. })),
            "{query:.80}: {:?}",
            found.map(|text| text.len())
        );
        assert!(elapsed.as_millis() < 900, "{query:.80}: {elapsed:?}");
    }
}
