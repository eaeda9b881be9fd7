//! Whether a table's sources keep to what its checks tolerate.
//!
//! A tolerance never stops ingest, and one batch says nothing: how records fall into batches is
//! chance. So it is judged here, over the last day of commits.

use serde_json::{Map, Value};

use crate::contract::Contract;

/// `healthy`, or which checks are broken by more rows than they tolerate; `None` if none has a
/// tolerance. `infos` is what the commits of a while say.
pub(super) fn health(contract: &Contract, infos: &[Map<String, Value>]) -> Option<String> {
    let mut has_tolerance = false;
    let mut faults = Vec::new();
    for check in &contract.checks {
        let Some(most) = check.violation.at_most else { continue };
        has_tolerance = true;
        let broken =
            |info: &Map<String, Value>| info.get("lake.checks")?.get(&check.name)?.as_u64();
        let n: u64 = infos.iter().filter_map(broken).sum();
        let n_rows: u64 = infos.iter().filter_map(checked).sum();
        #[allow(clippy::cast_precision_loss, reason = "a share of rows")]
        let is_over = n as f64 > most * n_rows as f64;
        if is_over {
            faults.push(format!(
                "check `{}` is broken by {n} of {n_rows} rows, more than {}%",
                check.name,
                most * 100.0
            ));
        }
    }
    match (has_tolerance, faults.is_empty()) {
        (false, _) => None,
        (true, true) => Some("healthy".to_owned()),
        (true, false) => Some(format!("unhealthy: {}", faults.join("; "))),
    }
}

/// The rows that a commit's checks saw.
fn checked(info: &Map<String, Value>) -> Option<u64> {
    info.get("lake.checks")?;
    let count = |key: &str| info.get(key).and_then(Value::as_u64);
    count("lake.checked").or_else(|| Some(count("lake.rows")? + count("lake.quarantined")?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contract::{TableName, parse};

    fn judged(otherwise: &str, infos: &[Value]) -> Option<String> {
        let text = format!(
            "CREATE TABLE bronze.t (n BIGINT, CONSTRAINT c CHECK (n > 0)) TBLPROPERTIES ('lake.source' = 'folder:t', 'lake.else.c' = '{otherwise}')"
        );
        let contract = parse(&TableName::new("bronze", "t"), "t.sql", &text).unwrap();
        let infos: Vec<_> = infos.iter().map(|info| info.as_object().unwrap().clone()).collect();
        health(&contract, &infos)
    }

    #[test]
    fn a_tolerance_is_judged_over_all_commits_and_not_over_each() {
        let all_good = json!({"lake.checks": {}, "lake.checked": 19});
        let one_bad = json!({"lake.checks": {"c": 1}, "lake.checked": 1});
        let old = json!({"lake.checks": {"c": 1}, "lake.rows": 0, "lake.quarantined": 1});
        let replay = json!({"lake.source": "quarantine"});
        let healthy = Some("healthy".to_owned());
        for rule in ["quarantine at most 10%", "drop at most 10%", "warn at most 10%"] {
            assert_eq!(judged(rule, &[all_good.clone(), one_bad.clone(), replay.clone()]), healthy);
            let expected = "unhealthy: check `c` is broken by 3 of 22 rows, more than 10%";
            let infos = [old.clone(), one_bad.clone(), all_good.clone(), one_bad.clone()];
            assert_eq!(judged(rule, &infos).as_deref(), Some(expected));
        }
        assert_eq!(judged("quarantine at most 10%", &[]), healthy);
        assert_eq!(judged("quarantine", &[one_bad]), None);
    }
}
