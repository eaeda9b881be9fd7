"""Ads of made-up playbacks: requests, breaks, beacons with losses, every pricing model, double clicks."""

QUARTILES = ("first_quartile", "midpoint", "third_quartile", "complete")
MODELS = ("CPM", "CPC", "CPV", "CPCV", "FLAT", "HOUSE", None)


def creative(rng):
    """What is shown and what it costs. Integer prices that do not divide evenly."""
    campaign = rng.randrange(6)
    ad = {
        "ad_id": f"ad_{rng.randrange(12)}",
        "creative_id": f"cr_{campaign}_{rng.randrange(2)}",
        "campaign_id": f"cmp_{campaign}",
        "advertiser_id": f"adv_{campaign // 2}",
        "ad_duration_ms": rng.choice((5_000, 6_000, 15_000, 30_000)),
    }
    model = rng.choice(MODELS)
    if model is not None:
        ad["pricing_model"] = model
    if model not in (None, "HOUSE") or rng.random() < 0.5:
        ad["price_micros"] = rng.choice((0, 1, 499, 500, 12_345_678, 12_000_000, 333_333))
        ad["currency"] = rng.choice(("EUR", "EUR", "USD"))
    if rng.random() < 0.7:
        ad["skippable"] = rng.random() < 0.6
    return ad


def show(viewer, rng, shared, number):
    """One ad of a break: beacons go missing, clicks come twice, some end in an error or a skip."""
    ad = {**shared, **creative(rng), "impression_id": f"{viewer.playback_id}-i{number}"}
    length = ad["ad_duration_ms"]
    lost = rng.choice((0.0, 0.0, 0.3, 0.6))
    if rng.random() < 0.93:
        viewer.ad("impression", ad)
    if rng.random() < 0.05:
        viewer.ad("impression", ad)  # a player that reports the same rendering twice
    if rng.random() < 0.06:
        viewer.ad("error", {**ad, "error_code": 405})
        return
    if rng.random() >= lost:
        viewer.ad("start", ad)
    ends_after = rng.choice((0, 1, 2, 3, 4, 4, 4, 4))
    for place, beacon in enumerate(QUARTILES[:ends_after]):
        viewer.wait(length // 4)
        if rng.random() >= lost:
            viewer.ad(beacon, {**ad, "ad_position_ms": length * (place + 1) // 4})
        if rng.random() < 0.12:
            click(viewer, rng, ad)
    if ends_after < 4 and rng.random() < 0.7:
        viewer.wait(rng.randrange(1, 2_000))
        viewer.ad("skip", ad)
    if rng.random() < 0.1:
        viewer.ad("viewability", {**ad, "viewability": "viewable"})


def click(viewer, rng, ad):
    """One, two or three click events: without an id, with the same id again, or with another id."""
    style = rng.choice(("plain", "plain", "same", "other", "mixed"))
    identity = f"{ad['impression_id']}-k{rng.randrange(1000)}"
    ids = {
        "plain": [None],
        "same": [identity, identity],
        "other": [identity, identity + "b"],
        "mixed": [identity, None, identity],
    }[style]
    for value in ids:
        viewer.ad("click", ad if value is None else {**ad, "click_id": value})


def take_break(viewer, rng, kind):
    """A whole ad break; may be empty (requested, not filled)."""
    viewer.breaks += 1
    shared = {"ad_break_id": f"{viewer.playback_id}-b{viewer.breaks}"}
    if rng.random() < 0.95:
        shared["break_type"] = kind
    shared["break_position_ms"] = max(0, viewer.position)
    request = {"ad_request_id": f"{viewer.playback_id}-r{viewer.breaks}", **shared}
    viewer.ad("request", request)
    viewer.wait(rng.randrange(0, 300))
    filled = rng.random() < 0.85
    viewer.ad("response", {**request, "ads_returned": int(filled)})
    if not filled:
        if rng.random() < 0.3:
            viewer.ad("error", {**shared, "error_code": 303})
        return
    viewer.ad("break_start", shared)
    for _ in range(rng.choice((1, 1, 2))):
        viewer.shown += 1
        show(viewer, rng, shared, viewer.shown)
    viewer.ad("break_end", shared)
