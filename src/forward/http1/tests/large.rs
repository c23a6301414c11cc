//! Large answers: how they are read, and that memory for it may run out.

use std::rc::Rc;

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;

use super::early::run;
use crate::forward::dial::Transport;
use crate::forward::http1::blocks::{BLOCK, BLOCKS};
use crate::forward::http1::{self, Body, Buffers, Connection, Lifetime, Limits};
use crate::forward::upload::Upload;

/// The answer to a request, of which everything has arrived; its length is known.
async fn answer(body: &[u8], buffers: &Rc<Buffers>) -> Body {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let (near, mut far) = tokio::io::duplex(head.len() + body.len());
    far.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    let connection = Connection::new(Transport::pipe(near), buffers, Lifetime::default());
    let request = Request::get("/").header("host", "h").body(()).unwrap().into_parts().0;
    let limits = Limits { bytes: 1000, fields: 10 };
    let answered = http1::send(connection, &request, &mut Upload::Empty, limits).await;
    // Nobody answers twice on it.
    drop(far);
    answered.unwrap().into_body()
}

async fn next(body: &mut Body) -> Option<Bytes> {
    Some(body.frame().await?.unwrap().into_data().unwrap())
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place % 251) as u8).collect()
}

#[test]
fn a_large_body_is_read_in_few_pieces_into_the_same_memory() {
    run(async {
        let sent = bytes(8 * BLOCK);
        let mut body = answer(&sent, &Rc::default()).await;
        let (mut read, mut places, mut pieces) = (Vec::new(), Vec::new(), 0);
        while let Some(piece) = next(&mut body).await {
            read.extend_from_slice(&piece);
            pieces += 1;
            if piece.len() == BLOCK {
                places.push(piece.as_ptr());
            }
        }
        assert!(read == sent);
        assert!(pieces <= 10, "{pieces}");
        places.dedup();
        assert_eq!(places.len(), 1, "a block whose bytes are gone is used again");
    });
}

#[test]
fn bodies_that_nobody_takes_use_up_the_blocks_and_others_still_arrive_whole() {
    run(async {
        let buffers = Rc::default();
        let sent = bytes((BLOCKS + 4) * BLOCK);
        let mut deaf = answer(&sent, &buffers).await;
        let mut kept = Vec::new();
        while let Some(piece) = next(&mut deaf).await {
            kept.push(piece);
        }
        assert_eq!(kept.iter().filter(|piece| piece.len() == BLOCK).count(), BLOCKS);
        assert!(kept.concat() == sent);
        let mut other = answer(&sent, &buffers).await;
        let mut read = Vec::new();
        while let Some(piece) = next(&mut other).await {
            assert!(piece.len() < BLOCK, "no block is free");
            read.extend_from_slice(&piece);
        }
        assert!(read == sent);
        drop(kept);
        let mut third = answer(&sent, &buffers).await;
        next(&mut third).await.unwrap();
        assert_eq!(next(&mut third).await.unwrap().len(), BLOCK, "they are free again");
    });
}
