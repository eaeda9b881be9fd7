"""The catalogue and the length of a video: newest record per (video_id, content_version), else the
value that players report most often."""

from collections import Counter

from events import micros


class Lengths:
    """Answers (duration, source, completion target) for a (video_id, content_version)."""

    def __init__(self, records, playbacks):
        self.catalogue = {}
        # A record without valid_from opens the history at 1970 here: what a landing folder's file
        # time would be is not in the data, so sets for this oracle date every later record.
        for record in sorted(records, key=lambda record: micros(record.get("valid_from")) or 0):
            version = record.get("content_version")
            key = (record["video_id"], 1 if version is None else version)
            self.catalogue[key] = record
        self.reported = {}
        for key, events in playbacks:
            for event in events:
                value = event["video"].get("player_duration_ms") if event["family"] == "video" else None
                if value is not None:
                    self.reported.setdefault(key, Counter())[value] += 1

    def of(self, video_id, version):
        """Catalogue first; then the most frequent report, the larger value on a tie; then nothing."""
        record = self.catalogue.get((video_id, version), {})
        duration, source = record.get("duration_ms"), "catalogue"
        if duration is None:
            reports = self.reported.get((video_id, version))
            if reports:
                duration = max(reports, key=lambda value: (reports[value], value))
            source = "unknown" if duration is None else "player"
        credits_start = record.get("credits_start_ms")
        return duration, source, duration if credits_start is None else credits_start
