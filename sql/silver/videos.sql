/*---
about   = "One row per version of a video: its attributes from valid_from until valid_to (slowly changing, type 2)"
refresh = "full"

[check]
every_video_is_here = "(SELECT count(DISTINCT video_id) FROM this) = (SELECT count(DISTINCT video_id) FROM bronze.videos)"
no_gap_no_overlap   = "(SELECT count(*) FROM (SELECT valid_to, lead(valid_from) OVER (PARTITION BY video_id ORDER BY valid_from) AS next_from FROM this) AS version WHERE valid_to <> next_from) = 0"
open_at_both_ends   = "(SELECT count(*) FROM (SELECT video_id, min(valid_from) AS first_from, max(valid_to) AS last_to FROM this GROUP BY video_id) AS video WHERE CAST(first_from AS DATE) <> DATE '1970-01-01' OR CAST(last_to AS DATE) <> DATE '9999-12-31') = 0"
---*/

-- The first version opens at 1970-01-01, so that early events find a row: the record that was written first
-- does, unless it says otherwise. A later record starts at its valid_from, else at the time of its record or
-- file. A record that changes nothing makes no version, nor does one that begins at the open end (9999-12-31) or
-- later: it never holds, unless the video has no other.
--
-- Of two records with one valid_from the one with the later updated_ts counts, else the one with the later record or
-- file time, else the one with the greater content: never the one that came later.

WITH catalogue_records AS (
    SELECT
        *,
        -- The record that was written first speaks of the beginning.
        coalesce(valid_from, CASE WHEN _record_ts > min(_record_ts) OVER (PARTITION BY video_id)
            THEN _record_ts END) AS said_from,
        -- Everything whose change makes a new version: to compare, and to break ties. A list, since texts joined to one
        -- can be equal where their parts differ.
        make_array(
            CAST(coalesce(content_version, 1) AS VARCHAR), title, description_hash, language, audio_languages,
            subtitle_languages, genre, tags, maturity_rating, series_id, CAST(season_no AS VARCHAR),
            CAST(episode_no AS VARCHAR), content_type, creator_id, channel_id, studio, regions_allowed, regions_blocked,
            CAST(rights_from AS VARCHAR), CAST(rights_to AS VARCHAR),
            licence_type, ad_breaks, monetization, CAST(is_live AS VARCHAR), stream_type
        ) AS content
    FROM bronze.videos
),

-- All records of a video, the newest first: a total order of what they say.
ordered_records AS (
    SELECT
        *,
        greatest(
            coalesce(said_from, arrow_cast('1970-01-01T00:00:00Z', 'Timestamp(Microsecond, Some("UTC"))')),
            arrow_cast('1970-01-01T00:00:00Z', 'Timestamp(Microsecond, Some("UTC"))')
        ) AS stated_from,
        row_number() OVER (
            PARTITION BY video_id
            ORDER BY
                said_from DESC NULLS LAST, updated_ts DESC NULLS LAST, _record_ts DESC NULLS LAST,
                content DESC NULLS LAST,
                duration_ms DESC NULLS LAST, credits_start_ms DESC NULLS LAST, intro_end_ms DESC NULLS LAST,
                chapters DESC NULLS LAST,
                release_ts DESC NULLS LAST, publish_ts DESC NULLS LAST, unpublish_ts DESC NULLS LAST) AS place
    FROM catalogue_records
),

-- One row per video and moment at which a record begins.
states AS (
    SELECT
        *,
        first_value(release_ts) IGNORE NULLS OVER newest_first   AS newest_release_ts,
        first_value(publish_ts) IGNORE NULLS OVER newest_first   AS newest_publish_ts,
        first_value(unpublish_ts) IGNORE NULLS OVER newest_first AS newest_unpublish_ts
    FROM ordered_records
    QUALIFY row_number() OVER (PARTITION BY video_id, stated_from ORDER BY place) = 1
        AND (
            stated_from < arrow_cast('9999-12-31T00:00:00Z', 'Timestamp(Microsecond, Some("UTC"))')
            OR stated_from = min(stated_from) OVER (PARTITION BY video_id))
    WINDOW newest_first AS (
        PARTITION BY video_id ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
),

-- One row per change of a video.
versions AS (
    SELECT
        *,
        coalesce(content_version, 1)                                    AS known_content_version,
        lag(stated_from) OVER (PARTITION BY video_id ORDER BY stated_from) AS previous_from
    FROM states
    QUALIFY content IS DISTINCT FROM lag(content) OVER (PARTITION BY video_id ORDER BY stated_from)
)

SELECT
    versions.video_id,
    versions.known_content_version AS content_version,
    versions.title,
    versions.description_hash,
    versions.language,
    versions.audio_languages,
    versions.subtitle_languages,
    versions.genre,
    versions.tags,
    versions.maturity_rating,
    versions.series_id,
    versions.season_no,
    versions.episode_no,
    versions.content_type,
    versions.creator_id,
    versions.channel_id,
    versions.studio,
    video_cuts.duration_ms,
    video_cuts.credits_start_ms,
    video_cuts.intro_end_ms,
    video_cuts.chapters,
    versions.newest_release_ts   AS release_ts,
    versions.newest_publish_ts   AS publish_ts,
    versions.newest_unpublish_ts AS unpublish_ts,
    versions.regions_allowed,
    versions.regions_blocked,
    versions.rights_from,
    versions.rights_to,
    versions.licence_type,
    versions.ad_breaks,
    versions.monetization,
    versions.is_live,
    versions.stream_type,
    CASE
        WHEN versions.previous_from IS NULL
            THEN arrow_cast('1970-01-01T00:00:00Z', 'Timestamp(Microsecond, Some("UTC"))')
        ELSE versions.stated_from
    END AS valid_from,
    lead(versions.stated_from, 1, arrow_cast('9999-12-31T00:00:00Z', 'Timestamp(Microsecond, Some("UTC"))'))
        OVER (PARTITION BY versions.video_id ORDER BY versions.stated_from) AS valid_to,
    lead(versions.stated_from) OVER (PARTITION BY versions.video_id ORDER BY versions.stated_from) IS NULL AS is_current
FROM versions
INNER JOIN silver.video_cuts AS video_cuts
    ON video_cuts.video_id = versions.video_id AND video_cuts.content_version = versions.known_content_version
