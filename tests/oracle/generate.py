#!/usr/bin/env python3
"""Random event sets of the hard kinds, all valid under the contract.

  python3 tests/oracle/generate.py --seed S --playbacks N --out DIR [--disputed] [--extreme]

Writes DIR/events (shuffled, several files, some gzipped, one sub-folder) and DIR/videos. The same seed
gives the same bytes. `--disputed` adds the cases that the rules leave open (see README.md beside this);
`--extreme` sets values to the ends of what the contracts allow, and clocks to the ends of time.
"""

import argparse
import datetime
import gzip
import json
import os
import random
import uuid

import extreme
from viewer import Viewer

DAY_MS = 86_400_000
FIRST_DAY_MS = 1_774_656_000_000  # 2026-03-28: with the change to summer time on the second day
DAYS = 4
GENRES = ("drama", "news", "sport")
KINDS = ("plain", "renamed", "recut", "corrected", "updated", "player", "nowhere", "absent", "live")


def timestamp(moment_us, digits=3):
    """RFC 3339 with the given number of decimals."""
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=moment_us)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[: 20 + digits] + "Z"


def catalogue(rng, count, options):
    """Video records, and the variants (video_id, content_version, ...) that can be watched."""
    disputed, records, variants = options.disputed, [], []
    for number in range(count):
        length = rng.choice((5_003, 8_000, 37_001, 60_000, 99_999, 100_000, 601_000, 1_234_567))
        if options.extreme and rng.random() < 0.4:
            length = rng.choice(extreme.DURATIONS)
        kind = rng.choice(("plain", "plain", *KINDS[1:]))
        if number < len(KINDS):  # a small set has every kind too
            kind = KINDS[number]
        video = {"video_id": f"v_{number:03d}", "content_version": 1, "true_duration": length}
        video.update(mode="main", stream_type="live" if kind == "live" else "vod", reported=[])
        if kind == "player" or (kind == "absent" and rng.random() < 0.7):
            video["reported"] = rng.choice(([length], [length, length + 40], [length - 7, length, length]))
        elif kind != "live" and rng.random() < 0.3:
            video["reported"] = [length + 90]  # the catalogue wins over it
        if kind == "live":
            video["true_duration"] = None
        recorded = kind == "live" and rng.random() < 0.5  # a length that the recording got afterwards
        known = recorded or kind in ("plain", "renamed", "recut", "corrected", "updated")
        made = versions_of(rng, video, kind, length if known else None)
        if options.extreme:
            extreme.catalogue(rng, made)
        if disputed and kind == "plain" and rng.random() < 0.2:
            made[0]["duration_ms"] = 0
        records += made
        variants.append(video)
        if kind == "recut":
            variants.append({**video, "content_version": 2, "true_duration": extreme.duration(length + 20_000)})
    return records, variants


def versions_of(rng, video, kind, duration):
    """The catalogue's records for one video, by what happens to it."""
    first = {"video_id": video["video_id"], "title": f"Title {video['video_id']}", "genre": rng.choice(GENRES)}
    if duration is not None or rng.random() < 0.5:
        first["duration_ms"] = duration
    if duration is not None and rng.random() < 0.4:
        first["credits_start_ms"] = max(1, duration * 9 // 10)
    if kind == "live":
        first.update(is_live=True, stream_type="live")
    if kind == "absent":
        return []
    if kind in ("plain", "player", "nowhere", "live"):
        return [first]
    first["valid_from"] = timestamp((FIRST_DAY_MS - 30 * DAY_MS) * 1000)
    later = {**first, "valid_from": timestamp((FIRST_DAY_MS + rng.randrange(DAYS * DAY_MS)) * 1000)}
    later["title"] += ", renamed"
    if kind == "recut":
        later.update(content_version=2, duration_ms=extreme.duration(duration + 20_000))
        first["content_version"] = 1
    if kind == "corrected":
        first["duration_ms"] = extreme.duration(duration + 3_000)
    if kind == "updated":  # three records for one time: the last update counts, no update is the oldest
        later.update(valid_from=first["valid_from"], updated_ts=timestamp(FIRST_DAY_MS * 1000 + 1, 6))
        before = {**first, "updated_ts": timestamp(FIRST_DAY_MS * 1000), "duration_ms": extreme.duration(duration + 7)}
        first["duration_ms"] = extreme.duration(duration + 9)
        return [before, later, first]
    return [later, first]


def start_time(rng):
    """Somewhere in the days, often around midnight."""
    midnight = FIRST_DAY_MS + rng.randrange(1, DAYS) * DAY_MS
    if rng.random() < 0.4:
        return midnight + rng.randrange(-90_000, 90_000)
    return FIRST_DAY_MS + rng.randrange(DAYS * DAY_MS)


class Envelope:
    """What a device adds to its events: ids, place, and its view of the time."""

    def __init__(self, rng, viewer, disputed):
        self.rng, self.viewer, self.disputed = rng, viewer, disputed
        self.skew_ms = rng.choice((0, 0, 0, -45, 7_200_000, -11 * 3_600_000, 26 * 3_600_000))
        self.step_at = rng.randrange(4, 20) if rng.random() < 0.05 else None
        self.without_sent = rng.choice((0.0, 0.0, 0.0, 0.3, 1.0))
        self.without_received = rng.choice((0.0, 0.0, 0.0, 0.0, 0.2, 1.0))
        self.without_mono = 1.0 if self.step_at else rng.choice((0.0, 0.0, 0.1, 1.0))
        self.fine = rng.random() < 0.1  # microseconds in the times
        self.country = rng.choice(("FR", "DE", "GB", None))
        self.without_country = rng.choice((0.0, 0.0, 0.5))
        self.moves = rng.random() < 0.03
        self.device = rng.choice(("desktop", "mobile", "tv", "unknown"))
        self.is_test = rng.random() < 0.06
        self.user = f"u_{rng.randrange(40)}"

    def times(self, true_ms, number):
        """event_ts by the device's clock, sent_ts a little later, received_ts by ours."""
        rng, step_ms = self.rng, -60_000 if self.step_at and number >= self.step_at else 0
        held_ms = rng.choice((0, 200, 200, 1_000, 25_000))
        network_ms = rng.choice((40, 250, 250, 31_000))
        fraction = rng.randrange(1000) if self.fine else 0
        device_ms = true_ms + self.skew_ms + step_ms
        digits = 6 if self.fine else 3
        yield "event_ts", timestamp(device_ms * 1000 + fraction, digits)
        if rng.random() >= self.without_sent:
            yield "sent_ts", timestamp((device_ms + held_ms) * 1000 + fraction + (7 if self.fine else 0), digits)
        if rng.random() >= self.without_received:
            yield "received_ts", timestamp((true_ms + held_ms + network_ms) * 1000 + fraction // 2, digits)

    def wrap(self, event, number):
        """A whole contract event."""
        rng, video = self.rng, self.viewer.video
        whole = {
            "schema_version": 1,
            "event_id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            **event,
            "session_id": f"s-{self.viewer.playback_id}",
            "playback_id": self.viewer.playback_id,
            "anonymous_id": f"a-{self.user}",
            "app_id": "web",
            "platform": "web",
            "device_type": self.device,
            "video_id": video["video_id"],
        }
        whole.update(self.times(whole.pop("true_ms"), number))
        if rng.random() < self.without_mono:
            whole.pop("mono_ms", None)
        version = video["content_version"]
        if version != 1 and self.disputed and number == 0:
            version = 1  # "1 by default" while a later event says otherwise
        if version != 1 or rng.random() < 0.5:
            whole["content_version"] = version
        if rng.random() < 0.8:
            whole["user_id"] = self.user
        if self.country and rng.random() >= self.without_country:
            whole["country"] = "ES" if self.moves and number > 3 else self.country
        if self.is_test and rng.random() < 0.8:
            whole["is_test"] = True
        elif not self.is_test and rng.random() < 0.1:
            whole["is_test"] = False
        return whole


def lose(rng, events):
    """The network's share: random losses, or all of one kind, or everything but ads."""
    how = rng.choice(("nothing", "nothing", "some", "many", "play", "stop", "seek", "play_request", "complete"))
    if rng.random() < 0.01:
        return [event for event in events if event["family"] == "ad"]
    share = {"some": 0.07, "many": 0.4}.get(how, 0.0)
    return [event for event in events if event["type"] != how and rng.random() >= share]


def tie(rng, events):
    """Players that count badly: an event repeats the number (and sometimes the time) before it."""
    for one, two in zip(events, events[1:]):
        if rng.random() < 0.08:
            two["seq"] = one["seq"]
            if rng.random() < 0.5:
                two["true_ms"], two["mono_ms"] = one["true_ms"], one["mono_ms"]
    return events


def repeats(rng, event):
    """Later deliveries of the same event_id: equal, or with other content (the first one counts)."""
    if rng.random() >= 0.08:
        return []
    again = json.loads(json.dumps(event))
    style = rng.choice(("equal", "later", "conflict", "same receipt"))
    if style == "equal" or "received_ts" not in event:
        return [again]
    if style == "same receipt" and "sent_ts" in event:
        again["sent_ts"] = shifted(event["sent_ts"], 5_000)
    else:
        again["received_ts"] = shifted(event["received_ts"], rng.choice((1, 60_000, DAY_MS)))
        if rng.random() < 0.5:
            again.pop("sent_ts", None)
    if style in ("conflict", "same receipt") and event["family"] == "video":
        again["video"]["position_ms"] = (again["video"]["position_ms"] or 0) + 12_345
    return [again]


def shifted(text, delta_ms):
    """The same time later, in the same spelling."""
    digits = len(text) - 21
    moment = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ") + datetime.timedelta(milliseconds=delta_ms)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[: 20 + digits] + "Z"


def interaction(rng, event):
    """A like during the playback: carries its id, but is no part of its clock."""
    kept = {name: value for name, value in event.items() if name not in ("video", "ad", "seq", "mono_ms")}
    kept.update(event_id=str(uuid.UUID(int=rng.getrandbits(128), version=4)), family="interaction", type="like")
    return {**kept, "interaction": {"action": "add", "target": "video"}}


def playback(rng, number, variants, options):
    """All deliveries of one playback."""
    video = dict(rng.choice(variants))
    if rng.random() < 0.1:
        video["mode"] = rng.choice(("preview", "trailer"))
    viewer = Viewer(rng, f"p{number:06d}-{rng.getrandbits(24):06x}", video, start_time(rng))
    viewer.watch()
    envelope = Envelope(rng, viewer, options.disputed)
    events = viewer.events if envelope.fine or rng.random() < 0.9 else tie(rng, viewer.events)
    sent = [envelope.wrap(event, place) for place, event in enumerate(lose(rng, events))]
    delivered = []
    for event in sent:
        if event["family"] == "video" and rng.random() < 0.004:
            event["video"]["position_ms"] = None
        if options.extreme and extreme.event(rng, event):
            delivered.append(event)
            continue
        delivered += [event, *repeats(rng, event)]
        if rng.random() < 0.02:
            delivered.append(interaction(rng, event))
    return delivered


def write_split(rng, folder, records, files):
    """Records over several files, every third one gzipped, the last in a sub-folder."""
    os.makedirs(os.path.join(folder, "late"), exist_ok=True)
    parts = [[] for _ in range(files)]
    for record in records:
        rng.choice(parts).append(json.dumps(record, separators=(",", ":")))
    for number, lines in enumerate(parts):
        name = os.path.join("late" if number == files - 1 else "", f"part-{number:03d}.ndjson")
        data = "".join(line + "\n" for line in lines).encode()
        if number % 3 == 1:
            name, data = name + ".gz", gzip.compress(data, mtime=0)
        with open(os.path.join(folder, name), "wb") as out:
            out.write(data)


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--playbacks", type=int, required=True)
    parser.add_argument("--out", required=True, help="folder; gets events/ and videos/")
    parser.add_argument("--disputed", action="store_true", help="also what the rules leave open")
    parser.add_argument("--extreme", action="store_true", help="also values at their bounds")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    records, variants = catalogue(rng, max(len(KINDS), options.playbacks // 20), options)
    events = []
    for number in range(options.playbacks):
        events += playback(rng, number, variants, options)
    rng.shuffle(events)
    rng.shuffle(records)
    for name in ("events", "videos"):
        if os.path.isdir(os.path.join(options.out, name)):
            parser.error(f"{os.path.join(options.out, name)} exists already")
    write_split(rng, os.path.join(options.out, "events"), events, 7)
    write_split(rng, os.path.join(options.out, "videos"), records, 2)
    print(f"{len(events)} events of {options.playbacks} playbacks, {len(records)} video records")


if __name__ == "__main__":
    main()
