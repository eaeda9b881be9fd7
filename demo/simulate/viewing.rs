//! How people watch: they leave early, look twice at one scene, pause, jump about, and get stalled.

use super::advert;
use super::dice::Dice;
use super::playback::{End, HEARTBEAT_MS, Playback, Rate, Stage};

/// Mean playing time between two things that a viewer or the network does.
const HAPPENING_MS: i64 = 100_000;
/// Nothing of the kind happens sooner: two jumps in a row would hide one another.
const CALM_MS: i64 = 2_000;
/// A jump is at least this long, so that it never looks like playing on.
const JUMP_MS: i64 = 5_000;

/// How a viewing will end before the end of the video, if it gets there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Stop,
    Crash,
    Fail,
}

/// A place on the content's timeline where something happens.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    End,
    Exit,
    Advert,
    Again,
}

/// What somebody is going to do.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    exit: Exit,
    /// Position of leaving (ms); beyond the end for who stays.
    exit_ms: i64,
    /// How often the favourite scene is still to be watched again.
    again: u32,
    /// Mid-rolls up to this one are over.
    cue: usize,
    /// Time of the next happening (epoch ms).
    next: i64,
}

/// Watches until the next event of a playback that is not over.
pub(super) fn step(playback: &mut Playback, plan: &mut Plan) {
    let (mark_ms, mark) = next_mark(playback, plan);
    let rate = playback.life.rate;
    let to_mark = rate.wall(mark_ms - playback.position());
    let to_beat = rate.whole((playback.life.beat_at - playback.now()).max(0));
    let to_next = rate.whole((plan.next - playback.now()).max(0));
    if to_mark <= to_beat && to_mark <= to_next {
        playback.play_on(to_mark, mark_ms - playback.position());
        reach(playback, plan, mark);
    } else if to_beat <= to_next {
        playback.play_on(to_beat, rate.media(to_beat));
        playback.beat();
    } else {
        playback.play_on(to_next, rate.media(to_next));
        happen(playback, plan);
        plan.next = next_happening(playback);
    }
}

/// Decides at the first frame how the viewing will go.
pub(super) fn plan(playback: &mut Playback) -> Plan {
    let preview = playback.ask().mode == "preview";
    let exit = playback.dice.pick(&[(965, Exit::Stop), (27, Exit::Crash), (8, Exit::Fail)]);
    let exit_ms = if preview {
        playback.position() + playback.dice.between(2_000, 15_000)
    } else {
        exit_position(playback)
    };
    let again = match playback.video().spike {
        Some(_) if !preview && playback.dice.chance(0.35) => {
            1 + u32::from(playback.dice.chance(0.2))
        }
        _ => 0,
    };
    let cue = if playback.ask().ads { 0 } else { playback.video().cues.len() };
    let next = if preview { i64::MAX / 8 } else { next_happening(playback) };
    Plan { exit, exit_ms, again, cue, next }
}

fn next_happening(playback: &mut Playback) -> i64 {
    playback.now() + CALM_MS + playback.dice.wait(HAPPENING_MS)
}

/// Draws where the viewer leaves: a steep intro, then an even decay, then the credits.
fn exit_position(playback: &mut Playback) -> i64 {
    let (video, from) = (playback.video(), playback.position());
    let duration_ms = video.duration_ms;
    let dice: &mut Dice = playback.dice;
    if dice.chance(video.intro_drop) {
        return from + 600 + dice.wait((duration_ms / 12).min(14_000));
    }
    let share = dice.exponential() / video.decay;
    let exit_ms = from + (share * duration_ms as f64) as i64;
    match video.credits_ms {
        Some(credits_ms) if exit_ms >= credits_ms && dice.chance(0.7) => {
            (credits_ms + dice.wait(8_000)).max(from)
        }
        _ => exit_ms,
    }
}

/// The next place where something happens, from the position on.
fn next_mark(playback: &Playback, plan: &mut Plan) -> (i64, Mark) {
    let position = playback.position();
    let mut next = (playback.video().duration_ms, Mark::End);
    if plan.exit_ms < next.0 {
        next = (plan.exit_ms.max(position), Mark::Exit);
    }
    // A mid-roll that was jumped over is gone.
    while playback.video().cues.get(plan.cue).is_some_and(|cue| *cue < position) {
        plan.cue += 1;
    }
    if let Some(cue) = playback.video().cues.get(plan.cue).filter(|cue| **cue < next.0) {
        next = (*cue, Mark::Advert);
    }
    match playback.video().spike {
        Some((_, end)) if plan.again > 0 && position < end && end < next.0 => (end, Mark::Again),
        _ => next,
    }
}

fn reach(playback: &mut Playback, plan: &mut Plan, mark: Mark) {
    match mark {
        Mark::End => finish(playback, plan),
        Mark::Exit => match plan.exit {
            Exit::Stop => {
                let ways = [(60, "user"), (30, "navigate"), (10, "app_close")];
                let reason = playback.dice.pick(&ways);
                playback.leave(reason);
            }
            Exit::Crash => playback.life.end = Some(End::Crashed),
            Exit::Fail => playback.fail(false),
        },
        Mark::Advert => {
            plan.cue += 1;
            if advert::show(playback, "midroll") && playback.is_in_ad() {
                playback.resume("ad_end");
                plan.next = next_happening(playback);
            }
        }
        Mark::Again => {
            plan.again -= 1;
            if let Some((start, _)) = playback.video().spike {
                seek(playback, start, "scrub");
                plan.next = next_happening(playback);
            }
        }
    }
}

/// The end of the video: a short one may begin again.
fn finish(playback: &mut Playback, plan: &mut Plan) {
    let repeats =
        playback.video().loops && playback.ask().mode == "main" && playback.dice.chance(0.4);
    if !repeats {
        playback.enter(Stage::Ended);
        playback.life.end = Some(End::Completed);
        playback.video_event("complete", |text| text.flag("loop", false));
        return;
    }
    playback.video_event("complete", |text| text.flag("loop", true));
    if playback.is_over() {
        // The app died on the last frame: there is no second round.
        return;
    }
    playback.jump(0);
    plan.exit_ms = playback.dice.between(0, playback.video().duration_ms * 2);
}

/// Something that a viewer or the network does now and then.
fn happen(playback: &mut Playback, plan: &mut Plan) {
    match playback.dice.index(100) {
        0..20 => pause(playback),
        20..32 => forward(playback, plan),
        32..40 => backward(playback),
        40..56 => stall(playback),
        56..62 => change_rate(playback),
        62..72 => change_visibility(playback),
        72..90 => playback.change_quality(),
        90..92 => playback.video_event("error", |text| {
            text.flag("fatal", false);
            text.text("error_code", "SEGMENT_RETRY");
            text.text("error_category", "network");
        }),
        _ => interact(playback),
    }
}

fn pause(playback: &mut Playback) {
    let reason = playback.dice.pick(&[(80, "user"), (12, "background"), (8, "app")]);
    playback.enter(Stage::Paused);
    playback.video_event("pause", |text| text.text("reason", reason));
    let wait = 1_500 + playback.dice.wait(28_000).min(900_000);
    playback.pass(wait.min(HEARTBEAT_MS));
    if wait > HEARTBEAT_MS {
        playback.beat();
        playback.pass(wait - HEARTBEAT_MS);
    }
    if playback.dice.chance(0.06) {
        playback.leave("user");
    } else {
        playback.resume("resume");
    }
}

fn forward(playback: &mut Playback, plan: &mut Plan) {
    let (position, duration_ms) = (playback.position(), playback.video().duration_ms);
    let last = duration_ms - 3_000;
    let favourite =
        playback.video().spike.map(|(start, _)| start).filter(|start| *start > position);
    let target = match favourite {
        Some(start) if playback.dice.chance(0.5) => start,
        _ => position + JUMP_MS + playback.dice.wait(duration_ms / 8),
    };
    if target < position + JUMP_MS || target > last {
        return;
    }
    // Who jumps wants to see something there.
    plan.exit_ms = plan.exit_ms.max(target + playback.dice.between(2_000, 60_000));
    seek(playback, target, "skip");
}

fn backward(playback: &mut Playback) {
    let target = playback.position() - JUMP_MS - playback.dice.wait(15_000);
    if target >= 0 {
        seek(playback, target, "scrub");
    }
}

fn seek(playback: &mut Playback, target_ms: i64, reason: &str) {
    let from = playback.position();
    playback.jump(target_ms);
    let waits = playback.dice.chance(0.4);
    if waits {
        playback.enter(Stage::Seeking);
    }
    playback.video_event("seek", |text| {
        text.int("from_position_ms", from);
        text.text("reason", reason);
    });
    if !waits {
        return;
    }
    let wait = playback.dice.between(80, 1_500);
    playback.pass(wait);
    playback.enter(Stage::Playing);
    buffer(playback, "end", "seek", Some(wait));
    playback.life.beat_at = playback.now() + HEARTBEAT_MS;
}

fn stall(playback: &mut Playback) {
    playback.enter(Stage::Rebuffering);
    buffer(playback, "start", "stall", None);
    let wait = playback.dice.spread(1_400.0, 0.9).clamp(150.0, 60_000.0) as i64;
    playback.pass(wait);
    if wait > 12_000 && playback.dice.chance(0.5) {
        playback.leave("user");
        return;
    }
    playback.enter(Stage::Playing);
    buffer(playback, "end", "stall", Some(wait));
    playback.life.beat_at = playback.now() + HEARTBEAT_MS;
}

fn buffer(playback: &mut Playback, phase: &str, reason: &str, duration_ms: Option<i64>) {
    playback.video_event("buffer", |text| {
        text.text("phase", phase);
        text.text("reason", reason);
        if let Some(duration_ms) = duration_ms {
            text.int("duration_ms", duration_ms);
        }
    });
}

fn change_rate(playback: &mut Playback) {
    let rates = [(4, 2), (40, 4), (22, 5), (24, 6), (10, 8)];
    let rate = Rate(playback.dice.pick(&rates));
    if rate != playback.life.rate {
        playback.life.rate = rate;
        playback.video_event("rate_change", |_| {});
    }
}

fn change_visibility(playback: &mut Playback) {
    if playback.life.setting.device.can_hide {
        playback.life.visible = !playback.life.visible;
        playback.video_event("visibility", |_| {});
    }
}

fn interact(playback: &mut Playback) {
    let kinds = [
        (52, "like"),
        (6, "dislike"),
        (14, "comment"),
        (10, "share"),
        (10, "subscribe"),
        (8, "save"),
    ];
    let kind = playback.dice.pick(&kinds);
    let action = if playback.dice.chance(0.94) { "add" } else { "remove" };
    let number = playback.dice.bits();
    let video = playback.video();
    playback.interaction(kind, |text| {
        text.text("action", if matches!(kind, "comment" | "share") { "add" } else { action });
        text.text("target", if kind == "subscribe" { "creator" } else { "video" });
        match kind {
            "subscribe" => text.text("creator_id", &video.creator_id),
            "comment" => {
                text.id("comment_id", "c_", number);
                text.int("text_len", 3 + (number % 240) as i64);
            }
            "share" => {
                text.text("share_service", ["copy_link", "messenger"][(number & 1) as usize]);
            }
            _ => {}
        }
    });
}
