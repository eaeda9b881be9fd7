//! One playback: its clock, position and state, the events it sends, and what was truly viewed.
//!
//! Every event is written after the state has changed, so it carries position and state *after* it.

use super::advert::{self, Advert};
use super::audience::Device;
use super::catalogue::Video;
use super::dice::Dice;
use super::recorder::Recorder;
use super::text::Text;

/// A heartbeat comes this often while playing.
pub(super) const HEARTBEAT_MS: i64 = 10_000;
/// Renditions: kbit/s, width, height.
const LADDER: [(i64, i64, i64); 6] = [
    (400, 426, 240),
    (800, 640, 360),
    (1400, 854, 480),
    (2800, 1280, 720),
    (5200, 1920, 1080),
    (8000, 2560, 1440),
];

/// State after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Starting,
    Playing,
    Paused,
    Seeking,
    Rebuffering,
    Ad,
    Ended,
    Fatal,
    Quit,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Playing => "playing",
            Self::Paused => "paused",
            Self::Seeking => "seeking",
            Self::Rebuffering => "rebuffering",
            Self::Ad => "ad",
            Self::Ended => "ended",
            Self::Fatal => "fatal",
            Self::Quit => "quit",
        }
    }
}

/// Playback rate in quarters, so that positions stay whole numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate(pub(super) i64);

impl Rate {
    pub(super) const NORMAL: Self = Self(4);

    fn text(self) -> &'static str {
        match self.0 {
            2 => "0.5",
            5 => "1.25",
            6 => "1.5",
            8 => "2.0",
            _ => "1.0",
        }
    }

    /// Media played in `wall` ms. Exact for a wall time that `whole` gave.
    pub(super) fn media(self, wall: i64) -> i64 {
        wall * self.0 / 4
    }

    /// Wall time for `media` ms, rounded half up as the derivation rounds it.
    pub(super) fn wall(self, media: i64) -> i64 {
        (media * 8 + self.0) / (2 * self.0)
    }

    /// The next wall time from `wall` on in which a whole number of ms is played.
    pub(super) fn whole(self, wall: i64) -> i64 {
        if self.0 == 4 { wall } else { (wall + 3) / 4 * 4 }
    }
}

/// How somebody came to a video.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) autoplay: bool,
    /// `main` or `preview`.
    pub(super) mode: &'static str,
    pub(super) source: &'static str,
    pub(super) ads: bool,
    /// Where to begin (ms): an earlier viewing goes on.
    pub(super) from_ms: i64,
}

/// How a playback ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Completed,
    Left,
    Failed,
    /// The app died: no event tells of it.
    Crashed,
}

/// What was truly viewed.
#[derive(Clone, Debug, Default)]
pub(super) struct Truth {
    /// Parts viewed in one go, `[start, end)` in media ms, in viewing order.
    pub(super) segments: Vec<(i64, i64)>,
    /// Wall time of playing.
    pub(super) play_time_ms: i64,
    open: i64,
}

/// What a playback shows to whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting<'a> {
    pub(super) video: &'a Video,
    pub(super) adverts: &'a [Advert],
    pub(super) device: Device,
    pub(super) ask: Ask,
}

/// A playback's state from one event to the next. Times are epoch ms unless said otherwise.
#[derive(Clone, Debug)]
pub(super) struct Life<'w> {
    pub(super) setting: Setting<'w>,
    pub(super) id: u128,
    pub(super) rate: Rate,
    pub(super) visible: bool,
    pub(super) truth: Truth,
    pub(super) end: Option<End>,
    /// When the next heartbeat is due.
    pub(super) beat_at: i64,
    pub(super) now: i64,
    start: i64,
    seq: i64,
    /// On the content's timeline, in ms.
    position: i64,
    stage: Stage,
    muted: bool,
    quality: usize,
    dropped_frames: i64,
}

impl<'w> Life<'w> {
    /// A playback that is asked for at `start` (epoch ms).
    pub(super) fn new(dice: &mut Dice, setting: Setting<'w>, start: i64) -> Self {
        let from_ms = setting.ask.from_ms;
        Self {
            setting,
            id: dice.uuid(start),
            rate: Rate::NORMAL,
            visible: true,
            truth: Truth { open: from_ms, ..Truth::default() },
            end: None,
            beat_at: 0,
            now: start,
            start,
            seq: 0,
            position: from_ms,
            stage: Stage::Starting,
            muted: setting.ask.mode == "preview",
            quality: 2 + dice.index(3),
            dropped_frames: 0,
        }
    }

    /// What was truly viewed, now that nothing more can follow.
    pub(super) fn viewed(&mut self) -> &Truth {
        self.close_segment(0);
        &self.truth
    }

    /// Ends the part being viewed, and begins another at `next` (ms).
    fn close_segment(&mut self, next: i64) {
        if self.position > self.truth.open {
            self.truth.segments.push((self.truth.open, self.position));
        }
        self.truth.open = next;
    }
}

/// A playback under way: its state, with the chance and the device that move it on.
#[derive(Debug)]
pub(super) struct Playback<'a, 'w> {
    pub(super) dice: &'a mut Dice,
    pub(super) recorder: &'a mut Recorder,
    pub(super) life: &'a mut Life<'w>,
}

impl<'w> Playback<'_, 'w> {
    /// From the request to the first frame. False if it never gets there.
    pub(super) fn begin(&mut self) -> bool {
        let (ask, device) = (self.life.setting.ask, self.life.setting.device);
        self.video_event("play_request", |text| {
            text.flag("autoplay", ask.autoplay);
            text.text("mode", ask.mode);
            text.text("source", ask.source);
            text.text("player", device.player.0);
            text.text("player_version", device.player.1);
            text.text("stream_type", "vod");
        });
        if self.dice.chance(0.006) {
            let wait = self.dice.between(300, 9_000);
            self.pass(wait);
            let business = self.dice.chance(0.3);
            self.fail(business);
            return false;
        }
        if self.dice.chance(0.012) {
            let wait = self.dice.between(400, 12_000);
            self.pass(wait);
            self.leave("user");
            return false;
        }
        let startup_ms = self.dice.spread(780.0, 0.6).clamp(120.0, 15_000.0) as i64;
        self.pass(startup_ms);
        if ask.ads && self.dice.chance(0.6) && !advert::show(self, "preroll") {
            return false;
        }
        let reason = if ask.source == "next_episode" { "autoplay_next" } else { "initial" };
        let (bitrate, _, height) = LADDER[self.life.quality];
        self.enter(Stage::Playing);
        let duration_ms = self.video().duration_ms;
        self.video_event("play", |text| {
            text.int("startup_ms", startup_ms);
            text.text("reason", reason);
            text.text("mode", ask.mode);
            text.int("player_duration_ms", duration_ms);
            text.int("bitrate_kbps", bitrate);
            text.int("height", height);
        });
        self.life.beat_at = self.life.now + HEARTBEAT_MS;
        true
    }

    /// What is playing.
    pub(super) fn video(&self) -> &'w Video {
        self.life.setting.video
    }

    /// How it came to be playing.
    pub(super) fn ask(&self) -> &Ask {
        &self.life.setting.ask
    }

    /// Where the content stands (ms).
    pub(super) fn position(&self) -> i64 {
        self.life.position
    }

    /// An advertisement has the screen.
    pub(super) fn is_in_ad(&self) -> bool {
        self.life.stage == Stage::Ad
    }

    /// The device's time (epoch ms).
    pub(super) fn now(&self) -> i64 {
        self.life.now
    }

    /// Nothing more can happen.
    pub(super) fn is_over(&self) -> bool {
        self.life.end.is_some() || self.recorder.is_full()
    }

    /// Lets time pass while the content stands still.
    pub(super) fn pass(&mut self, wall_ms: i64) {
        if !self.recorder.is_full() {
            self.life.now += wall_ms;
        }
    }

    /// Lets the content play on.
    pub(super) fn play_on(&mut self, wall_ms: i64, media_ms: i64) {
        self.life.now += wall_ms;
        self.life.position += media_ms;
        self.life.truth.play_time_ms += wall_ms;
    }

    /// Moves to another position.
    pub(super) fn jump(&mut self, position_ms: i64) {
        self.life.close_segment(position_ms);
        self.life.position = position_ms;
    }

    /// Changes the state.
    pub(super) fn enter(&mut self, stage: Stage) {
        self.life.stage = stage;
    }

    /// Plays on after a pause, and counts heartbeats anew.
    pub(super) fn resume(&mut self, reason: &str) {
        self.enter(Stage::Playing);
        self.video_event("play", |text| text.text("reason", reason));
        self.life.beat_at = self.life.now + HEARTBEAT_MS;
    }

    /// The viewer goes.
    pub(super) fn leave(&mut self, reason: &str) {
        self.enter(Stage::Quit);
        self.life.end = Some(End::Left);
        self.video_event("stop", |text| text.text("reason", reason));
    }

    /// The player gives up; `business` for a rule such as a region's rights.
    pub(super) fn fail(&mut self, business: bool) {
        self.enter(Stage::Fatal);
        self.life.end = Some(End::Failed);
        let (code, category) = match (business, self.dice.index(3)) {
            (true, _) => ("GEO_BLOCKED", "business"),
            (_, 0) => ("NET_TIMEOUT", "network"),
            (_, 1) => ("MEDIA_DECODE", "media"),
            _ => ("DRM_LICENSE", "drm"),
        };
        self.video_event("error", |text| {
            text.flag("fatal", true);
            text.text("error_code", code);
            text.text("error_category", category);
            text.flag("is_business_exception", business);
        });
    }

    /// A heartbeat.
    pub(super) fn beat(&mut self) {
        self.life.dropped_frames += i64::from(self.dice.chance(0.1));
        let (dropped, buffer_ms) = (self.life.dropped_frames, self.dice.between(4_000, 30_000));
        self.video_event("heartbeat", |text| {
            text.int("interval_ms", HEARTBEAT_MS);
            text.int("buffer_ms", buffer_ms);
            text.int("dropped_frames", dropped);
        });
        self.life.beat_at = self.life.now + HEARTBEAT_MS;
    }

    /// The player changes to a neighbouring rendition.
    pub(super) fn change_quality(&mut self) {
        let up = self.dice.chance(0.55);
        let next = if up { self.life.quality + 1 } else { self.life.quality.saturating_sub(1) };
        let next = next.min(LADDER.len() - 1);
        if next == self.life.quality {
            return;
        }
        let before = LADDER[self.life.quality].0;
        let (bitrate, width, height) = LADDER[next];
        self.life.quality = next;
        self.video_event("quality_change", |text| {
            text.int("prev_bitrate_kbps", before);
            text.int("bitrate_kbps", bitrate);
            text.int("width", width);
            text.int("height", height);
            text.flag("is_auto", true);
        });
    }

    /// Records a video event with the position and state as they are now.
    pub(super) fn video_event(&mut self, kind: &'static str, members: impl FnOnce(&mut Text)) {
        let (position, stage, rate) = (self.life.position, self.life.stage, self.life.rate);
        let (visible, muted) = (self.life.visible, self.life.muted);
        self.event("video", kind, |text| {
            text.open("video");
            text.int("position_ms", position);
            text.text("state", stage.name());
            members(text);
            if matches!(stage, Stage::Playing | Stage::Paused | Stage::Rebuffering) {
                text.literal("playback_rate", rate.text());
                text.flag("visible", visible);
                text.flag("muted", muted);
            }
            text.close();
        });
    }

    /// Records an advertising event.
    pub(super) fn ad_event(&mut self, kind: &'static str, members: impl FnOnce(&mut Text)) {
        self.event("ad", kind, |text| {
            text.open("ad");
            members(text);
            text.close();
        });
    }

    /// Records something the viewer does beside watching.
    pub(super) fn interaction(&mut self, kind: &'static str, members: impl FnOnce(&mut Text)) {
        let (id, video, position) = (self.life.id, self.video(), self.life.position);
        self.recorder.record(self.life.now, "interaction", kind, |text| {
            text.uuid("playback_id", id);
            text.text("video_id", &video.id);
            text.int("content_version", 1);
            text.open("interaction");
            text.int("position_ms", position);
            members(text);
            text.close();
        });
    }

    fn event(&mut self, family: &'static str, kind: &'static str, members: impl FnOnce(&mut Text)) {
        let (id, video, seq, mono_ms) =
            (self.life.id, self.video(), self.life.seq, self.life.now - self.life.start);
        self.recorder.record(self.life.now, family, kind, |text| {
            text.uuid("playback_id", id);
            text.text("video_id", &video.id);
            text.int("content_version", 1);
            text.int("seq", seq);
            text.int("mono_ms", mono_ms);
            members(text);
        });
        self.life.seq += 1;
    }
}
