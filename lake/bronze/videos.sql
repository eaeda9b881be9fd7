-- One row per catalogue record that was delivered: the whole state of one video from valid_from on.
-- A resent record is here as often as it came; the versions are made in silver.videos.
-- Of two records with one valid_from the one with the later updated_ts counts, else the later record or file, else the
-- greater content. A duration has a bound that no true value reaches, 10^10 ms (115 days): beyond it is quarantine.
CREATE TABLE bronze.videos (
    video_id            VARCHAR(128) NOT NULL COMMENT 'Video',
    content_version     BIGINT                COMMENT 'Cut of the video; changes when its timeline does; 1 where absent',
    title               STRING                COMMENT 'Title',
    description_hash    STRING                COMMENT 'Hash of the description',
    language            STRING                COMMENT 'Original language, BCP 47',
    audio_languages     JSON                  COMMENT 'Languages of the sound: a JSON list',
    subtitle_languages  JSON                  COMMENT 'Languages of the subtitles: a JSON list',
    genre               STRING                COMMENT 'Genre',
    tags                JSON                  COMMENT 'Tags: a JSON list',
    maturity_rating     STRING                COMMENT 'Age rating',
    series_id           VARCHAR(128)          COMMENT 'Series of an episode',
    season_no           BIGINT                COMMENT 'Season of an episode',
    episode_no          BIGINT                COMMENT 'Number of an episode',
    content_type        STRING                COMMENT 'movie, episode, clip, short, live or trailer',
    creator_id          VARCHAR(128)          COMMENT 'Creator who owns the video',
    channel_id          VARCHAR(128)          COMMENT 'Channel of the creator',
    studio              STRING                COMMENT 'Studio',
    duration_ms         BIGINT                COMMENT 'Duration of this cut, ms; absent (or 0) where unknown',
    credits_start_ms    BIGINT                COMMENT 'Where the closing credits begin, ms',
    intro_end_ms        BIGINT                COMMENT 'Where the opening ends, ms',
    chapters            JSON                  COMMENT 'Chapters: a JSON list of start_ms and title',
    release_ts          TIMESTAMP             COMMENT 'First release anywhere',
    publish_ts          TIMESTAMP             COMMENT 'Published here',
    unpublish_ts        TIMESTAMP             COMMENT 'Taken down here',
    regions_allowed     JSON                  COMMENT 'Countries in which it may be shown: a JSON list',
    regions_blocked     JSON                  COMMENT 'Countries in which it may not be shown: a JSON list',
    rights_from         TIMESTAMP             COMMENT 'Begin of the licence',
    rights_to           TIMESTAMP             COMMENT 'End of the licence, exclusive',
    licence_type        STRING                COMMENT 'Kind of licence',
    ad_breaks           JSON                  COMMENT 'Planned ad breaks: a JSON list of break_id, position_ms, max_duration_ms and slots',
    monetization        STRING                COMMENT 'AVOD, SVOD, TVOD or none',
    is_live             BOOLEAN               COMMENT 'A live programme',
    stream_type         STRING                COMMENT 'vod, live or low_latency_live',
    valid_from          TIMESTAMP             COMMENT 'From when this state holds; the time of the record or file where absent',
    updated_ts          TIMESTAMP             COMMENT 'When the catalogue last changed this record: of two with one valid_from the later counts',

    CONSTRAINT content_version_not_negative CHECK (content_version >= 0),
    CONSTRAINT times_not_negative CHECK (duration_ms >= 0 AND credits_start_ms >= 0 AND intro_end_ms >= 0),
    CONSTRAINT times_within_bounds CHECK (
        duration_ms <= 10000000000 AND credits_start_ms <= 10000000000 AND intro_end_ms <= 10000000000),
    CONSTRAINT lists_are_lists CHECK (
        starts_with(audio_languages, '[') AND starts_with(subtitle_languages, '[') AND starts_with(tags, '[') AND starts_with(chapters, '[')
        AND starts_with(regions_allowed, '[') AND starts_with(regions_blocked, '[') AND starts_with(ad_breaks, '[')),
    CONSTRAINT known_content_type CHECK (content_type IN ('movie', 'episode', 'clip', 'short', 'live', 'trailer')),
    CONSTRAINT known_monetization CHECK (monetization IN ('AVOD', 'SVOD', 'TVOD', 'none')),
    CONSTRAINT known_stream_type CHECK (stream_type IN ('vod', 'live', 'low_latency_live')),
    CONSTRAINT credits_within_duration CHECK (duration_ms = 0 OR credits_start_ms <= duration_ms),
    CONSTRAINT duration_is_not_a_stand_in CHECK (duration_ms <> 86400000)
)
PARTITIONED BY (_ingest_date)
TBLPROPERTIES (
    'lake.source' = 'folder:videos, kafka:videos',
    'lake.empty_strings' = 'reject',
    'lake.default.content_version' = '1',
    'delta.dataSkippingStatsColumns' = 'video_id,valid_from,_record_ts,_ingested_at',
    'lake.else.known_content_type' = 'warn',
    'lake.else.known_monetization' = 'warn',
    'lake.else.known_stream_type' = 'warn',
    'lake.else.credits_within_duration' = 'warn',
    'lake.else.duration_is_not_a_stand_in' = 'warn'
);
