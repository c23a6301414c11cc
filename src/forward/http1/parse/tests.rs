use super::*;

const LIMITS: Limits = Limits { bytes: 200, fields: 3 };

fn parsed(text: &str) -> Result<Option<Head>, ForwardError> {
    head(&mut BytesMut::from(text), Asked::Other, LIMITS, &mut HeaderMap::new())
}

fn framing(fields: &str) -> Result<(Length, bool), ForwardError> {
    parsed(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"))
        .map(|head| head.map(|head| (head.length, head.keep)).unwrap())
}

#[test]
fn both_limits_are_exact() {
    let of = |length: usize| format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "v".repeat(length - 24));
    assert_eq!(of(200).len(), 200);
    assert!(parsed(&of(200)).unwrap().is_some());
    assert!(matches!(parsed(&of(201)), Err(ForwardError::HeadTooLarge(_))));
    // Not whole, and too much already.
    assert!(parsed(&of(300)[..200]).unwrap().is_none());
    assert!(matches!(parsed(&of(300)[..201]), Err(ForwardError::HeadTooLarge(_))));
    assert!(parsed("HTTP/1.1 200 OK\r\nA: 1\r\nA: 2\r\nA: 3\r\n\r\n").unwrap().is_some());
    let four = parsed("HTTP/1.1 200 OK\r\nA: 1\r\nA: 2\r\nA: 3\r\nA: 4\r\n\r\n");
    assert!(matches!(four, Err(ForwardError::HeadTooLarge(_))), "{four:?}");
    let many = Limits { bytes: 10_000, fields: 150 };
    let lines = |n: usize| {
        let fields: String = (0..n).map(|n| format!("A: {n}\r\n")).collect();
        format!("HTTP/1.1 200 OK\r\n{fields}\r\n")
    };
    let whole = head(&mut BytesMut::from(lines(150).as_str()), Asked::Other, many, &mut HeaderMap::new());
    let whole = whole.unwrap().unwrap();
    let values: Vec<_> = whole.response.headers().get_all("a").iter().map(|v| v.to_str().unwrap()).collect();
    assert_eq!(values, (0..150).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(
        head(&mut BytesMut::from(lines(151).as_str()), Asked::Other, many, &mut HeaderMap::new()).is_err()
    );
}

#[test]
fn a_head_is_taken_off_and_nothing_behind_it() {
    let mut buffer = BytesMut::from("HTTP/1.1 204 Nothing\r\nX-A: caf\u{e9}\r\nX-B:\r\n\r\nrest");
    let head = head(&mut buffer, Asked::Other, LIMITS, &mut HeaderMap::new()).unwrap().unwrap();
    assert_eq!(&buffer[..], b"rest");
    assert_eq!(head.response.headers()["x-a"].as_bytes(), "caf\u{e9}".as_bytes());
    assert_eq!(head.response.headers()["x-b"], "");
    let reason = head.response.extensions().get::<ReasonPhrase>().unwrap();
    assert_eq!(reason.as_bytes(), b"Nothing");
    assert_eq!((head.length, head.keep), (Length::Exact(0), true));
}

#[test]
fn where_a_body_ends_is_clear_or_the_answer_is_refused() {
    assert_eq!(framing("Content-Length: 7\r\n"), Ok((Length::Exact(7), true)));
    assert_eq!(framing("Content-Length: 7, 07\r\n"), Ok((Length::Exact(7), true)));
    assert_eq!(framing("Transfer-Encoding: ChunkeD \r\n"), Ok((Length::Chunked, true)));
    assert_eq!(framing("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"), Ok((Length::Chunked, false)));
    assert_eq!(framing("Connection: x, Close\r\nContent-Length: 1\r\n"), Ok((Length::Exact(1), false)));
    assert_eq!(framing(""), Ok((Length::Close, false)));
    for refused in [
        "Content-Length: 7\r\nContent-Length: 8\r\n",
        "Content-Length: \r\n",
        "Content-Length: +7\r\n",
        "Content-Length: 7,\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked;a=b\r\n",
    ] {
        assert!(matches!(framing(refused), Err(ForwardError::Invalid(_))), "{refused}");
    }
    let mut old = BytesMut::from("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert!(head(&mut old, Asked::Other, LIMITS, &mut HeaderMap::new()).is_err());
    let mut bare = BytesMut::from("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    assert_eq!(
        head(&mut bare, Asked::Head, LIMITS, &mut HeaderMap::new()).unwrap().unwrap().length,
        Length::Exact(0)
    );
}

#[test]
fn a_status_is_one_of_five_classes() {
    for code in [99, 600, 999] {
        assert!(status(Some(code)).is_err(), "{code}");
    }
    assert_eq!(status(Some(599)).unwrap().as_u16(), 599);
    assert!(status(None).is_err());
}
