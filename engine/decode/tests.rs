//! What the decoder takes and refuses; its grammar against `serde_json`'s.

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{Int64Type, Schema, TimestampMicrosecondType};
use rand::{Rng, SeedableRng};

use super::*;
use crate::contract::{self, TableName};

const CONTRACT: &str = "CREATE TABLE bronze.t (
    id VARCHAR(4) NOT NULL, n BIGINT, small INT, x DOUBLE, ok BOOLEAN, at TIMESTAMP, free STRING, any JSON,
    user_id STRING, version INT, inner STRUCT<a BIGINT, b VARCHAR(3), deep STRUCT<c BIGINT>>
) TBLPROPERTIES ('lake.source' = 'folder:t', 'lake.personal' = 'user_id', 'lake.empty_strings' = 'reject',
    'lake.present' = 'inner.a', 'lake.default.version' = '1')";

fn decoder() -> Decoder {
    let contract = contract::parse(&TableName::new("bronze", "t"), "t.sql", CONTRACT).unwrap();
    Decoder::new(&contract, Some(Pseudonyms::new(&[7; 32]))).unwrap()
}

fn rows(decoder: &mut Decoder) -> RecordBatch {
    let names = [
        "id",
        "n",
        "small",
        "x",
        "ok",
        "at",
        "free",
        "any",
        "user_id",
        "version",
        "inner",
        "_rescued_data",
    ];
    let columns = decoder.finish().unwrap();
    let fields: Vec<_> = names
        .iter()
        .zip(&columns)
        .map(|(name, column)| {
            datafusion::arrow::datatypes::Field::new(*name, column.data_type().clone(), true)
        })
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn class(record: &str) -> Class {
    decoder().decode(record.as_bytes()).unwrap_err().class
}

#[test]
fn values_arrive_unchanged_and_neighbours_of_a_bad_record_stay() {
    let mut decoder = decoder();
    decoder.decode(br#"{"id":"a","n":-5,"x":1.5e3,"ok":true,"at":"2026-03-01T00:00:00.5Z","inner":{"a":null,"b":"\u00e9\ud83d\ude00"},"any":[1, {"k":2}]}"#).unwrap();
    decoder.decode(br#"{"id":"b","n":7,"inner":{"a":1,"b":"toolong"}}"#).unwrap_err();
    decoder.decode(br#" { "inner" : { "deep":{"c":3}, "a" : 9 } , "id" : "c" } "#).unwrap();
    let batch = rows(&mut decoder);
    assert_eq!(batch.num_rows(), 2);
    assert_eq!(batch["id"].as_string::<i32>().iter().collect::<Vec<_>>(), [Some("a"), Some("c")]);
    assert_eq!(batch["n"].as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(-5), None]);
    assert_eq!(batch["any"].as_string::<i32>().value(0), r#"[1, {"k":2}]"#);
    assert_eq!(
        batch["at"].as_primitive::<TimestampMicrosecondType>().value(0),
        1_772_323_200_500_000
    );
    let inner = batch["inner"].as_struct();
    assert_eq!(inner["b"].as_string::<i32>().value(0), "é😀");
    assert!(inner["a"].is_null(0) && !inner["a"].is_null(1) && inner["deep"].is_null(0));
    assert_eq!(batch["version"].null_count(), 0);
}

#[test]
fn every_fault_has_its_class() {
    for (record, expected) in [
        ("", Class::NotJson),
        ("{", Class::NotJson),
        ("[1]", Class::NotJson),
        (r#"{"id":"a"} {"id":"b"}"#, Class::NotJson),
        (r#"{"id":"a",}"#, Class::NotJson),
        (r#"{"id":"a","n":01}"#, Class::NotJson),
        (r#"{"id":"a","n":+1}"#, Class::NotJson),
        (r#"{"id":"a","free":"\x"}"#, Class::NotJson),
        (r#"{"id":"a","free":"\ud800"}"#, Class::NotJson),
        ("{\"id\":\"a\",\"free\":\"\u{1}\"}", Class::NotJson),
        (r#"{"id":"a","n":[1,}"#, Class::NotJson),
        (r#"{"id":"a","n":"1"}"#, Class::WrongType),
        (r#"{"id":"a","n":1.5}"#, Class::WrongType),
        (r#"{"id":"a","n":true}"#, Class::WrongType),
        (r#"{"id":7}"#, Class::WrongType),
        (r#"{"id":"a","inner":[]}"#, Class::WrongType),
        (r#"{"id":"a","at":"2026-03-01"}"#, Class::WrongType),
        (r#"{"id":"a","at":1772323200}"#, Class::WrongType),
        (r#"{"id":"a","n":9223372036854775808}"#, Class::OutOfRange),
        (r#"{"id":"a","small":2147483648}"#, Class::OutOfRange),
        (r#"{"id":"a","x":1e999}"#, Class::OutOfRange),
        (r#"{"id":"abcde"}"#, Class::OutOfRange),
        (r#"{"id":""}"#, Class::OutOfRange),
        (r#"{"id":null}"#, Class::MissingField),
        (r#"{"n":1}"#, Class::MissingField),
        (r#"{"id":"a","inner":{}}"#, Class::MissingField),
        (r#"{"id":"a","id":"a"}"#, Class::DuplicateField),
    ] {
        assert_eq!(class(record), expected, "{record}");
    }
    assert_eq!(decoder().decode(b"{\"id\":\"\xff\"}").unwrap_err().class, Class::NotUtf8);
    let deep = format!(r#"{{"id":"a","new":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(class(&deep), Class::TooDeep);
}

#[test]
fn edges_that_are_allowed_are_taken() {
    for record in [
        r#"{"id":"éééé"}"#,
        r#"{"id":"a","n":9223372036854775807,"small":-2147483648}"#,
        r#"{"id":"a","n":1e3,"x":-0}"#,
        r#"{"id":"a","free":"","user_id":""}"#,
        r#"{"\u0069d":"a"}"#,
        "{\"id\":\"a\"}\r",
    ] {
        decoder().decode(record.as_bytes()).unwrap_or_else(|reject| panic!("{record}: {reject}"));
    }
}

#[test]
fn unknown_fields_are_kept_and_persons_are_not() {
    let mut decoder = decoder();
    decoder.decode(br#"{"new":[1.50,"x"],"id":"a","User_ID":"bob","inner":{"a":1,"more":{"user_id":"bob","k":1}}}"#).unwrap();
    decoder.decode(br#"{"id":"b","USER_ID":"bob"}"#).unwrap();
    decoder.decode(br#"{"id":"c","user_id":"bob"}"#).unwrap();
    let batch = rows(&mut decoder);
    let rescued = batch["_rescued_data"].as_string::<i32>();
    assert_eq!(rescued.value(0), r#"{"new":[1.50,"x"],"inner":{"more":{"k":1}}}"#);
    assert!(rescued.is_null(1));
    let user = batch["user_id"].as_string::<i32>();
    assert!(user.is_null(0) && user.value(2).len() == 39 && !user.value(2).contains("bob"));
}

#[test]
fn persons_are_found_however_their_fields_are_spelled() {
    for unknown in [
        r#""userId":"bob""#,
        r#""context.user_id":"bob""#,
        r#""z":{"n":1e400,"user_id":"bob"}"#,
        r#""z":[{"User-ID":"bob"}]"#,
        r#""z":"{\"a\":[{\"user_id\":\"bob\"}]}""#,
        r#""z":{"user\u005fid":"bob"}"#,
    ] {
        let mut decoder = decoder();
        decoder.decode(format!(r#"{{"id":"a",{unknown}}}"#).as_bytes()).unwrap();
        let batch = rows(&mut decoder);
        let rescued = batch["_rescued_data"].as_string::<i32>();
        assert!(rescued.is_null(0) || !rescued.value(0).contains("bob"), "{unknown}: {rescued:?}");
    }
    let mut decoder = decoder();
    let kept = r#"{"z":{"n":1e400,"big":123456789012345678901234567890,"s":"{}"}}"#;
    decoder.decode(format!(r#"{{"id":"a",{}"#, &kept[1..]).as_bytes()).unwrap();
    assert_eq!(rows(&mut decoder)["_rescued_data"].as_string::<i32>().value(0), kept);
}

/// Mutates records at random: we take or refuse exactly what `serde_json` takes or refuses, as
/// far as grammar goes.
#[test]
fn grammar_agrees_with_serde_json() {
    let seeds: [&[u8]; 3] = [
        br#"{"id":"a","any":{"x":[1,-2.5e-3,null,true,"\u00e9\n"],"y":{}},"other":[[],{"z":"\\"}]}"#,
        br#"{"any":[0,-0,1e5,1E+2,0.0],"id":"b","free":"\ud83d\ude00 \/ tab\t"}"#,
        br#"{ "id" : "c" , "any" : "text" , "q" : [ { } , [ ] , false ] }"#,
    ];
    let mut random = rand_pcg::Pcg64::seed_from_u64(1);
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..60_000 {
        let mut record = seeds[random.random_range(0..seeds.len())].to_vec();
        for _ in 0..random.random_range(0..3) {
            let at = random.random_range(0..record.len());
            match random.random_range(0..3) {
                0 => drop(record.remove(at)),
                1 => record.insert(
                    at,
                    b"{}[]\",:\\0123456789.eE+-truefalsnu "[random.random_range(0..34)],
                ),
                _ => record[at] = random.random_range(0x0a..0x7f),
            }
        }
        let reference: Result<serde_json::Value, _> = serde_json::from_slice(&record);
        let ours = decoder_of_any().decode(&record);
        let grammar = !matches!(
            &ours,
            Err(Reject { class: Class::NotJson | Class::NotUtf8 | Class::TooDeep, .. })
        );
        // A number beyond a double is JSON, and `serde_json` stops there.
        if reference.as_ref().is_err_and(|error| error.to_string().contains("out of range")) {
            continue;
        }
        let expected = reference.as_ref().is_ok_and(serde_json::Value::is_object);
        let undecided = reference.is_err()
            && matches!(&ours, Err(Reject { class: Class::DuplicateField | Class::WrongType, .. }));
        assert!(
            grammar == expected || undecided,
            "{}: {ours:?} {reference:?}",
            String::from_utf8_lossy(&record)
        );
        if grammar { taken += 1 } else { refused += 1 }
    }
    assert!(taken > 5_000 && refused > 5_000, "{taken} {refused}");
}

fn decoder_of_any() -> Decoder {
    let text = "CREATE TABLE bronze.t (id JSON, any JSON, free STRING) TBLPROPERTIES ('lake.source' = 'folder:t')";
    let contract = contract::parse(&TableName::new("bronze", "t"), "t.sql", text).unwrap();
    Decoder::new(&contract, None).unwrap()
}
