-- One row per viewed stretch of a video, in play order: [start_ms, end_ms) of its timeline.
-- Parameters: 2 s tolerance for contiguous viewing; edges within 1 s are one run.
CREATE TABLE silver.intervals (
    playback_id     STRING    NOT NULL COMMENT 'Playback: one attempt to play one video on one player',
    video_id        STRING    NOT NULL COMMENT 'Video',
    user_id         STRING             COMMENT 'Account of the viewer, pseudonymous',
    seq             BIGINT    NOT NULL COMMENT 'Place in the playback',
    part            INT       NOT NULL COMMENT '0; 1 for what a loop shows after its start',
    d               BIGINT             COMMENT 'Duration of the cut, ms; NULL where unknown and for live',
    visible         BOOLEAN   NOT NULL COMMENT 'Not in a background tab or app',
    start_ms        BIGINT    NOT NULL COMMENT 'First position seen, ms',
    end_ms          BIGINT    NOT NULL COMMENT 'Position where it ends, exclusive, ms',
    content_version BIGINT    NOT NULL COMMENT 'Cut of the video',
    event_id        STRING    NOT NULL COMMENT 'Event that begins the step',
    user_key        STRING             COMMENT 'Who watched: the account, else the browser or installation',
    run_no          INT       NOT NULL COMMENT 'Run of touching stretches, from 1 in play order',
    kind            STRING    NOT NULL COMMENT 'contiguous or loop',
    rate            DOUBLE    NOT NULL COMMENT 'Speed until the next event',
    muted           BOOLEAN   NOT NULL COMMENT 'Sound off',
    wall_start_ts   TIMESTAMP NOT NULL COMMENT 'Corrected time when it began',
    wall_end_ts     TIMESTAMP NOT NULL COMMENT 'Corrected time when it ended, by the media it moved through',
    unseen_ms       BIGINT    NOT NULL COMMENT 'Of it, what no stretch that begins earlier shows, ms; its sum is the coverage',
    report_date     DATE      NOT NULL COMMENT 'Day of the corrected start of the playback, in the reporting time zone',
    PRIMARY KEY (event_id, part),
    CONSTRAINT not_empty CHECK (start_ms < end_ms),
    CONSTRAINT length_within_bounds CHECK (end_ms - start_ms <= 10000000000),
    CONSTRAINT begins_before_it_ends CHECK (wall_start_ts <= wall_end_ts),
    CONSTRAINT within_the_video CHECK (start_ms >= 0 AND (d IS NULL OR end_ms <= d)),
    CONSTRAINT unseen_within_it CHECK (unseen_ms BETWEEN 0 AND end_ms - start_ms),
    CONSTRAINT part_0_or_1 CHECK (part IN (0, 1)),
    CONSTRAINT run_from_one CHECK (run_no >= 1)
)
PARTITIONED BY (report_date)
TBLPROPERTIES (
    'delta.dataSkippingStatsColumns' = 'playback_id,video_id,wall_start_ts'
);
