"""A made-up viewer: a state machine that plays, seeks, stalls and leaves, and reports it as events.

The events are what a perfect player would send; `generate.py` then loses, repeats and delays them.
"""

import advert

HEARTBEAT_MS = 10_000
RATES = (0.5, 0.75, 1.1, 1.25, 1.5, 2.0, 3.0)


class Viewer:
    """One playback. `now` is true wall time in epoch ms, `position` the place in the media in ms."""

    def __init__(self, rng, playback_id, video, start_ms):
        self.rng, self.playback_id, self.video = rng, playback_id, video
        self.now = self.started = start_ms
        self.position, self.rate, self.state = 0, 1.0, "starting"
        self.visible = True
        self.events, self.breaks, self.shown = [], 0, 0
        self.over = False

    def wait(self, elapsed_ms):
        """Time passes; media moves only while content plays."""
        self.now += elapsed_ms
        if self.state == "playing":
            self.position += int(elapsed_ms * self.rate)

    def emit(self, family, kind, body):
        """One event at the present moment."""
        event = {"family": family, "type": kind, "true_ms": self.now, "seq": len(self.events)}
        self.events.append({**event, "mono_ms": self.now - self.started, family: body})

    def ad(self, kind, body):
        """An ad event; shares the playback's sequence."""
        self.emit("ad", kind, dict(body))

    def video_event(self, kind, **extra):
        """A video event with position and state after it."""
        body = {"position_ms": self.position, "state": self.state}
        if self.rate != 1.0 or self.rng.random() < 0.5:
            body["playback_rate"] = self.rate
        if not self.visible or self.rng.random() < 0.5:
            body["visible"] = self.visible
        self.emit("video", kind, {**body, **extra})

    def play_for(self, wall_ms):
        """Play on with a heartbeat every ten seconds, a little late or early in what it reports."""
        while wall_ms > 0 and not self.over:
            stretch = min(wall_ms, HEARTBEAT_MS)
            self.wait(stretch)
            wall_ms -= stretch
            if self.passed_the_end():
                return
            if stretch == HEARTBEAT_MS or self.rng.random() < 0.2:
                true_position = self.position
                self.position = max(0, self.position + self.rng.choice((0, 0, 0, -40, 25, 1)))
                self.video_event("heartbeat", interval_ms=HEARTBEAT_MS)
                self.position = true_position

    def passed_the_end(self):
        """At the end of the media: complete, loop (announced or not), or run on past the end."""
        length = self.video["true_duration"]
        if length is None or self.position < length:
            return False
        ending = self.rng.choice(("complete", "complete", "loop", "silent loop", "beyond"))
        if ending == "complete":
            self.position, self.state = length, "ended"
            self.video_event("complete", loop=False) if self.rng.random() < 0.5 else self.video_event("complete")
            self.over = True
        elif ending == "loop":
            self.position = length
            self.video_event("complete", loop=True)
            self.position = 0
        elif ending == "silent loop":
            self.position -= length
        else:
            self.position = min(self.position, length + 20_000)
            self.video_event("heartbeat")
            self.over = self.rng.random() < 0.5
        return True

    def begin(self):
        """Request, perhaps a pre-roll, first frame; or a failure, or leaving before it."""
        rng = self.rng
        facts = {"mode": self.video["mode"], "stream_type": self.video["stream_type"]}
        facts = {name: value for name, value in facts.items() if value not in ("main", "vod") or rng.random() < 0.5}
        if self.video["stream_type"] != "vod":
            self.position = self.now - 12_000
        elif rng.random() < 0.15:
            self.position = rng.randrange(0, 60_000)
        if rng.random() < 0.9:
            self.video_event("play_request", autoplay=rng.random() < 0.3, **facts)
        self.wait(rng.choice((0, 120, 800, 2_500)))
        if rng.random() < 0.08:
            self.leave_before_start()
            return
        if rng.random() < 0.3:
            self.take_ads("preroll")
        self.state = "playing"
        extra = dict(facts)
        if rng.random() < 0.4:
            extra["startup_ms"] = self.now - self.started
        if self.video["reported"] and rng.random() < 0.8:
            extra["player_duration_ms"] = rng.choice(self.video["reported"])
        self.video_event("play", reason="initial", **extra)

    def leave_before_start(self):
        """No first frame: a failure, a business rule, or impatience."""
        self.over = True
        self.wait(self.rng.choice((100, 700, 3_000)))
        how = self.rng.choice(("stop", "failure", "business", "silence"))
        if how == "stop":
            self.state = "quit"
            self.video_event("stop", reason="navigate")
        elif how != "silence":
            self.state = "fatal"
            self.fail(how == "business")

    def fail(self, business):
        """A fatal error."""
        extra = {"is_business_exception": True} if business else {}
        self.video_event("error", fatal=True, error_code="E_" + ("GEO" if business else "DRM"), **extra)

    def take_ads(self, kind):
        """Content gives way to a break; the clock runs, the position stands."""
        before, self.state = self.state, "ad"
        self.video_event("pause", reason="ad_break")
        advert.take_break(self, self.rng, kind)
        self.state = before

    def pause(self):
        """Pause, perhaps seek while paused, resume."""
        self.state = "paused"
        self.video_event("pause", reason="user")
        self.wait(self.rng.choice((0, 500, 30_000, 400_000)))
        if self.rng.random() < 0.3:
            self.seek()
            self.wait(1_000)
        self.state = "playing"
        self.video_event("play", reason="resume")

    def seek(self):
        """Anywhere, also a little, also past the end; several events in the same millisecond."""
        length = self.video["true_duration"] or 600_000
        origin = self.position
        jump = self.rng.choice((-30_000, -1_500, -500, 400, 1_900, 15_000, None))
        target = self.rng.randrange(0, length + 1_000) if jump is None else origin + jump
        if self.video["stream_type"] == "vod":
            target = max(0, target)
        if self.rng.random() < 0.3:
            self.video_event("heartbeat")
        after, self.position = self.state, target
        waits = after == "playing" and self.rng.random() < 0.4
        self.state = "seeking" if waits else after
        self.video_event("seek", from_position_ms=origin, reason="scrub")
        if waits:
            self.wait(self.rng.randrange(0, 3_000))
            self.state = after
            self.video_event("buffer", phase="end", reason="seek")
        elif self.rng.random() < 0.3:
            self.video_event("heartbeat")

    def stall(self):
        """The buffer runs dry; sometimes for longer than counts."""
        self.state = "rebuffering"
        self.video_event("buffer", phase="start", reason="stall")
        waited = self.rng.choice((300, 4_000, 12_345, 301_000))
        self.wait(waited)
        self.state = "playing"
        self.video_event("buffer", phase="end", reason="stall", duration_ms=waited)

    def change_rate(self):
        """Another playback rate, or back to normal."""
        self.rate = self.rng.choice(RATES) if self.rate == 1.0 else 1.0
        self.video_event("rate_change", playback_rate=self.rate)

    def turn_visible(self):
        """To the background or back."""
        self.visible = not self.visible
        self.video_event("visibility", visible=self.visible)

    def small_thing(self):
        """Events that leave the state as it is."""
        if self.rng.random() < 0.5:
            self.video_event("quality_change", bitrate_kbps=5_200, prev_bitrate_kbps=2_800, height=1080)
        else:
            self.video_event("error", fatal=False, error_code="NET_TIMEOUT")

    def watch(self):
        """A whole playback, ended cleanly or not at all."""
        self.begin()
        actions = (self.pause, self.seek, self.seek, self.stall, self.change_rate, self.turn_visible, self.small_thing)
        for _ in range(self.rng.choice((1, 1, 2, 4, 8))):
            if self.over:
                return
            self.play_for(self.rng.choice((200, 999, 7_000, 30_000, 61_234, 200_000)))
            if not self.over and self.rng.random() < 0.8:
                self.rng.choice(actions)()
            if not self.over and self.rng.random() < 0.08:
                self.take_ads("midroll")
                self.state = "playing"
                self.video_event("play", reason="ad_end")
        if not self.over:
            self.finish()

    def finish(self):
        """Leave: by stop, by a fatal error, or without a word."""
        how = self.rng.choice(("stop", "stop", "stop", "crash", "fatal"))
        if how == "stop":
            self.state = "quit"
            self.video_event("stop", reason="user")
        elif how == "fatal":
            self.state = "fatal"
            self.fail(self.rng.random() < 0.3)
