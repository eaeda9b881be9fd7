//! What the decoder takes and refuses; its grammar against `serde_json`'s.

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{
    Float64Type, Int32Type, Int64Type, Schema, TimestampMicrosecondType,
};
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
        (r#"{"id":"a","x":"NaN"}"#, Class::OutOfRange),
        (r#"{"id":"a","x":"-Infinity"}"#, Class::OutOfRange),
        (r#"{"id":"a","x":NaN}"#, Class::OutOfRange),
        (r#"{"id":"a","x":-Infinity}"#, Class::OutOfRange),
        (r#"{"id":"a","n":"inf"}"#, Class::OutOfRange),
        (r#"{"id":"a","x":"nano"}"#, Class::WrongType),
        (r#"{"id":"a","x":"1.5"}"#, Class::WrongType),
        (r#"{"id":"a","x":nan}"#, Class::OutOfRange),
        (r#"{"id":"a","x":nil}"#, Class::NotJson),
        (r#"{"id":"a","any":NaN}"#, Class::NotJson),
        (r#"{"id":"a","at":"0000-06-01T00:00:00Z"}"#, Class::OutOfRange),
        (r#"{"id":"a","at":"+10000-01-01T00:00:00Z"}"#, Class::OutOfRange),
        (r#"{"id":"a","at":"-0001-01-01T00:00:00Z"}"#, Class::OutOfRange),
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
        r#"{"id":"a","free":"NaN","any":"Infinity"}"#,
        r#"{"id":"a","n":null,"x":null}"#,
        r#"{"id":"a","at":"0001-01-01T00:00:00Z"}"#,
        r#"{"id":"a","at":"9999-12-31T23:59:59.999999Z"}"#,
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
    // In any case of its letters the field is the column.
    assert!(user.value(2).len() == 39 && !user.value(2).contains("bob"));
    assert_eq!((user.value(0), user.value(1)), (user.value(2), user.value(2)));
}

#[test]
fn a_name_in_another_case_is_the_field_unless_that_is_there_or_two_would_be_it() {
    let taken = |record: &str| {
        let mut decoder = decoder();
        decoder.decode(record.as_bytes()).map_err(|reject| reject.to_string())?;
        let batch = rows(&mut decoder);
        let (id, rescued) = (batch["id"].as_string::<i32>(), batch["_rescued_data"].clone());
        let rescued = rescued.as_string::<i32>();
        let rescued = rescued.is_valid(0).then(|| rescued.value(0).to_owned());
        Ok::<_, String>((id.value(0).to_owned(), rescued.unwrap_or_default()))
    };
    let row = |id: &str, rescued: &str| Ok((id.to_owned(), rescued.to_owned()));
    assert_eq!(taken(r#"{"ID":"a"}"#), row("a", ""));
    assert_eq!(taken(r#"{"\u0049d":"a"}"#), row("a", ""));
    assert_eq!(taken(r#"{"ID":"b","id":"a"}"#), row("a", r#"{"ID":"b"}"#));
    assert_eq!(taken(r#"{"id":"a","ID":{"k":1},"new":2}"#), row("a", r#"{"ID":{"k":1},"new":2}"#));
    assert_eq!(
        taken(r#"{"id":"a","INNER":{"A":1,"more":2,"a":3}}"#),
        row("a", r#"{"inner":{"A":1,"more":2}}"#)
    );
    let twice = Err("duplicate_field: field `id` appears twice".to_owned());
    assert_eq!(taken(r#"{"ID":"b","Id":"a"}"#), twice);
    // What it holds is held to its type, and a record that it costs is taken back.
    let error = taken(r#"{"id":"a","Inner":{"A":"x"}}"#).unwrap_err();
    assert!(error.starts_with("wrong_type: `inner.a` is a string"), "{error}");
    assert_eq!(taken(r#"{"id":"a","user id":1}"#), row("a", ""), "a person's name is none");
}

#[test]
fn unknown_fields_lose_no_value_to_a_reader_of_json() {
    for (record, expected) in [
        (r#"{"id":"a","z":1,"z":2}"#, r#"{"z":[1,2]}"#),
        (r#"{"z":[1],"id":"a","\u007a":{"k":1,"k":2}}"#, r#"{"z":[[1],{"k":[1,2]}]}"#),
        (r#"{"id":"a","z":{"k":1,"l":{"m":1,"m":[]}}}"#, r#"{"z":{"k":1,"l":{"m":[1,[]]}}}"#),
        (
            r#"{"y":0,"inner":{"a":1,"e":2,"deep":{"c":1,"f":3},"e":4},"id":"a"}"#,
            r#"{"y":0,"inner":{"e":[2,4],"deep":{"f":3}}}"#,
        ),
        (r#"{"id":"a","inner":{"a":1,"deep":{"f":3}}}"#, r#"{"inner":{"deep":{"f":3}}}"#),
        (r#"{"id":"a","z":1,"Z":2}"#, r#"{"z":1,"Z":2}"#),
    ] {
        let mut decoder = decoder();
        decoder.decode(record.as_bytes()).unwrap();
        let rescued = rows(&mut decoder)["_rescued_data"].clone();
        assert_eq!(rescued.as_string::<i32>().value(0), expected, "{record}");
    }
}

#[test]
fn a_default_fills_what_is_missing_and_null_is_a_value_of_json() {
    let version = |form: Form, fields: &str| {
        let mut decoder = decoder();
        decoder.expect(form);
        decoder.decode(format!(r#"{{"id":"a"{fields}}}"#).as_bytes()).unwrap();
        let version = rows(&mut decoder)["version"].clone();
        let version = version.as_primitive::<Int32Type>();
        version.is_valid(0).then(|| version.value(0))
    };
    for form in [Form::Objects, Form::Rows, Form::Texts] {
        assert_eq!(version(form, ""), Some(1));
        assert_eq!(version(form, r#","version":7"#), Some(7));
    }
    for name in ["version", "VERSION"] {
        let null = format!(r#","{name}":null"#);
        assert_eq!(version(Form::Objects, &null), None);
        // A row has all columns of its file, and no other way to leave one out.
        assert_eq!(version(Form::Rows, &null), Some(1));
        assert_eq!(version(Form::Texts, &null), Some(1));
    }
}

#[test]
fn texts_are_what_their_column_takes_them_for() {
    let mut decoder = decoder();
    decoder.expect(Form::Texts);
    for (fields, class) in [
        (r#""version":"007""#, None),
        (r#""version":" +7 ""#, None),
        (r#""version":"7.5""#, Some(Class::WrongType)),
        (r#""version":"99999999999""#, Some(Class::OutOfRange)),
        (r#""version":"nan""#, Some(Class::OutOfRange)),
        (r#""version":"seven""#, Some(Class::WrongType)),
        (r#""version":"""#, None),
        (r#""version":7"#, None),
        (r#""inner":"x""#, Some(Class::WrongType)),
    ] {
        let taken = decoder.decode(format!(r#"{{"id":"007",{fields}}}"#).as_bytes());
        assert_eq!(taken.err().map(|reject| reject.class), class, "{fields}");
    }
    let batch = rows(&mut decoder);
    assert!(batch["id"].as_string::<i32>().iter().all(|id| id == Some("007")));
    let version = batch["version"].as_primitive::<Int32Type>();
    assert_eq!(version.values().as_ref(), [7, 7, 1, 7]);
    decoder.expect(Form::Objects);
    let reject = decoder.decode(br#"{"id":"a","version":"7"}"#).unwrap_err();
    assert_eq!(reject.class, Class::WrongType, "JSON has numbers of its own");
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

/// What a record with these fields becomes: a column's text, `None` for NULL.
fn text_of(column: &str, fields: &str) -> Option<String> {
    let mut decoder = decoder();
    let record = format!(r#"{{"id":"a",{fields}}}"#);
    decoder.decode(record.as_bytes()).unwrap_or_else(|reject| panic!("{record}: {reject}"));
    let batch = rows(&mut decoder);
    batch[column].as_string::<i32>().iter().next().unwrap().map(str::to_owned)
}

#[test]
fn json_columns_and_texts_of_json_name_no_person() {
    let some = |text: &str| Some(text.to_owned());
    for (column, fields, expected) in [
        (
            "any",
            r#""any":[{"sku":"s","user_id":"RAW","n":1.50}]"#,
            some(r#"[{"sku":"s","n":1.50}]"#),
        ),
        ("any", r#""any":"{\"userId\":\"RAW\",\"k\":1}""#, some(r#""{\"k\":1}""#)),
        ("any", r#""any":"{\"userId\":\"RAW\"""#, None),
        ("any", r#""any":[ {"sku" : "s"} ]"#, some(r#"[ {"sku" : "s"} ]"#)),
        ("any", r#""any":"user_id""#, some(r#""user_id""#)),
        ("free", r#""free":"{\"User-ID\":\"RAW\",\"k\":[1]}""#, some(r#"{"k":[1]}"#)),
        ("free", r#""free":" [{\"user_id\":\"RAW\"}]""#, some("[{}]")),
        ("free", r#""free":"{\"user_id\":\"RAW\"""#, None),
        ("free", r#""free":"{ \"sku\" : 1 }""#, some(r#"{ "sku" : 1 }"#)),
        ("free", r#""free":"[draft] of {name}: user""#, some("[draft] of {name}: user")),
        ("free", r#""free":"my user_id: 5""#, some("my user_id: 5")),
    ] {
        assert_eq!(text_of(column, fields), expected, "{fields}");
    }
    // Without personal columns nothing is looked into.
    let mut decoder = decoder_of_any();
    decoder
        .decode(br#"{"any":{"user_id":"RAW"},"free":"{\"user_id\":1}","new":{"user_id":2}}"#)
        .unwrap();
    let columns = decoder.finish().unwrap();
    let text = |at: usize| columns[at].as_string::<i32>().value(0).to_owned();
    assert_eq!(
        (text(1), text(2)),
        (r#"{"user_id":"RAW"}"#.to_owned(), r#"{"user_id":1}"#.to_owned())
    );
    assert_eq!(text(3), r#"{"new":{"user_id":2}}"#);
}

#[test]
fn brackets_within_a_string_cost_no_stack() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for record in [
        format!(r#"{{"id":"a","new":"{deep}"}}"#),
        format!(r#"{{"id":"a","any":["{deep}"]}}"#),
        format!(r#"{{"id":"a","any":{{"k":"{deep}"}},"new":{{"k":["{deep}"]}}}}"#),
        format!(r#"{{"id":"a","free":"{deep}"}}"#),
        format!(r#"{{"id":"a","inner":{{"a":1,"new":"{deep}"}}}}"#),
    ] {
        let mut decoder = decoder();
        decoder.decode(record.as_bytes()).unwrap();
        let mut plain = decoder_of_any();
        plain.decode(record.as_bytes()).unwrap();
        assert_eq!((rows(&mut decoder).num_rows(), plain.finish().unwrap().len()), (1, 4));
    }
}

#[test]
fn a_number_is_an_integer_where_its_digits_say_so_for_sure() {
    let n = |text: &str| {
        let mut decoder = decoder();
        decoder.decode(format!(r#"{{"id":"a","n":{text}}}"#).as_bytes()).map_err(|r| r.class)?;
        Ok(rows(&mut decoder)["n"].as_primitive::<Int64Type>().value(0))
    };
    for (text, expected) in [
        ("1.0e3", 1000),
        ("100e-2", 1),
        ("0.1e1", 1),
        ("-0.0", 0),
        ("-0", 0),
        ("0e99999999999999999999", 0),
        ("0.000e-99999999999999999999", 0),
        ("123.4500e2", 12_345),
        ("-5.000000000000000000000000000000", -5),
        ("0.0000000000000000000000001e25", 1),
        ("9007199254740991.0", 9_007_199_254_740_991),
        ("-9007199254740991.0", -9_007_199_254_740_991),
        ("9007199254740993", 9_007_199_254_740_993),
        ("9223372036854775807", i64::MAX),
        ("-9223372036854775808", i64::MIN),
    ] {
        assert_eq!(n(text), Ok(expected), "{text}");
    }
    for text in [
        "4503599627370497.1",
        "9007199254740991.9",
        "9007199254740991.5",
        "1e-400",
        "5e-1",
        "1.5",
        "-0.1",
        "1e-99999999999999999999",
    ] {
        assert_eq!(n(text), Err(Class::WrongType), "{text}");
    }
    for text in [
        "9007199254740992.0",
        "9007199254740993.0",
        "-9007199254740993.0",
        "12345678901234567.0",
        "1e18",
        "1e30",
        "1e99999999999999999999",
        "9223372036854775808",
        "-9223372036854775809",
    ] {
        assert_eq!(n(text), Err(Class::OutOfRange), "{text}");
    }
}

#[test]
fn doubles_are_read_to_the_last_bit() {
    let x = |text: &str| {
        let mut decoder = decoder();
        decoder.decode(format!(r#"{{"id":"a","x":{text}}}"#).as_bytes()).map_err(|r| r.class)?;
        Ok(rows(&mut decoder)["x"].as_primitive::<Float64Type>().value(0).to_bits())
    };
    let mut random = rand_pcg::Pcg64::seed_from_u64(2);
    for _ in 0..3_000 {
        let digits: u64 = random.random_range(10_u64.pow(16)..10_u64.pow(17));
        let exponent: i32 = random.random_range(-330..290);
        for text in [format!("{digits}"), format!("0.{digits}"), format!("-{digits}e{exponent}")] {
            let expected: f64 = text.parse().unwrap();
            assert_eq!(x(&text), Ok(expected.to_bits()), "{text}");
        }
    }
    for (text, expected) in [
        ("-0", -0.0),
        ("-0.0", -0.0),
        ("0", 0.0),
        ("5e-324", f64::from_bits(1)),
        ("1.7976931348623157e308", f64::MAX),
        ("10000000000000000000", 1e19),
        ("9007199254740993", 9_007_199_254_740_992.0),
        ("2.2250738585072011e-308", "2.2250738585072011e-308".parse().unwrap()),
        ("123456789012345678901234567890", "123456789012345678901234567890".parse().unwrap()),
        ("1e-400", 0.0),
    ] {
        assert_eq!(x(text), Ok(f64::to_bits(expected)), "{text}");
    }
    for text in ["1e309", "-1e309", "1.7976931348623159e308", "9".repeat(400).as_str()] {
        assert_eq!(x(text), Err(Class::OutOfRange), "{text}");
    }
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
