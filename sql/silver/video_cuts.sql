/*---
about   = "One row per cut of a video (video_id, content_version): what is a fact about the file, newest known value"
refresh = "full"

[check]
every_cut_is_here = "(SELECT count(*) FROM this) = (SELECT count(*) FROM (SELECT DISTINCT video_id, coalesce(content_version, 1) AS content_version FROM bronze.videos))"
---*/

-- A corrected duration restates history: the file was never longer. So these are never as of a time.
-- Newest is by the time a record speaks of; of two records for one time the one with the later updated_ts, else the one
-- with the later record or file time, else the one with the greater content, as in silver.videos.

WITH catalogue_records AS (
    SELECT
        *,
        -- The record that was written first speaks of the beginning, as in silver.videos.
        coalesce(valid_from, CASE WHEN _record_ts > min(_record_ts) OVER (PARTITION BY video_id)
            THEN _record_ts END) AS said_from,
        make_array(
            CAST(coalesce(content_version, 1) AS VARCHAR), title, description_hash, language, audio_languages,
            subtitle_languages, genre, tags, maturity_rating, series_id, CAST(season_no AS VARCHAR),
            CAST(episode_no AS VARCHAR), content_type, creator_id, channel_id, studio, regions_allowed, regions_blocked,
            CAST(rights_from AS VARCHAR), CAST(rights_to AS VARCHAR),
            licence_type, ad_breaks, monetization, CAST(is_live AS VARCHAR), stream_type
        ) AS content
    FROM bronze.videos
),

ordered_records AS (
    SELECT
        video_id,
        coalesce(content_version, 1) AS content_version,
        -- 0 stands for unknown in some catalogues; the bound is that of bronze.videos, for what came before it had one.
        CASE WHEN duration_ms BETWEEN 1 AND 10000000000 THEN duration_ms END           AS duration_ms,
        CASE WHEN credits_start_ms BETWEEN 1 AND 10000000000 THEN credits_start_ms END AS credits_start_ms,
        CASE WHEN intro_end_ms BETWEEN 1 AND 10000000000 THEN intro_end_ms END         AS intro_end_ms,
        chapters,
        row_number() OVER (
            PARTITION BY video_id
            ORDER BY
                said_from DESC NULLS LAST, updated_ts DESC NULLS LAST, _record_ts DESC NULLS LAST,
                content DESC NULLS LAST,
                duration_ms DESC NULLS LAST, credits_start_ms DESC NULLS LAST, intro_end_ms DESC NULLS LAST,
                chapters DESC NULLS LAST) AS place
    FROM catalogue_records
)

SELECT
    video_id,
    content_version,
    first_value(duration_ms ORDER BY place) FILTER (WHERE duration_ms IS NOT NULL)           AS duration_ms,
    first_value(credits_start_ms ORDER BY place) FILTER (WHERE credits_start_ms IS NOT NULL) AS credits_start_ms,
    first_value(intro_end_ms ORDER BY place) FILTER (WHERE intro_end_ms IS NOT NULL)         AS intro_end_ms,
    first_value(chapters ORDER BY place) FILTER (WHERE chapters IS NOT NULL)                 AS chapters
FROM ordered_records
GROUP BY video_id, content_version
