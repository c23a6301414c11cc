//! Tests of the YAML tree.

use super::*;

fn read(text: &str) -> (Option<Node>, Vec<String>) {
    let file: Arc<Path> = Arc::from(Path::new("p.yaml"));
    let mut problems = Vec::new();
    let node = match parse(text, &file, &mut problems) {
        Ok(node) => node,
        Err(fatal) => {
            problems.push(*fatal);
            None
        }
    };
    (node, problems.iter().map(ToString::to_string).collect())
}

fn text(node: &Node, key: &str) -> String {
    match &node.get(key).unwrap().value {
        Value::Scalar(scalar) => scalar.text(),
        _ => panic!("{key} is no scalar"),
    }
}

#[test]
fn keeps_scalars_as_written() {
    let (node, problems) =
        read("a: 007\nb: 1e3\nc: no\nd: '0x10'\ne: ~\nf: 123456789012345678901234567890\n");
    let node = node.unwrap();
    assert!(problems.is_empty());
    assert_eq!(
        ["a", "b", "c", "d", "f"].map(|key| text(&node, key)),
        ["007", "1e3", "no", "0x10", "123456789012345678901234567890"]
    );
    assert!(node.get("e").unwrap().is_null() && !node.get("d").unwrap().is_null());
}

#[test]
fn an_alias_is_a_copy() {
    let (node, problems) = read("a: &x { k: v }\nb: *x\n");
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(text(node.unwrap().get("b").unwrap(), "k"), "v");
}

#[test]
fn bombs_and_deep_nesting_end_quickly() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let before = vec![format!("*a{}", level - 1); 10].join(",");
        bomb.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    assert!(read(&bomb).1[0].contains("too much"));
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), vec!["*a"; 20].join(","));
    assert!(read(&long).1[0].contains("too much"));
    assert!(read(&"[".repeat(5000)).1[0].contains("too deeply"));
    assert!(read(&"- ".repeat(5000)).1[0].contains("too deeply"));
    assert!(read("a: &a [*a]").1[0].contains("part of"));
    assert!(read(&"#".repeat(MAX_BYTES + 1)).1[0].contains("1 MiB"));
}

#[test]
fn reports_what_is_not_supported_and_reads_on() {
    let (node, problems) = read("a: 1\na: 2\nb: !!str 007\n<<: {c: 1}\n{d: 1}: 2\n${X}: 1\nz: ok\n");
    assert_eq!(text(&node.unwrap(), "z"), "ok");
    assert_eq!(problems.len(), 5, "{problems:#?}");
    assert_eq!(problems[0], "p.yaml:2:1: a: the key stands twice; first at p.yaml:1:1");
}

#[test]
fn syntax_errors_never_quote_the_file() {
    for text in [
        "a: 'hunter2",
        "a: {hunter2",
        "a: [hunter2}",
        "a: b: hunter2",
        "a:\n\thunter2: a",
        "a: *hunter2",
        "a: @hunter2",
        "a: !hunter2!x y",
        "%hunter2\n---\na",
        "a: \"hunter2\\q\"",
        "a: 'x' hunter2",
        "hunter2\nb: c",
    ] {
        let (_, problems) = read(text);
        assert!(!problems.is_empty(), "{text}");
        assert!(!problems.concat().contains("hunter2"), "{problems:?}");
    }
}

#[test]
fn an_empty_file_is_no_tree_and_a_second_document_an_error() {
    assert!(matches!(read("# nothing\n"), (None, problems) if problems.is_empty()));
    assert!(read("a: 1\n---\nb: 1\n").1[0].contains("second document"));
    assert!(read("---\na: 1\n...\n").1.is_empty());
}

proptest::proptest! {
    #[test]
    fn never_panics(text in "[a-c:{}\\[\\]*&!|>'\"#\\- \n\t,?%]{0,60}") {
        let _ = read(&text);
    }
}

#[test]
fn a_tab_is_pointed_at_where_it_stands() {
    let (_, problems) = read("a:\n  b: c\n\td: e\n");
    assert!(problems.len() == 1 && problems[0].starts_with("p.yaml:3:1: "), "{problems:?}");
}
