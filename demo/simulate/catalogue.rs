//! The videos: what they are called, how long they run, and where people leave or look again.

use rand_distr::Zipf;

use super::Options;
use super::dice::{Dice, Use};
use super::text::Text;

const DAY_MS: i64 = 86_400_000;
const EPISODES: usize = 10;

const GENRES: [(u32, &str); 10] = [
    (18, "drama"),
    (16, "comedy"),
    (14, "documentary"),
    (12, "gaming"),
    (11, "music"),
    (9, "sport"),
    (8, "news"),
    (6, "cooking"),
    (4, "animation"),
    (2, "thriller"),
];
const LANGUAGES: [(u32, &str); 5] = [(48, "en"), (20, "fr"), (14, "de"), (12, "es"), (6, "it")];
const RATINGS: [(u32, &str); 4] = [(55, "all"), (25, "12"), (15, "16"), (5, "18")];
const FIRST: [&str; 24] = [
    "Glass", "Silent", "Copper", "Northern", "Paper", "Hidden", "Crimson", "Quiet", "Broken",
    "Golden", "Winter", "Electric", "Distant", "Salt", "Velvet", "Wild", "Second", "Hollow",
    "Midnight", "Open", "Painted", "Last", "Amber", "Borrowed",
];
const SECOND: [&str; 24] = [
    "Harbour",
    "Signals",
    "Orchard",
    "Mountain",
    "Letters",
    "River",
    "Engine",
    "Garden",
    "Station",
    "Kitchen",
    "Horizon",
    "Voices",
    "Machine",
    "Summer",
    "Island",
    "Tower",
    "Market",
    "Meadow",
    "Bridge",
    "Shadows",
    "Workshop",
    "Lighthouse",
    "Country",
    "Tide",
];
const SHAPES: [&str; 6] = [
    "The {}",
    "{}",
    "Inside the {}",
    "Return to the {}",
    "How to Build the {}",
    "Ten Minutes of {}",
];

/// One video and how it is watched. Times on its own timeline are in ms.
#[derive(Debug)]
pub(super) struct Video {
    pub(super) id: String,
    pub(super) creator_id: String,
    pub(super) duration_ms: i64,
    /// Short enough that the player repeats it.
    pub(super) loops: bool,
    /// Share of viewers who leave during the intro.
    pub(super) intro_drop: f64,
    /// Mean number of leaves over the whole length, after the intro.
    pub(super) decay: f64,
    /// A scene that people jump to and watch again.
    pub(super) spike: Option<(i64, i64)>,
    pub(super) credits_ms: Option<i64>,
    /// Carries advertising.
    pub(super) ads: bool,
    /// Where mid-rolls come.
    pub(super) cues: Vec<i64>,
    /// The next episode's place in the catalogue.
    pub(super) next: Option<usize>,
    /// When its title changes (epoch ms), if it does.
    pub(super) renamed_ms: Option<i64>,
    title: String,
    genre: &'static str,
    language: &'static str,
    rating: &'static str,
    content_type: &'static str,
    episode: Option<(usize, usize)>,
    publish_ms: i64,
}

/// All videos, and which of them are popular.
#[derive(Debug)]
pub(super) struct Catalogue {
    pub(super) videos: Vec<Video>,
    /// The videos from most to least popular.
    ranking: Vec<usize>,
    popularity: Option<Zipf<f64>>,
}

impl Catalogue {
    /// Draws a catalogue of `options.videos` videos.
    pub(super) fn new(options: &Options) -> Self {
        let mut dice = Dice::new(options.seed, Use::Catalogue, 0);
        let count = options.videos as usize;
        // A fifth of the videos are episodes, in whole series.
        let episodes = count / 5 / EPISODES * EPISODES;
        let videos: Vec<Video> =
            (0..count).map(|index| draw_video(&mut dice, options, index, episodes)).collect();
        let mut ranking: Vec<usize> = (0..count).collect();
        for place in (1..count).rev() {
            ranking.swap(place, dice.index(place + 1));
        }
        Self { videos, ranking, popularity: Zipf::new(count as f64, 0.9).ok() }
    }

    /// A video that somebody chooses to watch.
    pub(super) fn choose(&self, dice: &mut Dice) -> usize {
        let rank = self.popularity.as_ref().map_or(0, |zipf| dice.sample(zipf) as usize - 1);
        self.ranking[rank.min(self.ranking.len() - 1)]
    }
}

fn draw_video(dice: &mut Dice, options: &Options, index: usize, episodes: usize) -> Video {
    let episode = (index < episodes).then_some((index / EPISODES, index % EPISODES));
    // What belongs to the series is drawn from the series, so that its episodes agree.
    let mut own = match episode {
        Some((series, _)) => Dice::new(options.seed, Use::Catalogue, 1 + series as u64),
        None => Dice::new(options.seed, Use::Catalogue, 1_000_000 + index as u64),
    };
    let content_type = match episode {
        Some(_) => "episode",
        None => own.pick(&[(26, "short"), (62, "clip"), (6, "trailer"), (6, "movie")]),
    };
    let minutes = match content_type {
        "short" => own.spread(0.5, 0.6).clamp(8.0 / 60.0, 1.0),
        "trailer" => own.spread(1.8, 0.2).clamp(1.0, 3.0),
        "movie" => 75.0 + 25.0 * own.share(),
        "episode" => own.spread(22.0, 0.3).clamp(12.0, 50.0),
        _ => own.spread(5.5, 0.7).clamp(1.0, 20.0),
    };
    let name = name(&mut own);
    let genre = own.pick(&GENRES);
    let language = own.pick(&LANGUAGES);
    let rating = own.pick(&RATINGS);
    let creator_id = format!("cr_{}", 10 + (own.share().powi(2) * 90.0) as u32);
    let jitter = if episode.is_some() { 0.95 + 0.1 * dice.share() } else { 1.0 };
    // Whole frames at 25 a second.
    let duration_ms = ((minutes * jitter * 1500.0) as i64).max(200) * 40;
    let title = match episode {
        Some((_, number)) => format!("{name} S1 E{}: {}", number + 1, pair(dice)),
        None => name,
    };
    let middle = options.start_ms + (options.span_ms as f64 * (0.4 + 0.2 * dice.share())) as i64;
    let ads = dice.chance(0.75);
    Video {
        id: format!("v_{}", 1001 + index),
        creator_id,
        duration_ms,
        loops: content_type == "short",
        intro_drop: 0.06 + 0.2 * dice.share(),
        decay: 0.25 + 0.9 * dice.share(),
        spike: spike(dice, duration_ms),
        credits_ms: (duration_ms > 600_000).then(|| duration_ms - duration_ms / 25),
        ads,
        cues: if ads { cues(dice, duration_ms) } else { Vec::new() },
        next: episode.filter(|(_, number)| number + 1 < EPISODES).map(|_| index + 1),
        renamed_ms: dice.chance(0.04).then_some(middle),
        title,
        genre,
        language,
        rating,
        content_type,
        episode,
        publish_ms: options.start_ms - dice.between(1, 700) * DAY_MS - dice.between(0, DAY_MS),
    }
}

fn pair(dice: &mut Dice) -> String {
    format!("{} {}", dice.any(&FIRST), dice.any(&SECOND))
}

fn name(dice: &mut Dice) -> String {
    let pair = pair(dice);
    dice.any(&SHAPES).replace("{}", &pair)
}

fn spike(dice: &mut Dice, duration_ms: i64) -> Option<(i64, i64)> {
    if duration_ms < 90_000 || !dice.chance(0.35) {
        return None;
    }
    let start = (duration_ms as f64 * (0.2 + 0.5 * dice.share())) as i64;
    Some((start, start + dice.between(8_000, 30_000).min(duration_ms / 8)))
}

fn cues(dice: &mut Dice, duration_ms: i64) -> Vec<i64> {
    let step = dice.between(360_000, 540_000);
    (1..=(duration_ms - 120_000) / step).map(|count| count * step).collect()
}

impl Video {
    /// The record of the video; `renamed` gives the one that holds from its new title on.
    pub(super) fn record(&self, line: &mut Text, renamed: bool) {
        line.clear();
        line.raw(b"{");
        line.text("video_id", &self.id);
        line.int("content_version", 1);
        let addition = if renamed { " (Director's Pick)" } else { "" };
        line.text("title", &format!("{}{addition}", self.title));
        line.text("genre", self.genre);
        line.text("creator_id", &self.creator_id);
        line.text("language", self.language);
        line.text("content_type", self.content_type);
        line.text("maturity_rating", self.rating);
        if let Some((series, number)) = self.episode {
            line.text("series_id", &format!("s_{}", series + 1));
            line.int("season_no", 1);
            line.int("episode_no", number as i64 + 1);
        }
        line.int("duration_ms", self.duration_ms);
        if let Some(credits_ms) = self.credits_ms {
            line.int("credits_start_ms", credits_ms);
        }
        line.flag("is_live", false);
        line.text("stream_type", "vod");
        line.text("monetization", if self.ads { "AVOD" } else { "SVOD" });
        line.time("publish_ts", self.publish_ms);
        let from = self.renamed_ms.filter(|_| renamed).unwrap_or(self.publish_ms);
        line.time("valid_from", from);
        line.close();
    }
}
