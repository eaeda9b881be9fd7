//! What is taken out, what stays as it was, and that no shape of JSON costs more than its length.

use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};

use super::*;

fn persons() -> Persons {
    Persons { names: ["userid", "contextuserid", "email"].map(str::to_owned).to_vec() }
}

/// A text wrapped in so many strings.
fn wrapped(text: &str, times: usize) -> String {
    (0..times).fold(text.to_owned(), |text, _| Value::String(text).to_string())
}

fn cleaned(json: &str) -> String {
    match persons().clean(json.as_bytes()) {
        Cleaned::Same => json.to_owned(),
        Cleaned::Changed(text) => String::from_utf8(text).unwrap(),
        Cleaned::Emptied => panic!("{json}"),
    }
}

#[test]
fn a_name_may_be_that_of_two_fields_within_each_other() {
    for (json, left) in [
        (r#"{"user":{"id":"x","n":1},"k":2}"#, r#"{"user":{"n":1},"k":2}"#),
        (r#"{"a":{"User":[{"ID":"x"},{"n":1}]}}"#, r#"{"a":{"User":[{},{"n":1}]}}"#),
        (r#"{"user":{"order":{"id":"x"}}}"#, r#"{"user":{"order":{"id":"x"}}}"#),
        (r#"{"order":{"id":"x"},"id":"y"}"#, r#"{"order":{"id":"x"},"id":"y"}"#),
    ] {
        assert_eq!(cleaned(json), left);
    }
    let within = |parent: &str| persons().clean_within(parent.as_bytes(), br#"{"id":"x"}"#);
    assert_eq!(within("\"user\""), Cleaned::Changed(b"{}".to_vec()));
    assert_eq!(within("\"order\""), Cleaned::Same);
}

#[test]
fn a_name_is_known_in_every_spelling() {
    for name in [
        "user_id",
        "User-ID",
        "userId",
        "USERID",
        "user id",
        "context.user_id",
        "a/user_id",
        "context[user_id]",
        "context:userId",
        "_user_id",
        "$user_id",
        "user.id",
        "user_id.raw",
        "Context.User.Id",
        "contextUserId",
        "E-Mail",
        "EMA\u{131}L",
        "user\u{200b}_id",
    ] {
        assert!(persons().names(name), "{name}");
    }
    for name in ["user", "id", "user_ids", "my_user_id", "order_id", "emails", "", ".", "useridx"] {
        assert!(!persons().names(name), "{name}");
    }
}

#[test]
fn what_names_nobody_stays_byte_for_byte() {
    for json in [
        r#"{ "a" : [ 1.50 , 1e400, "x\u00e9\/", null ] , "b":{}, "n":[] }"#,
        r#"[{"sku":"s","note":"{\"sku\": 1}"}]"#,
        r#""a [draft] of {something}: \"quoted\" = 1""#,
        r#""https://example.com/?user=5&order_id=7#a=b""#,
        r#"[{"key":"page","value":"x"},{"name":"order_id","stringValue":"7"}]"#,
        r#"[["page","x"],["page","user_id","sort"],["order_id","eq","7"]]"#,
        r#"{"event":"sorted","by":"user_id","page":"/","n":3}"#,
        r#"{"name":"user_id","required":true,"default":null}"#,
        r#""at 10:00:00 theme=dark; userless=1, note: none""#,
        r#""<user-agent name=\"x\">""#,
        r#""please give your user id""#,
        r#""[draft] the user id is missing""#,
        r#"{"k":"[1, 2","l":"{broken: 1"}"#,
        r#"{"my_user_id":1}"#,
        "123456789012345678901234567890",
    ] {
        assert_eq!(cleaned(json), json);
    }
}

#[test]
fn persons_are_taken_out_of_objects_lists_and_strings_of_json() {
    for (json, expected) in [
        (r#"{"user_id":"RAW","k":1}"#, r#"{"k":1}"#),
        (r#"{"k":1,"user_id":{"x":["RAW"]}}"#, r#"{"k":1}"#),
        (
            r#"{"a":1,"userId":"RAW","b":[{"E-mail":"RAW"}],"user\u005fid":"RAW"}"#,
            r#"{"a":1,"b":[{}]}"#,
        ),
        (r#""{\"user_id\":\"RAW\",\"k\":1}""#, r#""{\"k\":1}""#),
        (r#"["\ufeff {\"user_id\":\"RAW\"}"]"#, r#"["{}"]"#),
        (r#"{"user_id":1,"user_id":2}"#, "{}"),
    ] {
        assert_eq!(cleaned(json), expected, "{json}");
    }
}

#[test]
fn what_cannot_be_looked_into_is_emptied() {
    for text in [
        r#"{"user_id":"RAW""#,
        r#"{"user_id":"RAW"} {"user_id":"RAW"}"#,
        "{'user_id': 'RAW'}",
        r#"payload: {"user_id":"RAW"}"#,
        r#"{"user\u005fid":"RAW","#,
        r#"[context.user-id = "RAW""#,
        r#"{"User Id" => "RAW"}"#,
        "{\"user_id\":\"RAW\u{1}\"}",
    ] {
        assert_eq!(persons().clean_text(text), Cleaned::Emptied, "{text}");
        let json = json!({ "k": 1, "z": text }).to_string();
        assert_eq!(cleaned(&json), r#"{"k":1,"z":null}"#, "{text}");
    }
}

#[test]
fn strings_in_strings_are_looked_into_as_deep_as_they_nest() {
    for times in 0..12 {
        let json = wrapped(r#"{"user_id":"RAW","k":1}"#, times);
        assert_eq!(cleaned(&json), wrapped(r#"{"k":1}"#, times));
    }
}

#[test]
fn brackets_are_counted_through_strings_and_what_is_deeper_is_null() {
    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let (wide, deep) = (nested(100), nested(100_000));
    let same = wrapped(&wide, 1);
    assert_eq!(cleaned(&same), same);
    let expected = format!("{}null{}", "[".repeat(127), "]".repeat(127));
    assert_eq!(cleaned(&wrapped(&deep, 1)), wrapped(&expected, 1));
    let objects = format!("{}1{}", "{\"k\":".repeat(50_000), "}".repeat(50_000));
    assert!(cleaned(&wrapped(&objects, 1)).len() < 2_000);
    let unclosed = wrapped(&"[".repeat(100_000), 1);
    assert_eq!(cleaned(&unclosed), unclosed);
}

#[test]
fn work_grows_with_the_length_and_not_with_its_square() {
    let brackets = format!("{}{}", "[".repeat(13_000), "]".repeat(13_000));
    let many = Value::from(vec![brackets; 40]).to_string();
    let in_string = wrapped(&many, 1);
    let escapes = wrapped(&format!("[{}1]", "\"x\",".repeat(200)), 12);
    let quotes = format!("\"{}\"", "\\\"".repeat(500_000));
    let names = format!("{{\"{}\":1}}", "user.".repeat(200_000));
    let words = Value::from(format!("{{{}", "user ".repeat(200_000))).to_string();
    let text = |part: &str| Value::from(part.repeat(1_000_000 / part.len())).to_string();
    let signs =
        ["=", "user id:", "%3D", "user_id= ", "<user", "%25", "user_id= a", "name='"].map(text);
    let list = format!("[{}1]", "\"user_id\",".repeat(50_000));
    let plain = wrapped(&format!("[\"{}\"]", "x".repeat(1_000_000)), 10);
    // Some milliseconds each; with the square of its length each would take minutes.
    let texts = signs.iter().chain([&list]);
    for json in
        [&many, &in_string, &escapes, &quotes, &names, &words, &plain].into_iter().chain(texts)
    {
        assert!(json.len() > 200_000, "{}", json.len());
        assert!(cleaned(json).len() <= 2 * json.len());
    }
}

#[test]
fn a_name_and_a_value_side_by_side_are_a_field() {
    for (json, expected) in [
        (r#"{"key":"user_id","value":"RAW"}"#, r#"{"key":"user_id"}"#),
        (r#"{"value":"RAW","key":"userId","ok":true}"#, r#"{"key":"userId","ok":true}"#),
        (r#"{"k":"user_id","v":12}"#, r#"{"k":"user_id"}"#),
        (r#"{"which":"user_id","is":{"raw":["RAW"]}}"#, r#"{"which":"user_id"}"#),
        (
            r#"[{"name":"E-Mail","stringValue":"RAW","intValue":null},{"name":"page","stringValue":"x"}]"#,
            r#"[{"name":"E-Mail","intValue":null},{"name":"page","stringValue":"x"}]"#,
        ),
        (
            r#"{"identity_type":"user_id","identity":"RAW","at":5}"#,
            r#"{"identity_type":"user_id"}"#,
        ),
        (r#"["user_id","RAW"]"#, r#"["user_id",null]"#),
        (
            r#"[["page","x"],["context.user_id",["RAW"]]]"#,
            r#"[["page","x"],["context.user_id",null]]"#,
        ),
        (r#"["page","x","user_id","RAW"]"#, r#"["page","x","user_id",null]"#),
        (r#"["user_id","eq","RAW"]"#, r#"["user_id",null,null]"#),
        (r#"["user_id","email"]"#, r#"["user_id","email"]"#),
        (r#""{\"key\":\"user_id\",\"value\":\"RAW\"}""#, r#""{\"key\":\"user_id\"}""#),
    ] {
        assert_eq!(cleaned(json), expected, "{json}");
    }
}

#[test]
fn a_name_and_a_value_in_a_text_are_a_field() {
    for (text, expected) in [
        ("https://e.com/?user_id=RAW&p=1#x", "https://e.com/?user_id=&p=1#x"),
        ("/a?p=1&userId=RAW", "/a?p=1&userId="),
        ("/a?user%5Fid=RAW&p=1", "/a?user%5Fid=&p=1"),
        ("/in?next=%2Fa%3Fuser_id%3DRAW%26p%3D1&q=2", "/in?next=%2Fa%3Fuser_id%3D%26p%3D1&q=2"),
        ("/in?next=%252Fa%253Fuser_id%253DRAW&q=2", "/in?next=%252Fa%253Fuser_id%253D&q=2"),
        ("theme=dark; user_id=RAW|7; lang=fr", "theme=dark; user_id=; lang=fr"),
        ("user_id=RAW&user+id=RAW&page=2", "user_id=&user+id=&page=2"),
        ("level=warn user_id=RAW RAW page=2", "level=warn user_id= page=2"),
        ("no such user id: RAW, page: 2", "no such user id:, page: 2"),
        ("X-User: a\nUser-Id: RAW\nX-Page: 2", "X-User: a\nUser-Id:\nX-Page: 2"),
        ("email='RAW, RAW' page=2", "email= page=2"),
        ("user_id=(RAW, RAW) page=2", "user_id="),
        ("user_id=é RAW", "user_id="),
    ] {
        let found = persons().clean_text(text);
        assert_eq!(found, Cleaned::Changed(expected.as_bytes().to_vec()), "{text}");
        let json = json!({ "k": 1, "z": text }).to_string();
        assert_eq!(cleaned(&json), json!({ "k": 1, "z": expected }).to_string(), "{text}");
    }
    for text in [
        "/a?user[id]=RAW;p=1",
        "<user_id>RAW</user_id>",
        "<a><User-Id kind='x'>RAW</User-Id></a>",
        "<field name='user_id'>RAW</field>",
        "--x\r\nContent-Disposition: form-data; name=\"user_id\"\r\n\r\nRAW\r\n--x--",
    ] {
        assert_eq!(persons().clean_text(text), Cleaned::Emptied, "{text}");
    }
}

/// A value at random; `RAW` stands only below names of persons.
fn any(random: &mut rand_pcg::Pcg64, depth: u32, is_personal: bool) -> Value {
    let n = random.random_range(0..4);
    match random.random_range(0..if depth == 0 { 3 } else { 7 }) {
        0 if is_personal => json!("RAW"),
        0 => json!(["", "[draft] 1", "a \"quote\": \\", "{\"", "é\n"][random.random_range(0..5)]),
        1 => json!(random.random_range(-9..9)),
        2 => Value::Null,
        3 => Value::String(any(random, depth - 1, is_personal).to_string()),
        4 => (0..n).map(|_| any(random, depth - 1, is_personal)).collect(),
        _ => {
            let keys = ["k", "User-ID", "list", "userId", "context.user_id", "my user"];
            let mut fields = Map::new();
            for _ in 0..n {
                let key = keys[random.random_range(0..keys.len())];
                let is_personal = is_personal || persons().names(key);
                fields.insert(key.to_owned(), any(random, depth - 1, is_personal));
            }
            Value::Object(fields)
        }
    }
}

/// The same by another way: on values, with `serde_json` alone.
fn reference(value: &Value) -> Value {
    match value {
        Value::Array(values) => values.iter().map(reference).collect(),
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, _)| !persons().names(name));
            Value::Object(kept.map(|(name, value)| (name.clone(), reference(value))).collect())
        }
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(inner @ (Value::Array(_) | Value::Object(_) | Value::String(_))) => {
                let cleaned = reference(&inner);
                json!(if cleaned == inner { text.clone() } else { cleaned.to_string() })
            }
            _ => value.clone(),
        },
        other => other.clone(),
    }
}

#[test]
fn values_at_random_are_cleaned_as_a_slower_way_cleans_them() {
    let mut random = rand_pcg::Pcg64::seed_from_u64(3);
    let (mut changed, mut same) = (0, 0);
    for _ in 0..20_000 {
        let value = any(&mut random, 5, false);
        let json = value.to_string();
        let found = cleaned(&json);
        assert!(!found.contains("RAW"), "{json}\n{found}");
        assert_eq!(serde_json::from_str::<Value>(&found).unwrap(), reference(&value), "{json}");
        if found == json { same += 1 } else { changed += 1 }
    }
    assert!(same > 1_000 && changed > 1_000, "{same} {changed}");
}
