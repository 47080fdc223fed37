use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    thread,
};

use super::*;

/// Answers each connection with this text, and then closes it.
fn answering(text: &'static str) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let _ = client.read(&mut [0; 4096]);
            let _ = client.write_all(text.as_bytes());
        }
    });
    address
}

async fn ask(allowed: &str, url: &str) -> Result<Answer, RequestError> {
    let request = Request {
        method: "POST".to_owned(),
        url: super::url(url).unwrap(),
        headers: vec![("X-Token".to_owned(), "hidden".to_owned())],
        body: b"body".to_vec(),
        timeout: Duration::from_secs(20),
    };
    let allowed = if allowed.is_empty() { Networks::default() } else { allowed.parse().unwrap() };
    Requests::new(allowed, Authorities::default()).send(request).await
}

#[tokio::test]
async fn addresses_of_this_host_are_asked_only_if_that_is_allowed() {
    let address = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    let port = address.port();
    for host in
        ["127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "[::ffff:127.0.0.1]"]
    {
        let url = format!("http://user:hunter2@{host}:{port}/?token=sesame");
        let error = ask("", &url).await.unwrap_err();
        assert!(!error.again && error.reason.contains("a loopback address"), "{error}");
        assert!(error.reason.contains("--allow-private-requests"), "{error}");
        assert!(!error.reason.contains("hunter2") && !error.reason.contains("sesame"), "{error}");
    }
    let url = format!("http://localhost:{port}/");
    assert_eq!(ask("127.0.0.0/8", &url).await.unwrap().body, b"hi");
}

#[tokio::test]
async fn what_is_answered_says_whether_it_is_worth_another_try() {
    let asked = async |text| {
        ask("all", &format!("http://{}/path?token=sesame", answering(text))).await.unwrap_err()
    };
    let busy = asked("HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!((busy.again, busy.after), (true, Some(Duration::from_secs(7))));
    let broken = asked("HTTP/1.1 503 Down\r\nContent-Length: 5\r\n\r\nsorry").await;
    assert!(broken.again && broken.reason.ends_with("503 Service Unavailable: sorry"), "{broken}");
    let wrong = asked("HTTP/1.1 404 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!((wrong.again, wrong.after), (false, None));
    let moved =
        asked("HTTP/1.1 302 Go\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n").await;
    assert!(!moved.again && moved.reason.contains("redirects are not followed"), "{moved}");
    let cut = asked("").await;
    assert!(cut.again && !cut.reason.contains("sesame"), "{cut}");

    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}/?token=sesame", listener.local_addr().unwrap());
    drop(listener);
    let gone = ask("all", &url).await.unwrap_err();
    assert!(gone.again && gone.reason.contains("cannot be reached: "), "{gone}");
    assert!(gone.reason.to_lowercase().contains("refused") && !gone.reason.contains("sesame"));
}

#[tokio::test]
async fn no_more_of_an_answer_is_read_than_is_of_use() {
    let endless: &'static str = String::leak(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n{}",
        "x".repeat(1_000_000)
    ));
    let answer = ask("all", &format!("http://{}/", answering(endless))).await.unwrap();
    assert_eq!(answer.body.len(), MOST_READ);
}

#[test]
fn only_what_can_be_asked_is_a_url() {
    for wrong in ["", "example.org", "ftp://example.org/", "file:///etc/passwd", "http://"] {
        assert!(url(wrong).is_err(), "{wrong:?}");
    }
    assert!(check_header("X-A", "b").is_ok() && check_header("X A", "b").is_err());
    assert!(check_header("X-A", "a\r\nX-B: c").is_err() && check_header("Host", "x").is_err());
    assert!(check_method("PUT").is_ok() && check_method("PO ST").is_err());
}

#[test]
fn a_server_may_name_a_time_to_be_asked_again() {
    let after = |value: &str| {
        let value = HeaderValue::from_str(value).unwrap();
        retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value)]))
    };
    assert_eq!(after("120"), Some(Duration::from_secs(120)));
    assert_eq!(after("999999"), Some(LONGEST_WAIT));
    assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
    assert_eq!(after("Fri, 06 Nov 2099 08:49:37 GMT"), Some(LONGEST_WAIT));
    assert_eq!(after("soon"), None);
}
