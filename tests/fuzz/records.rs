//! The contract that records are read with, and records for it: most of them right.

use engine::contract::{self, Contract, TableName};

use crate::dice::Dice;

const CONTRACT: &str = "-- One row per thing.
CREATE TABLE bronze.things (
    id VARCHAR(64) NOT NULL, n BIGINT, small INT, x DOUBLE, ok BOOLEAN, at TIMESTAMP, day DATE,
    free STRING, any JSON, user_id STRING, version INT,
    inner STRUCT<a BIGINT, b STRING, owner STRING, any JSON, deep STRUCT<c BIGINT, note STRING, ok BOOLEAN>>
) TBLPROPERTIES ('lake.source' = 'folder:things', 'lake.personal' = 'user_id, inner.owner = user_id',
    'lake.empty_strings' = 'reject', 'lake.present' = 'inner.a', 'lake.default.version' = '1')";

/// What stands in personal fields, and must stand nowhere else. No escape can be cut out of it.
pub(crate) const MARK: &str = "M4rKq7";

/// Names that mean a person, and one that does not.
const PERSONAL: &[&str] = &[
    "user_id",
    "userId",
    "User-ID",
    "USER ID",
    "user.id",
    "ctx.user_id",
    "context[user_id]",
    "owner",
    "Owner",
    "inner.owner",
    "u\\u0073er_id",
    "_user__id_",
];

const TYPED: &[&str] =
    &["id", "n", "small", "x", "ok", "at", "day", "free", "any", "user_id", "version", "inner"];

/// The contract of all records here.
pub(crate) fn things() -> Contract {
    let name = TableName::new("bronze", "things");
    contract::parse(&name, "lake/bronze/things.sql", CONTRACT).expect("the contract is right")
}

/// A record that fits the contract most of the time, in one line.
pub(crate) fn record(dice: &mut Dice) -> String {
    let mut fields = vec![member("id", &quoted(&format!("r{}", dice.below(1000))))];
    for name in TYPED.iter().skip(1) {
        if dice.once_in(3) {
            fields.push(member(name, &typed(name, dice)));
        }
    }
    for _ in 0..dice.length(8) {
        let name = dice.text(6);
        fields.push(member(&name, &value(dice, 3)));
    }
    if dice.once_in(3) {
        fields.push(personal(dice));
    }
    if dice.once_in(3) {
        let to = dice.below(fields.len());
        fields.swap(0, to);
    }
    if dice.once_in(30) {
        fields.remove(0);
    }
    object(&fields, dice)
}

/// `"name":value` with the name quoted.
fn member(name: &str, value: &str) -> String {
    format!("{}:{value}", quoted(name))
}

/// A field that names a person, with the mark somewhere in its value.
fn personal(dice: &mut Dice) -> String {
    // The names have their escapes already.
    let name = dice.one(PERSONAL);
    let value = match dice.below(6) {
        0 => format!("[{}]", quoted(MARK)),
        1 => format!("{{\"k\":{}}}", quoted(MARK)),
        2 => quoted(&format!("{{\"id\":\"{MARK}\"}}")),
        _ => quoted(MARK),
    };
    format!("\"{name}\":{value}")
}

fn typed(name: &str, dice: &mut Dice) -> String {
    if dice.once_in(25) {
        return value(dice, 2);
    }
    match name {
        "n" | "small" | "version" => match dice.below(6) {
            0 => dice.bits().to_string(),
            1 => format!("{}.0", dice.below(1000)),
            2 => format!("-{}", dice.below(1000)),
            3 => format!("{}e{}", dice.below(100), dice.below(20)),
            _ => dice.below(100_000).to_string(),
        },
        "x" => number(dice),
        "ok" => dice.one(&["true", "false", "null"]).to_owned(),
        "at" => quoted(dice.one(&[
            "2026-03-01T12:00:05.000Z",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999Z",
            "1969-12-31T23:59:59.5Z",
        ])),
        "day" => quoted(dice.one(&["2024-02-29", "0001-01-01", "9999-12-31"])),
        "free" => match dice.below(4) {
            0 => quoted(&object_with_person(dice, 3)),
            _ => quoted(&format!("t{}", dice.text(20))),
        },
        "user_id" => quoted(MARK),
        "inner" => {
            let mut fields = vec![member("a", "1")];
            if dice.once_in(2) {
                fields.push(member("owner", &quoted(MARK)));
            }
            if dice.once_in(2) {
                fields.push(member("any", &object_with_person(dice, 3)));
            }
            if dice.once_in(2) {
                fields.push(member("deep", "{\"c\":2,\"note\":\"x\",\"more\":[1,{}]}"));
            }
            if dice.once_in(3) {
                fields.push(member("unknown", &object_with_person(dice, 3)));
            }
            object(&fields, dice)
        }
        _ => object_with_person(dice, 4),
    }
}

/// A value that holds a personal field somewhere: in objects, lists, and strings that hold JSON.
fn object_with_person(dice: &mut Dice, depth: usize) -> String {
    if depth == 0 {
        return format!("{{{}}}", personal(dice));
    }
    let inner = object_with_person(dice, depth - 1);
    match dice.below(6) {
        0 => format!("[{},{inner}]", value(dice, 1)),
        1 => quoted(&inner),
        2 => format!("{{\"k\":{inner},{}}}", personal(dice)),
        3 => format!(" [ {inner} ] "),
        4 => format!("{{\"a\" : {}, \"b\":{inner}}}", value(dice, 1)),
        _ => inner,
    }
}

fn object(fields: &[String], dice: &mut Dice) -> String {
    match dice.below(5) {
        0 => format!("{{ {} }}", fields.join(" , ")),
        _ => format!("{{{}}}", fields.join(",")),
    }
}

fn number(dice: &mut Dice) -> String {
    match dice.below(6) {
        0 => format!("{:?}", f64::from_bits(dice.bits() & !(1 << 62))),
        1 => format!("-{}.{}", dice.below(1000), dice.below(1_000_000)),
        2 => format!("{}e-{}", dice.below(1000), dice.below(400)),
        3 => format!("{}E+{}", dice.below(1000), dice.below(310)),
        4 => "-0.0".to_owned(),
        _ => dice.below(1000).to_string(),
    }
}

/// Any JSON value.
pub(crate) fn value(dice: &mut Dice, depth: usize) -> String {
    match dice.below(if depth == 0 { 5 } else { 8 }) {
        0 => "null".to_owned(),
        1 => dice.one(&["true", "false"]).to_owned(),
        2 => number(dice),
        3 | 4 => quoted(&dice.text(12)),
        5 => {
            let items: Vec<String> = (0..dice.below(4)).map(|_| value(dice, depth - 1)).collect();
            format!("[{}]", items.join(","))
        }
        6 => {
            let fields: Vec<String> = (0..dice.below(4))
                .map(|_| member(&dice.text(4), &value(dice, depth - 1)))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        _ => quoted(&value(dice, depth - 1)),
    }
}

/// A text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Brackets in brackets, strings in strings, and other shapes that cost depth or time.
pub(crate) fn steep(dice: &mut Dice, most: usize) -> String {
    let n = dice.length(most);
    let shape = match dice.below(6) {
        0 => format!("{}{}", "[".repeat(n), "]".repeat(n)),
        1 => format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n)),
        2 => "[".repeat(n),
        3 => {
            let mut text = format!("{{\"user_id\":\"{MARK}\"}}");
            while text.len() < n {
                text = quoted(&text);
            }
            text
        }
        4 => {
            let brackets = format!("{}{}", "[".repeat(n / 40), "]".repeat(n / 40));
            let strings: Vec<String> = (0..20).map(|_| quoted(&brackets)).collect();
            format!("[{}]", strings.join(","))
        }
        _ => quoted(&"\\\"".repeat(n / 2)),
    };
    let name = dice.one(&["any", "free", "x", "new", "user_id"]);
    match dice.below(3) {
        0 => format!("{{\"id\":\"a\",\"{name}\":{shape}}}"),
        1 => format!("{{\"id\":\"a\",\"{name}\":{}}}", quoted(&shape)),
        _ => format!("{{\"id\":\"a\",\"inner\":{{\"a\":1,\"any\":{shape}}}}}"),
    }
}
