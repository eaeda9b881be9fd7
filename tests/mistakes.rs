//! What a person sees: each mistake gets a message that names the place and the way out, and
//! nothing is lost.

use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::support::{Lake, Output, bare, bare_command, skipped};

/// A new project as `lake init` makes it, in a folder of its own.
struct Shop {
    lake: Lake,
    project: PathBuf,
    _folder: tempfile::TempDir,
}

impl Shop {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("shop");
        bare(&["init", &project.to_string_lossy()]).says(0, &["run all"]);
        let mut lake = Lake::of(&project);
        lake.set("LAKE_LANDING", project.join("data/landing").to_string_lossy());
        Self { lake, project, _folder: folder }
    }

    /// Replaces text in a file of the project; it must be there.
    fn edit(&self, file: &str, from: &str, to: &str) -> &Self {
        let path = self.project.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no `{from}`:\n{text}");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
        self
    }

    /// What `lake check` says; `lake run` must refuse with the same, before it writes anything.
    #[track_caller]
    fn is_refused(&self, parts: &[&str]) -> Output {
        self.lake.run(&["run", "all"]).says(2, parts);
        assert!(!self.lake.root().exists(), "something was written");
        let output = self.lake.run(&["check"]);
        output.says(2, parts);
        output
    }
}

const MODEL: &str = "sql/gold/orders_daily.sql";
const CONTRACT: &str = "lake/gold/orders_daily.sql";

#[test]
fn a_new_project_runs_at_once_and_gives_the_rows_of_its_example() {
    let shop = Shop::new();
    shop.lake.run(&["check"]).says(0, &["no mistakes"]);
    shop.lake.ok(&["run", "all"]);
    let rows = shop.lake.rows("SELECT * FROM gold.orders_daily ORDER BY order_date, country");
    let row = |date: &str, country: &str, orders: i64, total: i64| json!({"order_date": date, "country": country, "orders": orders, "total_micros": total});
    let expected = [
        row("2026-03-01", "DE", 1, 12_500_000),
        row("2026-03-01", "FR", 1, 5_000_000),
        row("2026-03-02", "ZZ", 1, 7_000_000),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn a_project_is_found_from_a_folder_inside_it() {
    let shop = Shop::new();
    let mut command = bare_command();
    command.current_dir(shop.project.join("sql/gold")).arg("check");
    assert!(command.status().unwrap().success());
}

#[test]
fn no_project_here_says_how_to_make_one() {
    let folder = tempfile::tempdir().unwrap();
    let output = bare(&["--project", &folder.path().to_string_lossy(), "run", "all"]);
    output.says(2, &["is no project", "lake.toml", "hint: `lake init DIR`"]);
}

#[test]
fn init_leaves_an_existing_project_alone() {
    let shop = Shop::new();
    shop.edit(MODEL, "count(*)", "count( * )");
    let output = bare(&["init", &shop.project.to_string_lossy()]);
    output.says(2, &["is a project already", "hint:"]);
    let text = std::fs::read_to_string(shop.project.join(MODEL)).unwrap();
    assert!(text.contains("count( * )"));
}

#[test]
fn a_wrong_table_name_in_sql_gets_a_suggestion() {
    let shop = Shop::new();
    shop.lake.ok(&["run", "all"]);
    let output = shop.lake.run(&["sql", "SELECT * FROM gold.order_daily"]);
    output.says(
        2,
        &["there is no table `gold.order_daily`", "^^^", "did you mean `gold.orders_daily`?"],
    );
    let output = shop.lake.run(&["sql", "SELECT ordres FROM gold.orders_daily"]);
    output.says(2, &["there is no column `ordres`", "^^^^^^", "did you mean `orders`?"]);
    let output = shop.lake.run(&["run", "gld"]);
    output.says(2, &["no layer `gld`", "did you mean `gold`?"]);
    let output = shop.lake.run(&["run", "all", "--select", "gold.order_daily"]);
    output.says(2, &["there is no table gold.order_daily", "did you mean `gold.orders_daily`?"]);
}

#[test]
fn a_table_that_nothing_has_made_yet_says_what_makes_it() {
    let shop = Shop::new();
    let output = shop.lake.run(&["sql", "SELECT * FROM gold.orders_daily"]);
    output.says(2, &["gold.orders_daily", "`lake run gold`"]);
}

#[test]
fn sql_changes_nothing() {
    let shop = Shop::new();
    shop.lake.ok(&["run", "all"]);
    let before = shop.lake.bags(&["bronze", "gold"]);
    let logs = || -> Vec<PathBuf> {
        let mut files = crate::support::below(&shop.lake.root());
        files.retain(|path| !path.starts_with(shop.lake.root().join("_lake")));
        files
    };
    let files = logs();
    let out = shop.project.join("out.csv");
    for sql in [
        "DROP TABLE gold.orders_daily",
        "DELETE FROM gold.orders_daily",
        "UPDATE gold.orders_daily SET orders = 0",
        "INSERT INTO gold.orders_daily SELECT * FROM gold.orders_daily",
        "CREATE TABLE gold.mine AS SELECT 1 AS one",
        "CREATE EXTERNAL TABLE mine STORED AS CSV LOCATION '/etc/passwd'",
        &format!("COPY (SELECT 1 AS one) TO '{}'", out.display()),
        "SET datafusion.execution.batch_size = 1",
    ] {
        shop.lake.run(&["sql", sql]).says(2, &["`lake sql` only reads"]);
    }
    assert!(!out.exists());
    assert_eq!(logs(), files, "a table has another version");
    assert_eq!(shop.lake.bags(&["bronze", "gold"]), before);
}

#[test]
fn a_typo_in_a_model_is_shown_with_its_place() {
    let shop = Shop::new();
    shop.edit(MODEL, "sum(total_micros) ", "sum(totl_micros) ");
    let place = format!("{MODEL}:15:9");
    shop.is_refused(&[&place, "`totl_micros`", "^^^^^^^^^^^", "did you mean `total_micros`?"]);
    shop.edit(MODEL, "sum(totl_micros) ", "sum(total_micros) ");
    shop.edit(MODEL, "FROM bronze.orders", "FROM bronze.ordres");
    let place = format!("{MODEL}:7:10");
    shop.is_refused(&[&place, "no table bronze.ordres", "did you mean `bronze.orders`?"]);
    shop.edit(MODEL, "FROM bronze.ordres", "FROM bronze.orders");
    shop.edit(MODEL, "GROUP BY", "GRUOP BY");
    shop.is_refused(&[&format!("{MODEL}:17:"), "^"]);
}

#[test]
fn a_contract_that_contradicts_its_model_is_shown_with_its_place() {
    let shop = Shop::new();
    shop.edit(CONTRACT, "total_micros BIGINT", "total_micros STRING");
    let place = format!("{CONTRACT}:6:5");
    shop.is_refused(&[&place, MODEL, "column `total_micros`", "^^^^^^^^^^^^"]);
    shop.edit(CONTRACT, "total_micros STRING", "total_micros BIGINT");
    shop.edit(CONTRACT, "    orders       BIGINT NOT NULL COMMENT 'distinct orders',\n", "");
    shop.is_refused(&[CONTRACT, "the contract lacks orders", "check `some_orders`"]);
}

#[test]
fn all_mistakes_are_shown_at_once() {
    let shop = Shop::new();
    shop.edit(MODEL, "refresh = \"full\"", "refresh = \"fulll\"");
    shop.edit("jobs/refresh.toml", "\"gold\"]", "\"glod\"]");
    shop.edit("lake/bronze/orders.sql", "total_micros >= 0", "totl_micros >= 0");
    let job = "jobs/refresh.toml:3:19";
    let output =
        shop.is_refused(&["3 mistakes", "`fulll`", job, "did you mean `gold`?", "totl_micros"]);
    assert!(output.stdout.is_empty(), "{}", output.stdout);
}

#[test]
fn one_mistake_in_a_contract_is_one_mistake() {
    let shop = Shop::new();
    shop.edit("lake/bronze/orders.sql", "country      STRING ", "country      STRNG ");
    shop.is_refused(&["1 mistake", "lake/bronze/orders.sql:5:", "type `STRNG`", "STRING"]);
}

#[test]
fn a_model_without_a_contract_gets_one_on_request() {
    let shop = Shop::new();
    std::fs::remove_file(shop.project.join(CONTRACT)).unwrap();
    shop.is_refused(&["gold.orders_daily has no contract", "lake check --write"]);
    shop.lake.ok(&["check", "--write"]);
    let contract = std::fs::read_to_string(shop.project.join(CONTRACT)).unwrap();
    assert!(contract.contains("CREATE TABLE gold.orders_daily"), "{contract}");
    shop.lake.ok(&["run", "all"]);
    assert_eq!(shop.lake.rows("SELECT * FROM gold.orders_daily").len(), 3);
}

#[test]
fn an_unknown_setting_and_a_secret_in_lake_toml_are_refused() {
    let shop = Shop::new();
    let path = shop.project.join("lake.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let lines = text.lines().count();
    std::fs::write(&path, format!("{text}\nrot = \"x\"\n[privacy]\nkey = \"00\"\n")).unwrap();
    let (rot, key) = (format!("lake.toml:{}:1", lines + 2), format!("lake.toml:{}:1", lines + 4));
    let parts = ["2 mistakes", &rot, "did you mean `root`?", &key, "LAKE_PRIVACY_KEY"];
    shop.is_refused(&parts);
    std::fs::write(&path, "root = ").unwrap();
    shop.is_refused(&["lake.toml:1:"]);
    std::fs::write(&path, "reporting_tz = \"Mars/Base\"\n").unwrap();
    shop.is_refused(&["`Mars/Base` is not a time zone", "Europe/Paris"]);
    let output = shop.lake.run(&["--profile", "prod", "run", "all"]);
    output.says(2, &["no profile `prod`", "[profile.prod]"]);
}

#[test]
fn an_empty_or_missing_landing_folder_is_no_fault_and_is_named() {
    let shop = Shop::new();
    let landing = shop.project.join("data/landing");
    std::fs::remove_file(landing.join("orders/example.ndjson")).unwrap();
    shop.lake.run(&["run", "all"]).says(0, &["note: ", "data/landing/orders"]);
    std::fs::remove_dir_all(&landing).unwrap();
    shop.lake.run(&["run", "all"]).says(0, &["note: ", "data/landing/orders"]);
    assert_eq!(shop.lake.rows("SELECT * FROM gold.orders_daily").len(), 0);
}

#[test]
fn wrong_sizes_and_keys_in_the_environment_are_named() {
    let mut lake = Lake::new();
    lake.set("LAKE_INGEST_BATCH_SIZE", "lots");
    lake.run(&["run", "bronze"]).says(2, &["`ingest.batch_size`", "`lots`", "512MiB"]);
    let mut lake = Lake::new();
    lake.set("LAKE_PRIVACY_KEY", "secret");
    lake.land("events/a.ndjson", b"{}\n");
    let output = lake.run(&["run", "bronze"]);
    output.says(2, &["64 hex digits", "openssl rand -hex 32"]);
    assert!(!output.stderr.contains("secret"), "{}", output.stderr);
}

#[test]
fn a_root_that_may_not_be_written_says_so() {
    let shop = Shop::new();
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("locked");
    std::fs::create_dir(&root).unwrap();
    lock(&root, true);
    if std::fs::write(root.join("probe"), b"").is_ok() {
        skipped("a root that may not be written: running as root");
        return;
    }
    let mut lake = Lake::of(&shop.project);
    lake.set("LAKE_ROOT", root.to_string_lossy());
    lake.set("LAKE_LANDING", shop.project.join("data/landing").to_string_lossy());
    let output = lake.run(&["run", "all"]);
    lock(&root, false);
    output.says(75, &["locked", "ermission denied", "hint: give this user permission"]);
}

/// Takes or gives the permission to write into a folder.
fn lock(folder: &std::path::Path, locked: bool) {
    let mut permissions = std::fs::metadata(folder).unwrap().permissions();
    permissions.set_readonly(locked);
    std::fs::set_permissions(folder, permissions).unwrap();
}

/// A file system in memory, unmounted at the end; `None` where this user may not mount.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn new(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder.path());
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self(folder))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // What cannot be unmounted now goes with the machine.
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_loses_nothing_and_says_what_to_do() {
    let Some(disk) = Tmpfs::new("size=1m") else {
        skipped("a full disk: this user may not mount a tmpfs");
        return;
    };
    let mut lake = Lake::new();
    let made = format!("folder:{}", lake.folder().join("landing").display());
    bare(&["simulate", "--events", "20000", "--seed", "3", "--to", &made]).says(0, &[]);
    let small = disk.0.path().join("root");
    lake.set("LAKE_ROOT", small.to_string_lossy());
    let output = lake.run(&["run", "all"]);
    output.says(75, &["No space left on device", "hint: free some disk space"]);
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
    // The disk grows; the same lake goes on.
    let mut grow = Command::new("mount");
    let grown = grow.args(["-o", "remount,size=200m"]).arg(disk.0.path()).status().unwrap();
    assert!(grown.success());
    lake.ok(&["run", "all"]);
    assert_eq!(lake.number("SELECT count(*) AS n FROM bronze.events"), 20_000);
}

#[test]
fn a_read_only_disk_says_so() {
    let Some(disk) = Tmpfs::new("ro") else {
        skipped("a read-only disk: this user may not mount a tmpfs");
        return;
    };
    let shop = Shop::new();
    let mut lake = Lake::of(&shop.project);
    lake.set("LAKE_ROOT", disk.0.path().join("root").to_string_lossy());
    lake.run(&["run", "all"]).says(75, &["hint: the disk is read-only"]);
}

#[test]
fn a_changed_view_wakes_the_model_that_reads_it() {
    let shop = Shop::new();
    let view = shop.project.join("sql/agg/kept.sql");
    std::fs::create_dir_all(view.parent().unwrap()).unwrap();
    let text = "/*---\nrefresh = \"view\"\n---*/\nSELECT order_id FROM bronze.orders\n";
    std::fs::write(&view, text).unwrap();
    let model = shop.project.join("sql/gold/orders_daily.sql");
    let reads = "FROM bronze.orders\n    WHERE order_id IN (SELECT order_id FROM agg.kept)\n";
    let sql = std::fs::read_to_string(&model).unwrap().replacen("FROM bronze.orders\n", reads, 1);
    std::fs::write(&model, sql).unwrap();
    shop.lake.ok(&["run", "all"]);
    let orders = "SELECT sum(orders) AS n FROM gold.orders_daily";
    assert_eq!(shop.lake.number(orders), 3);
    std::fs::write(&view, text.replace("orders\n", "orders WHERE order_id = 'o1'\n")).unwrap();
    shop.lake.ok(&["run", "all"]);
    assert_eq!(shop.lake.number(orders), 1);
}
