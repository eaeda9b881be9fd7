//! What each format prints of values that are hard to print.

use std::io;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BinaryArray, Date32Array, DurationSecondArray, Float32Array, Float64Array,
    Int64Array, IntervalMonthDayNanoArray, ListArray, ListBuilder, StringArray, StringBuilder,
    StructArray, Time32SecondArray, TimestampMicrosecondArray, TimestampNanosecondArray,
};
use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNanoType, TimestampMicrosecondType};
use serde_json::{Value, json};

use super::*;
use crate::error::Kind;

fn rows(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields =
        columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true));
    let schema = Schema::new(fields.collect::<Vec<_>>());
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

fn printed(format: Format, rows: &RecordBatch) -> Vec<u8> {
    let mut out = Vec::new();
    let mut printer = Printer::new(format, &rows.schema(), &mut out).unwrap();
    printer.write(rows).unwrap();
    printer.finish().unwrap();
    out
}

fn text(format: Format, rows: &RecordBatch) -> String {
    String::from_utf8(printed(format, rows)).unwrap()
}

fn objects(rows: &RecordBatch) -> Vec<Value> {
    let text = text(Format::Ndjson, rows);
    let objects: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let list: Value = serde_json::from_slice(&printed(Format::Json, rows)).unwrap();
    assert_eq!(list, Value::Array(objects.clone()));
    objects
}

/// Microseconds since 1970 of 2026-03-01T10:00:00.25Z.
const MOMENT_US: i64 = 1_772_359_200_250_000;

fn times(us: &[Option<i64>], zone: &str) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(us.to_vec()).with_timezone(zone))
}

#[test]
fn a_time_of_another_zone_has_its_offset_in_every_format() {
    let berlin = times(&[Some(MOMENT_US), None], "Europe/Berlin");
    let none: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![Some(MOMENT_US), None]));
    let utc = times(&[Some(MOMENT_US), None], "UTC");
    let rows = rows(vec![("berlin", berlin), ("none", none), ("utc", utc)]);
    let [berlin, none, utc] = [
        "2026-03-01T11:00:00.250000+01:00",
        "2026-03-01T10:00:00.250000",
        "2026-03-01T10:00:00.250000Z",
    ];
    let csv = format!("berlin,none,utc\n{berlin},{none},{utc}\n,,\n");
    assert_eq!(text(Format::Csv, &rows), csv);
    let expected = json!({"berlin": berlin, "none": none, "utc": utc});
    let null = json!({"berlin": null, "none": null, "utc": null});
    assert_eq!(objects(&rows), [expected, null]);
    let table = text(Format::Table, &rows);
    assert!(table.contains(&format!("| {berlin} | {none} ")), "{table}");
    assert!(table.contains(&format!(" {utc} |")), "{table}");
}

#[test]
fn times_inside_lists_and_structs_are_the_same() {
    let zoned = DataType::Timestamp(
        datafusion::arrow::datatypes::TimeUnit::Microsecond,
        Some("+05:30".into()),
    );
    let items = vec![Some(vec![Some(MOMENT_US), None]), None];
    let list = ListArray::from_iter_primitive::<TimestampMicrosecondType, _, _>(items);
    let of = Arc::new(Field::new("item", zoned.clone(), true));
    let values = times(&[Some(MOMENT_US), None], "+05:30");
    let list = ListArray::new(of, list.offsets().clone(), values, list.nulls().cloned());
    let field = Arc::new(Field::new("at", zoned, true));
    let inner = times(&[Some(MOMENT_US), None], "+05:30");
    let object = StructArray::from(vec![(field, inner)]);
    let rows = rows(vec![("list", Arc::new(list)), ("object", Arc::new(object))]);
    let at = "2026-03-01T15:30:00.250000+05:30";
    let expected = [
        json!({"list": [at, null], "object": {"at": at}}),
        json!({"list": null, "object": {"at": null}}),
    ];
    assert_eq!(objects(&rows), expected);
    let csv = text(Format::Csv, &rows);
    let first = format!(r#""[""{at}"",null]","{{""at"":""{at}""}}""#);
    assert_eq!(csv, format!("list,object\n{first}\n,\"{{\"\"at\"\":null}}\"\n"));
}

#[test]
fn lists_that_differ_are_shown_so() {
    let mut builder = ListBuilder::new(StringBuilder::new());
    builder.append(true);
    builder.append_value([None::<&str>]);
    builder.append_value([Some("")]);
    builder.append_value([Some("a, b")]);
    builder.append_value([Some("a"), Some("b")]);
    builder.append_value([Some("\u{1b}[2J")]);
    builder.append(false);
    let rows = rows(vec![
        ("n", Arc::new(Int64Array::from(vec![1; 7]))),
        ("list", Arc::new(builder.finish())),
    ]);
    let lists = ["[]", "[null]", r#"[""]"#, r#"["a, b"]"#, r#"["a","b"]"#, r#"["\u001b[2J"]"#, ""];
    let csv = text(Format::Csv, &rows);
    let mut reader = csv::ReaderBuilder::new().from_reader(csv.as_bytes());
    let found: Vec<String> = reader.records().map(|row| row.unwrap()[1].to_owned()).collect();
    assert_eq!(found, lists);
    let table = text(Format::Table, &rows);
    for (line, list) in table.lines().skip(3).zip(lists) {
        assert_eq!(line.split('|').nth(2).map(str::trim), Some(list), "{table}");
    }
}

#[test]
fn far_dates_and_times_break_no_line() {
    let rows = rows(vec![
        ("at", times(&[Some(i64::MAX), Some(i64::MIN)], "Europe/Paris")),
        ("day", Arc::new(Date32Array::from(vec![i32::MAX, i32::MIN]))),
        ("time", Arc::new(Time32SecondArray::from(vec![86_399, -1]))),
        ("took", Arc::new(DurationSecondArray::from(vec![3600, i64::MAX]))),
        ("exact", Arc::new(TimestampNanosecondArray::from(vec![1, i64::MAX]))),
    ]);
    let first = "+294247-01-10T04:00:54.775807Z,+5881580-07-11,23:59:59,PT3600S,1970-01-01T00:00:00.000000001\n";
    let csv = text(Format::Csv, &rows);
    assert_eq!(csv.lines().nth(1), Some(first.trim_end()));
    assert_eq!(csv.lines().count(), 3);
    let objects = objects(&rows);
    assert_eq!(objects[0]["day"], "+5881580-07-11");
    assert_eq!(objects[1]["exact"], "2262-04-11T23:47:16.854775807");
    assert_eq!(objects[1]["took"], "PT9223372036854775807S");
    assert!(text(Format::Table, &rows).contains("-00:00:01"));
}

#[test]
fn an_interval_is_printed_as_ever() {
    let value = IntervalMonthDayNanoType::make_value(14, 3, 1_500_000_000);
    let rows = rows(vec![("i", Arc::new(IntervalMonthDayNanoArray::from(vec![value])))]);
    assert_eq!(text(Format::Csv, &rows), "i\n14 mons 3 days 1.500000000 secs\n");
    assert_eq!(objects(&rows), [json!({"i": "14 mons 3 days 1.500000000 secs"})]);
}

#[test]
fn no_value_is_lost_where_two_columns_have_one_name() {
    let number = |n: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![n])) };
    let field = |name: &str| Arc::new(Field::new(name, DataType::Int64, true));
    let inner = StructArray::from(vec![(field("x"), number(4)), (field("x"), number(5))]);
    let rows = rows(vec![
        ("id", number(1)),
        ("id_1", number(2)),
        ("id", number(3)),
        ("s", Arc::new(inner)),
    ]);
    let expected = json!({"id": 1, "id_1": 2, "id_2": 3, "s": {"x": 4, "x_1": 5}});
    assert_eq!(objects(&rows), [expected]);
    assert_eq!(text(Format::Csv, &rows), "id,id_1,id,s\n1,2,3,\"{\"\"x\"\":4,\"\"x_1\"\":5}\"\n");
    assert!(text(Format::Table, &rows).starts_with('+'));
    let read = parquet(printed(Format::Parquet, &rows));
    let names: Vec<&str> =
        read.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["id", "id_1", "id_2", "s"]);
}

fn parquet(bytes: Vec<u8>) -> RecordBatch {
    use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    let bytes = bytes::Bytes::from(bytes);
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
    reader.map(|rows| rows.unwrap()).next().unwrap()
}

#[test]
fn parquet_keeps_types_and_values() {
    let at = times(&[Some(MOMENT_US), None], "Europe/Berlin");
    let exact: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![Some(1), None]));
    let rows = rows(vec![("at", at), ("exact", exact)]);
    assert_eq!(parquet(printed(Format::Parquet, &rows)).columns(), rows.columns());
}

#[test]
fn a_number_that_json_does_not_have_is_a_text() {
    let doubles = vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.1, 1e300];
    let singles = vec![0.1_f32, f32::INFINITY, f32::NAN, 16_777_216.0, -0.0];
    let rows = rows(vec![
        ("d", Arc::new(Float64Array::from(doubles))),
        ("f", Arc::new(Float32Array::from(singles))),
    ]);
    let expected = [
        json!({"d": "NaN", "f": 0.1}),
        json!({"d": "Infinity", "f": "Infinity"}),
        json!({"d": "-Infinity", "f": "NaN"}),
        json!({"d": 0.1, "f": 16_777_216}),
        json!({"d": 1e300, "f": 0}),
    ];
    for (found, expected) in objects(&rows).iter().zip(expected) {
        for column in ["d", "f"] {
            let (found, expected) = (&found[column], &expected[column]);
            assert_eq!(found.as_str(), expected.as_str());
            assert_eq!(found.as_f64(), expected.as_f64());
        }
    }
}

#[test]
fn csv_tells_null_from_the_empty_text() {
    let a: ArrayRef = Arc::new(StringArray::from(vec![Some(""), None, Some("x,\"y\"\n")]));
    let b: ArrayRef = Arc::new(Int64Array::from(vec![Some(i64::MAX), None, Some(-1)]));
    let both = rows(vec![("a", Arc::clone(&a)), ("b, c", b)]);
    let expected = "a,\"b, c\"\n\"\",9223372036854775807\n,\n\"x,\"\"y\"\"\n\",-1\n";
    assert_eq!(text(Format::Csv, &both), expected);
    // Readers skip an empty line, and a row must not get lost.
    assert_eq!(text(Format::Csv, &rows(vec![("a", a)])), "a\n\"\"\n\"\"\n\"x,\"\"y\"\"\n\"\n");
}

#[test]
fn a_text_cannot_drive_the_terminal_and_stays_exact_for_programs() {
    let evil = "\u{1b}]0;x\u{7}a\nb\u{202e}";
    let rows = rows(vec![(evil, Arc::new(StringArray::from(vec![evil])))]);
    let table = text(Format::Table, &rows);
    let drives = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!table.contains(drives), "{table:?}");
    assert_eq!(table.lines().count(), 5, "{table}");
    assert_eq!(table.matches("\\u{1b}]0;x\\u{7}a\\nb\\u{202e}").count(), 2, "{table}");
    assert_eq!(objects(&rows), [json!({ evil: evil })]);
    assert_eq!(text(Format::Csv, &rows), format!("\"{evil}\"\n\"{evil}\"\n"));
    let mut out = Vec::new();
    let mut printer = Printer::new(Format::Table, &rows.schema(), &mut out).unwrap().with_lines();
    printer.write(&rows).unwrap();
    printer.finish().unwrap();
    assert_eq!(String::from_utf8(out).unwrap().lines().count(), 6);
}

#[test]
fn bytes_are_hexadecimal_digits() {
    let bytes = BinaryArray::from(vec![Some(b"\x00\xff".as_slice()), None]);
    let rows = rows(vec![("b", Arc::new(bytes)), ("n", Arc::new(Int64Array::from(vec![1, 2])))]);
    assert_eq!(text(Format::Csv, &rows), "b,n\n00ff,1\n,2\n");
    assert_eq!(objects(&rows)[0]["b"], "00ff");
}

#[test]
fn no_rows_are_a_header_an_empty_list_and_an_empty_table() {
    let rows = rows(vec![("a", Arc::new(Int64Array::from(Vec::<i64>::new())))]);
    assert_eq!(text(Format::Csv, &rows), "a\n");
    assert_eq!(text(Format::Ndjson, &rows), "");
    assert_eq!(objects(&rows), Vec::<Value>::new());
    assert!(text(Format::Table, &rows).contains("| a |"));
}

#[test]
fn a_table_shows_its_first_rows_and_tells_how_many_there_are() {
    let many = rows(vec![("n", Arc::new(Int64Array::from_iter_values(0..6000)))]);
    let mut out = Vec::new();
    let mut printer = Printer::new(Format::Table, &many.schema(), &mut out).unwrap();
    (0..2).for_each(|_| printer.write(&many).unwrap());
    assert_eq!(printer.finish().unwrap(), Some(12_000));
    assert_eq!(String::from_utf8(out).unwrap().lines().count(), TABLE_ROWS_MAX + 4);
}

/// Where nothing can be written.
struct Broken(io::ErrorKind);

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(self.0.into())
    }
}

fn refusal(format: Format, kind: io::ErrorKind) -> Error {
    let rows = rows(vec![("a", Arc::new(Int64Array::from(vec![1])))]);
    let printed = Printer::new(format, &rows.schema(), Broken(kind)).and_then(|mut printer| {
        printer.write(&rows)?;
        printer.finish()
    });
    printed.unwrap_err()
}

#[test]
fn a_reader_that_went_away_is_no_fault_and_a_full_disk_is_one() {
    for format in [Format::Table, Format::Json, Format::Ndjson, Format::Csv, Format::Parquet] {
        let gone = refusal(format, io::ErrorKind::BrokenPipe);
        assert_eq!(gone.kind(), Kind::Interrupted, "{format:?}");
        let full = refusal(format, io::ErrorKind::StorageFull);
        assert_eq!(full.kind(), Kind::Retry, "{format:?}: {}", full.report());
        assert!(full.report().contains("cannot write the result"), "{}", full.report());
    }
}
