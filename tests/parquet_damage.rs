//! Parquet files as disks damage them, as other programs encrypt and pack them, and files that only
//! bear the name.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int32Array};
use serde_json::json;

use crate::parquet_files::{file, ids, lake, taken};

#[test]
fn a_damaged_file_is_named_and_never_ends_the_run() {
    let lake = lake();
    let n: ArrayRef = Arc::new(Int32Array::from_iter_values(0..500));
    let names: Vec<String> = (0..500).map(|i| format!("name {i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let good = file(vec![("id", ids(&names)), ("n", n)]);
    lake.land("t/good.ndjson", b"{\"id\":\"good\"}\n");
    // The Arrow schema in the metadata, and every part of the file, each with some bytes changed.
    let mut state = 1_u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        usize::try_from(state >> 8).unwrap()
    };
    for i in 0..300 {
        let mut bytes = good.clone();
        for _ in 0..=random() % 3 {
            let from = if i % 2 == 0 { 4 } else { bytes.len() * 2 / 3 };
            let at = from + random() % (bytes.len() - from);
            bytes[at] = u8::try_from(random() % 256).unwrap();
        }
        lake.land(&format!("t/{i}.parquet"), &bytes);
    }
    lake.ok(&["run", "bronze"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.t WHERE id = 'good'"), 1);
    let told = "SELECT count(DISTINCT source) AS n FROM bronze.quarantine WHERE error_class = 'unreadable'";
    assert!(lake.number(told) > 10, "many are damaged beyond reading");
    let all = "SELECT count(*) AS n FROM (SELECT concat('folder:', _source_file) AS s FROM bronze.t UNION SELECT source FROM bronze.quarantine)";
    assert_eq!(lake.number(all), 301, "each file is somewhere");
    lake.ok(&["run", "bronze"]);
}

#[test]
fn a_broken_hint_of_arrow_is_not_needed() {
    let lake = lake();
    let mut bytes = file(vec![("id", ids(&["o1"]))]);
    let key = b"ARROW:schema";
    let at = bytes.windows(key.len()).position(|window| window == key).unwrap() + key.len() + 12;
    // Base64 of another flatbuffer: its lengths and offsets are out of bounds.
    for byte in bytes[at..at + 60].iter_mut().step_by(3) {
        *byte = b'A';
    }
    lake.land("t/bad.parquet", &bytes);
    lake.land("t/good.ndjson", b"{\"id\":\"good\"}\n");
    lake.ok(&["run", "bronze"]);
    let rows = taken(&lake, "id");
    assert_eq!(rows, [json!({"id": "o1"}), json!({"id": "good"})]);
}

/// Each file that cannot be read is named with its reason; the others come in.
#[test]
fn a_file_that_is_no_parquet_file_is_told_what_it_is() {
    let lake = lake();
    let good = file(vec![("id", ids(&["good"]))]);
    let middle = good.len() / 2;
    let mut encrypted = good.clone();
    let end = encrypted.len() - 4;
    encrypted[end..].copy_from_slice(b"PARE");
    let cases: [(&str, &[u8], &str); 8] = [
        ("a_encrypted", &encrypted, "is encrypted"),
        ("b_cut", &good[..middle], "is cut off: its end is missing"),
        ("c_csv", b"id,n\n1,2\n", "is named .parquet, and is a text"),
        ("d_json", b"[{\"id\":\"1\"}]", "is named .parquet, and is JSON"),
        (
            "e_packed",
            &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3],
            "a packed Parquet file cannot be read: unpack it",
        ),
        ("f_short", b"PAR1", "cannot be read"),
        ("g_end", &good[middle..], "cannot be read"),
        ("h_other", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], "is named .parquet, and is none"),
    ];
    for (name, bytes, _) in &cases {
        lake.land(&format!("t/{name}.parquet"), bytes);
    }
    lake.land("t/z_good.parquet", &good);
    lake.ok(&["run", "bronze"]);
    assert_eq!(taken(&lake, "id"), [json!({"id": "good"})]);
    for (name, _, reason) in &cases {
        let told = format!(
            "SELECT count(*) AS n FROM bronze.quarantine WHERE error_class = 'unreadable'
             AND source = 'folder:t/{name}.parquet' AND error_message LIKE '%{reason}%'"
        );
        assert_eq!(
            lake.number(&told),
            1,
            "{name}: {:?}",
            lake.rows("SELECT source, error_message FROM bronze.quarantine")
        );
    }
}

/// A number as Parquet's metadata writes it.
fn varint(mut n: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while n > 0x7f {
        bytes.push(u8::try_from(n & 0x7f).unwrap() | 0x80);
        n >>= 7;
    }
    bytes.push(u8::try_from(n).unwrap());
    bytes
}

/// A file without rows, whose one column lies within so many groups.
fn nested(n_groups: usize) -> Vec<u8> {
    let group = [0x35, 2, 0x18, 1, b'a', 0x15, 2, 0];
    let schema: Vec<u8> = [0x48, 1, b's', 0x15, 2, 0]
        .into_iter()
        .chain(std::iter::repeat_n(group, n_groups).flatten())
        .chain([0x15, 12, 0x25, 2, 0x18, 1, b'b', 0])
        .collect();
    let n = varint(n_groups as u64 + 2);
    let footer = [&[0x15, 2, 0x19, 0xfc][..], &n, &schema, &[0x16, 0, 0x19, 0x0c, 0]].concat();
    let length = u32::try_from(footer.len()).unwrap().to_le_bytes();
    [b"PAR1", &footer[..], &length, b"PAR1"].concat()
}

#[test]
fn a_schema_that_nests_without_end_costs_its_file() {
    let lake = lake();
    lake.land("t/a.parquet", &nested(100));
    lake.land("t/b.parquet", &nested(5_000));
    lake.land("t/c.parquet", &nested(100_000));
    lake.land("t/good.ndjson", b"{\"id\":\"good\"}\n");
    lake.ok(&["run", "bronze"]);
    assert_eq!(taken(&lake, "id"), [json!({"id": "good"})]);
    let refused = lake.rows("SELECT source, error_message FROM bronze.quarantine ORDER BY source");
    let reasons = ["no column of the contract", "nests deeper", "nests deeper"];
    assert_eq!(refused.len(), reasons.len(), "{refused:?}");
    for (row, reason) in refused.iter().zip(reasons) {
        assert!(row["error_message"].as_str().unwrap().contains(reason), "{row}");
    }
}
