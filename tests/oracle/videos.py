"""The catalogue and the length of a video: newest record per (video_id, content_version), else the
value that players report most often."""

from collections import Counter

from events import micros

LONGEST_MS = 10_000_000_000  # beyond it a player's report is a stand-in for infinity


def present(value):
    """A sort key in which an absent value comes before every present one."""
    return (value is not None, 0 if value is None else value)


class Lengths:
    """Answers (duration, source, completion target) for a (video_id, content_version)."""

    def __init__(self, dated_records, playbacks):
        first_written = {}
        for record, written_us in dated_records:
            held = first_written.setdefault(record["video_id"], written_us)
            first_written[record["video_id"]] = min(held, written_us)
        # By the time a record speaks of, then updated_ts, then the time of its file. The record that was
        # written first and names no time speaks of the beginning.
        ranked = []
        for record, written_us in dated_records:
            said = micros(record.get("valid_from"))
            if said is None and written_us > first_written[record["video_id"]]:
                said = written_us
            rank = (present(said), present(micros(record.get("updated_ts"))), written_us)
            ranked.append((rank, record))
        self.catalogue = {}
        for _, record in sorted(ranked, key=lambda entry: entry[0]):
            version = record.get("content_version")
            key = (record["video_id"], 1 if version is None else version)
            known = {name: value for name, value in record.items() if value is not None}
            self.catalogue.setdefault(key, {}).update(known)
        self.reported = {}
        for key, events in playbacks:
            for event in events:
                value = event["video"].get("player_duration_ms") if event["family"] == "video" else None
                if value is not None and value <= LONGEST_MS:
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
