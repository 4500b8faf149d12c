//! Every byte that comes is kept.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

async fn exchange(hubspot: &HubSpot, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(hubspot.url().trim_start_matches("http://")).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn requests_are_kept_byte_for_byte_on_a_connection_that_stays_open() {
    let World { hubspot, .. } = World::start().await;
    let one = b"PATCH /crm/v3/objects/x/%7E?b=2&a=%3D&a=1 HTTP/1.1\r\nHoSt: x\r\nX-A: 1\r\nx-a:  2\r\nContent-Length: 9\r\n\r\n{\"a\":1.0}";
    let two = b"POST /y HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";

    let answers = exchange(&hubspot, &[one.as_slice(), two].concat()).await;

    assert_eq!(answers.matches("HTTP/1.1 404 Not Found\r\n").count(), 2);
    let requests = hubspot.requests();
    assert_eq!((requests[0].raw.as_slice(), requests[1].raw.as_slice()), (one.as_slice(), two.as_slice()));
    assert_eq!(requests[0].target, "/crm/v3/objects/x/%7E?b=2&a=%3D&a=1");
    assert_eq!(requests[0].headers_named("x-a"), [b"1", b"2"]);
    assert_eq!(
        (requests[0].body.as_slice(), requests[1].body.as_slice()),
        (b"{\"a\":1.0}".as_slice(), b"abcde".as_slice())
    );
    assert!(requests.iter().all(|request| request.complete && request.connection == 1));
    assert!(requests[0].contains("HoSt") && !requests[0].contains("host"));
    assert_eq!(hubspot.connections(), 1);
}

#[tokio::test]
async fn what_is_no_whole_request_is_kept_too() {
    let World { hubspot, .. } = World::start().await;

    let answer = exchange(&hubspot, b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    exchange(&hubspot, b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf").await;

    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"));
    hubspot.wait_for_requests(&Match::any(), 2).await;
    let requests = hubspot.requests();
    assert!(requests.iter().all(|request| !request.complete));
    assert!(requests[0].contains("chunked") && requests[1].raw.ends_with(b"half"));
}
