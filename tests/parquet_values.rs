//! Values of Parquet files: each is what it says, or costs its record and no other.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Date32Array, DictionaryArray, Int32Builder, Int64Array, MapBuilder, StringArray,
    StringBuilder, Time32MillisecondArray, Time64MicrosecondArray, TimestampNanosecondArray,
};
use datafusion::arrow::datatypes::Int32Type;
use datafusion::parquet::data_type::{
    ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType,
};
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::parquet::file::writer::SerializedFileWriter;
use datafusion::parquet::schema::parser::parse_message_type;
use serde_json::{Value, json};

use crate::parquet_files::{file, ids, lake, taken};

/// A file of columns `id` and another one, which has the given bytes.
fn bytes(column: &str, values: &[&[u8]]) -> Vec<u8> {
    let schema = format!("message m {{ required binary id (UTF8); {column}; }}");
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let is_fixed = column.contains("fixed_len");
    let mut bytes = Vec::new();
    let properties = Arc::new(WriterProperties::default());
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let ids: Vec<ByteArray> =
        (0..values.len()).map(|i| ByteArray::from(i.to_string().into_bytes())).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&ids, None, None).unwrap();
    column.close().unwrap();
    let values = values.iter().map(|value| ByteArray::from(value.to_vec()));
    let mut column = group.next_column().unwrap().unwrap();
    if is_fixed {
        let values: Vec<FixedLenByteArray> = values.map(Into::into).collect();
        column.typed::<FixedLenByteArrayType>().write_batch(&values, None, None).unwrap();
    } else {
        let values: Vec<ByteArray> = values.collect();
        column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
    }
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

/// What becomes of one column's bytes.
#[track_caller]
fn values(column: &str, values: &[&[u8]], taken_as: &str) -> (Vec<Value>, String) {
    let lake = lake();
    lake.land("t/a.parquet", &bytes(column, values));
    lake.ok(&["run", "bronze"]);
    let rows = taken(&lake, taken_as);
    (rows.into_iter().map(|row| row[taken_as].clone()).collect(), lake.refused())
}

#[test]
fn a_time_or_day_is_what_it_says_and_never_the_text_of_an_error() {
    let lake = lake();
    let times: ArrayRef =
        Arc::new(Time64MicrosecondArray::from(vec![1, 86_400_000_000, 86_400_000_001, -1]));
    lake.land("t/a.parquet", &file(vec![("id", ids(&["1", "2", "3", "4"])), ("name", times)]));
    let times: ArrayRef = Arc::new(Time32MillisecondArray::from(vec![86_399_999, 86_400_000, -1]));
    lake.land("t/b.parquet", &file(vec![("id", ids(&["5", "6", "7"])), ("any", times)]));
    let days = vec![2_932_897, i32::MAX, i32::MIN, -719_163];
    let days: ArrayRef = Arc::new(Date32Array::from(days));
    lake.land("t/c.parquet", &file(vec![("id", ids(&["8", "9", "a", "b"])), ("name", days)]));
    let ns: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1500, 2000]));
    let columns = vec![("id", ids(&["c", "d"])), ("name", ns)];
    lake.land("t/d.parquet", &file(columns));
    lake.ok(&["run", "bronze"]);
    let names: Vec<Value> =
        taken(&lake, "coalesce(name, any) AS v").into_iter().map(|row| row["v"].clone()).collect();
    let expected = [
        "00:00:00.000001",
        "24:00:00",
        "\"23:59:59.999\"",
        "\"24:00:00\"",
        "+10000-01-01",
        "+5881580-07-11",
        "-5877641-06-23",
        "0000-12-31",
        "1970-01-01T00:00:00.000001500Z",
        "1970-01-01T00:00:00.000002Z",
    ];
    assert_eq!(names, expected);
    assert_eq!(lake.refused(), "out_of_range@2 out_of_range@3 out_of_range@2");
}

#[test]
fn a_span_keeps_its_months() {
    let span = |months: u32, days: u32, ms: u32| [months, days, ms].map(u32::to_le_bytes).concat();
    let spans = [span(14, 3, 3_600_000), span(0, 0, 1500), span(0, 0, 0)];
    let spans: Vec<&[u8]> = spans.iter().map(Vec::as_slice).collect();
    let column = "required fixed_len_byte_array(12) name (INTERVAL)";
    let expected = [json!("P1Y2M3DT1H"), json!("PT1.5S"), json!("P0D")];
    assert_eq!(values(column, &spans, "name"), (expected.to_vec(), String::new()));
}

#[test]
fn a_decimal_has_all_its_digits_however_it_is_stored() {
    let long = [&[0x7f][..], &[0xff; 30]].concat();
    let too_long = [1; 80];
    let numbers: [&[u8]; 4] = [&[1, 0], &[0xff], &long, &too_long];
    let column = "required binary name (DECIMAL(76,2))";
    let exact = (1..248).fold(vec![1_u8], |digits, _| doubled(&digits));
    let mut exact: String = exact.iter().rev().map(|digit| char::from(b'0' + digit)).collect();
    // 2^247 - 1, of which the last digit is not 0.
    let last = exact.pop().unwrap().to_digit(10).unwrap() - 1;
    exact.push_str(&last.to_string());
    exact.insert(exact.len() - 2, '.');
    let (rows, refused) = values(column, &numbers, "name");
    assert_eq!(rows, [json!("2.56"), json!("-0.01"), json!(exact)]);
    assert_eq!(refused, "out_of_range@3");
    let column = "required fixed_len_byte_array(3) n (DECIMAL(6,2))";
    let (rows, refused) = values(column, &[&[0, 0, 200], &[0, 0, 201]], "n");
    assert_eq!((rows, refused.as_str()), (vec![json!(2)], "wrong_type@1"));
}

/// A number's digits, the lowest first, times two.
fn doubled(digits: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let mut doubled: Vec<u8> = digits
        .iter()
        .map(|digit| {
            let sum = 2 * digit + carry;
            carry = sum / 10;
            sum % 10
        })
        .collect();
    if carry > 0 {
        doubled.push(carry);
    }
    doubled
}

#[test]
fn json_is_json_where_the_contract_has_json_and_text_where_it_has_text() {
    let texts: [&[u8]; 4] = [b"{\"a\":\n [1]}", b"nope", b"\"x\"", b"{\"a\":\"\xff\"}"];
    let (rows, refused) = values("required binary any (JSON)", &texts, "any");
    assert_eq!(rows, [json!("{\"a\":  [1]}"), json!("\"x\"")]);
    assert_eq!(refused, "wrong_type@1 not_utf8@3");
    let (rows, refused) = values("required binary name (JSON)", &texts[..2], "name");
    assert_eq!(rows, [json!("{\"a\":\n [1]}"), json!("nope")]);
    assert_eq!(refused, "");
}

#[test]
fn a_text_that_is_no_utf_8_costs_its_record_only() {
    let texts: [&[u8]; 4] = [b"a", b"\xff", "é".as_bytes(), b"b\xc3"];
    let (rows, refused) = values("required binary name (UTF8)", &texts, "name");
    assert_eq!(rows, [json!("a"), json!("é")]);
    assert_eq!(refused, "not_utf8@1 not_utf8@3");
    // Behind rows that were read already, and in a dictionary of many rows.
    let many: Vec<&[u8]> =
        (0..20_000).map(|i| if i == 15_000 { &b"\xff"[..] } else { b"fine" }).collect();
    let lake = lake();
    lake.land("t/a.parquet", &bytes("required binary name (UTF8)", &many));
    lake.ok(&["run", "bronze"]);
    let right =
        "SELECT count(*) AS n FROM bronze.t WHERE name = 'fine' AND id = CAST(_offset AS STRING)";
    assert_eq!(lake.number(right), 19_999);
    assert_eq!(lake.refused(), "not_utf8@15000");
}

#[test]
fn an_id_of_16_bytes_has_its_dashes_and_bytes_of_other_kinds_are_digits() {
    let id: Vec<u8> = (0..16).collect();
    let column = "required fixed_len_byte_array(16) name (UUID)";
    let expected = json!("00010203-0405-0607-0809-0a0b0c0d0e0f");
    assert_eq!(values(column, &[&id], "name"), (vec![expected], String::new()));
    let (rows, _) = values("required binary name (BSON)", &[b"ab"], "name");
    assert_eq!(rows, [json!("6162")]);
    let (rows, _) = values("required binary name (ENUM)", &[b"ab"], "name");
    assert_eq!(rows, [json!("ab")]);
    let (rows, _) = values("required fixed_len_byte_array(2) name", &[b"ab"], "name");
    assert_eq!(rows, [json!("6162")]);
}

#[test]
fn a_map_with_an_odd_key_costs_its_record_only() {
    let lake = lake();
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for keys in [&["a", "b"][..], &["a", "a"], &[]] {
        for key in keys {
            map.keys().append_value(key);
            map.values().append_value(1);
        }
        map.append(true).unwrap();
    }
    let map: ArrayRef = Arc::new(map.finish());
    lake.land("t/a.parquet", &file(vec![("id", ids(&["1", "2", "3"])), ("any", map)]));
    let mut map = MapBuilder::new(None, Int32Builder::new(), StringBuilder::new());
    map.keys().append_value(-7);
    map.values().append_value("x");
    map.append(true).unwrap();
    let map: ArrayRef = Arc::new(map.finish());
    lake.land("t/b.parquet", &file(vec![("id", ids(&["4"])), ("any", map)]));
    lake.ok(&["run", "bronze"]);
    let rows = taken(&lake, "any");
    let maps = ["{\"a\":1,\"b\":1}", "{}", "{\"-7\":\"x\"}"].map(|map| json!({"any": map}));
    assert_eq!(rows, maps);
    assert_eq!(lake.refused(), "duplicate_field@1");
}

#[test]
fn texts_of_a_dictionary_and_columns_of_nothing_but_null_come_in() {
    let lake = lake();
    let names: DictionaryArray<Int32Type> = vec![Some("x"), None, Some("x")].into_iter().collect();
    let nulls: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>; 3]));
    let n: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]));
    let columns =
        vec![("id", ids(&["1", "2", "3"])), ("name", Arc::new(names) as ArrayRef), ("any", nulls)];
    lake.land("t/a.parquet", &file([columns, vec![("n", n)]].concat()));
    lake.ok(&["run", "bronze"]);
    let row = |name: Value, n: Value| json!({"name": name, "n": n, "any": null});
    let rows = taken(&lake, "name, n, any");
    let expected =
        [row(json!("x"), json!(1)), row(Value::Null, Value::Null), row(json!("x"), json!(3))];
    assert_eq!(rows, expected);
    assert_eq!(lake.refused(), "");
}
