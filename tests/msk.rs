//! Amazon MSK with IAM: what a broker there is shown. No broker of ours knows AWS, so one is acted.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::support::Lake;

/// Speaks just enough of Kafka's protocol to be shown a token.
fn shown_token(listener: &TcpListener) -> String {
    let (socket, _) = listener.accept().unwrap();
    let frame = || {
        let mut size = [0; 4];
        (&socket).read_exact(&mut size).unwrap();
        let mut bytes = vec![0; usize::try_from(u32::from_be_bytes(size)).unwrap()];
        (&socket).read_exact(&mut bytes).unwrap();
        bytes
    };
    loop {
        let question = frame();
        // The answer has the question's number.
        let mut answer = question[4..8].to_vec();
        match (question[1], question[3]) {
            // ApiVersions: the oldest form is spoken here, and two questions are known.
            (18, 0) => answer.extend([0, 0, 0, 0, 0, 2, 0, 17, 0, 0, 0, 1, 0, 36, 0, 0, 0, 0]),
            (18, _) => answer.extend([0, 35, 0, 0, 0, 0]),
            // SaslHandshake: no error, one mechanism.
            (17, _) => answer.extend(b"\0\0\0\0\0\x01\0\x0bOAUTHBEARER"),
            _ => return String::from_utf8_lossy(&question).into_owned(),
        }
        let size = u32::try_from(answer.len()).unwrap().to_be_bytes();
        (&socket).write_all(&[&size[..], &answer].concat()).unwrap();
    }
}

#[test]
fn a_token_for_msk_is_signed_with_the_credentials_of_aws() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut lake = Lake::new();
    lake.set("LAKE_KAFKA_BROKERS", listener.local_addr().unwrap().to_string());
    lake.set("LAKE_KAFKA_SECURITY_PROTOCOL", "sasl_plaintext");
    lake.set("LAKE_KAFKA_SASL_MECHANISM", "OAUTHBEARER");
    lake.set("LAKE_KAFKA_AWS_REGION", "eu-west-3");
    lake.set("LAKE_KAFKA_TIMEOUT", "1s");
    lake.set("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE");
    lake.set("AWS_SECRET_ACCESS_KEY", "hunter2-secret");
    let asked = std::thread::spawn(move || shown_token(&listener));
    let output = lake.run(&["run", "bronze", "--select", "bronze.events", "-v"]);
    let shown = asked.join().unwrap();
    assert_eq!(output.code, Some(75), "{}", output.stderr);
    assert!(!output.stderr.contains("hunter2"), "{}", output.stderr);

    let token = shown.split("Bearer ").nth(1).unwrap().trim_end_matches('\u{1}');
    // base64url without padding, of a URL that AWS signed.
    let url = base64_url(token);
    for part in [
        "https://kafka.eu-west-3.amazonaws.com/?",
        "Action=kafka-cluster%3AConnect",
        "X-Amz-Credential=AKIAEXAMPLE",
        "X-Amz-Signature=",
    ] {
        assert!(url.contains(part), "{part} is missing in {url}");
    }
}

fn base64_url(text: &str) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (mut bits, mut n_bits, mut bytes) = (0u32, 0, Vec::new());
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        let value = alphabet.iter().position(|known| *known == byte).unwrap();
        bits = (bits << 6) | u32::try_from(value).unwrap();
        n_bits += 6;
        if n_bits >= 8 {
            n_bits -= 8;
            bytes.push(u8::try_from(bits >> n_bits).unwrap());
            bits &= (1 << n_bits) - 1;
        }
    }
    String::from_utf8(bytes).unwrap()
}
