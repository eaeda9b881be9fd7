//! Advertising: who books what at which price, and what happens in a break.

use super::dice::{Dice, Use};
use super::playback::{Playback, Stage};
use super::text::Text;

/// An advertisement as booked.
#[derive(Debug)]
pub(super) struct Advert {
    ad_id: String,
    creative_id: String,
    campaign_id: String,
    advertiser_id: String,
    duration_ms: i64,
    skippable: bool,
    pricing_model: &'static str,
    price_micros: i64,
    currency: &'static str,
}

/// Pricing models with the usual price of their unit, in micros.
const MODELS: [(u32, (&str, f64)); 6] = [
    (50, ("CPM", 11_000_000.0)),
    (12, ("CPC", 650_000.0)),
    (10, ("CPV", 28_000.0)),
    (18, ("CPCV", 21_000.0)),
    (5, ("FLAT", 0.0)),
    (5, ("HOUSE", 0.0)),
];
const CURRENCIES: [(u32, &str); 3] = [(60, "EUR"), (28, "USD"), (12, "GBP")];
const LENGTHS: [(u32, i64); 4] = [(20, 6_000), (40, 15_000), (25, 20_000), (15, 30_000)];
const SKIP_MS: i64 = 5_000;

/// Draws all advertisements: twelve campaigns of six advertisers with up to four creatives each.
pub(super) fn book(seed: u64) -> Vec<Advert> {
    let mut dice = Dice::new(seed, Use::Adverts, 0);
    let mut adverts = Vec::new();
    for campaign in 1..=12 {
        let (pricing_model, usual) = dice.pick(&MODELS);
        let currency = dice.pick(&CURRENCIES);
        let price_micros = (dice.spread(usual, 0.35) / 1000.0) as i64 * 1000;
        for _ in 0..dice.between(2, 5) {
            let number = 50 + adverts.len();
            let duration_ms = dice.pick(&LENGTHS);
            adverts.push(Advert {
                ad_id: format!("ad_{number}"),
                creative_id: format!("crv_{number}"),
                campaign_id: format!("cmp_{campaign}"),
                advertiser_id: format!("adv_{}", 1 + campaign / 2),
                duration_ms,
                skippable: duration_ms >= 15_000 && dice.chance(0.6),
                pricing_model,
                price_micros,
                currency,
            });
        }
    }
    adverts
}

/// A break: before the video, or at a place in it.
struct Break {
    id: u64,
    kind: &'static str,
    position_ms: i64,
}

impl Break {
    fn members(&self, text: &mut Text) {
        text.id("ad_break_id", "br_", self.id);
        text.text("break_type", self.kind);
        text.int("break_position_ms", self.position_ms);
        text.text("insertion", "csai");
    }
}

/// One showing of an advertisement in a break.
struct Showing<'a> {
    advert: &'a Advert,
    impression: u64,
    pod: (i64, i64),
}

impl Showing<'_> {
    fn members(&self, text: &mut Text) {
        text.id("impression_id", "imp_", self.impression);
        text.text("ad_id", &self.advert.ad_id);
        text.text("creative_id", &self.advert.creative_id);
        text.text("campaign_id", &self.advert.campaign_id);
        text.text("advertiser_id", &self.advert.advertiser_id);
        text.int("pod_position", self.pod.0);
        text.int("pod_size", self.pod.1);
        text.int("ad_duration_ms", self.advert.duration_ms);
        text.flag("skippable", self.advert.skippable);
        if self.advert.skippable {
            text.int("skip_offset_ms", SKIP_MS);
        }
        text.text("format", if self.advert.duration_ms <= 6_000 { "bumper" } else { "linear" });
    }
}

/// A moment in an advertisement's course.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    Viewability(&'static str),
    Progress(&'static str),
    Click(u64),
}

/// Asks for advertisements and shows them. The content stands still. False if the viewer left.
pub(super) fn show(playback: &mut Playback, kind: &'static str) -> bool {
    let slots = if playback.dice.chance(0.35) { 2 } else { 1 };
    let pause = Break { id: playback.dice.bits(), kind, position_ms: playback.position() };
    let request = playback.dice.bits();
    playback.ad_event("request", |text| {
        text.id("ad_request_id", "rq_", request);
        text.int("slots_requested", slots);
        pause.members(text);
    });
    // A mid-roll was asked for ahead of its time: the content plays until it comes.
    let wait = if kind == "preroll" { playback.dice.between(60, 400) } else { 0 };
    playback.pass(wait);
    let returned = if playback.dice.chance(0.9) { slots } else { slots - 1 };
    playback.ad_event("response", |text| {
        text.id("ad_request_id", "rq_", request);
        text.int("ads_returned", returned);
        pause.members(text);
    });
    if returned == 0 {
        return true;
    }
    playback.ad_event("break_start", |text| pause.members(text));
    playback.enter(Stage::Ad);
    playback.video_event("pause", |text| text.text("reason", "ad_break"));
    for number in 1..=returned {
        let adverts = playback.life.setting.adverts;
        let advert = playback.dice.any(adverts);
        let impression = playback.dice.bits();
        if !play(playback, &pause, &Showing { advert, impression, pod: (number, returned) }) {
            return false;
        }
    }
    playback.ad_event("break_end", |text| pause.members(text));
    true
}

/// Shows one advertisement. False if the viewer left during it.
fn play(playback: &mut Playback, pause: &Break, showing: &Showing) -> bool {
    if playback.dice.chance(0.01) {
        playback.ad_event("error", |text| {
            pause.members(text);
            showing.members(text);
            text.int("error_code", 402);
        });
        return true;
    }
    playback.ad_event("impression", |text| {
        text.text("pricing_model", showing.advert.pricing_model);
        text.int("price_micros", showing.advert.price_micros);
        text.text("currency", showing.advert.currency);
        pause.members(text);
        showing.members(text);
    });
    playback.ad_event("start", |text| {
        text.int("ad_position_ms", 0);
        pause.members(text);
        showing.members(text);
    });
    let duration_ms = showing.advert.duration_ms;
    let skips = showing.advert.skippable && playback.dice.chance(0.5);
    let leaves = playback.dice.chance(0.02);
    let until = match (leaves, skips) {
        (true, _) => playback.dice.between(500, duration_ms - 500),
        (_, true) => SKIP_MS + playback.dice.between(100, duration_ms - SKIP_MS - 500),
        _ => duration_ms,
    };
    let mut at = 0;
    for (offset, moment) in course(playback.dice, duration_ms) {
        // What ends the advertisement comes in place of everything after it.
        if offset > until || (offset == duration_ms && until < duration_ms) {
            break;
        }
        playback.pass(offset - at);
        at = offset;
        ad_moment(playback, pause, showing, at, moment);
    }
    playback.pass(until - at);
    if leaves {
        playback.leave("user");
        return false;
    }
    if skips {
        ad_moment(playback, pause, showing, until, Moment::Progress("skip"));
    }
    true
}

/// What happens when, if the advertisement runs to its end. Offsets in ms.
fn course(dice: &mut Dice, duration_ms: i64) -> Vec<(i64, Moment)> {
    let mut course = vec![
        (duration_ms / 4, Moment::Progress("first_quartile")),
        (duration_ms / 2, Moment::Progress("midpoint")),
        (duration_ms / 4 * 3, Moment::Progress("third_quartile")),
        (duration_ms, Moment::Progress("complete")),
    ];
    if dice.chance(0.8) {
        let seen = dice.pick(&[(70, "viewable"), (22, "not_viewable"), (8, "undetermined")]);
        course.push((2_000, Moment::Viewability(seen)));
    }
    if dice.chance(0.014) {
        course.push((dice.between(1_000, duration_ms - 100), Moment::Click(dice.bits())));
    }
    course.sort_by_key(|(offset, _)| *offset);
    course
}

fn ad_moment(
    playback: &mut Playback,
    pause: &Break,
    showing: &Showing,
    offset: i64,
    moment: Moment,
) {
    let kind = match moment {
        Moment::Viewability(_) => "viewability",
        Moment::Progress(kind) => kind,
        Moment::Click(_) => "click",
    };
    playback.ad_event(kind, |text| {
        match moment {
            Moment::Viewability(seen) => text.text("viewability", seen),
            Moment::Click(click) => text.id("click_id", "ck_", click),
            Moment::Progress(_) => {}
        }
        text.int("ad_position_ms", offset);
        pause.members(text);
        showing.members(text);
    });
}
