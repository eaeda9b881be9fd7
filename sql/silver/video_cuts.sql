/*---
about   = "One row per cut of a video (video_id, content_version): what is a fact about the file, newest known value"
refresh = "full"

[check]
every_cut_is_here = "(SELECT count(*) FROM this) = (SELECT count(*) FROM (SELECT DISTINCT video_id, coalesce(content_version, 1) AS content_version FROM bronze.videos))"
---*/

-- A corrected duration restates history: the file was never longer. So these are never as of a time.
-- Newest is by the time a record speaks of, then by when it was written; of two records of one file the later
-- line counts.

WITH catalogue_records AS (
    SELECT
        video_id,
        coalesce(content_version, 1) AS content_version,
        -- 0 stands for unknown in some catalogues; a bound of 10^16 ms keeps later products in range.
        CASE WHEN duration_ms BETWEEN 1 AND 10000000000000000 THEN duration_ms END           AS duration_ms,
        CASE WHEN credits_start_ms BETWEEN 1 AND 10000000000000000 THEN credits_start_ms END AS credits_start_ms,
        CASE WHEN intro_end_ms BETWEEN 1 AND 10000000000000000 THEN intro_end_ms END         AS intro_end_ms,
        chapters,
        -- The record that was written first speaks of the beginning, as in silver.videos.
        coalesce(valid_from, CASE WHEN _record_ts > min(_record_ts) OVER (PARTITION BY video_id) THEN _record_ts END) AS stated_ts,
        _record_ts,
        _offset
    FROM bronze.videos
)

SELECT
    video_id,
    content_version,
    first_value(duration_ms ORDER BY stated_ts DESC NULLS LAST, _record_ts DESC NULLS LAST, _offset DESC, duration_ms DESC)
        FILTER (WHERE duration_ms IS NOT NULL)      AS duration_ms,
    first_value(credits_start_ms ORDER BY stated_ts DESC NULLS LAST, _record_ts DESC NULLS LAST, _offset DESC, credits_start_ms DESC)
        FILTER (WHERE credits_start_ms IS NOT NULL) AS credits_start_ms,
    first_value(intro_end_ms ORDER BY stated_ts DESC NULLS LAST, _record_ts DESC NULLS LAST, _offset DESC, intro_end_ms DESC)
        FILTER (WHERE intro_end_ms IS NOT NULL)     AS intro_end_ms,
    first_value(chapters ORDER BY stated_ts DESC NULLS LAST, _record_ts DESC NULLS LAST, _offset DESC, chapters DESC)
        FILTER (WHERE chapters IS NOT NULL)         AS chapters
FROM catalogue_records
GROUP BY video_id, content_version
