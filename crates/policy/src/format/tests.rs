use super::*;
use crate::Policy;

/// Tokens, and comments with their kind, of a text: all that the layout must keep.
fn content(text: &str) -> (Vec<String>, Vec<(String, bool)>) {
    let pieces = pieces(text);
    let comments = pieces.iter().flat_map(|piece| &piece.comments);
    (
        pieces.iter().map(|piece| piece.text.to_owned()).collect(),
        comments.map(|comment| (comment.text.to_owned(), comment.trailing)).collect(),
    )
}

/// What a text means: its program, places aside.
fn meaning(text: &str) -> Option<String> {
    let policy = Policy::analyze(text).ok()?;
    let mut rest = format!("{:?}", policy.program());
    let mut out = String::new();
    while let Some((before, after)) = rest.split_once("span: Span {") {
        out.push_str(before);
        rest = after.split_once('}').unwrap().1.to_owned();
    }
    Some(out + &rest)
}

fn check(text: &str) {
    let Ok(formatted) = format(text) else { return };
    assert_eq!(content(&formatted), content(text), "{text}\n---\n{formatted}");
    assert_eq!(meaning(&formatted), meaning(text), "{text}\n---\n{formatted}");
    assert_eq!(format(&formatted).unwrap(), formatted, "{text}");
    for line in formatted.lines() {
        assert_eq!(line.trim_end(), line, "{formatted}");
    }
}

/// The policies of the case files.
fn policies() -> Vec<String> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for case in text.split("=== ").skip(1) {
            let (_, body) = case.split_once('\n').unwrap();
            all.push(body.split("--- ").next().unwrap().to_owned());
        }
    }
    assert!(all.len() > 50);
    all
}

#[test]
fn every_case_keeps_its_tokens_comments_and_meaning() {
    use crate::defaults::{AZURE_GUEST, CYRES_2018, SEV_SNP, SGX, SGX_2020, SGX_2021};
    for text in policies() {
        check(&text);
    }
    for text in [AZURE_GUEST, CYRES_2018, SEV_SNP, SGX, SGX_2020, SGX_2021] {
        check(text);
    }
}

/// White space and comments of every kind between any two tokens.
#[test]
fn whatever_stands_between_tokens() {
    const GAPS: [&str; 9] = [
        " ",
        "\t\r\n",
        "\n\n\n\n",
        " // trailing\n",
        "\n// own line\n",
        "\n\n// after an empty line\n",
        "//1\n//2\n\n\n//3 ä\r\n",
        "\n    // before an empty line\n\n",
        "",
    ];
    let mut state = 7_u64;
    let mut accepted = 0;
    for text in policies() {
        let tokens = content(&text).0;
        for _ in 0..8 {
            let mut mixed = String::new();
            for token in &tokens {
                mixed.push_str(token);
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let gap = usize::try_from(state >> 40).unwrap() % 24;
                mixed.push_str(GAPS.get(gap).copied().unwrap_or(" "));
            }
            accepted += usize::from(format(&mixed).is_ok());
            check(&mixed);
        }
    }
    assert!(accepted > 400, "{accepted}");
}

#[test]
fn the_layout() {
    let text = "\u{feff}// head\nversion = 1 .2;authorizationrules{ // why\n\n\nc : [ type==\"a\",value ==-1 ]\
                &&! [type == \"b\"]=>permit( ) ; // ok\n// next\n\n=>add(type=\"x\",\n// inner\nvalue=true);//a\n\n\n\n\
                // last\n};issuancerules{};\n//end";
    let expected = "\
// head
version=1.2;
authorizationrules
{ // why
    c:[type==\"a\", value==-1] && ![type==\"b\"] => permit(); // ok
    // next

    => add(type=\"x\",
        // inner
        value=true); //a

    // last
};
issuancerules
{
};
//end
";
    assert_eq!(format(text).unwrap(), expected);
}

#[test]
fn long_rules_have_a_line_for_each_condition() {
    let long = "d".repeat(56);
    let text = format!(
        "version=1.0;authorizationrules{{[type==\"a\",value==\"{long}\"]&&[type==\"b\",value==\"{long}\"]=>permit();}};"
    );
    let expected = format!(
        "version=1.0;\nauthorizationrules\n{{\n    [type==\"a\", value==\"{long}\"] &&\n    \
         [type==\"b\", value==\"{long}\"] => permit();\n}};\n"
    );
    assert_eq!(super::format(&text).unwrap(), expected);
    let longer = "d".repeat(80);
    let text = text.replace(&long, &longer);
    assert!(super::format(&text).unwrap().ends_with("\"]\n        => permit();\n};\n"));
}

#[test]
fn a_text_with_a_syntax_error_is_left_alone() {
    let diagnostics = format("version=1.0;authorizationrules{=> permit()};").unwrap_err();
    assert_eq!(diagnostics.iter().next().unwrap().problem.code(), "unexpected-token");
}
