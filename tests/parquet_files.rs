//! Parquet files as tools write them, within the memory that there is.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BinaryArray, Date64Array, Decimal128Array, Float32Array, Float64Array, Int64Array,
    ListArray, RecordBatch, StringArray, Time64MicrosecondArray, TimestampNanosecondArray,
    UInt64Array,
};
use datafusion::arrow::datatypes::{Date64Type, Int64Type};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::data_type::{ByteArray, ByteArrayType, Int96, Int96Type};
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::parquet::file::writer::SerializedFileWriter;
use datafusion::parquet::schema::parser::parse_message_type;
use serde_json::{Value, json};

use crate::support::{Lake, parquet};

const TABLE: &str = "-- One row per record.
CREATE TABLE bronze.t (id STRING, n BIGINT, x DOUBLE, ts TIMESTAMP, any JSON, name STRING)
TBLPROPERTIES ('lake.source' = 'folder:t');";

pub(crate) fn lake() -> Lake {
    Lake::with(&[("lake/bronze/t.sql", TABLE)])
}

pub(crate) fn ids(ids: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(ids.to_vec()))
}

pub(crate) fn file(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    parquet(&RecordBatch::try_from_iter(columns).unwrap())
}

#[track_caller]
pub(crate) fn taken(lake: &Lake, columns: &str) -> Vec<Value> {
    lake.rows(&format!("SELECT {columns} FROM bronze.t ORDER BY _source_file, _offset"))
}

/// Days since the Julian day 0 of 1970-01-01, and nanoseconds of the day.
fn int96(days: i64, ns: u64) -> Int96 {
    let mut value = Int96::new();
    let [low, high, day] = [(ns & 0xffff_ffff), ns >> 32, (days + 2_440_588).unsigned_abs()]
        .map(|part| u32::try_from(part).unwrap());
    value.set_data(low, high, day);
    value
}

/// A file of a column `id` and one of moments of 96 bits.
fn moments(column: &str, moments: &[Int96]) -> Vec<u8> {
    let schema = format!("message m {{ required binary id (UTF8); required int96 {column}; }}");
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let mut bytes = Vec::new();
    let properties = Arc::new(WriterProperties::default());
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let texts = (0..moments.len()).map(|i| ByteArray::from(format!("{i:04}").into_bytes()));
    let texts: Vec<ByteArray> = texts.collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int96Type>().write_batch(moments, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn a_moment_finer_than_a_microsecond_costs_its_record_and_keeps_its_digits_as_text() {
    // Beyond 2262, where nanoseconds in 64 bits begin anew, and before 1970.
    let days = [20_513, 2_932_896, -135_140];
    let fine: Vec<Int96> =
        days.iter().flat_map(|day| [int96(*day, 1_000), int96(*day, 1_999)]).collect();
    let lake = lake();
    lake.land("t/a.parquet", &moments("ts", &fine));
    lake.land("t/b.parquet", &moments("name", &fine));
    let ns: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![
        1_772_359_200_000_000_999,
        1_772_359_200_000_001_000,
        -1,
    ]));
    lake.land("t/c.parquet", &file(vec![("id", ids(&["1", "2", "3"])), ("ts", ns)]));
    let many: Vec<Int96> = (0..10_000).map(|i| int96(20_513, i * 250)).collect();
    lake.land("t/d.parquet", &moments("ts", &many));
    lake.ok(&["run", "bronze"]);
    let of = |file: &str, select: &str| {
        lake.rows(&format!(
            "SELECT {select} FROM bronze.t WHERE _source_file = 't/{file}.parquet' ORDER BY _offset"
        ))
    };
    let taken = |file: &str| of(file, "_offset AS at").len();
    assert_eq!((taken("a"), taken("b"), taken("c"), taken("d")), (3, 6, 1, 2_500));
    let names: Vec<Value> = of("b", "name").into_iter().map(|row| row["name"].clone()).collect();
    let expected = [
        "2026-03-01T00:00:00.000001Z",
        "2026-03-01T00:00:00.000001999Z",
        "9999-12-31T00:00:00.000001Z",
        "9999-12-31T00:00:00.000001999Z",
        "1600-01-01T00:00:00.000001Z",
        "1600-01-01T00:00:00.000001999Z",
    ];
    assert_eq!(names, expected);
    let whole = of("d", "_offset AS at, ts");
    let right = |row: &Value| {
        let micros = row["at"].as_i64().unwrap() / 4;
        row["ts"].as_str().unwrap().contains(&format!("T00:00:00.{micros:06}"))
    };
    assert!(whole.iter().all(right));
    let told = "SELECT count(*) AS n FROM bronze.quarantine WHERE error_class = 'wrong_type' AND error_message LIKE '%more than six digits%'";
    assert_eq!(lake.number(told), 3 + 2 + 7_500);
}

#[test]
fn moments_of_96_bits_are_what_they_say_in_every_century() {
    let bytes = moments(
        "ts",
        &[
            int96(-719_162, 0),
            int96(-135_140, 0),
            int96(20_513, 43_200_000_000_000),
            int96(2_932_896, 86_399_000_000_000),
        ],
    );
    let lake = lake();
    lake.land("t/a.parquet", &bytes);
    lake.ok(&["run", "bronze"]);
    let rows = taken(&lake, "ts");
    let ts: Vec<&str> = rows.iter().map(|row| &row["ts"].as_str().unwrap()[..19]).collect();
    let expected = [
        "0001-01-01T00:00:00",
        "1600-01-01T00:00:00",
        "2026-03-01T12:00:00",
        "9999-12-31T23:59:59",
    ];
    assert_eq!(ts, expected);
}

#[test]
fn each_value_of_bytes_is_text_or_digits_by_itself() {
    let lake = lake();
    let name: ArrayRef = Arc::new(BinaryArray::from(vec![&b"alpha"[..], b"\xff\x00", b""]));
    lake.land("t/a.parquet", &file(vec![("id", ids(&["1", "2", "3"])), ("name", name)]));
    lake.ok(&["run", "bronze"]);
    let rows = taken(&lake, "name");
    assert_eq!(rows, [json!({"name": "alpha"}), json!({"name": "ff00"}), json!({"name": ""})]);
}

#[test]
fn numbers_are_exact_or_refused() {
    let lake = lake();
    let x: ArrayRef =
        Arc::new(Float64Array::from(vec![f64::NAN, f64::INFINITY, 943.356_716_998_313_7, -0.0]));
    lake.land("t/a.parquet", &file(vec![("id", ids(&["1", "2", "3", "4"])), ("x", x)]));
    let n: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX, 9_223_372_036_854_775_807]));
    lake.land("t/b.parquet", &file(vec![("id", ids(&["5", "6"])), ("n", n)]));
    let decimals = |scale| -> ArrayRef {
        let values = Decimal128Array::from(vec![900_719_925_474_099_300, 150]);
        Arc::new(values.with_precision_and_scale(38, scale).unwrap())
    };
    let columns = vec![
        ("id", ids(&["7", "8"])),
        ("n", decimals(2)),
        ("name", decimals(2)),
        ("x", decimals(2)),
    ];
    lake.land("t/c.parquet", &file(columns));
    let x: ArrayRef = Arc::new(Float32Array::from(vec![0.1]));
    lake.land("t/d.parquet", &file(vec![("id", ids(&["9"])), ("x", x)]));
    lake.ok(&["run", "bronze"]);
    let rows = taken(&lake, "id, n, x, name");
    let row =
        |id: &str, n: Value, x: Value, name: Value| json!({"id": id, "n": n, "x": x, "name": name});
    let null = || Value::Null;
    assert_eq!(rows[0]["id"], "3");
    // In SQL, since the reader of JSON in this test is not exact.
    let exact = "SELECT count(*) AS n FROM bronze.t WHERE id = '3' AND x = 943.3567169983137";
    assert_eq!(lake.number(exact), 1);
    assert_eq!(rows[2], row("6", json!(i64::MAX), null(), null()));
    let name = json!("9007199254740993.00");
    assert_eq!(
        rows[3],
        row("7", json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_992.0), name)
    );
    assert_eq!(rows[4], row("9", null(), json!(f64::from(0.1_f32)), null()));
    assert_eq!(rows.len(), 5, "{rows:?}");
    // 1.50 is no whole number; NaN and infinity are no doubles of JSON.
    let places = lake.rows("SELECT source, position FROM bronze.quarantine ORDER BY 1, 2");
    let places: Vec<(&str, i64)> = places
        .iter()
        .map(|row| (row["source"].as_str().unwrap(), row["position"].as_i64().unwrap()))
        .collect();
    let [a, b, c] = ["a", "b", "c"].map(|name| format!("folder:t/{name}.parquet"));
    assert_eq!(places, [(a.as_str(), 0), (a.as_str(), 1), (b.as_str(), 0), (c.as_str(), 1)]);
}

#[test]
fn lists_and_days_keep_their_values() {
    let lake = lake();
    let days = vec![Some(vec![Some(1_772_323_200_000), None])];
    let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Date64Type, _, _>(days));
    let ts: ArrayRef =
        Arc::new(TimestampNanosecondArray::from(vec![1_000]).with_timezone("Europe/Paris"));
    lake.land("t/a.parquet", &file(vec![("id", ids(&["1"])), ("any", list), ("ts", ts)]));
    let day: ArrayRef = Arc::new(Date64Array::from(vec![1_772_323_200_000]));
    lake.land("t/b.parquet", &file(vec![("id", ids(&["2"])), ("any", day)]));
    lake.ok(&["run", "bronze"]);
    let rows = taken(&lake, "any, ts");
    assert_eq!(rows[0]["any"], json!("[\"2026-03-01\",null]"));
    assert!(rows[0]["ts"].as_str().unwrap().starts_with("1970-01-01T00:00:00.000001"), "{rows:?}");
    assert_eq!(rows[1]["any"], json!("\"2026-03-01\""));
}

#[test]
fn columns_are_named_in_any_case_and_one_must_be_known() {
    let lake = lake();
    let n: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    lake.land("t/a.parquet", &file(vec![("ID", ids(&["1"])), ("N", Arc::clone(&n))]));
    lake.land("t/b.parquet", &file(vec![("who", ids(&["1"])), ("what", n)]));
    let output = lake.run(&["run", "bronze"]);
    output.says(0, &["t/b.parquet: the Parquet file has no column of the contract", "id,n,x,ts"]);
    assert_eq!(taken(&lake, "id, n"), [json!({"id": "1", "n": 1})]);
    assert_eq!(lake.refused(), "unreadable@0");
}

#[test]
fn a_row_above_the_limit_costs_itself_and_a_repeated_value_no_memory() {
    let mut lake = lake();
    lake.set("LAKE_INGEST_RECORD_LIMIT", "64KiB");
    let big = "x".repeat(100_000);
    lake.land("t/a.parquet", &file(vec![("id", ids(&["1", big.as_str(), "3"]))]));
    let half = "y".repeat(40_000);
    let n = 1000;
    lake.land("t/b.parquet", &file(vec![("id", ids(&vec![half.as_str(); n]))]));
    lake.ok(&["run", "bronze"]);
    let rows =
        lake.rows("SELECT length(id) AS l, count(*) AS n FROM bronze.t GROUP BY 1 ORDER BY 1");
    assert_eq!(rows, [json!({"l": 1, "n": 2}), json!({"l": 40_000, "n": n})]);
    assert_eq!(lake.refused(), "too_large@1");
}

#[test]
fn a_page_above_what_memory_has_is_told_with_its_rows_and_later_ones_come_in() {
    let mut lake = lake();
    lake.set("LAKE_INGEST_RECORD_LIMIT", "64KiB");
    let schema = RecordBatch::try_from_iter([("id", ids(&["1"]))]).unwrap().schema();
    let mut bytes = Vec::new();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(2)).build();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, Some(properties)).unwrap();
    let big = "x".repeat(1 << 20);
    for pair in [["a", "b"], ["c", big.as_str()], ["d", "e"]] {
        let rows = RecordBatch::try_from_iter([("id", ids(&pair))]).unwrap();
        writer.write(&rows).unwrap();
    }
    writer.close().unwrap();
    lake.land("t/a.parquet", &bytes);
    lake.ok(&["run", "bronze"]);
    let rows = taken(&lake, "id, _offset AS at");
    let row = |id: &str, at: i64| json!({"id": id, "at": at});
    assert_eq!(rows, [row("a", 0), row("b", 1), row("d", 4), row("e", 5)]);
    assert_eq!(lake.refused(), "too_large@2");
}

/// A file of one row group, whose columns are in pages of a few values.
fn paged(columns: Vec<(&str, ArrayRef)>, page_bytes: usize, is_coded: bool) -> Vec<u8> {
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(is_coded)
        .set_data_page_size_limit(page_bytes)
        .set_write_batch_size(16)
        .build();
    let writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties));
    let mut writer = writer.unwrap();
    writer.write(&rows).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn a_row_with_a_long_list_costs_itself_only_and_short_values_are_not_taken_for_long_ones() {
    let mut lake = lake();
    lake.set("LAKE_INGEST_RECORD_LIMIT", "64KiB");
    // Two bytes for each value: 60,000 bytes are a record, and 2,000,000 are none.
    let lengths = [3, 30_000, 1_000_000, 0, 30_000, 5];
    let lists = lengths.map(|n| Some(vec![Some(0); n]));
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
    let columns = vec![("id", ids(&["1", "2", "3", "4", "5", "6"])), ("any", lists)];
    lake.land("t/a.parquet", &paged(columns, 1 << 20, true));
    lake.ok(&["run", "bronze"]);
    let rows = taken(&lake, "id, length(any) AS l");
    let row = |id: &str, l: i64| json!({"id": id, "l": l});
    assert_eq!(rows, [row("1", 7), row("2", 60_001), row("4", 2), row("5", 60_001), row("6", 11)]);
    assert_eq!(lake.refused(), "too_large@2");
}

#[test]
fn columns_whose_pages_do_not_fit_together_are_read_in_parts() {
    let mut lake = lake();
    lake.set("LAKE_INGEST_RECORD_LIMIT", "16KiB");
    let n = 300;
    let names: Vec<String> = (0..n).map(|i| i.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let text = |c: char| -> ArrayRef {
        let size = |i: usize| if i == 7 && c == 'c' { 20_000 } else { 300 + i };
        Arc::new((0..n).map(|i| Some(c.to_string().repeat(size(i)))).collect::<StringArray>())
    };
    let times: ArrayRef =
        Arc::new(Time64MicrosecondArray::from_iter_values((0..300).map(|i| 20 - i)));
    let others = ["o1", "o2", "o3", "o4"].map(|name| (name, text('o')));
    let mut columns = vec![("id", ids(&names)), ("name", text('c')), ("any", times)];
    columns.extend(others);
    lake.land("t/a.parquet", &paged(columns, 50_000, false));
    lake.ok(&["run", "bronze"]);
    let right = "SELECT count(*) AS n FROM bronze.t WHERE id = CAST(_offset AS STRING)
        AND length(name) = 300 + _offset AND \"any\" LIKE '\"00:00:00%'
        AND _rescued_data LIKE '{\"o1\":\"ooo%o\",\"o2\":%\"o4\":\"ooo%\"}'";
    assert_eq!(lake.number(right), 20);
    let refused = "SELECT count(*) AS n FROM bronze.quarantine WHERE error_class = ";
    assert_eq!(lake.number(&format!("{refused}'too_large' AND position = 7")), 1);
    assert_eq!(lake.number(&format!("{refused}'out_of_range' AND position > 20")), 279);
}
