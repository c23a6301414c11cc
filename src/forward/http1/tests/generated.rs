//! Random answers, whole and damaged, and random requests.

use bytes::Bytes;
use http::Request;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::clients::{Got, Play, Whole, hyper, ours, written};
use crate::forward::upload::{Kept, Upload};

/// A body, and how it is framed.
#[derive(Clone, Debug)]
enum Framed {
    Length(Vec<u8>),
    Chunked(Vec<(Vec<u8>, String)>, Vec<String>),
    Close(Vec<u8>),
}

fn framed() -> impl Strategy<Value = Framed> {
    let bytes = || vec(any::<u8>(), 0..300);
    let chunk = (vec(any::<u8>(), 1..200), select(vec!["", ";a", ";a=\"b\"", " ", "\t ;x"]));
    let chunk = chunk.prop_map(|(data, extension)| (data, extension.to_owned()));
    prop_oneof![
        bytes().prop_map(Framed::Length),
        (vec(chunk, 0..5), vec("[A-Za-z-]{1,8}: [ -~]{0,20}", 0..3))
            .prop_map(|(chunks, trailers)| Framed::Chunked(chunks, trailers)),
        bytes().prop_map(Framed::Close),
    ]
}

/// The bytes of an answer.
fn answer() -> impl Strategy<Value = Vec<u8>> {
    let names = vec!["X-A", "x-b", "Set-Cookie", "ETag", "Vary", "Server", "Date", "X-Long-Name-Of-A-Field"];
    let field =
        (select(names), "[ -~\u{a0}-\u{ff}]{0,40}").prop_map(|(name, value)| format!("{name}: {value}\r\n"));
    let connection = select(vec![
        "",
        "",
        "Connection: close\r\n",
        "Connection: keep-alive\r\n",
        "connection: x, Close\r\n",
        "Connection: keep-alive\r\nConnection: close\r\n",
    ]);
    let early =
        select(vec!["", "", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early\r\nLink: <a>\r\n\r\n"]);
    let line = select(vec![
        "HTTP/1.1 200 OK",
        "HTTP/1.1 404 Nothing Here",
        "HTTP/1.1 500",
        "HTTP/1.1 204 No Content",
        "HTTP/1.1 304 Not Modified",
        "HTTP/1.1 299 ",
    ]);
    (early, line, vec(field, 0..8), connection, framed()).prop_map(
        |(early, line, fields, connection, body)| {
            let mut out = format!("{early}{line}\r\n{}{connection}", fields.concat()).into_bytes();
            // As one byte each, which is what obs-text is.
            out = String::from_utf8(out).unwrap().chars().map(|char| u32::from(char) as u8).collect();
            match body {
                Framed::Length(bytes) => {
                    out.extend(format!("Content-Length: {}\r\n\r\n", bytes.len()).into_bytes());
                    out.extend(bytes);
                }
                Framed::Chunked(chunks, trailers) => {
                    out.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                    for (data, extension) in chunks {
                        out.extend(format!("{:x}{extension}\r\n", data.len()).into_bytes());
                        out.extend(data);
                        out.extend(b"\r\n");
                    }
                    out.extend(b"0\r\n");
                    trailers.iter().for_each(|line| out.extend(format!("{line}\r\n").into_bytes()));
                    out.extend(b"\r\n");
                }
                Framed::Close(bytes) => {
                    out.extend(b"\r\n");
                    out.extend(bytes);
                }
            }
            out
        },
    )
}

/// The same bytes in several writes.
fn cut(mut bytes: Vec<u8>, cuts: &[Index]) -> Vec<Vec<u8>> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
    at.sort_unstable();
    let mut pieces: Vec<Vec<u8>> = at.iter().rev().map(|at| bytes.split_off(*at)).collect();
    pieces.push(bytes);
    pieces.reverse();
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// Method, fields, the chunks of the body, and whether it is announced as chunked.
type Asked = (String, Vec<(String, String)>, Vec<Vec<u8>>, bool);

/// A request with a body that is here already.
fn request() -> impl Strategy<Value = Asked> {
    let field = (select(vec!["x-a", "x-b", "accept", "cookie"]), "[!-~]{0,20}");
    let field = field.prop_map(|(name, value)| (name.to_owned(), value));
    (
        select(vec!["GET", "POST", "PUT", "DELETE"]),
        vec(field, 0..6),
        vec(vec(any::<u8>(), 1..4000), 0..4),
        any::<bool>(),
    )
        .prop_map(|(method, fields, chunks, announced)| (method.to_owned(), fields, chunks, announced))
}

/// A head's lines in an order of their own, and what is behind the head.
fn parts(bytes: &[u8]) -> (Vec<String>, Vec<u8>) {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines: Vec<String> = head.split("\r\n").map(str::to_owned).collect();
    lines[1..].sort();
    (lines, bytes[end..].to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn well_formed_answers_are_read_as_hyper_reads_them(
        bytes in answer(), cuts in vec(any::<Index>(), 0..4), closes in any::<bool>(), head in any::<bool>(),
    ) {
        let method = if head { "HEAD" } else { "GET" }.to_owned();
        let play = Play { method, pieces: cut(bytes, &cuts), closes };
        let (own, other) = (ours(&play), hyper(&play));
        prop_assert!(own.agrees(&other), "{own:?}\n{other:?}");
    }

    #[test]
    fn what_is_damaged_is_never_read_more_kindly_than_by_hyper(
        mut bytes in answer(), at in any::<Index>(), byte in select(b"\r\n\0 :;,0x\x80".to_vec()), more in any::<bool>(),
        cuts in vec(any::<Index>(), 0..3),
    ) {
        let at = at.index(bytes.len());
        if more { bytes.insert(at, byte) } else { bytes[at] = byte }
        let play = Play { pieces: cut(bytes, &cuts), closes: true, ..Play::default() };
        let own = ours(&play);
        if let Got::Answer(whole) = &own {
            let other = hyper(&play);
            let Got::Answer(others) = &other else { panic!("hyper refuses: {own:?}\n{other:?}") };
            prop_assert!(others.kept || !whole.kept);
            if !whole.cut {
                // A connection may be closed that hyper keeps: one that says so in a line with a byte that is none.
                let others = Got::Answer(Box::new(Whole { kept: whole.kept, ..(**others).clone() }));
                prop_assert!(own.agrees(&others), "{own:?}\n{other:?}");
            }
        }
    }

    #[test]
    fn requests_are_written_as_hyper_writes_them((method, fields, chunks, announced) in request()) {
        let make = || {
            let mut request = Request::builder().method(method.as_str()).uri("/a?b").header("host", "h");
            for (name, value) in &fields {
                request = request.header(name.as_str(), value.as_str());
            }
            let chunks: Vec<Bytes> = chunks.iter().cloned().map(Bytes::from).collect();
            if announced && !chunks.is_empty() {
                request = request.header("transfer-encoding", "chunked");
            }
            let body = if chunks.is_empty() { Upload::Empty } else { Upload::again(Kept::of(chunks)) };
            request.body(body).unwrap()
        };
        let (own, other) = written(make);
        prop_assert_eq!(parts(&own), parts(&other));
    }
}
