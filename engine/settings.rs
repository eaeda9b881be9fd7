//! Where this lake runs: `lake.toml` < `LAKE_*`. The only reader of the environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::mistake::{Files, Mistake, byte_at, did_you_mean, to_error};
use crate::zone;

mod given;
mod size;
pub use given::strange_variables;
pub use size::{parse_duration_ms, parse_size};

/// One setting: its name, its default, and what it means.
#[derive(Debug)]
pub struct Key {
    /// `section.key`, or `key` at the top level.
    pub name: &'static str,
    /// The default, if it has one.
    pub default: Option<&'static str>,
    /// One line for people.
    pub about: &'static str,
    /// Never shown, and not allowed in `lake.toml`.
    pub secret: bool,
}

const fn key(name: &'static str, default: Option<&'static str>, about: &'static str) -> Key {
    Key { name, default, about, secret: false }
}

const fn secret(name: &'static str, about: &'static str) -> Key {
    Key { name, default: None, about, secret: true }
}

/// Every setting there is.
pub const KEYS: &[Key] = &[
    key("root", Some("data/lake"), "where the tables are: a folder or s3://bucket/prefix"),
    key("landing", Some("data/landing"), "where files arrive: a folder or s3://bucket/prefix"),
    key("reporting_tz", Some("UTC"), "time zone of report dates, an IANA name"),
    key("kafka.brokers", None, "host:port,… of the brokers"),
    key(
        "kafka.start",
        Some("earliest"),
        "where a table begins with a topic: earliest, latest, or a time as in 2026-03-01T00:00:00Z",
    ),
    key(
        "kafka.group",
        Some("lake"),
        "consumer groups GROUP.LAYER.TABLE show lag tools how far lake is",
    ),
    key("kafka.memory", Some("32MiB"), "messages fetched ahead, for each topic of each table"),
    key("kafka.timeout", Some("10s"), "how long to wait for a broker that does not answer"),
    key("kafka.security_protocol", None, "plaintext, ssl, sasl_plaintext or sasl_ssl"),
    key(
        "kafka.sasl_mechanism",
        None,
        "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, or OAUTHBEARER for Amazon MSK with IAM",
    ),
    key("kafka.sasl_username", None, "user for PLAIN and SCRAM"),
    secret("kafka.sasl_password", "password for PLAIN and SCRAM; only from the environment"),
    key("kafka.aws_region", None, "region of an MSK cluster; else that of the AWS settings"),
    key("kafka.ssl_ca_location", None, "file of CA certificates; else those of the system"),
    key("kafka.ssl_certificate_location", None, "file of the client's certificate, for mutual TLS"),
    key("kafka.ssl_key_location", None, "file of the client's private key"),
    secret("kafka.ssl_key_password", "password of that key; only from the environment"),
    key("kafka.options", None, "other properties of librdkafka, as in client.rack=a, debug=broker"),
    secret("privacy.key", "64 hex digits, the key of pseudonyms; only from the environment"),
    key("privacy.key_file", None, "a file that holds privacy.key"),
    key("query.memory", Some("4GiB"), "memory for queries; above it they spill to disk"),
    key("ingest.batch_size", Some("512MiB"), "source bytes in one commit of a bronze table"),
    key(
        "ingest.record_limit",
        Some("16MiB"),
        "bytes of one record: a longer one goes to quarantine without them",
    ),
    key(
        "ingest.linked_folders",
        None,
        "folders outside of `landing` that links in it may lead to, with commas between",
    ),
    key("ingest.interval", Some("2s"), "with --follow: from one look at the sources to the next"),
];

/// Where a value comes from, for `lake config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The default in the code.
    Default,
    /// `lake.toml`, or a profile in it.
    File(String),
    /// An environment variable.
    Env(String),
}

/// The settings in force, with their origins.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The project's folder: relative paths count from it.
    pub project: PathBuf,
    values: BTreeMap<&'static str, (String, Origin)>,
}

/// Reads the environment, once: every `LAKE_*` variable plus those that terminals and proxies use.
#[allow(clippy::disallowed_methods, reason = "this is the one place")]
pub fn environment() -> BTreeMap<String, String> {
    let variables = std::env::vars_os().filter_map(|(name, value)| {
        Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
    });
    variables.collect()
}

impl Settings {
    /// Puts the settings together.
    ///
    /// `toml` is the text of `lake.toml` in `project`, `profile` the `[profile.NAME]` to lay over it.
    ///
    /// # Errors
    /// All mistakes in `lake.toml` at once.
    pub fn load(
        project: &Path,
        toml: &str,
        profile: Option<&str>,
        env: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let mut values: BTreeMap<&'static str, (String, Origin)> = KEYS
            .iter()
            .filter_map(|key| Some((key.name, (key.default?.to_owned(), Origin::Default))))
            .collect();
        let mut mistakes = Vec::new();
        let found = read_toml(toml, profile, &mut mistakes);
        if !mistakes.is_empty() {
            let files = Files::from([("lake.toml".to_owned(), toml.to_owned())]);
            return Err(to_error(&mistakes, &files));
        }
        values.extend(found);
        for key in KEYS {
            let variable = variable(key.name);
            if let Some(value) = env.get(&variable).filter(|value| !value.is_empty()) {
                if value.contains(char::REPLACEMENT_CHARACTER) {
                    return Err(Error::usage(format!("{variable} is not UTF-8")));
                }
                values.insert(key.name, (value.clone(), Origin::Env(variable)));
            }
        }
        for (name, (value, _)) in &mut values {
            if let Some(path) = given::expanded(name, value, env)? {
                *value = path;
            }
        }
        let settings = Self { project: project.to_owned(), values };
        settings.validate()?;
        if ["root", "landing"].iter().any(|name| settings.place(name).starts_with("s3")) {
            given::check_aws(env)?;
        }
        Ok(settings)
    }

    /// The text of a setting.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(value, _)| value.as_str())
    }

    /// Every setting with its value and origin, secrets redacted, in the order of [`KEYS`].
    pub fn list(&self) -> Vec<(&'static Key, Option<String>, Origin)> {
        let shown = |key: &'static Key| match self.values.get(key.name) {
            Some((_, origin)) if key.secret => (key, Some("(set)".to_owned()), origin.clone()),
            Some((value, origin)) if key.name == "kafka.options" => {
                (key, Some(without_secrets(value)), origin.clone())
            }
            Some((value, origin)) => (key, Some(without_user(value)), origin.clone()),
            None => (key, None, Origin::Default),
        };
        KEYS.iter().map(shown).collect()
    }

    /// A setting that names a place, relative paths resolved from the project's folder.
    pub fn place(&self, name: &str) -> String {
        let value = self.get(name).unwrap_or_default();
        if value.contains("://") || value.starts_with("s3:") {
            return value.to_owned();
        }
        self.project.join(value).to_string_lossy().into_owned()
    }

    /// A setting that is a list of folders, with commas between; relative ones count from the
    /// project.
    pub fn folders(&self, name: &str) -> Vec<PathBuf> {
        let folders = self.get(name).unwrap_or_default().split(',').map(str::trim);
        folders
            .filter(|folder| !folder.is_empty())
            .map(|folder| self.project.join(folder))
            .collect()
    }

    /// A setting that is a size, in bytes.
    pub fn bytes(&self, name: &str) -> Result<u64> {
        let text = self.get(name).unwrap_or_default();
        parse_size(text).ok_or_else(|| {
            Error::usage(format!("setting `{name}`: `{text}` is not a size"))
                .hint("write a number with a unit, as in 512MiB")
        })
    }

    /// The greatest length of a record, in bytes: what is held in memory several times.
    ///
    /// # Errors
    /// It is too small for any record, or so large that it limits nothing.
    pub fn record_limit(&self) -> Result<usize> {
        const LEAST: u64 = 1 << 10;
        const GREATEST: u64 = 512 << 20;
        let bytes = self.bytes("ingest.record_limit")?;
        if !(LEAST..=GREATEST).contains(&bytes) {
            return Err(Error::usage(
                "setting `ingest.record_limit`: records are limited to between 1KiB and 512MiB",
            )
            .hint("write a size as in 16MiB"));
        }
        Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    /// A setting that is a duration, in milliseconds.
    pub fn duration_ms(&self, name: &str) -> Result<i64> {
        let text = self.get(name).unwrap_or_default();
        parse_duration_ms(text).filter(|ms| *ms > 0).ok_or_else(|| {
            Error::usage(format!("setting `{name}`: `{text}` is not a duration"))
                .hint("write a number with a unit, as in 500ms, 2s or 5m")
        })
    }

    /// The key of pseudonyms: 32 bytes.
    ///
    /// # Errors
    /// There is none, or it is not 64 hex digits.
    pub fn privacy_key(&self) -> Result<[u8; 32]> {
        let text = match (self.get("privacy.key"), self.get("privacy.key_file")) {
            (Some(key), _) => key.to_owned(),
            (None, Some(file)) => {
                let path = self.project.join(file);
                std::fs::read_to_string(&path).map_err(|cause| {
                    let what = format!("cannot read {}", path.display());
                    if cause.kind() == std::io::ErrorKind::NotFound {
                        return Error::usage(what)
                            .hint("`privacy.key_file` names it: correct the path, or make the file")
                            .caused_by(cause);
                    }
                    Error::io(what, cause)
                })?
            }
            (None, None) => {
                return Err(Error::usage("personal columns need `privacy.key`, and it is not set")
                    .hint("export LAKE_PRIVACY_KEY=$(openssl rand -hex 32), and keep it: the same person has the same pseudonym only under the same key"));
            }
        };
        let mut key = [0; 32];
        hex::decode_to_slice(text.trim(), &mut key).map_err(|_| {
            Error::usage("`privacy.key` is not 64 hex digits")
                .hint("make one with: openssl rand -hex 32")
        })?;
        Ok(key)
    }

    fn validate(&self) -> Result<()> {
        for name in ["query.memory", "ingest.batch_size", "kafka.memory"] {
            if self.bytes(name)? == 0 {
                return Err(Error::usage(format!("setting `{name}`: nothing fits in 0 bytes")));
            }
        }
        self.record_limit()?;
        for name in ["ingest.interval", "kafka.timeout"] {
            self.duration_ms(name)?;
        }
        zone::setting(self.get("reporting_tz").unwrap_or_default()).map(drop)
    }
}

/// An address without what stands before an `@`: it may be a password.
pub fn without_user(text: &str) -> String {
    text.rsplit_once('@').map_or_else(|| text.to_owned(), |(_, rest)| format!("…@{rest}"))
}

/// The properties of `kafka.options`; of those that may be secrets, only that they are set.
fn without_secrets(options: &str) -> String {
    let shown = options.split(',').map(|option| match option.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}=(set)"),
        Some(_) => option.to_owned(),
        // Part of a value with a comma in it, at best.
        None => "…".to_owned(),
    });
    shown.collect::<Vec<_>>().join(",")
}

/// Whether a property of librdkafka is a secret, as its name says.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let parts = ["pass", "secret", "pem", "key", "jaas", "kinit", "oauthbearer", "token"];
    parts.iter().any(|part| name.contains(part))
}

/// The environment variable of a setting: `kafka.brokers` is `LAKE_KAFKA_BROKERS`.
pub fn variable(name: &str) -> String {
    format!("LAKE_{}", name.replace('.', "_").to_uppercase())
}

/// The values in `lake.toml`, those of the profile laid over the others.
fn read_toml(
    text: &str,
    profile: Option<&str>,
    mistakes: &mut Vec<Mistake>,
) -> Vec<(&'static str, (String, Origin))> {
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            let mistake = Mistake::new("lake.toml", error.message().to_owned());
            mistakes.push(error.span().map_or(mistake.clone(), |span| mistake.span(span)));
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    let mut profiles = None;
    for (name, value) in &table {
        if name == "profile" {
            profiles = value.as_table();
            let is_section = |table: &toml::Table| table.values().all(toml::Value::is_table);
            if !profiles.is_some_and(is_section) {
                mistakes.push(
                    Mistake::new("lake.toml", "settings of a profile are in none")
                        .span(line_of(text, name))
                        .hint("write them below [profile.NAME]; --profile NAME lays them over the others"),
                );
            }
        } else {
            read_value(text, name, value, "lake.toml", &mut found, mistakes);
        }
    }
    for (name, table) in profiles.into_iter().flatten() {
        if let (Some(table), true) = (table.as_table(), Some(name.as_str()) != profile) {
            // Laid over nothing, but a mistake in it is one today.
            for (name, value) in table {
                read_value(text, name, value, "", &mut Vec::new(), mistakes);
            }
        }
    }
    let Some(profile) = profile else { return found };
    match profiles.and_then(|all| all.get(profile)).and_then(toml::Value::as_table) {
        Some(table) => {
            let origin = format!("lake.toml [profile.{profile}]");
            for (name, value) in table {
                read_value(text, name, value, &origin, &mut found, mistakes);
            }
        }
        None => mistakes.push(
            Mistake::new("lake.toml", format!("there is no profile `{profile}`"))
                .hint(format!("add a section [profile.{profile}]")),
        ),
    }
    found
}

fn read_value(
    text: &str,
    name: &str,
    value: &toml::Value,
    origin: &str,
    found: &mut Vec<(&'static str, (String, Origin))>,
    mistakes: &mut Vec<Mistake>,
) {
    if let toml::Value::Table(table) = value {
        for (inner, value) in table {
            read_value(text, &format!("{name}.{inner}"), value, origin, found, mistakes);
        }
        return;
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    let place = line_of(text, last);
    let Some(key) = KEYS.iter().find(|key| key.name == name) else {
        let mistake = Mistake::new("lake.toml", format!("unknown setting `{name}`")).span(place);
        let known = did_you_mean(name, KEYS.iter().map(|key| key.name));
        mistakes.push(mistake.hint(match known {
            Some(known) => format!("did you mean `{known}`?"),
            None => "`lake config` lists every setting".to_owned(),
        }));
        return;
    };
    let secret_option = key.name == "kafka.options"
        && value.as_str().is_some_and(|text| {
            text.split(',')
                .any(|option| option.split_once('=').is_some_and(|(name, _)| is_secret(name)))
        });
    if key.secret || secret_option {
        mistakes.push(
            Mistake::new(
                "lake.toml",
                format!("`{name}` is a secret and has no place in a file that is committed"),
            )
            .span(place)
            .hint(format!("set {} in the environment instead", variable(name))),
        );
        return;
    }
    match given::text(key.name, value) {
        Ok(value) => found.push((key.name, (value, Origin::File(origin.to_owned())))),
        Err(hint) => {
            let message = format!("setting `{name}` is no text");
            mistakes.push(Mistake::new("lake.toml", message).span(place).hint(hint));
        }
    }
}

/// The byte range of the first line that sets `name`.
fn line_of(text: &str, name: &str) -> std::ops::Range<usize> {
    let line = text.lines().position(|line| {
        let rest = line.trim_start().strip_prefix(name).map(str::trim_start);
        rest.is_some_and(|rest| rest.starts_with(['=', '.']))
    });
    let start = byte_at(text, line.unwrap_or(0) as u64 + 1, 1);
    let end = text[start..].find('\n').map_or(text.len(), |n| start + n);
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(toml: &str, env: &[(&str, &str)], profile: Option<&str>) -> Result<Settings> {
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Settings::load(Path::new("/p"), toml, profile, &env)
    }

    #[test]
    fn the_environment_beats_the_file_and_the_file_the_default() {
        let toml = "root = \"a\"\nlanding = \"b\"\n[profile.prod]\nroot = \"s3://x/y\"\n";
        let settings = load(toml, &[("LAKE_LANDING", "/l")], None).unwrap();
        assert_eq!(settings.place("root"), "/p/a");
        assert_eq!(settings.place("landing"), "/l");
        assert_eq!(load(toml, &[], Some("prod")).unwrap().place("root"), "s3://x/y");
        assert_eq!(load("", &[], None).unwrap().get("root"), Some("data/lake"));
    }

    #[test]
    fn every_mistake_in_the_file_is_reported_at_once() {
        let error = load("rot = \"a\"\n[privacy]\nkey = \"00\"\n", &[], None).unwrap_err();
        let text = error.to_string();
        for part in ["lake.toml:1:1", "did you mean `root`?", "lake.toml:3:1", "LAKE_PRIVACY_KEY"] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }

    #[test]
    fn a_secret_is_never_listed() {
        let options = "client.rack=a,sasl.oauthbearer.client.secret=abab,cd";
        let env = [("LAKE_PRIVACY_KEY", "ab".repeat(32)), ("LAKE_KAFKA_OPTIONS", options.into())];
        let env = env.each_ref().map(|(name, value)| (*name, value.as_str()));
        let settings = load("", &env, None).unwrap();
        let shown = format!("{:?}", settings.list());
        assert!(!shown.contains("abab") && !shown.contains("cd\""), "{shown}");
        assert!(shown.contains("client.rack=a,sasl.oauthbearer.client.secret=(set)"), "{shown}");
        assert_eq!(settings.privacy_key().unwrap(), [0xab; 32]);
        assert!(load("", &[], None).unwrap().privacy_key().unwrap_err().hint_text().is_some());
    }

    #[test]
    fn values_are_checked_when_they_are_read() {
        assert!(load("reporting_tz = \"Mars/Base\"", &[], None).is_err());
        assert!(load("[query]\nmemory = \"lots\"", &[], None).is_err());
        let aws = |name: &str, text: &str, root: &str| {
            load("", &[(name, text), ("LAKE_ROOT", root)], None).map(drop)
        };
        for text in ["localhost:9000", "", " http://localhost:9000", "http://me:hunter2@b:1"] {
            let error = aws("AWS_ENDPOINT_URL", text, "s3://b/x").unwrap_err();
            assert!(!error.report().contains("hunter2"), "{}", error.report());
            assert!(aws("AWS_ENDPOINT_URL", text, "data").is_ok(), "{text}");
        }
        assert!(aws("AWS_SECRET_ACCESS_KEY", "abc\n", "s3://b/x").is_err());
        assert!(aws("AWS_ENDPOINT_URL", "http://localhost:9000", "s3://b/x").is_ok());
        assert!(load("[ingest]\nbatch_size = \"0MiB\"", &[], None).is_err());
    }
}
