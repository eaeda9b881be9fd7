"""The tables that oracle and lake are compared on: columns, key, and what may differ by how much."""

import json
import os
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Table:
    """`flags` are 0/1 columns that may come as booleans (an absent is_test means false);
    `slack` is the greatest difference of a column that is a sum of doubles by its definition;
    `in_lake` has the lake's name of a column where it is another one."""

    name: str
    key: tuple
    columns: tuple
    flags: tuple = ()
    slack: dict = field(default_factory=dict)
    in_lake: dict = field(default_factory=dict)

    def query(self):
        """The lake's rows under the names used here."""
        items = [f"{self.in_lake[name]} AS {name}" if name in self.in_lake else name for name in self.columns]
        return f"SELECT {', '.join(items)} FROM {self.name}"


def _columns(text):
    return tuple(text.split())


_VIDEO = _columns("report_date video_id content_version")

TABLES = (
    Table(
        "silver.playbacks",
        ("playback_id",),
        _columns(
            """playback_id video_id content_version duration_ms duration_source start_ts_ms report_date
            mode stream_type country device_type is_test started startup_ms play_time_ms foreground_ms
            media_ms unique_media_ms max_position_ms exit_ms stall_ms stall_count paused_ms ad_ms
            watched_ms seeks inferred_jumps unaccounted_ms failed ebvs start_failure dropped
            playback_success_score reached_end completed engaged"""
        ),
        flags=_columns("is_test started failed ebvs start_failure dropped reached_end completed engaged"),
        slack={"unaccounted_ms": 1},
    ),
    Table("silver.intervals", _columns("playback_id seq part"), _columns("playback_id seq part start_ms end_ms")),
    Table(
        "silver.ad_impressions",
        ("impression_id",),
        _columns(
            """impression_id playback_id report_date started q1 q2 q3 completed skipped click_count
            revenue_nanos error"""
        ),
        flags=_columns("started q1 q2 q3 completed skipped error"),
        in_lake={"q1": "first_quartile", "q2": "midpoint", "q3": "third_quartile", "error": "failed"},
    ),
    Table(
        "gold.video_retention",
        _VIDEO + ("slice",),
        _VIDEO
        + _columns("slice plays watched_units started_watching stopped_watching total_segment_impressions"),
    ),
    Table("gold.video_dropoff", _VIDEO + ("slice",), _VIDEO + _columns("slice exits at_risk")),
    Table(
        "gold.ad_daily",
        _columns(
            "report_date advertiser_id campaign_id creative_id break_type country device_type currency"
        ),
        _columns(
            """report_date advertiser_id campaign_id creative_id break_type country device_type currency
            impressions starts first_quartiles midpoints third_quartiles completes skippable_starts skips
            clicks_total clicked_impressions errors revenue_nanos revenue_micros"""
        ),
    ),
    Table(
        "gold.video_daily",
        _VIDEO + _columns("country device_type stream_type"),
        _VIDEO
        + _columns(
            """country device_type stream_type attempts plays engaged_views completes reached_end
            play_time_ms foreground_ms media_ms unique_media_ms known_duration_ms known_plays watched_ms
            seeks dropped"""
        ),
    ),
)


def canonical(table, row):
    """The compared columns of a row, with one spelling per value."""
    kept = {}
    for column in table.columns:
        value = row[column]
        if column == "is_test" and value is None:
            value = 0
        if column in table.flags and isinstance(value, bool):
            value = int(value)
        kept[column] = value
    return kept


def write(folder, table, rows):
    """One NDJSON file per table: canonical, sorted, so that equal tables are equal files."""
    lines = sorted(json.dumps(canonical(table, row), sort_keys=True) for row in rows)
    with open(os.path.join(folder, f"{table.name}.ndjson"), "w", encoding="utf-8") as out:
        out.writelines(line + "\n" for line in lines)
    return len(lines)
