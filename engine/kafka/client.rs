//! How clients reach the cluster: addresses, TLS, who we are, and what the cluster said last.

use std::error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::Region;
use aws_config::meta::region::RegionProviderChain;
use rdkafka::ClientConfig;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::runtime::Handle;

use crate::error::{Error, Result};
use crate::settings::{Settings, without_user};

/// Settings that are properties of librdkafka.
const PROPERTIES: &[(&str, &str)] = &[
    ("kafka.security_protocol", "security.protocol"),
    ("kafka.sasl_mechanism", "sasl.mechanism"),
    ("kafka.sasl_username", "sasl.username"),
    ("kafka.sasl_password", "sasl.password"),
    ("kafka.ssl_certificate_location", "ssl.certificate.location"),
    ("kafka.ssl_key_location", "ssl.key.location"),
    ("kafka.ssl_key_password", "ssl.key.password"),
];

/// What exactly-once rests on, and what has a setting of its own: `kafka.options` may not set it.
const OURS: &[&str] = &[
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    // Another name of fetch.message.max.bytes; of two one would win by chance.
    "max.partition.fetch.bytes",
    "group.id",
    "isolation.level",
    "metadata.broker.list",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.password",
    "security.protocol",
    "ssl.key.password",
];

/// How clients may speak to brokers.
const PROTOCOLS: &[&str] = &["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"];
/// Mechanisms of SASL that are compiled in.
const MECHANISMS: &[&str] = &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];

/// How long a token of AWS may take to come.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(10);

/// The properties that every client needs to reach the cluster.
///
/// # Errors
/// No brokers are set, or a setting is none that librdkafka knows.
pub(crate) fn config(settings: &Settings) -> Result<ClientConfig> {
    let brokers = settings.get("kafka.brokers").ok_or_else(|| {
        Error::usage("`kafka.brokers` is not set")
            .hint("set LAKE_KAFKA_BROKERS, or kafka.brokers in lake.toml, to host:port,…")
    })?;
    let brokers = addresses(brokers, settings.get("kafka.security_protocol"))?;
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("client.id", "lake")
        .set("socket.keepalive.enable", "true")
        .set("reconnect.backoff.max.ms", "1000");
    // What it says goes to people as one of our errors; its own lines would go to stderr raw.
    config.set_log_level(RDKafkaLogLevel::Critical);
    for (setting, property) in PROPERTIES {
        if let Some(value) = settings.get(setting) {
            // Certificates stand beside lake.toml, unless the path says otherwise.
            if setting.ends_with("_location") {
                config.set(*property, settings.place(setting));
            } else {
                config.set(*property, value);
            }
            known(&config, &format!("setting `{setting}`"), value)?;
        }
    }
    let protocol = settings.get("kafka.security_protocol").unwrap_or_default();
    if settings.get("kafka.ssl_ca_location").is_some() {
        config.set("ssl.ca.location", settings.place("kafka.ssl_ca_location"));
    } else if protocol.to_ascii_lowercase().ends_with("ssl") {
        // TLS is compiled in and has no place of its own: look where the systems keep theirs.
        config.set("ssl.ca.location", "probe");
    }
    let options = settings.get("kafka.options").unwrap_or_default();
    for option in options.split(',').map(str::trim).filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').ok_or_else(|| {
            // It may be the rest of a secret with a comma in it.
            Error::usage("setting `kafka.options` is not NAME=VALUE,NAME=VALUE")
                .hint("a value cannot hold a comma")
        })?;
        let (name, value) = (name.trim(), value.trim());
        if OURS.contains(&name) {
            return Err(Error::usage(format!(
                "setting `kafka.options`: `{name}` is not to be set there"
            ))
            .hint(
                "lake sets it itself, or it has a setting of its own: `lake config` lists them",
            ));
        }
        config.set(name, value);
        known(&config, &format!("setting `kafka.options`: `{name}`"), value)?;
    }
    refuse_half_sasl(&config)?;
    Ok(config)
}

/// The addresses of brokers as librdkafka takes them: what it would not understand it tries for
/// ever.
fn addresses(brokers: &str, protocol: Option<&str>) -> Result<String> {
    let mut addresses = Vec::new();
    for broker in brokers.split(',').map(str::trim) {
        let (scheme, address) = match broker.split_once("://") {
            Some((scheme, address)) => (Some(scheme), address),
            None => (None, broker),
        };
        // librdkafka takes what is left of a port that is too large.
        let (host, port) = address.rsplit_once(':').unwrap_or((address, "9092"));
        let is_host = !host.is_empty() && !host.contains(['/', ';', '?', '#', '@', '"', '\'', ' ']);
        if !is_host
            || port.parse::<u16>().is_ok_and(|port| port == 0)
            || port.parse::<u16>().is_err()
        {
            let shown = without_user(broker);
            return Err(Error::usage(format!("setting `kafka.brokers`: `{shown}` is no address"))
                .hint("write host:port,host:port; user and password are settings of their own"));
        }
        if let Some(scheme) = scheme
            && !scheme.eq_ignore_ascii_case(protocol.unwrap_or("plaintext"))
        {
            let is_known = PROTOCOLS.iter().any(|known| known.eq_ignore_ascii_case(scheme));
            let hint = if is_known {
                format!(
                    "write {address}, and set `kafka.security_protocol` (LAKE_KAFKA_SECURITY_PROTOCOL) to {}",
                    scheme.to_ascii_lowercase()
                )
            } else {
                format!("brokers do not speak {scheme}: write {address}")
            };
            let message = format!("setting `kafka.brokers`: `{broker}` is no address of a broker");
            return Err(Error::usage(message).hint(hint));
        }
        addresses.push(address);
    }
    Ok(addresses.join(","))
}

/// Refuses settings of SASL that do without each other: librdkafka would take another mechanism, or
/// none.
fn refuse_half_sasl(config: &ClientConfig) -> Result<()> {
    let protocol = config.get("security.protocol").unwrap_or("plaintext").to_ascii_lowercase();
    let mechanism = config.get("sasl.mechanism");
    let is_sasl = protocol.starts_with("sasl");
    let message = match mechanism {
        None if is_sasl => "`kafka.security_protocol` asks for SASL, and `kafka.sasl_mechanism` (LAKE_KAFKA_SASL_MECHANISM) is not set".to_owned(),
        Some(_) if !is_sasl => "`kafka.sasl_mechanism` is set, and `kafka.security_protocol` (LAKE_KAFKA_SECURITY_PROTOCOL) is neither sasl_plaintext nor sasl_ssl".to_owned(),
        Some(mechanism) if !MECHANISMS.contains(&mechanism) => {
            "setting `kafka.sasl_mechanism` (LAKE_KAFKA_SASL_MECHANISM) is none that lake knows".to_owned()
        }
        Some(mechanism) if mechanism != "OAUTHBEARER" => {
            let needed = [("sasl.username", "username"), ("sasl.password", "password")];
            let missing = needed.iter().find(|(name, _)| config.get(name).is_none());
            let Some((_, word)) = missing else { return Ok(()) };
            format!(
                "{mechanism} needs `kafka.sasl_{word}`, and it is not set: set LAKE_KAFKA_SASL_{}",
                word.to_uppercase()
            )
        }
        _ => return Ok(()),
    };
    Err(Error::usage(message)
        .hint(format!("mechanisms are {}; `lake config` lists what is set", MECHANISMS.join(", "))))
}

/// Whether librdkafka takes the property that was set last. Its value is not repeated: it may be a
/// secret in the wrong place.
fn known(config: &ClientConfig, what: &str, value: &str) -> Result<()> {
    let Err(cause) = config.create_native_config() else { return Ok(()) };
    let why = match cause {
        KafkaError::ClientConfig(_, why, _, _) => why,
        cause => cause.to_string(),
    };
    let why = if value.is_empty() { why } else { why.replace(value, "…") };
    Err(Error::usage(format!("{what}: {why}"))
        .hint("the names and values are librdkafka's: see its CONFIGURATION.md"))
}

/// What clients call back.
#[derive(Debug)]
pub(crate) struct Context {
    region: Option<String>,
    runtime: Option<Handle>,
    last: Mutex<Option<(RDKafkaErrorCode, String)>>,
}

impl Context {
    /// A context for clients that are used on threads of the current runtime.
    pub(crate) fn new(settings: &Settings) -> Self {
        let region = settings.get("kafka.aws_region").map(str::to_owned);
        Self { region, runtime: Handle::try_current().ok(), last: Mutex::default() }
    }

    /// What went wrong last, and why.
    pub(super) fn last_error(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn token(&self) -> Result<OAuthToken, Box<dyn error::Error + Send + Sync>> {
        let region = match &self.region {
            Some(region) => Some(Region::new(region.clone())),
            None => RegionProviderChain::default_provider().region().await,
        };
        let region = region.ok_or("no AWS region: set kafka.aws_region or AWS_REGION")?;
        let (token, lifetime_ms) = aws_msk_iam_sasl_signer::generate_auth_token(region)
            .await
            .map_err(|cause| format!("no token for MSK: {cause}"))?;
        Ok(OAuthToken { token, principal_name: String::new(), lifetime_ms })
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka");
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        // That all brokers are down is said after the reason, and says less.
        if code != RDKafkaErrorCode::AllBrokersDown {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some((code, reason.to_owned()));
        }
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn error::Error>> {
        let runtime = self.runtime.as_ref().ok_or("no runtime to ask AWS on")?;
        let token =
            runtime.block_on(async { tokio::time::timeout(TOKEN_TIMEOUT, self.token()).await });
        let token = token.map_err(|_| "AWS did not answer in time")?;
        token.map_err(|cause| {
            let reason = cause.to_string();
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some((RDKafkaErrorCode::Authentication, reason));
            cause as Box<dyn error::Error>
        })
    }
}

impl ConsumerContext for Context {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;

    fn settings(env: &[(&str, &str)]) -> Settings {
        let env: BTreeMap<String, String> =
            env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings::load(Path::new("/p"), "", None, &env).unwrap()
    }

    #[test]
    fn settings_reach_librdkafka_under_its_names() {
        let config = config(&settings(&[
            ("LAKE_KAFKA_BROKERS", "a:1,b:2"),
            ("LAKE_KAFKA_SECURITY_PROTOCOL", "sasl_ssl"),
            ("LAKE_KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"),
            ("LAKE_KAFKA_SASL_USERNAME", "me"),
            ("LAKE_KAFKA_SASL_PASSWORD", "secret"),
            ("LAKE_KAFKA_SSL_CA_LOCATION", "ca.pem"),
            ("LAKE_KAFKA_OPTIONS", "client.rack=r1, socket.timeout.ms = 5000"),
        ]))
        .unwrap();
        for (name, value) in [
            ("bootstrap.servers", "a:1,b:2"),
            ("sasl.password", "secret"),
            ("ssl.ca.location", "/p/ca.pem"),
            ("client.rack", "r1"),
            ("socket.timeout.ms", "5000"),
        ] {
            assert_eq!(config.get(name), Some(value));
        }
    }

    #[test]
    fn a_wrong_setting_is_named_and_its_value_is_not() {
        let brokers = ("LAKE_KAFKA_BROKERS", "a:1");
        for (name, value, part) in [
            ("LAKE_KAFKA_OPTIONS", "isolation.level=read_uncommitted", "is not to be set there"),
            ("LAKE_KAFKA_OPTIONS", "client.rock=hunter2", "client.rock"),
            ("LAKE_KAFKA_OPTIONS", "debug=hunter2", "debug"),
            ("LAKE_KAFKA_SECURITY_PROTOCOL", "hunter2", "kafka.security_protocol"),
        ] {
            let error = config(&settings(&[brokers, (name, value)])).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(part), "{error}");
            assert!(!error.report().contains("hunter2"), "{}", error.report());
        }
        let error = config(&settings(&[brokers, ("LAKE_KAFKA_OPTIONS", "debug")])).unwrap_err();
        assert!(error.to_string().contains("is not NAME=VALUE"), "{error}");
        for brokers in [
            "a:99999",
            "a:1,,b:2",
            "a:1,b:two",
            "me:hunter2@a:1",
            "a:0",
            ":9092",
            "a:1;b:2",
            "a:9092/x",
            "http://a:9092",
            "https://a:9092/",
            "ssl://a:9092",
        ] {
            let error = config(&settings(&[("LAKE_KAFKA_BROKERS", brokers)])).unwrap_err();
            assert!(error.to_string().contains("is no address"), "{error}");
            assert!(!error.report().contains("hunter2"), "{error}");
        }
        assert!(config(&settings(&[])).unwrap_err().hint_text().is_some());
    }

    #[test]
    fn addresses_may_name_the_protocol_that_is_set() {
        for (brokers, protocol, taken) in [
            ("a:1, b:2", "plaintext", "a:1,b:2"),
            ("PLAINTEXT://a:1,b", "plaintext", "a:1,b"),
            ("ssl://a:1", "ssl", "a:1"),
            ("[::1]:9092", "plaintext", "[::1]:9092"),
        ] {
            let variables =
                [("LAKE_KAFKA_BROKERS", brokers), ("LAKE_KAFKA_SECURITY_PROTOCOL", protocol)];
            let config = config(&settings(&variables)).unwrap();
            assert_eq!(config.get("bootstrap.servers"), Some(taken));
        }
    }

    #[test]
    fn settings_of_sasl_that_miss_each_other_are_named() {
        let of = |given: &[(&str, &str)]| {
            let mut variables = vec![("LAKE_KAFKA_BROKERS", "a:1")];
            variables.extend(given);
            config(&settings(&variables)).map(drop).map_err(|error| error.report())
        };
        let (protocol, mechanism) = ("LAKE_KAFKA_SECURITY_PROTOCOL", "LAKE_KAFKA_SASL_MECHANISM");
        let (user, password) = ("LAKE_KAFKA_SASL_USERNAME", "LAKE_KAFKA_SASL_PASSWORD");
        let sasl = (protocol, "SASL_PLAINTEXT");
        for (given, part) in [
            (vec![sasl], mechanism),
            (vec![(mechanism, "PLAIN")], protocol),
            (vec![(protocol, "ssl"), (mechanism, "PLAIN")], protocol),
            (vec![sasl, (mechanism, "GSSAPI")], mechanism),
            (vec![sasl, (mechanism, "plain")], mechanism),
            (vec![sasl, (mechanism, "PLAIN")], user),
            (vec![sasl, (mechanism, "SCRAM-SHA-256"), (user, "me")], password),
        ] {
            assert!(of(&given).unwrap_err().contains(part), "{given:?}: {:?}", of(&given));
        }
        assert_eq!(of(&[sasl, (mechanism, "PLAIN"), (user, "me"), (password, "x")]), Ok(()));
        assert_eq!(of(&[(protocol, "sasl_ssl"), (mechanism, "OAUTHBEARER")]), Ok(()));
        assert_eq!(of(&[(protocol, "ssl")]), Ok(()));
    }
}
