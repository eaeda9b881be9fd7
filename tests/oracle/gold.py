"""Gold tables as loops over playbacks and impressions. Slices are computed one by one, on purpose."""

SLICES = 100
VIDEO_KEY = ("report_date", "video_id", "content_version")
DAILY_KEY = VIDEO_KEY + ("country", "device_type", "stream_type")
AD_KEY = (
    "report_date",
    "advertiser_id",
    "campaign_id",
    "creative_id",
    "break_type",
    "country",
    "device_type",
    "currency",
)


def label(row, name):
    """A key's value; one that is not known has a name of its own (country ZZ, ISO 4217's XXX)."""
    unknown = {"country": "ZZ", "currency": "XXX"}.get(name, "unknown")
    return unknown if row[name] is None else row[name]


def grouped(rows, key):
    """(key values as dict, rows) per group."""
    groups = {}
    for row in rows:
        values = tuple(label(row, name) for name in key)
        groups.setdefault(values, []).append(row)
    return [(dict(zip(key, values)), members) for values, members in groups.items()]


def counts_for_gold(row):
    """Gold looks at mode main and never at test traffic."""
    return row["mode"] == "main" and not row["is_test"]


def counts_for_curve(row):
    """Started, on demand, of a known length; finished or not."""
    length = row["duration_ms"]
    on_demand = row["stream_type"] == "vod" and length is not None and length > 0
    return counts_for_gold(row) and on_demand and row["started"] == 1


def slice_units(start_ms, end_ms, number, duration_ms):
    """Overlap of [start, end) with a slice, in units of 1/100 ms, so that slice borders are integers."""
    low, high = (number - 1) * duration_ms, number * duration_ms
    return max(0, min(end_ms * 100, high) - max(start_ms * 100, low))


def curve(playbacks, duration_ms):
    """Per slice: watched units, runs that start, runs that stop, runs that show it."""
    for number in range(1, SLICES + 1):
        low, high = (number - 1) * duration_ms, number * duration_ms
        runs = [run for row in playbacks for run in row["_runs"]]
        yield {
            "slice": number,
            "plays": len(playbacks),
            "watched_units": sum(
                slice_units(start, end, number, duration_ms)
                for row in playbacks
                for _, _, start, end in row["_intervals"]
            ),
            "started_watching": sum(low <= start * 100 < high for start, _ in runs),
            "stopped_watching": sum(low < end * 100 <= high for _, end in runs),
            "total_segment_impressions": sum(slice_units(*run, number, duration_ms) > 0 for run in runs),
        }


def retention(playbacks):
    """gold.video_retention: every key has all its slices."""
    for key, members in grouped(filter(counts_for_curve, playbacks), VIDEO_KEY):
        for row in curve(members, members[0]["duration_ms"]):
            yield {**key, **row}


def exit_slice(row):
    """0 = finished (never an exit), 1..100 = left there, None = no position is known."""
    if row["completed"] == 1 or row["reached_end"] == 1:
        return 0
    if row["exit_ms"] is None:
        return None
    return -(-row["exit_ms"] * 100 // row["duration_ms"])


def dropoff(playbacks):
    """gold.video_dropoff: exits in a slice, and who was still there when it began."""
    for key, members in grouped(filter(counts_for_curve, playbacks), VIDEO_KEY):
        exits = [place for place in map(exit_slice, members) if place is not None]
        if not exits:
            continue
        for number in range(1, SLICES + 1):
            gone = sum(0 < place < number for place in exits)
            yield {
                **key,
                "slice": number,
                "exits": sum(place == number for place in exits),
                "at_risk": len(exits) - gone,
            }


def video_daily(playbacks):
    """gold.video_daily: attempts, and the measures of plays."""
    attempts = [row for row in playbacks if counts_for_gold(row) and (row["_requested"] or row["started"])]
    for key, members in grouped(attempts, DAILY_KEY):
        plays = [row for row in members if row["started"] == 1]
        known = [row for row in plays if row["duration_ms"] is not None]

        def total(name):
            return sum(row[name] or 0 for row in plays)

        yield {
            **key,
            "attempts": len(members),
            "plays": len(plays),
            "engaged_views": total("engaged"),
            "completes": total("completed"),
            "reached_end": total("reached_end"),
            "play_time_ms": total("play_time_ms"),
            "foreground_ms": total("foreground_ms"),
            "media_ms": total("media_ms"),
            "unique_media_ms": total("unique_media_ms"),
            "known_duration_ms": sum(row["duration_ms"] for row in known),
            "known_plays": len(known),
            "watched_ms": total("watched_ms"),
            "seeks": total("seeks"),
            "dropped": total("dropped"),
        }


def ad_daily(impressions):
    """gold.ad_daily without ad_ms; one currency per row, rounded once per row."""
    for key, members in grouped([row for row in impressions if not row["is_test"]], AD_KEY):
        nanos = sum(row["revenue_nanos"] for row in members)
        yield {
            **key,
            "impressions": len(members),
            "starts": sum(row["started"] for row in members),
            "first_quartiles": sum(row["q1"] for row in members),
            "midpoints": sum(row["q2"] for row in members),
            "third_quartiles": sum(row["q3"] for row in members),
            "completes": sum(row["completed"] for row in members),
            "skippable_starts": sum(row["started"] for row in members if row["skippable"] is True),
            "skips": sum(row["skipped"] for row in members),
            "clicks_total": sum(row["click_count"] for row in members),
            "clicked_impressions": sum(row["click_count"] > 0 for row in members),
            "errors": sum(row["error"] for row in members),
            "revenue_nanos": nanos,
            "revenue_micros": (nanos + 500) // 1_000,
        }
