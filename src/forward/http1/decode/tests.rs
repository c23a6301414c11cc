use super::*;

const LIMITS: Limits = Limits { bytes: 64, fields: 2 };

type Got = (Vec<u8>, Option<HeaderMap>, Vec<u8>);

/// What comes out, and whether it came to its end, when the bytes arrive in two parts; what is left in the buffer.
fn decoded(length: Length, bytes: &[u8], cut: usize) -> Result<Got, BodyFault> {
    let (mut decoder, mut buffer) = (Decoder::of(length, LIMITS), BytesMut::new());
    let (mut out, mut trailers) = (Vec::new(), None);
    for part in [&bytes[..cut], &bytes[cut..]] {
        buffer.extend_from_slice(part);
        loop {
            match decoder.decode(&mut buffer)? {
                Decoded::Data(data) => out.extend_from_slice(&data),
                Decoded::Trailers(map) => trailers = Some(map),
                Decoded::More | Decoded::End => break,
            }
        }
    }
    if !decoder.is_over() {
        decoder.close()?;
    }
    Ok((out, trailers, buffer.to_vec()))
}

#[test]
fn a_body_is_the_same_wherever_it_is_cut_and_what_is_behind_it_stays() {
    let cases: [(Length, &[u8], &[u8]); 4] = [
        (Length::Exact(5), b"helloHTTP/1.1", b"HTTP/1.1"),
        (Length::Chunked, b"3\r\nhel\r\n00002;a=\"b\"\r\nlo\r\n0\r\n\r\nHTTP/1.1", b"HTTP/1.1"),
        (Length::Chunked, b"5\r\nhello\r\n0 ;x\r\nA: 1\r\n b: 2\r\n\r\nx", b"x"),
        (Length::Close, b"hello", b""),
    ];
    for (length, bytes, rest) in cases {
        for cut in 0..=bytes.len() {
            let got = decoded(length, bytes, cut);
            // A folded trailer is none.
            if bytes.ends_with(b"\n\r\nx") {
                assert!(matches!(got, Err(BodyFault::Trailers)), "cut at {cut}: {got:?}");
                continue;
            }
            let (body, trailers, left) = got.unwrap();
            assert_eq!(
                (body.as_slice(), trailers, left.as_slice()),
                (&b"hello"[..], None, rest),
                "cut at {cut}"
            );
        }
    }
}

#[test]
fn trailers_come_behind_the_last_chunk_within_limits() {
    let (body, trailers, rest) = decoded(Length::Chunked, b"1\r\nx\r\n0\r\nA: 1\r\nB: 2\r\n\r\n", 0).unwrap();
    assert_eq!((body.as_slice(), rest.as_slice()), (&b"x"[..], &b""[..]));
    let trailers = trailers.unwrap();
    assert_eq!((&trailers["a"], &trailers["b"]), (&"1".parse().unwrap(), &"2".parse().unwrap()));
    let three = decoded(Length::Chunked, b"0\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n", 0);
    assert!(matches!(three, Err(BodyFault::Trailers)));
    let long = format!("0\r\nA: {}\r\n\r\n", "v".repeat(64));
    assert!(matches!(decoded(Length::Chunked, long.as_bytes(), 0), Err(BodyFault::Trailers)));
    for bare in ["0\r\nA: 1\nB: 2\r\n\r\n", "0\r\nA: 1\n\r\n", "0\r\nA: 1\r\n\n"] {
        assert!(matches!(decoded(Length::Chunked, bare.as_bytes(), 0), Err(BodyFault::Trailers)), "{bare:?}");
    }
}

#[test]
fn what_is_no_chunk_and_what_ends_too_early_is_an_error() {
    for bad in [
        "x\r\n",
        "\r\n",
        "-1\r\n",
        "0x1\r\n",
        "1\nx",
        "1\rx",
        "1\r\nxy",
        "1\r\nx\n",
        "10000000000000000\r\n",
        "1 1\r\n",
        "1;a\nb\r\n",
    ] {
        assert!(matches!(decoded(Length::Chunked, bad.as_bytes(), 0), Err(BodyFault::Chunk)), "{bad:?}");
    }
    for early in ["", "1", "1\r\n", "5\r\nhel", "1\r\nx\r\n", "1\r\nx\r\n0\r\n", "0\r\n\r"] {
        assert!(
            matches!(decoded(Length::Chunked, early.as_bytes(), 0), Err(BodyFault::Incomplete)),
            "{early:?}"
        );
    }
    assert!(matches!(decoded(Length::Exact(2), b"1", 0), Err(BodyFault::Incomplete)));
    let extension = format!("1;{}\r\n", "a".repeat(20_000));
    assert!(matches!(decoded(Length::Chunked, extension.as_bytes(), 0), Err(BodyFault::Chunk)));
}
