"""Ad impressions: one row per impression_id that has an `impression` event."""

from events import first_known

NANOS_PER_MICRO = 1_000
CHAIN = ("start", "first_quartile", "midpoint", "third_quartile", "complete")
CHAIN_COLUMNS = ("started", "q1", "q2", "q3", "completed")
CARRIED = (
    "advertiser_id",
    "campaign_id",
    "creative_id",
    "break_type",
    "currency",
    "pricing_model",
    "price_micros",
    "skippable",
)


def revenue_nanos(row):
    """Exact: a price per mille in micros is the same number of nanos per impression."""
    price = row["price_micros"] or 0
    units = {
        "CPC": row["click_count"],
        "CPV": row["started"],
        "CPCV": row["completed"],
    }
    if row["pricing_model"] == "CPM":
        return price
    return price * NANOS_PER_MICRO * units.get(row["pricing_model"], 0)


def impression_row(impression_id, events, playback):
    """`events` are the impression's ad events in (seq, time, event_id) order."""
    kinds = {event["type"] for event in events}
    row = {"impression_id": impression_id}
    for name in ("playback_id", "report_date", "country", "device_type", "is_test"):
        row[name] = playback[name]
    for name in CARRIED:
        row[name] = first_known(events, "ad", name)
    furthest = max((CHAIN.index(kind) for kind in kinds if kind in CHAIN), default=-1)
    for place, column in enumerate(CHAIN_COLUMNS):
        row[column] = int(place <= furthest)
    clicks = {event["ad"].get("click_id") or event["event_id"] for event in events if event["type"] == "click"}
    row["click_count"] = len(clicks)
    row["skipped"] = int("skip" in kinds)
    row["error"] = int("error" in kinds)
    row["revenue_nanos"] = revenue_nanos(row)
    return row


def impressions(playback, events):
    """All impressions of one playback."""
    groups = {}
    for event in events:
        impression_id = event["ad"].get("impression_id") if event["family"] == "ad" else None
        if impression_id is not None:
            groups.setdefault(impression_id, []).append(event)
    for impression_id, members in groups.items():
        if any(event["type"] == "impression" for event in members):
            yield impression_row(impression_id, members, playback)
