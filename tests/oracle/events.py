"""Contract events as plain Python values: reading files, times, duplicates, grouping by playback.

Written from the rules of the domain pages, not from any SQL of this project, so that the two can be
compared. Standard library only.
"""

import calendar
import gzip
import json
import os
import re

SUFFIXES = (".ndjson", ".jsonl", ".json")
TIMESTAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?Z")


def files_below(path):
    """The finished files of a landing folder (or the one file), in a fixed order."""
    if os.path.isfile(path):
        return [path]
    found = []
    for folder, _, names in os.walk(path):
        for name in names:
            plain = name[:-3] if name.endswith(".gz") else name
            if not name.startswith((".", "_")) and plain.endswith(SUFFIXES):
                found.append(os.path.join(folder, name))
    if not found:
        raise SystemExit(f"no .ndjson, .jsonl or .json file (plain or .gz) under {path}")
    return sorted(found)


def read_records(path):
    """All JSON objects of a file or folder."""
    records = []
    for name in files_below(path):
        opener = gzip.open if name.endswith(".gz") else open
        with opener(name, "rt", encoding="utf-8") as lines:
            records.extend(json.loads(line) for line in lines if line.strip())
    return records


def read_dated_records(path):
    """All JSON objects of a file or folder, each with its file's time in microseconds."""
    dated = []
    for name in files_below(path):
        written_us = os.stat(name).st_mtime_ns // 1000
        dated += [(record, written_us) for record in read_records(name)]
    return dated


def micros(text):
    """RFC 3339 UTC text as microseconds since 1970 (an integer; no floating point)."""
    if text is None:
        return None
    match = TIMESTAMP.fullmatch(text)
    if match is None:
        raise ValueError(f"not a contract timestamp: {text!r}")
    date_and_time = tuple(int(part) for part in match.groups()[:6])
    return calendar.timegm(date_and_time) * 1_000_000 + int((match.group(7) or "").ljust(6, "0"))


def millis(text):
    """RFC 3339 UTC text as whole milliseconds since 1970, cut off (towards 1970, not rounded)."""
    value = micros(text)
    if value is None:
        return None
    return -(-value // 1000) if value < 0 else value // 1000


def nulls_last(*values):
    """A sort key in which an absent value comes after every present one."""
    return tuple((value is None, value if value is not None else 0) for value in values)


def deduplicate(events):
    """One event per event_id: the least (received_ts, sent_ts, event_ts, seq), never by arrival."""
    best = {}
    for event in events:
        times = [micros(event.get(name)) for name in ("received_ts", "sent_ts", "event_ts")]
        content = json.dumps(event, sort_keys=True)  # only to stay deterministic on a full tie
        rank = (nulls_last(*times, event.get("seq")), content)
        held = best.get(event["event_id"])
        if held is None or rank < held[0]:
            best[event["event_id"]] = (rank, event)
    return [event for _, event in best.values()]


def clock_offset(events):
    """min(received - sent) in ms over a playback's video and ad events; 0 where none has both."""
    delays = [
        millis(event["received_ts"]) - millis(event["sent_ts"])
        for event in events
        if event.get("received_ts") and event.get("sent_ts")
    ]
    return min(delays) if delays else 0


def group_by_playback(events):
    """playback_id -> its video and ad events in (seq, time, event_id) order, with `ts_ms` corrected."""
    groups = {}
    for event in deduplicate(events):
        if event.get("playback_id") is not None and event["family"] in ("video", "ad"):
            groups.setdefault(event["playback_id"], []).append(event)
    ordered = {}
    for playback_id, members in groups.items():
        offset = clock_offset(members)
        members = [dict(event, ts_ms=millis(event["event_ts"]) + offset) for event in members]
        members.sort(key=lambda event: (event["seq"], event["ts_ms"], event["event_id"]))
        ordered[playback_id] = members
    return ordered


def first_known(events, *path):
    """The first non-null value of a (nested) field in the given order of events."""
    for event in events:
        value = event
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        if value is not None:
            return value
    return None
