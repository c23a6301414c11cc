//! Our client against hyper's: the same bytes from the same upstream, what each makes of them.
//!
//! Where the two differ, a data file says why; an entry in it that does not differ is wrong as well.

mod clients;
mod early;
mod generated;
mod large;
#[path = "../../../tests/it/corpus/text.rs"]
#[allow(dead_code)]
mod text;

use std::collections::BTreeMap;

use clients::{Got, Play, hyper, ours};
use text::{Entry, Places, folder};

/// What an entry of the answer corpus makes an upstream say.
fn play(entry: &Entry) -> Play {
    let places = Places { host: "h".to_owned(), upstream: "u".to_owned() };
    let mut play = Play { method: entry.get("request").unwrap_or("GET").to_owned(), ..Play::default() };
    for (key, value) in &entry.lines {
        match key.as_str() {
            "answer" => play.pieces.push(places.bytes(value)),
            "endless" => play.pieces.push(places.bytes(value).repeat(14_000)),
            "end" => play.closes = value != "stall",
            _ => {}
        }
    }
    play
}

/// Which entries the two clients read differently, and why.
fn differences() -> BTreeMap<String, String> {
    let listed = folder("client").into_iter();
    listed.map(|entry| (entry.name.clone(), entry.get("reason").unwrap().to_owned())).collect()
}

#[test]
fn every_answer_of_the_corpus_is_read_as_hyper_reads_it_or_the_difference_is_explained() {
    let differences = differences();
    let mut wrong = Vec::new();
    let corpus = folder("answers");
    for entry in &corpus {
        let play = play(entry);
        let (own, other) = (ours(&play), hyper(&play));
        match (own.agrees(&other), differences.get(&entry.name)) {
            (true, None) | (false, Some(_)) => {}
            (true, Some(_)) => wrong.push(format!("{}: the two agree", entry.name)),
            (false, None) => wrong.push(format!("{}:\n  ours:  {own:?}\n  hyper: {other:?}", entry.name)),
        }
    }
    for name in differences.keys().filter(|name| !corpus.iter().any(|entry| entry.name == **name)) {
        wrong.push(format!("{name}: no such entry"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_answer_means_the_same_wherever_it_is_cut() {
    let whole: [&[u8]; 4] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: caf\xe9\r\nX-B: 1\r\nX-A: 2\r\n\r\nhello",
        b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 404 Gone Fishing\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n2 \r\nlo\r\n0\r\nX-Sum: 1\r\nX-T: 2\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
    ];
    for bytes in whole {
        let at_once = ours(&Play { pieces: vec![bytes.to_vec()], closes: true, ..Play::default() });
        assert!(matches!(at_once, Got::Answer(_)), "{at_once:?}");
        for cut in 1..bytes.len() {
            let (front, back) = bytes.split_at(cut);
            let play = Play { pieces: vec![front.to_vec(), back.to_vec()], closes: true, ..Play::default() };
            assert_eq!(ours(&play), at_once, "cut at {cut}");
            assert!(hyper(&play).agrees(&at_once), "cut at {cut}");
        }
    }
}
