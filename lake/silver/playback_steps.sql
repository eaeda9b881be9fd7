-- One row per video event of a playback with what followed it until the next one. Parameters: 2 s tolerance; a jump
-- counts for 15 s of play time at most; a step takes 0 to 10^10 ms (115 days), whatever a clock says that was set.
CREATE TABLE silver.playback_steps (
    playback_id           STRING    NOT NULL COMMENT 'Playback: one attempt to play one video on one player',
    seq                   BIGINT    NOT NULL COMMENT 'Place in the playback',
    event_id              STRING    NOT NULL COMMENT 'Event that begins the step',
    video_id              STRING    NOT NULL COMMENT 'Video',
    content_version       BIGINT    NOT NULL COMMENT 'Cut of the video',
    user_id               STRING             COMMENT 'Account of the viewer, pseudonymous',
    user_key              STRING             COMMENT 'Who watched: the account, else the browser or installation',
    report_date           DATE      NOT NULL COMMENT 'Day of the corrected start of the playback, in the reporting time zone',
    duration_ms           BIGINT             COMMENT 'Duration of the cut, ms; NULL where unknown and for live',
    type                  STRING    NOT NULL COMMENT 'What happened',
    state                 STRING    NOT NULL COMMENT 'State until the next event',
    phase                 STRING             COMMENT 'start or end of a buffer event',
    reason                STRING             COMMENT 'Why',
    is_loop               BOOLEAN   NOT NULL COMMENT 'A complete after which the player starts again',
    is_fatal              BOOLEAN   NOT NULL COMMENT 'The error ended the playback',
    is_business_exception BOOLEAN   NOT NULL COMMENT 'The error is a rule, not a fault',
    startup_ms            BIGINT             COMMENT 'From the request to the first frame as the player reported it, ms',
    ts_ms                 BIGINT    NOT NULL COMMENT 'Corrected time of the event, epoch ms',
    mono_ms               BIGINT             COMMENT 'Client clock that is never set, ms',
    rate                  DOUBLE    NOT NULL COMMENT 'Speed until the next event',
    visible               BOOLEAN   NOT NULL COMMENT 'Not in a background tab or app',
    muted                 BOOLEAN   NOT NULL COMMENT 'Sound off',
    from_ms               BIGINT             COMMENT 'Position after the event, ms',
    to_ms                 BIGINT             COMMENT 'Position before the next event, ms; NULL for the last',
    elapsed_ms            BIGINT             COMMENT 'Time until the next event, ms, never negative; NULL for the last',
    kind                  STRING             COMMENT 'Of a step in state playing: contiguous, loop or jump',
    play_ms               BIGINT             COMMENT 'Wall time of viewing, ms',
    unaccounted_ns        BIGINT             COMMENT 'Wall time that the media did not move through, ns',
    PRIMARY KEY (event_id),
    CONSTRAINT known_kind CHECK (kind IN ('contiguous', 'loop', 'jump')),
    CONSTRAINT elapsed_within_bounds CHECK (elapsed_ms BETWEEN 0 AND 10000000000),
    CONSTRAINT play_within_bounds CHECK (play_ms BETWEEN 0 AND 10000200000),
    CONSTRAINT unaccounted_within_bounds CHECK (unaccounted_ns BETWEEN 0 AND 10000000000000000),
    CONSTRAINT startup_not_negative CHECK (startup_ms >= 0),
    CONSTRAINT rate_in_range CHECK (rate >= 0.01 AND rate <= 16),
    CONSTRAINT only_playing_is_viewing CHECK (state = 'playing' OR play_ms IS NULL)
)
PARTITIONED BY (report_date)
TBLPROPERTIES (
    'lake.distinct' = 'event_id',
    'delta.dataSkippingStatsColumns' = 'playback_id,ts_ms'
);
