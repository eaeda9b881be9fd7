-- One row per version of a video: its attributes from valid_from until valid_to (slowly changing, type 2). Join it by
-- video_id and valid_from <= time < valid_to; the first version opens at 1970-01-01, so no event is too early. Of two
-- records with one valid_from the later updated_ts counts, else the later record or file time, else the greater
-- content. A record that begins at 9999-12-31 or later never holds, unless the video has no other.
CREATE TABLE silver.videos (
    video_id           STRING    NOT NULL COMMENT 'Video',
    content_version    BIGINT    NOT NULL COMMENT 'Cut of the video in this version',
    title              STRING             COMMENT 'Title',
    description_hash   STRING             COMMENT 'Hash of the description',
    language           STRING             COMMENT 'Original language, BCP 47',
    audio_languages    JSON               COMMENT 'Languages of the sound: a JSON list',
    subtitle_languages JSON               COMMENT 'Languages of the subtitles: a JSON list',
    genre              STRING             COMMENT 'Genre',
    tags               JSON               COMMENT 'Tags: a JSON list',
    maturity_rating    STRING             COMMENT 'Age rating',
    series_id          STRING             COMMENT 'Series of an episode',
    season_no          BIGINT             COMMENT 'Season of an episode',
    episode_no         BIGINT             COMMENT 'Number of an episode',
    content_type       STRING             COMMENT 'movie, episode, clip, short, live or trailer',
    creator_id         STRING             COMMENT 'Creator who owns the video',
    channel_id         STRING             COMMENT 'Channel of the creator',
    studio             STRING             COMMENT 'Studio',
    duration_ms        BIGINT             COMMENT 'Duration of this cut, ms; absent (or 0) where unknown',
    credits_start_ms   BIGINT             COMMENT 'Where the closing credits begin, ms',
    intro_end_ms       BIGINT             COMMENT 'Where the opening ends, ms',
    chapters           JSON               COMMENT 'Chapters: a JSON list of start_ms and title',
    release_ts         TIMESTAMP          COMMENT 'First release anywhere',
    publish_ts         TIMESTAMP          COMMENT 'Published here',
    unpublish_ts       TIMESTAMP          COMMENT 'Taken down here',
    regions_allowed    JSON               COMMENT 'Countries in which it may be shown: a JSON list',
    regions_blocked    JSON               COMMENT 'Countries in which it may not be shown: a JSON list',
    rights_from        TIMESTAMP          COMMENT 'Begin of the licence',
    rights_to          TIMESTAMP          COMMENT 'End of the licence, exclusive',
    licence_type       STRING             COMMENT 'Kind of licence',
    ad_breaks          JSON               COMMENT 'Planned ad breaks: a JSON list of break_id, position_ms, max_duration_ms and slots',
    monetization       STRING             COMMENT 'AVOD, SVOD, TVOD or none',
    is_live            BOOLEAN            COMMENT 'A live programme',
    stream_type        STRING             COMMENT 'vod, live or low_latency_live',
    valid_from         TIMESTAMP NOT NULL COMMENT 'Begin of this version',
    valid_to           TIMESTAMP NOT NULL COMMENT 'End of this version, exclusive; 9999-12-31 while open',
    is_current         BOOLEAN   NOT NULL COMMENT 'The version with the open end',
    PRIMARY KEY (video_id, valid_from),
    CONSTRAINT begins_before_it_ends CHECK (valid_from < valid_to),
    CONSTRAINT duration_positive CHECK (duration_ms > 0)
)
TBLPROPERTIES (
    'delta.dataSkippingStatsColumns' = 'video_id,valid_from,valid_to'
);
