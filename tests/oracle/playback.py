"""One playback from its events: steps, viewed intervals, runs, and the row of silver.playbacks.

Rules: domain.md part 6 and the fixed rules' edges. Every quantity is an integer except the playback
rate; where the rate enters, the arithmetic is IEEE double, as the rules say (`ROUND` half away from zero).
"""

import datetime
import math
import zoneinfo

from events import first_known

TOLERANCE_MS = 2_000
GAP_CAP_MS = 15_000
STALL_CAP_MS = 300_000
RUN_TOLERANCE_MS = 1_000
STEP_CAP_MS = 10_000_000_000  # of clock and of media: beyond it a clock was set
FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999  # the years 1 to 9999
ENGAGED_MS = 30_000
COMPLETE_PERCENT = 95


def round_half_away(value):
    """ROUND of a double: halves go away from zero."""
    whole = math.floor(abs(value))
    whole += 1 if abs(value) - whole >= 0.5 else 0
    return whole if value >= 0 else -whole


def report_date(start_ts_ms, zone):
    """The calendar day of a corrected start in the reporting time zone, within the years 1 to 9999."""
    moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    moment += datetime.timedelta(milliseconds=start_ts_ms)
    try:
        return moment.astimezone(zoneinfo.ZoneInfo(zone)).date().isoformat()
    except OverflowError:  # the day before the first or after the last
        return moment.date().isoformat()


def within_calendar(ts_ms):
    """A corrected time, kept between the years 1 and 9999."""
    return max(FIRST_MS, min(ts_ms, LAST_MS))


def attributes(playback_id, events, zone):
    """What identifies and describes a playback; `events` are all its video and ad events, in order."""
    version = first_known(events, "content_version")
    start_ts_ms = within_calendar(min(event["ts_ms"] for event in events))
    return {
        "playback_id": playback_id,
        "video_id": first_known(events, "video_id"),
        "content_version": 1 if version is None else version,
        "start_ts_ms": start_ts_ms,
        "report_date": report_date(start_ts_ms, zone),
        "mode": first_known(events, "video", "mode") or "main",
        "stream_type": first_known(events, "video", "stream_type") or "vod",
        "country": first_known(events, "country"),
        "device_type": first_known(events, "device_type"),
        "is_test": bool(first_known(events, "is_test")),
    }


class Step:
    """The stretch between one video event and the next."""

    def __init__(self, event, following, duration_ms):
        video, after = event["video"], following["video"]
        self.seq = event["seq"]
        self.state = video["state"]
        self.rate = float(video.get("playback_rate") or 1.0)
        self.visible = video.get("visible") is not False
        looped = event["type"] == "complete" and video.get("loop") is True
        self.before = 0 if looped else video.get("position_ms")
        is_seek = following["type"] == "seek"
        self.after = after.get("from_position_ms") if is_seek else after.get("position_ms")
        if event.get("mono_ms") is not None and following.get("mono_ms") is not None:
            elapsed = following["mono_ms"] - event["mono_ms"]
        else:
            elapsed = following["ts_ms"] - event["ts_ms"]
        self.elapsed = max(0, min(elapsed, STEP_CAP_MS))  # a clock that steps back takes no time away
        self.duration_ms = duration_ms
        self.kind = self._kind()

    def _kind(self):
        """contiguous, loop or jump while content plays; None for any other stretch."""
        if self.state != "playing" or self.before is None or self.after is None:
            return None
        allowed = self.elapsed * self.rate + TOLERANCE_MS
        if self.after >= self.before:
            return "contiguous" if self.after - self.before <= min(allowed, STEP_CAP_MS) else "jump"
        if self.duration_ms is not None and self.media_ms("loop") <= allowed:
            return "loop"
        return "jump"

    def media_ms(self, kind):
        """Media played between the two positions, forwards or around the end."""
        moved = self.after - self.before
        return moved + self.duration_ms if kind == "loop" else moved

    def play_time_ms(self):
        """Wall time that the media evidence supports; never negative, also from beyond the end."""
        if self.kind is None:
            return 0
        if self.kind == "jump":
            return min(self.elapsed, GAP_CAP_MS)
        return max(0, round_half_away(self.media_ms(self.kind) / self.rate))

    def unaccounted_ms(self):
        """Wall time beyond what the media moved (a double; summed, then cut off)."""
        if self.kind != "contiguous":
            return 0.0
        return max(0.0, self.elapsed - self.media_ms("contiguous") / self.rate)

    def intervals(self):
        """(seq, part, start, end): half-open, inside the media, never empty."""
        spans = []
        if self.kind == "contiguous":
            spans = [(0, self.before, self.after)]
        elif self.kind == "loop":
            spans = [(0, self.before, self.duration_ms), (1, 0, self.after)]
        for part, start, end in spans:
            start = max(start, 0)
            end = end if self.duration_ms is None else min(end, self.duration_ms)
            if end > start:
                yield (self.seq, part, start, end)


def runs_of(intervals):
    """Viewed segments: consecutive intervals whose edges meet. A run is [start, end]."""
    runs, previous_end = [], None
    for _, _, start, end in intervals:
        if previous_end is not None and abs(start - previous_end) <= RUN_TOLERANCE_MS:
            runs[-1] = [min(runs[-1][0], start), max(runs[-1][1], end)]
        else:
            runs.append([start, end])
        previous_end = end
    return runs


def union_ms(intervals):
    """Media covered at least once: sort by start and add what reaches beyond the furthest end."""
    covered, furthest = 0, None
    for start, end in sorted((start, end) for _, _, start, end in intervals):
        begin = start if furthest is None else max(start, furthest)
        covered += max(0, end - begin)
        furthest = end if furthest is None else max(furthest, end)
    return covered


def startup_ms(video_events):
    """Reported by the player, else first play minus first request, on one clock."""
    reported = [e["video"]["startup_ms"] for e in video_events if e["video"].get("startup_ms") is not None]
    if reported:
        return min(reported)
    plays = [event for event in video_events if event["type"] == "play"]
    requests = [event for event in video_events if event["type"] == "play_request"]
    if not plays or not requests:
        return None
    play, request = plays[0], requests[0]
    if play.get("mono_ms") is not None and request.get("mono_ms") is not None:
        return max(0, play["mono_ms"] - request["mono_ms"])
    return max(0, play["ts_ms"] - request["ts_ms"])


def flags(video_events):
    """0/1 facts that single events prove."""
    def seen(test):
        return int(any(test(event["type"], event["video"]) for event in video_events))

    def is_business(video):
        return video.get("is_business_exception") is True

    return {
        "started": seen(lambda kind, video: kind == "play" or video["state"] == "playing"),
        "requested": seen(lambda kind, video: kind == "play_request"),
        "failed": seen(lambda kind, video: video.get("fatal") is True and not is_business(video)),
        "business": seen(lambda kind, video: video.get("fatal") is True and is_business(video)),
        "complete_event": seen(lambda kind, video: kind == "complete"),
        "clean_end": seen(
            lambda kind, video: kind == "stop"
            or (kind == "complete" and video.get("loop") is not True)
            or video.get("fatal") is True
        ),
    }


def success_score(seen, wall_ms):
    """0 failed, 50 left before the start, nothing when that was at once, 100 otherwise."""
    if seen["failed"]:
        return 0
    if seen["business"]:
        return None
    if not seen["started"]:
        return None if wall_ms < 1_000 else 50
    return 100


def outcome(seen, row, target_ms):
    """How the playback ended; shares are NULL where the length is unknown, never 0."""
    duration_ms, unique_ms = row["duration_ms"], row["unique_media_ms"]

    def reaches(value, whole):
        return int((value or 0) > 0 and value * 100 >= whole * COMPLETE_PERCENT)

    reached_end = None if duration_ms is None else reaches(row["max_position_ms"], duration_ms)
    covered = duration_ms is not None and reaches(unique_ms, duration_ms)
    return {
        "ebvs": int(not (seen["started"] or seen["failed"] or seen["business"])),
        "start_failure": int(not seen["started"] and bool(seen["failed"])),
        "dropped": int(bool(seen["started"]) and not seen["clean_end"]),
        "reached_end": 1 if seen["complete_event"] else reached_end,
        "completed": None if target_ms is None else reaches(unique_ms, target_ms),
        "engaged": int(row["play_time_ms"] >= ENGAGED_MS or covered),
    }


def measure(events, length):
    """The measures of one playback and its intervals. `length` is (duration, source, target)."""
    duration_ms, source, target_ms = length
    video_events = [event for event in events if event["family"] == "video"]
    steps = [Step(one, two, duration_ms) for one, two in zip(video_events, video_events[1:])]
    intervals = [interval for step in steps for interval in step.intervals()]
    runs, seen = runs_of(intervals), flags(video_events)

    def time_in(state, cap=None):
        spent = [step.elapsed for step in steps if step.state == state]
        return sum(spent if cap is None else [min(value, cap) for value in spent])

    times = [within_calendar(event["ts_ms"]) for event in events]
    wall_ms = max(times) - min(times)
    row = {
        "duration_ms": duration_ms,
        "duration_source": source,
        "started": seen["started"],
        "startup_ms": startup_ms(video_events),
        "play_time_ms": sum(step.play_time_ms() for step in steps),
        "foreground_ms": sum(step.play_time_ms() for step in steps if step.visible),
        "media_ms": sum(end - start for _, _, start, end in intervals),
        "unique_media_ms": union_ms(intervals),
        "max_position_ms": max((end for _, _, _, end in intervals), default=None),
        "exit_ms": runs[-1][1] if runs else None,
        "stall_ms": time_in("rebuffering", STALL_CAP_MS),
        "stall_count": sum(
            event["type"] == "buffer"
            and (event["video"].get("phase"), event["video"].get("reason")) == ("start", "stall")
            for event in video_events
        ),
        "paused_ms": time_in("paused"),
        "ad_ms": time_in("ad"),
        "seeks": sum(event["type"] == "seek" for event in video_events),
        "inferred_jumps": sum(step.kind == "jump" for step in steps),
        "unaccounted_ms": int(sum(step.unaccounted_ms() for step in steps)),
        "failed": seen["failed"],
        "playback_success_score": success_score(seen, wall_ms),
    }
    row["watched_ms"] = time_in("starting") + row["play_time_ms"] + row["stall_ms"] + time_in("seeking")
    row.update(outcome(seen, row, target_ms))
    return row, intervals, runs, seen["requested"]
