//! What is skipped, what is kept, and that neither has no end.

use proptest::prelude::*;

use super::*;

const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

/// Status and body of the answer, given in pieces of `step` bytes, and whether more was awaited.
fn read_by(wire: &[u8], step: usize) -> Result<(u16, String, Awaited), AnswerError> {
    let mut reader = AnswerReader::default();
    let mut awaited = Awaited::Head;
    for piece in wire.chunks(step) {
        awaited = reader.take(piece)?;
        if awaited == Awaited::Nothing {
            break;
        }
    }
    let judged = reader.judge(|head, body| {
        // How many frames have come with an agreement depends on the cuts.
        let body = if head.status == 101 { b"" } else { body };
        (head.status, String::from_utf8_lossy(body).into_owned())
    });
    let (status, body) = judged.unwrap_or_default();
    Ok((status, body, awaited))
}

/// The same, which must not depend on how the bytes are cut.
fn read(wire: &[u8]) -> Result<(u16, String, Awaited), AnswerError> {
    let whole = read_by(wire, wire.len().max(1));
    assert_eq!(read_by(wire, 1), whole);
    assert_eq!(read_by(wire, 7), whole);
    whole
}

fn answer(head: &str, body: &str) -> Result<(u16, String, Awaited), AnswerError> {
    read(format!("{head}\r\n\r\n{body}").as_bytes())
}

fn refusal(fields: &str, body: &str) -> (String, Awaited) {
    let head = format!("HTTP/1.1 502 Bad Gateway\r\n{fields}");
    let (status, body, awaited) = answer(&head, body).expect("HTTP");
    assert_eq!(status, 502);
    (body, awaited)
}

#[test]
fn interim_answers_before_the_final_one_are_skipped() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\n\
         HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n\
         HTTP/1.1 199 Whatever\r\nContent-Length: 1000\r\n\r\n";
    let whole = Ok((101, String::new(), Awaited::Nothing));
    assert_eq!(read(format!("{interim}{SWITCHING}").as_bytes()), whole);
    let wire = format!("{interim}{SWITCHING}\u{1}\u{2}");
    let mut reader = AnswerReader::default();
    assert_eq!(reader.take(wire.as_bytes()), Ok(Awaited::Nothing));
    let shown = reader.judge(|head, rest| (head.status, rest.to_vec()));
    assert_eq!(shown, Some((101, vec![1, 2])));
    assert_eq!(reader.into_rest(), [1, 2]);
    assert_eq!(read(interim.as_bytes()).unwrap().2, Awaited::Head);
}

#[test]
fn interim_answers_without_end_are_no_way_to_take_memory() {
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
    let mut reader = AnswerReader::default();
    let taken = (0..MAX_HEAD).find_map(|_| reader.take(interim).err());
    assert_eq!(taken, Some(AnswerError::TooLong));
    assert!(reader.bytes.len() <= MAX_HEAD + interim.len());
    // All at once as well.
    let flood = interim.repeat(MAX_HEAD);
    assert_eq!(
        AnswerReader::default().take(&flood),
        Err(AnswerError::TooLong)
    );
}

#[test]
fn a_head_without_end_is_no_way_to_take_memory() {
    let mut long = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
    long.resize(MAX_HEAD, b'x');
    assert_eq!(read_by(&long, 1000).unwrap().2, Awaited::Head);
    long.push(b'x');
    assert_eq!(read_by(&long, 1000), Err(AnswerError::TooLong));
    long.extend_from_slice(b"\r\n\r\n");
    assert_eq!(read_by(&long, long.len()), Err(AnswerError::TooLong));
    let many = "HTTP/1.1 200 OK\r\n".to_owned() + &"A: b\r\n".repeat(MAX_HEADERS + 1);
    assert!(matches!(
        answer(&many, ""),
        Err(AnswerError::NotHttp(httparse::Error::TooManyHeaders))
    ));
}

#[test]
fn what_is_not_http_is_told_at_once() {
    for wire in ["SSH-2.0-OpenSSH\r\n", "\u{16}\u{3}\u{1}", "HTTP/2 200\r\n"] {
        let error = read(wire.as_bytes());
        assert!(matches!(error, Err(AnswerError::NotHttp(_))), "{wire:?}");
    }
}

#[test]
fn a_body_with_a_length_ends_there() {
    let (text, more) = ("gone".to_owned(), Awaited::Nothing);
    assert_eq!(refusal("Content-Length: 4", "goneHTTP/1.1"), (text, more));
    let part = refusal("Content-Length: 4", "go");
    assert_eq!(part, ("go".to_owned(), Awaited::Body));
    let none = refusal("Content-Length: 0", "");
    assert_eq!(none, (String::new(), Awaited::Nothing));
}

#[test]
fn a_body_without_a_length_ends_with_the_stream() {
    for fields in [
        "Connection: close",
        "Content-Length: soon",
        "Content-Length: -1",
    ] {
        let body = refusal(fields, "gone");
        assert_eq!(body, ("gone".to_owned(), Awaited::Body), "{fields}");
    }
}

#[test]
fn a_chunked_body_is_decoded() {
    let chunked = "Transfer-Encoding: Chunked";
    let whole = refusal(
        chunked,
        "4\r\nBad \r\n7;x=y\r\nGateway\r\n0\r\nTrailer: x\r\n\r\n",
    );
    assert_eq!(whole, ("Bad Gateway".to_owned(), Awaited::Nothing));
    for part in [
        "4\r\nBad \r\n",
        "4\r\nBad \r",
        "4\r\nBad ",
        "4\r\nBad \r\n7",
        "6\r\nBad ",
    ] {
        let body = refusal(chunked, part);
        assert_eq!(body, ("Bad ".to_owned(), Awaited::Body), "{part:?}");
    }
}

#[test]
fn a_chunked_body_that_is_broken_ends_there() {
    for broken in [
        "4\r\nBad x\r\n",
        "4\r\nBad \r\nx\r\n",
        "4\r\nBad \r\n-1\r\n",
    ] {
        let body = refusal("Transfer-Encoding: chunked", broken);
        assert_eq!(body, ("Bad ".to_owned(), Awaited::Nothing), "{broken:?}");
    }
}

#[test]
fn only_the_beginning_of_a_body_is_kept_however_it_is_sent() {
    let long = "x".repeat(3 * MAX_BODY);
    let kept = ("x".repeat(MAX_BODY), Awaited::Nothing);
    assert_eq!(refusal("A: b", &long), kept);
    let length = format!("Content-Length: {}", long.len());
    assert_eq!(refusal(&length, &long), kept);
    assert_eq!(refusal("Content-Length: 18446744073709551615", &long), kept);
    let chunked = "Transfer-Encoding: chunked";
    assert_eq!(
        refusal(chunked, &format!("{:x}\r\n{long}", long.len())),
        kept
    );
    let huge = format!("ffffffffffffffff\r\n{long}");
    assert_eq!(refusal(chunked, &huge), kept);
    // Far more coding than body.
    let tiny = "1\r\nx\r\n".repeat(3 * MAX_BODY);
    let (body, awaited) = refusal(chunked, &tiny);
    assert!(body.len() <= MAX_BODY && awaited == Awaited::Nothing);
    let (body, awaited) = refusal(
        chunked,
        &format!("1;{}\r\nx\r\n", "e".repeat(MAX_CODED_BODY)),
    );
    assert!(body.len() <= 1 && awaited == Awaited::Nothing);
}

#[test]
fn a_body_that_nobody_could_read_is_left_out() {
    for fields in [
        "Content-Encoding: gzip",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: gzip",
    ] {
        let none = refusal(fields, "\u{1f}\u{8b}");
        assert_eq!(none, (String::new(), Awaited::Nothing), "{fields}");
    }
    let plain = refusal("Content-Encoding: identity", "x");
    assert_eq!(plain, ("x".to_owned(), Awaited::Body));
    for status in [204, 304] {
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: 9");
        let none = Ok((status, String::new(), Awaited::Nothing));
        assert_eq!(answer(&head, ""), none);
    }
}

/// Answers that are mostly sound, so that all of the reader is seen, and now and then are not.
fn wires() -> impl Strategy<Value = Vec<u8>> {
    let lines = vec![
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\n",
        "HTTP/1.0 503 \r\n",
        "HTTP/1.1 101 Switching Protocols\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: 7\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Connection: close\r\n",
        "\r\n",
        "5\r\nhello\r\n",
        "a;b=c\r\nhello",
        "0\r\n",
        "\n",
        "\u{1b}",
    ];
    let line = prop_oneof![
        20 => prop::sample::select(lines).prop_map(|line| line.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
        1 => (0..MAX_HEAD).prop_map(|len| vec![b'x'; len]),
    ];
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.concat())
}

proptest! {
    #[test]
    fn any_answer_is_read_the_same_however_it_is_cut_and_within_the_bounds(
        wire in wires(),
        step in 1..200_usize,
    ) {
        let whole = read_by(&wire, wire.len().max(1));
        let cut = read_by(&wire, step);
        // Which mistake is met first may depend on the cuts.
        prop_assert_eq!(cut.clone().ok(), whole.ok());
        if let Ok((_, body, _)) = cut {
            // What is no UTF-8 takes three bytes when it is replaced.
            prop_assert!(body.len() <= 3 * MAX_BODY);
        }
        let mut reader = AnswerReader::default();
        for piece in wire.chunks(step) {
            if reader.take(piece) != Ok(Awaited::Head) {
                break;
            }
            prop_assert!(reader.bytes.len() + reader.skipped <= MAX_HEAD);
        }
    }
}
