//! What `lake.toml` and the environment give that cannot be taken as it stands: values of another
//! type, paths with a shell's signs in them, addresses that are none,
//! and variables that mean a setting and are none.

use std::collections::BTreeMap;

use super::{KEYS, variable, without_user};
use crate::error::{Error, Result};
use crate::mistake::did_you_mean;

/// Settings that are a path, or paths with commas between.
const PATHS: &[&str] = &[
    "root",
    "landing",
    "kafka.ssl_ca_location",
    "kafka.ssl_certificate_location",
    "kafka.ssl_key_location",
    "privacy.key_file",
    LINKED,
];
const LINKED: &str = "ingest.linked_folders";
/// Settings that may be a list.
const LISTS: &[&str] = &[LINKED, "kafka.brokers"];
/// Settings that may be a whole number: bytes.
const SIZES: &[&str] =
    &["ingest.batch_size", "ingest.record_limit", "kafka.memory", "query.memory"];
/// Variables that are none, with the flag that says the same.
const FLAGS: &[(&str, &str)] = &[
    ("PROFILE", "--profile NAME"),
    ("PROJECT", "--project DIR"),
    ("OUTPUT", "--output FORMAT"),
    ("LOG_FORMAT", "--log-format FORMAT"),
];

/// The text of a value in `lake.toml`.
///
/// # Errors
/// What to write instead.
pub(super) fn text(name: &str, value: &toml::Value) -> Result<String, String> {
    let texts = |values: &[toml::Value]| -> Option<Vec<String>> {
        values.iter().map(|value| value.as_str().map(str::to_owned)).collect()
    };
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) if SIZES.contains(&name) => Ok(number.to_string()),
        toml::Value::Array(values) if LISTS.contains(&name) => texts(values)
            .map(|texts| texts.join(","))
            .ok_or_else(|| format!("write `{name}` as a list of texts in quotes")),
        _ if LISTS.contains(&name) => {
            Err(format!("write `{name}` as a text in quotes, with commas between"))
        }
        toml::Value::Array(_) => Err(format!("write `{name}` as one text in quotes")),
        value => Err(format!("write it in quotes: {name} = \"{value}\"")),
    }
}

/// A path, or paths, with the home folder in the place of a leading `~`.
///
/// # Errors
/// `Usage`: it has signs that a shell replaces, and nobody else.
pub(super) fn expanded(
    name: &str,
    value: &str,
    env: &BTreeMap<String, String>,
) -> Result<Option<String>> {
    if !PATHS.contains(&name) {
        return Ok(None);
    }
    let refused = |part: &str| {
        Error::usage(format!(
            "setting `{name}`: `{part}` is no name of a folder, and a shell's word for one"
        ))
        .hint(format!("write the path itself, or set {} in a shell", variable(name)))
    };
    let home = env.get("HOME").filter(|home| home.starts_with('/'));
    let paths: Vec<&str> =
        if name == LINKED { value.split(',').map(str::trim).collect() } else { vec![value] };
    let mut expanded = Vec::new();
    for path in paths {
        if let Some(part) = path.split('/').find(|part| is_variable(part)) {
            return Err(refused(part));
        }
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        expanded.push(match (first, home) {
            ("~", Some(home)) => format!("{}/{rest}", home.trim_end_matches('/')),
            (first, _) if is_home(first) => return Err(refused(first)),
            _ => path.to_owned(),
        });
    }
    Ok(Some(expanded.join(",")).filter(|expanded| expanded != value))
}

/// Whether the first part of a path is `~`, or `~` and the name of a user.
fn is_home(first: &str) -> bool {
    let user = first.strip_prefix('~');
    user.is_some_and(|user| user.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)))
}

/// Whether a part of a path is `$NAME` or `${NAME}` and nothing else.
fn is_variable(part: &str) -> bool {
    let Some(name) = part.strip_prefix('$') else { return false };
    let inner = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    inner.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && inner.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A note for each variable that seems to mean a setting and is none. Variables of other programs
/// may begin with `LAKE_` as well, so names that are near none are left alone; values are not told.
pub fn strange_variables(env: &BTreeMap<String, String>) -> Vec<String> {
    let known: Vec<String> = KEYS.iter().map(|key| variable(key.name)).collect();
    let set = env.iter().filter(|(name, value)| !value.is_empty() && !known.contains(name));
    set.filter_map(|(name, _)| {
        let meant = meant(name, &known)?;
        Some(format!("{name} is set, and is no setting of lake: it has no effect; {meant}"))
    })
    .collect()
}

fn meant(name: &str, known: &[String]) -> Option<String> {
    let upper = name.to_uppercase();
    let word = upper.strip_prefix("LAKE")?.trim_start_matches('_');
    if let Some((_, flag)) = FLAGS.iter().find(|(flag, _)| *flag == word) {
        return Some(format!("the flag is {flag}"));
    }
    let words = known.iter().filter_map(|known| known.strip_prefix("LAKE_"));
    let alike = |one: &str| one.replace('_', "") == word.replace('_', "");
    let near = words.clone().find(|known| alike(known)).or_else(|| did_you_mean(word, words));
    let last = |key: &&super::Key| {
        key.name.split_once('.').is_some_and(|(_, last)| last.to_uppercase() == word)
    };
    if let Some(known) = near {
        return Some(format!("did you mean LAKE_{known}?"));
    }
    if let Some(key) = KEYS.iter().find(last) {
        return Some(format!("did you mean {}?", variable(key.name)));
    }
    let mut sections = KEYS.iter().filter_map(|key| key.name.split_once('.')).map(|(of, _)| of);
    let is_of = |section: &str| {
        word.strip_prefix(&section.to_uppercase()).is_some_and(|rest| rest.starts_with('_'))
    };
    sections.any(is_of).then(|| "`lake config` lists every setting".to_owned())
}

/// The store's client breaks where an address is none, or a value has a line's end in it.
pub(super) fn check_aws(env: &BTreeMap<String, String>) -> Result<()> {
    let aws = env.iter().map(|(name, text)| (name.to_ascii_uppercase(), text));
    for (name, text) in aws.filter(|(name, _)| name.starts_with("AWS_")) {
        if text.trim() != text || text.chars().any(char::is_control) {
            return Err(Error::usage(format!(
                "{name}: there are spaces or line ends in the value"
            )));
        }
        if !["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"].contains(&name.as_str()) {
            continue;
        }
        let url = url::Url::parse(text).ok().filter(|url| url.has_host() && !text.contains('@'));
        if url.is_none_or(|url| !matches!(url.scheme(), "http" | "https")) {
            let shown = without_user(text);
            return Err(Error::usage(format!("{name}: `{shown}` is no address of a store")).hint(
                "write it with its scheme and without a user, as in http://localhost:9000; or unset it",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_variable_near_a_setting_is_told_and_others_are_left_alone() {
        for (name, part) in [
            ("LAKE_ROT", "LAKE_ROOT?"),
            ("LAKE_LANDNG", "LAKE_LANDING?"),
            ("LAKE_INGEST_RECORD_LIMT", "LAKE_INGEST_RECORD_LIMIT?"),
            ("LAKE_KAFKA_BROKER", "LAKE_KAFKA_BROKERS?"),
            ("LAKE_BROKERS", "LAKE_KAFKA_BROKERS?"),
            ("LAKE_REPORTINGTZ", "LAKE_REPORTING_TZ?"),
            ("lake_root", "LAKE_ROOT?"),
            ("LAKE_PROFILE", "--profile"),
            ("LAKE_KAFKA_CLIENT_RACK", "lake config"),
        ] {
            let told = strange_variables(&env(&[(name, "hunter2")])).join("\n");
            assert!(told.contains(name) && told.contains(part), "{name}: {told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
        for name in [
            "LAKE_NO_SKIP",
            "LAKE_BIN",
            "LAKE_REPO",
            "LAKE_TEST_VENV",
            "LAKE_ROOT",
            "ROOT",
            "LAKESIDE",
            "LAKE",
        ] {
            assert_eq!(strange_variables(&env(&[(name, "x")])), [""; 0], "{name}");
        }
        assert_eq!(strange_variables(&env(&[("LAKE_ROT", "")])), [""; 0]);
    }

    #[test]
    fn a_value_of_another_type_is_a_mistake_unless_it_can_be_meant() {
        let of = |text: &str, name: &str| {
            let table: toml::Table = text.parse().unwrap();
            super::text(name, table.values().next().unwrap())
        };
        assert_eq!(of("x = \"5\"", "root").as_deref(), Ok("5"));
        assert_eq!(of("x = 4096", "query.memory").as_deref(), Ok("4096"));
        assert_eq!(of("x = [\"a:1\", \"b:2\"]", "kafka.brokers").as_deref(), Ok("a:1,b:2"));
        for (text, name) in [
            ("x = 5", "root"),
            ("x = true", "landing"),
            ("x = [\"a\"]", "root"),
            ("x = 1.5", "query.memory"),
            ("x = [1]", "kafka.brokers"),
            ("x = 2026-03-01", "kafka.start"),
        ] {
            assert!(of(text, name).unwrap_err().contains("quotes"), "{text}");
        }
    }

    #[test]
    fn a_home_folder_is_one_and_other_words_of_a_shell_are_told() {
        let env = env(&[("HOME", "/home/me")]);
        let of = |name: &str, value: &str| expanded(name, value, &env).map_err(|e| e.report());
        assert_eq!(of("root", "~/lake"), Ok(Some("/home/me/lake".to_owned())));
        assert_eq!(of("root", "~"), Ok(Some("/home/me/".to_owned())));
        assert_eq!(of(LINKED, "/a, ~/b"), Ok(Some("/a,/home/me/b".to_owned())));
        for value in ["~you/lake", "$HOME/lake", "/x/${USER}/lake"] {
            assert!(of("root", value).unwrap_err().contains("LAKE_ROOT"), "{value}");
        }
        assert!(expanded("root", "~/lake", &BTreeMap::new()).is_err());
        for value in ["/a~b/c", "x/~", "~ x", "s3://b/x", "a$b/$", "data/lake", "$5"] {
            assert_eq!(of("root", value), Ok(None), "{value}");
        }
        assert_eq!(of("kafka.options", "~/x"), Ok(None));
    }
}
