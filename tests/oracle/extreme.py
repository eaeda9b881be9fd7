"""Values at the ends of what the contracts allow, and clocks at the ends of time: legal, all of them."""

LONGEST_MS = 10_000_000_000
FARTHEST_MS = 10_000_000_000_000
DURATIONS = (1, 2, 99, 100, 101, 9_999_999_999, LONGEST_MS)
POSITIONS = (-FARTHEST_MS, -1, 0, 1, 99, 2_000, LONGEST_MS, LONGEST_MS + 1, FARTHEST_MS)
MOMENTS = (
    "0001-01-01T00:00:00.000Z",
    "0001-01-01T12:00:00.000Z",
    "1969-12-31T12:00:00.999Z",
    "1970-01-01T00:00:00.000Z",
    "9999-12-30T12:00:00.000Z",
    "9999-12-31T12:00:00.000Z",
    "9999-12-31T23:59:59.999Z",
)


def duration(value):
    """A length that a catalogue may name."""
    return min(value, LONGEST_MS)


def catalogue(rng, records):
    """Records that begin before everything or at the open end; each keeps a place of its own in their order."""
    if len(records) == 2 and rng.random() < 0.5:
        later, first = records
        first["valid_from"] = rng.choice(("0001-01-01T00:00:00.000Z", "1950-01-01T00:00:00.000Z"))
        later["valid_from"] = rng.choice(("1960-01-01T00:00:00.000Z", "9999-12-31T00:00:00.000Z", MOMENTS[-1]))
    elif len(records) == 1 and rng.random() < 0.3:
        records[0]["valid_from"] = rng.choice(MOMENTS)


def event(rng, event):
    """Sets some values of an event to an end; whether it did."""
    if rng.random() >= 0.4:
        return False
    choices = [envelope, clocks]
    if event["family"] == "video":
        choices += [video, video]
    if event["family"] == "ad":
        choices += [advert, advert]
    for change in rng.sample(choices, rng.choice((1, 1, 2))):
        change(rng, event)
    return True


def envelope(rng, event):
    """The place in the playback and its clock."""
    if rng.random() < 0.3:
        event["seq"] = rng.choice((0, FARTHEST_MS - 1, FARTHEST_MS))
    else:
        event["mono_ms"] = rng.choice((0, 1, LONGEST_MS, LONGEST_MS + 1, 99_999_999_999, 100_000_000_000))


def clocks(rng, event):
    """The client's clock and the collector's; without mono_ms they are all that there is."""
    for name in ("event_ts", "sent_ts", "received_ts"):
        if rng.random() < 0.4:
            event[name] = rng.choice(MOMENTS)
    if rng.random() < 0.5:
        event.pop("mono_ms", None)


def video(rng, event):
    """Positions, speed, and what players report."""
    body = event["video"]
    for name in ("position_ms", "from_position_ms"):
        if name in body and rng.random() < 0.6:
            body[name] = rng.choice(POSITIONS)
    if rng.random() < 0.4:
        body["playback_rate"] = rng.choice((0.01, 0.0625, 0.3, 16))
    if rng.random() < 0.2:
        body["player_duration_ms"] = rng.choice((*DURATIONS, LONGEST_MS + 1, 4_294_967_296_000, FARTHEST_MS))
    if rng.random() < 0.2:
        body["startup_ms"] = rng.choice((0, LONGEST_MS))
    if rng.random() < 0.2:
        body["state"] = rng.choice(("playing", "paused", "ad", "seeking", "rebuffering", "starting", "preloading", "ended"))


def advert(rng, event):
    """Prices and lengths."""
    body = event["ad"]
    body["price_micros"] = rng.choice((0, 1, 999_999_999_999_999))
    body["pricing_model"] = rng.choice(("CPM", "CPC", "CPV", "CPCV", "FLAT"))
    for name in ("ad_duration_ms", "ad_position_ms"):
        if rng.random() < 0.5:
            body[name] = rng.choice((0, 1, LONGEST_MS))
