//! The viewers: where they live, what they watch on, and what they pay.

use super::dice::{Dice, Use};
use super::recorder::Envelope;
use super::text::{Text, uuid_digits};

/// A country, its time zone, and regions (ISO 3166-2) with a city each.
type Country = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const COUNTRIES: [(u32, Country); 12] = [
    (
        22,
        ("FR", "Europe/Paris", &[("FR-IDF", "Paris"), ("FR-ARA", "Lyon"), ("FR-PAC", "Marseille")]),
    ),
    (
        18,
        ("DE", "Europe/Berlin", &[("DE-BE", "Berlin"), ("DE-BY", "Munich"), ("DE-HH", "Hamburg")]),
    ),
    (16, ("GB", "Europe/London", &[("GB-LND", "London"), ("GB-MAN", "Manchester")])),
    (12, ("US", "America/New_York", &[("US-NY", "New York"), ("US-FL", "Miami")])),
    (8, ("ES", "Europe/Madrid", &[("ES-MD", "Madrid"), ("ES-CT", "Barcelona")])),
    (7, ("IT", "Europe/Rome", &[("IT-25", "Milan"), ("IT-62", "Rome")])),
    (4, ("NL", "Europe/Amsterdam", &[("NL-NH", "Amsterdam")])),
    (4, ("BE", "Europe/Brussels", &[("BE-BRU", "Brussels")])),
    (3, ("CH", "Europe/Zurich", &[("CH-ZH", "Zurich"), ("CH-GE", "Geneva")])),
    (3, ("CA", "America/Toronto", &[("CA-ON", "Toronto"), ("CA-QC", "Montreal")])),
    (2, ("PL", "Europe/Warsaw", &[("PL-14", "Warsaw")])),
    (1, ("ZZ", "UTC", &[])),
];

/// A kind of device with its app. A `browser` makes it a web player.
#[derive(Clone, Copy, Debug)]
pub(super) struct Device {
    platform: &'static str,
    /// Desktop, mobile, tablet, and so on.
    form: &'static str,
    os: &'static str,
    os_version: &'static str,
    browser: Option<&'static str>,
    /// Player name and version.
    pub(super) player: (&'static str, &'static str),
    /// A screen on which the app can be in the background.
    pub(super) can_hide: bool,
}

const fn app(
    platform: &'static str,
    form: &'static str,
    os: &'static str,
    os_version: &'static str,
    player: (&'static str, &'static str),
) -> Device {
    let can_hide = matches!(form.as_bytes(), b"mobile" | b"tablet");
    Device { platform, form, os, os_version, browser: None, player, can_hide }
}

const fn web(
    form: &'static str,
    os: &'static str,
    os_version: &'static str,
    browser: &'static str,
) -> Device {
    let player = ("hls.js", "1.6.2");
    let browser = Some(browser);
    Device { platform: "web", form, os, os_version, browser, player, can_hide: true }
}

const DEVICES: [(u32, Device); 14] = [
    (16, web("desktop", "windows", "11", "chrome")),
    (5, web("desktop", "windows", "11", "edge")),
    (6, web("desktop", "macos", "15.3", "safari")),
    (3, web("desktop", "linux", "6.12", "firefox")),
    (7, web("mobile", "android", "15", "chrome")),
    (18, app("ios", "mobile", "ios", "18.3", ("avplayer", "18.3"))),
    (5, app("ios", "tablet", "ipados", "18.3", ("avplayer", "18.3"))),
    (17, app("android", "mobile", "android", "15", ("exoplayer", "1.5.1"))),
    (3, app("android", "tablet", "android", "14", ("exoplayer", "1.5.1"))),
    (7, app("tv_app", "tv", "tizen", "8.0", ("shaka", "4.13.4"))),
    (6, app("tv_app", "tv", "android_tv", "14", ("exoplayer", "1.5.1"))),
    (3, app("console", "console", "playstation", "24.08", ("shaka", "4.13.4"))),
    (3, app("stb", "stb", "rdk", "7.2", ("exoplayer", "1.4.1"))),
    (1, app("cast", "tv", "cast_os", "1.56", ("shaka", "4.13.4"))),
];

const VERSIONS: [(u32, &str); 4] = [(60, "5.12.0"), (25, "5.11.3"), (10, "5.10.1"), (5, "5.8.0")];
const TIERS: [(u32, &str); 3] = [(64, "free"), (22, "basic"), (14, "premium")];
const CDNS: [(u32, &str); 3] = [(55, "cdn-a"), (30, "cdn-b"), (15, "cdn-c")];

/// One person with one or two devices; the same number is always the same person.
#[derive(Debug)]
pub(super) struct Viewer {
    number: u64,
    country: Country,
    place: usize,
    devices: Vec<(Device, &'static str)>,
    tier: &'static str,
    logged_in: bool,
    /// Synthetic traffic of the operator's own.
    is_test: bool,
}

impl Viewer {
    /// Viewer `number` of this seed.
    pub(super) fn new(seed: u64, number: u64) -> Self {
        let mut dice = Dice::new(seed, Use::Viewer, number);
        let country = dice.pick(&COUNTRIES);
        let count = 1 + usize::from(dice.chance(0.4));
        Self {
            number,
            country,
            place: dice.index(country.2.len()),
            devices: (0..count).map(|_| (dice.pick(&DEVICES), dice.pick(&VERSIONS))).collect(),
            tier: dice.pick(&TIERS),
            logged_in: dice.chance(0.7),
            is_test: dice.chance(0.03),
        }
    }

    /// Shows advertising to this viewer.
    pub(super) fn sees_ads(&self) -> bool {
        !self.logged_in || self.tier == "free"
    }

    /// Chooses the device for a visit, and writes what all its events share.
    pub(super) fn visit(&self, dice: &mut Dice, session_id: u128) -> (Device, Envelope) {
        let place = dice.index(self.devices.len());
        let (device, version) = self.devices[place];
        let mut common = Text::default();
        common.uuid("session_id", session_id);
        if self.logged_in {
            common.text("user_id", &format!("u_{:06x}", self.number));
        }
        common.text("anonymous_id", &format!("a_{:06x}{place}", self.number));
        common.text("device_id", &format!("d_{:06x}{place}", self.number));
        common.text("app_id", if device.browser.is_some() { "web" } else { device.platform });
        common.text("app_version", version);
        common.text("platform", device.platform);
        common.text("device_type", device.form);
        common.text("os", device.os);
        common.text("os_version", device.os_version);
        if let Some(browser) = device.browser {
            common.text("browser", browser);
        }
        common.text("country", self.country.0);
        if let Some((region, city)) = self.country.2.get(self.place) {
            common.text("region", region);
            common.text("city", city);
            common.text("timezone", self.country.1);
        }
        let connection = match device.form {
            "mobile" => dice.pick(&[(62, "wifi"), (38, "cellular")]),
            "desktop" | "console" | "stb" => dice.pick(&[(55, "wifi"), (45, "wired")]),
            _ => dice.pick(&[(92, "wifi"), (8, "wired")]),
        };
        common.text("connection_type", connection);
        common.text("cdn", dice.pick(&CDNS));
        if self.logged_in {
            common.text("subscription_tier", self.tier);
        }
        if self.is_test {
            common.flag("is_test", true);
        }
        let key = String::from_utf8_lossy(&uuid_digits(session_id)).into_owned();
        (device, Envelope { key, common: common.into_bytes() })
    }
}
