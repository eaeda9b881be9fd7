#!/usr/bin/env python3
"""Independent brute force: contract events and video records in, exact rows of silver and gold out.

  python3 tests/oracle/oracle.py --events PATH --videos PATH [--tz UTC] --out DIR
  python3 tests/oracle/oracle.py --events PATH --videos PATH --expected FILE

The second form is the self-check against hand-set expectations; it exits 1 on any difference.
"""

import argparse
import json
import os
import sys

import ads
import gold
import playback
from events import group_by_playback, read_dated_records, read_records
from tables import TABLES, write
from videos import Lengths


def compute(events, video_records, zone):
    """All tables as lists of dicts, by table name."""
    groups = group_by_playback(events)
    described = {key: playback.attributes(key, members, zone) for key, members in groups.items()}
    lengths = Lengths(
        video_records,
        [((described[key]["video_id"], described[key]["content_version"]), groups[key]) for key in groups],
    )
    playbacks, impressions = [], []
    for playback_id, members in groups.items():
        row = described[playback_id]
        impressions.extend(ads.impressions(row, members))
        length = lengths.of(row["video_id"], row["content_version"])
        if row["stream_type"] != "vod":
            length = (None, "unknown", None)  # live positions are programme time: no duration, no share
        measures, intervals, runs, requested = playback.measure(members, length)
        hidden = {"_intervals": intervals, "_runs": runs, "_requested": requested}
        playbacks.append({**row, **measures, **hidden})
    names = ("playback_id", "seq", "part", "start_ms", "end_ms")
    return {
        "silver.playbacks": playbacks,
        "silver.intervals": [
            dict(zip(names, (row["playback_id"], *interval))) for row in playbacks for interval in row["_intervals"]
        ],
        "silver.ad_impressions": impressions,
        "gold.video_retention": list(gold.retention(playbacks)),
        "gold.video_dropoff": list(gold.dropoff(playbacks)),
        "gold.ad_daily": list(gold.ad_daily(impressions)),
        "gold.video_daily": list(gold.video_daily(playbacks)),
    }


def ratio_by_slice(rows, scope):
    """audience_watch_ratio of one playback, or of a video over all days ("video:ID")."""
    if scope.startswith("video:"):
        curves = [r for r in rows["gold.video_retention"] if r["video_id"] == scope[len("video:") :]]
        length = {p["video_id"]: p["duration_ms"] for p in rows["silver.playbacks"]}[scope[len("video:") :]]
    else:
        members = [row for row in rows["silver.playbacks"] if row["playback_id"] == scope]
        length = members[0]["duration_ms"]
        curves = list(gold.curve(members, length))
    units, plays = {}, {}
    for row in curves:
        units[row["slice"]] = units.get(row["slice"], 0) + row["watched_units"]
        plays[row["slice"]] = plays.get(row["slice"], 0) + row["plays"]
    return {number: units[number] / (length * plays[number]) for number in units}


def expectations(rows, expected):
    """Yields (what, expected, computed) for every hand-set value."""
    by_id = {row["playback_id"]: row for row in rows["silver.playbacks"]}
    for playback_id, values in expected["playbacks"].items():
        for name, value in values.items():
            yield f"{playback_id}.{name}", value, by_id[playback_id][name]
    for scope, spans in expected["retention"].items():
        ratios = ratio_by_slice(rows, scope)
        for first, last, value in spans:
            for number in range(first, last + 1):
                yield f"{scope} slice {number}", value, round(ratios[number], 9)
    for video_id, values in expected["dropoff"].items():
        for number, exits, at_risk in values:
            found = [
                row
                for row in rows["gold.video_dropoff"]
                if row["video_id"] == video_id and row["slice"] == number
            ]
            totals = [sum(row["exits"] for row in found), sum(row["at_risk"] for row in found)]
            yield f"{video_id} drop-off {number}", [exits, at_risk], totals


def conserved(rows):
    """The area under a curve is the media time: yields playbacks as (what, expected, computed)."""
    for row in rows["silver.playbacks"]:
        if row["duration_ms"]:
            units = sum(part["watched_units"] for part in gold.curve([row], row["duration_ms"]))
            yield f"{row['playback_id']} conservation", 100 * row["media_ms"], units


def check(rows, expected):
    """Prints every difference; returns the number of values that differ."""
    passed = failed = 0
    for what, want, got in [*expectations(rows, expected), *conserved(rows)]:
        if want == got:
            passed += 1
        else:
            failed += 1
            print(f"FAILED {what}: expected {want}, computed {got}")
    print(f"{passed} passed, {failed} failed")
    return failed + (passed == 0)


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", required=True, help="file or folder")
    parser.add_argument("--videos", required=True, help="file or folder")
    parser.add_argument("--tz", default="UTC", help="reporting time zone")
    parser.add_argument("--out", help="folder for one NDJSON file per table")
    parser.add_argument("--expected", help="hand-set expectations to compare with")
    options = parser.parse_args()
    if not options.out and not options.expected:
        parser.error("give --out, --expected or both")
    rows = compute(read_records(options.events), read_dated_records(options.videos), options.tz)
    if options.out:
        os.makedirs(options.out, exist_ok=True)
        for table in TABLES:
            print(f"{table.name}: {write(options.out, table, rows[table.name])} rows")
    if options.expected:
        with open(options.expected, encoding="utf-8") as source:
            return 1 if check(rows, json.load(source)) else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
