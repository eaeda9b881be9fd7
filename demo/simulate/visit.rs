//! One visit of a viewer: a session with its pages, previews and playbacks.
//!
//! A visit moves on by one event or a few at a time, so that many can go on side by side.

use super::World;
use super::audience::{Device, Viewer};
use super::dice::{Dice, Use};
use super::playback::{Ask, End, Life, Playback, Setting};
use super::recorder::{Recorder, Room};
use super::text::Text;
use super::topic::Topic;
use super::viewing::{self, Plan};

/// Visits begin up to this long after their turn.
const JITTER_MS: i64 = 60_000;

const ENTRIES: [(u32, (&str, &str, &str)); 6] = [
    (40, ("/home", "direct", "none")),
    (20, ("/search", "search", "organic")),
    (14, ("/watch", "social", "referral")),
    (10, ("/home", "newsletter", "email")),
    (10, ("/watch", "push", "notification")),
    (6, ("/trending", "partner", "cpc")),
];
const WORDS: [&str; 8] =
    ["harbour", "signals", "how to", "kitchen", "trailer", "match", "concert", "news"];

/// Lines of the truth, and how many there were ever.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) text: Text,
    pub(super) playbacks: u64,
}

/// What a viewer does next when no video is playing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Todo {
    Arrive,
    Choose,
    /// Watch this video, perhaps since it follows the last one.
    Watch(usize, bool),
    Depart,
    Nothing,
}

/// A visit under way.
#[derive(Debug)]
pub(super) struct Visit<'w> {
    world: &'w World,
    dice: Dice,
    recorder: Recorder,
    device: Device,
    ads: bool,
    /// Epoch ms.
    now: i64,
    todo: Todo,
    playing: Option<Box<(Life<'w>, Plan)>>,
}

impl<'w> Visit<'w> {
    /// Visit `number`, which begins up to a minute after `turn` (epoch ms).
    pub(super) fn new(world: &'w World, number: u64, turn: i64, room: &Room) -> Self {
        let mut dice = Dice::new(world.seed, Use::Visit, number);
        let now = turn + dice.between(0, JITTER_MS);
        // Squared: some people come often.
        let person = (dice.share().powi(2) * world.viewers as f64) as u64;
        let viewer = Viewer::new(world.seed, person);
        let session_id = dice.uuid(now);
        let (device, envelope) = viewer.visit(&mut dice, session_id);
        let recorder = Recorder::new(world.faults, world.seed, number, room, envelope);
        let (ads, todo) = (viewer.sees_ads(), Todo::Arrive);
        Self { world, dice, recorder, device, ads, now, todo, playing: None }
    }

    /// The time (epoch ms) before which nothing more happens here.
    pub(super) fn now(&self) -> i64 {
        self.now
    }

    /// The lines recorded so far.
    pub(super) fn lines(&self) -> u64 {
        self.recorder.lines()
    }

    /// Moves on to the next event. False if there is none.
    pub(super) fn step(&mut self, told: &mut Told) -> bool {
        match (self.playing.take(), self.todo) {
            (Some(playing), _) => self.watch(playing, told),
            (None, Todo::Arrive) => self.arrive(),
            (None, Todo::Choose) => self.choose(told),
            (None, Todo::Watch(index, follows)) => {
                let ask = self.ask(index, follows);
                self.play(index, ask, told);
            }
            (None, Todo::Depart) => self.depart(),
            (None, Todo::Nothing) => {}
        }
        self.playing.is_some() || self.todo != Todo::Nothing
    }

    /// Sends what is due by now.
    pub(super) fn flush(&mut self, topic: &mut Topic) {
        self.recorder.flush(self.now, topic);
    }

    /// The visit is over, or stops dead with what is playing; sends all that is left.
    pub(super) fn close(mut self, topic: &mut Topic, told: &mut Told) {
        if let Some(mut playing) = self.playing.take() {
            tell(&mut playing.0, told);
        }
        self.recorder.flush_all(topic);
    }

    fn arrive(&mut self) {
        let (entry, source, medium) = self.dice.pick(&ENTRIES);
        self.event("session", "session_start", |text| {
            text.text("entry", entry);
            text.text("source", source);
            text.text("medium", medium);
        });
        self.now += self.dice.between(200, 1_500);
        if self.dice.chance(0.5) {
            self.event("web", "page_view", |text| text.text("page", entry));
        }
        if self.dice.chance(0.18) {
            self.now += 2_000 + self.dice.wait(8_000);
            let query = *self.dice.any(&WORDS);
            let results = self.dice.between(0, 120);
            self.event("web", "search", |text| {
                text.text("query", query);
                text.int("results", results);
                text.text("page", "/search");
            });
        }
        self.now += 1_000 + self.dice.wait(12_000);
        self.todo = Todo::Choose;
    }

    /// Finds a video in a list, perhaps after a silent preview, which is no viewing.
    fn choose(&mut self, told: &mut Told) {
        let index = self.world.catalogue.choose(&mut self.dice);
        self.todo = Todo::Watch(index, false);
        if self.dice.chance(0.2) {
            let (mode, source) = ("preview", "browse");
            self.play(index, Ask { autoplay: true, mode, source, ads: false, from_ms: 0 }, told);
        }
    }

    fn ask(&mut self, index: usize, follows: bool) -> Ask {
        let video = &self.world.catalogue.videos[index];
        let ways =
            [(34, "suggested"), (26, "browse"), (18, "search"), (14, "external"), (8, "playlist")];
        let source = if follows { "next_episode" } else { self.dice.pick(&ways) };
        let resumes = !follows && video.duration_ms > 900_000 && self.dice.chance(0.15);
        let from_ms =
            if resumes { self.dice.between(60_000, video.duration_ms * 3 / 4) } else { 0 };
        Ask { autoplay: follows, mode: "main", source, ads: self.ads && video.ads, from_ms }
    }

    /// Asks for a video, and waits for its first frame.
    fn play(&mut self, index: usize, ask: Ask, told: &mut Told) {
        let video = &self.world.catalogue.videos[index];
        let setting = Setting { video, adverts: &self.world.adverts, device: self.device, ask };
        let mut life = Life::new(&mut self.dice, setting, self.now);
        let (dice, recorder) = (&mut self.dice, &mut self.recorder);
        let mut playback = Playback { dice, recorder, life: &mut life };
        let plan = playback.begin().then(|| viewing::plan(&mut playback));
        self.now = life.now;
        match plan {
            Some(plan) => self.playing = Some(Box::new((life, plan))),
            None => self.end(&mut life, told),
        }
    }

    fn watch(&mut self, mut playing: Box<(Life<'w>, Plan)>, told: &mut Told) {
        let (life, plan) = &mut *playing;
        let (dice, recorder) = (&mut self.dice, &mut self.recorder);
        viewing::step(&mut Playback { dice, recorder, life }, plan);
        self.now = life.now;
        if life.end.is_some() {
            self.end(life, told);
        } else {
            self.playing = Some(playing);
        }
    }

    /// Decides what comes after a playback.
    fn end(&mut self, life: &mut Life<'w>, told: &mut Told) {
        tell(life, told);
        if life.setting.ask.mode == "preview" {
            self.now += 300;
        } else if life.end == Some(End::Completed) && self.dice.chance(0.75) {
            self.todo =
                life.setting.video.next.map_or(Todo::Choose, |next| Todo::Watch(next, true));
            self.now += 5_000;
        } else if self.dice.chance(0.4) {
            self.todo = Todo::Depart;
        } else {
            self.todo = Todo::Choose;
            self.now += 2_000 + self.dice.wait(25_000);
        }
        if life.end == Some(End::Crashed) {
            self.todo = Todo::Nothing;
        }
    }

    fn depart(&mut self) {
        self.todo = Todo::Nothing;
        if self.dice.chance(0.012) {
            self.buy();
        }
        self.now += 500 + self.dice.wait(10_000);
        let reason =
            self.dice.pick(&[(48, "user"), (30, "app_close"), (20, "timeout"), (2, "logout")]);
        if self.dice.chance(0.9) {
            self.event("session", "session_end", |text| text.text("end_reason", reason));
        }
    }

    /// Buys something in the shop beside the videos.
    fn buy(&mut self) {
        let product = format!("p_{}", 1 + self.dice.index(40));
        let price = 9_900_000 + self.dice.between(0, 20) * 5_000_000;
        let order = self.dice.bits();
        for kind in ["product_view", "add_to_cart", "checkout_start", "purchase"] {
            self.now += 3_000 + self.dice.wait(15_000);
            if kind != "product_view" && self.dice.chance(0.25) {
                return;
            }
            self.event("web", kind, |text| {
                text.text("product_id", &product);
                text.int("price_micros", price);
                text.text("currency", "EUR");
                if kind == "purchase" {
                    text.id("order_id", "o_", order);
                    text.int("order_value_micros", price);
                }
            });
        }
    }

    fn event(&mut self, family: &'static str, kind: &'static str, members: impl FnOnce(&mut Text)) {
        self.recorder.record(self.now, family, kind, |text| {
            text.open(family);
            members(text);
            text.close();
        });
    }
}

/// Writes down what a playback truly showed, previews included.
fn tell(life: &mut Life, told: &mut Told) {
    told.playbacks += 1;
    let text = &mut told.text;
    text.raw(b"{");
    text.uuid("playback_id", life.id);
    text.text("video_id", &life.setting.video.id);
    text.raw(b",\"segments\":[");
    let truth = life.viewed();
    for (count, (start, end)) in truth.segments.iter().enumerate() {
        text.raw(if count == 0 { b"[" } else { b",[" });
        text.number(*start);
        text.raw(b",");
        text.number(*end);
        text.raw(b"]");
    }
    text.raw(b"]");
    text.int("play_time_ms", truth.play_time_ms);
    text.raw(b"}\n");
}
