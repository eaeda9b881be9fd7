-- One row per event record that was delivered: a resent event is here as often as it came. The event contract, version
-- 1. Every line of the published examples fits; anything else goes to quarantine. Fields with an open list of values
-- are STRING: an unknown value is kept as sent, and counted ('lake.else.… = warn'). Numbers have bounds that no true
-- value reaches: a duration 10^10 ms (115 days), the clock of a playback 10^11 ms (3 years), a position 10^13 ms (live
-- positions are epoch ms, until the year 2286), a count 10^9, a price a billion (10^15 micros). Beyond them a record
-- is in quarantine, and the models say beside their sums why these fit.
CREATE TABLE bronze.events (
    schema_version      BIGINT       NOT NULL COMMENT 'Version of this contract: 1',
    event_id            VARCHAR(128) NOT NULL COMMENT 'Set by the client; the same on every retry',
    family              VARCHAR(128) NOT NULL COMMENT 'video, interaction, ad, session or web: names the object below that is filled',
    type                VARCHAR(128) NOT NULL COMMENT 'What happened; each family has its own list',
    event_ts            TIMESTAMP    NOT NULL COMMENT 'When it happened, by the client clock',
    sent_ts             TIMESTAMP             COMMENT 'When the batch left the client, by the client clock; with received_ts it gives the clock offset',
    received_ts         TIMESTAMP             COMMENT 'When the collector received it',
    seq                 BIGINT                COMMENT 'Place in the playback, from 0, shared by video and ad events; a gap shows a loss',
    mono_ms             BIGINT                COMMENT 'Milliseconds since the start of the playback by a clock that is never set',
    session_id          VARCHAR(128) NOT NULL COMMENT 'Visit of the app',
    playback_id         VARCHAR(128)          COMMENT 'One attempt to play one video on one player',
    user_id             STRING                COMMENT 'Account of the viewer, pseudonymous',
    anonymous_id        VARCHAR(128) NOT NULL COMMENT 'Browser or installation of the viewer, pseudonymous',
    device_id           VARCHAR(128)          COMMENT 'Device of the viewer, pseudonymous',
    video_id            VARCHAR(128)          COMMENT 'Video that is played or reacted to',
    content_version     BIGINT                COMMENT 'Cut of the video; changes when its timeline does; 1 where absent',
    app_id              VARCHAR(128) NOT NULL COMMENT 'Application that sent the event',
    app_version         VARCHAR(128)          COMMENT 'Version of the application',
    platform            STRING       NOT NULL COMMENT 'web, ios, android, tv_app, console, stb, cast or other',
    device_type         STRING       NOT NULL COMMENT 'desktop, mobile, tablet, tv, console, stb, other or unknown',
    os                  VARCHAR(128)          COMMENT 'Operating system',
    os_version          VARCHAR(128)          COMMENT 'Version of the operating system',
    browser             VARCHAR(128)          COMMENT 'Browser',
    country             STRING                COMMENT 'ISO 3166-1 alpha-2, from the address, which is then dropped; ZZ is unknown',
    region              VARCHAR(128)          COMMENT 'ISO 3166-2',
    city                VARCHAR(128)          COMMENT 'City',
    timezone            VARCHAR(128)          COMMENT 'Time zone of the client, by its IANA name',
    connection_type     STRING                COMMENT 'wifi, cellular, wired, offline or unknown',
    cdn                 VARCHAR(128)          COMMENT 'Content delivery network',
    asn                 BIGINT                COMMENT 'Autonomous system number of the network',
    subscription_tier   VARCHAR(128)          COMMENT 'Plan of the viewer at that moment',
    is_test             BOOLEAN               COMMENT 'Made by ourselves; kept in silver, left out of gold',
    video STRUCT<
        position_ms BIGINT,
        from_position_ms BIGINT,
        state VARCHAR(128),
        playback_rate DOUBLE,
        phase STRING,
        reason VARCHAR(128),
        duration_ms BIGINT,
        startup_ms BIGINT,
        interval_ms BIGINT,
        loop BOOLEAN,
        fatal BOOLEAN,
        is_business_exception BOOLEAN,
        error_code VARCHAR(128),
        error_category STRING,
        muted BOOLEAN,
        visible BOOLEAN,
        fullscreen BOOLEAN,
        pip BOOLEAN,
        autoplay BOOLEAN,
        mode STRING,
        stream_type STRING,
        player_duration_ms BIGINT,
        buffer_ms BIGINT,
        dropped_frames BIGINT,
        bitrate_kbps BIGINT,
        prev_bitrate_kbps BIGINT,
        width BIGINT,
        height BIGINT,
        fps DOUBLE,
        codec VARCHAR(128),
        is_auto BOOLEAN,
        player VARCHAR(128),
        player_version VARCHAR(128),
        source VARCHAR(128),
        continues_playback_id VARCHAR(128)
    > COMMENT 'What the player did: position and state are those after the event',
    interaction STRUCT<
        action STRING,
        target STRING,
        creator_id VARCHAR(128),
        position_ms BIGINT,
        comment_id VARCHAR(128),
        text_len BIGINT,
        share_service VARCHAR(128)
    > COMMENT 'What the viewer did to a video, a creator or a comment',
    ad STRUCT<
        ad_request_id VARCHAR(128),
        ad_break_id VARCHAR(128),
        break_type STRING,
        break_position_ms BIGINT,
        pod_position BIGINT,
        pod_size BIGINT,
        slots_requested BIGINT,
        ads_returned BIGINT,
        impression_id VARCHAR(128),
        ad_id VARCHAR(128),
        creative_id VARCHAR(128),
        universal_ad_id VARCHAR(128),
        campaign_id VARCHAR(128),
        line_item_id VARCHAR(128),
        advertiser_id VARCHAR(128),
        ad_duration_ms BIGINT,
        ad_position_ms BIGINT,
        skippable BOOLEAN,
        skip_offset_ms BIGINT,
        insertion STRING,
        format STRING,
        pricing_model STRING,
        price_micros BIGINT,
        currency STRING,
        viewability STRING,
        error_code BIGINT,
        click_id VARCHAR(128)
    > COMMENT 'What an ad did',
    session STRUCT<
        entry VARCHAR(128),
        referrer VARCHAR(128),
        source VARCHAR(128),
        medium VARCHAR(128),
        campaign VARCHAR(128),
        end_reason STRING,
        from_device_type VARCHAR(128),
        to_device_type VARCHAR(128),
        from_device_id VARCHAR(128),
        to_device_id VARCHAR(128),
        playback_id VARCHAR(128),
        position_ms BIGINT
    > COMMENT 'How a visit began, ended or changed device',
    web STRUCT<
        page VARCHAR(128),
        query STRING,
        results BIGINT,
        product_id VARCHAR(128),
        sku VARCHAR(128),
        quantity BIGINT,
        price_micros BIGINT,
        currency STRING,
        order_id VARCHAR(128),
        order_value_micros BIGINT,
        items JSON
    > COMMENT 'What the viewer did in the web shop',

    -- What a record must be to get in. Run on every record, so: no CASE and no regular expression.
    CONSTRAINT known_schema_version CHECK (schema_version = 1),
    CONSTRAINT known_family CHECK (family IN ('video', 'interaction', 'ad', 'session', 'web')),
    CONSTRAINT known_type CHECK (
        (family <> 'video' OR type IN ('play_request', 'play', 'pause', 'stop', 'seek', 'buffer', 'quality_change', 'error', 'heartbeat', 'complete', 'rate_change', 'visibility'))
        AND (family <> 'interaction' OR type IN ('like', 'dislike', 'comment', 'share', 'subscribe', 'save'))
        AND (family <> 'ad' OR type IN ('request', 'response', 'break_start', 'impression', 'start', 'first_quartile', 'midpoint', 'third_quartile', 'complete', 'skip', 'click', 'mute', 'unmute', 'pause', 'resume', 'viewability', 'error', 'break_end'))
        AND (family <> 'session' OR type IN ('session_start', 'session_end', 'device_change'))
        AND (family <> 'web' OR type IN ('page_view', 'search', 'product_view', 'add_to_cart', 'remove_from_cart', 'checkout_start', 'payment_info', 'purchase', 'refund'))),
    CONSTRAINT object_of_its_family CHECK (
        (family <> 'video' OR video IS NOT NULL)
        AND (family <> 'interaction' OR interaction IS NOT NULL)
        AND (family <> 'ad' OR ad IS NOT NULL)
        AND (family <> 'session' OR session IS NOT NULL)
        AND (family <> 'web' OR web IS NOT NULL)),
    CONSTRAINT playback_of_video_and_ad CHECK (
        family NOT IN ('video', 'ad') OR (playback_id IS NOT NULL AND video_id IS NOT NULL AND seq IS NOT NULL)),
    CONSTRAINT envelope_not_negative CHECK (seq >= 0 AND mono_ms >= 0 AND content_version >= 0),
    CONSTRAINT envelope_within_bounds CHECK (seq <= 10000000000000 AND mono_ms <= 100000000000),
    CONSTRAINT country_is_two_capitals CHECK (octet_length(country) = 2 AND translate(country, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', '') = ''),

    CONSTRAINT video_has_state CHECK (video IS NULL OR video.state IS NOT NULL),
    CONSTRAINT known_video_state CHECK (video.state IN ('preloading', 'starting', 'playing', 'paused', 'seeking', 'rebuffering', 'ad', 'ended', 'fatal', 'quit')),
    CONSTRAINT video_rate_in_range CHECK (video.playback_rate >= 0.01 AND video.playback_rate <= 16),
    CONSTRAINT video_not_negative CHECK (
        video.duration_ms >= 0 AND video.startup_ms >= 0 AND video.interval_ms >= 0 AND video.player_duration_ms >= 0
        AND video.buffer_ms >= 0 AND video.dropped_frames >= 0 AND video.bitrate_kbps >= 0 AND video.prev_bitrate_kbps >= 0
        AND video.width >= 0 AND video.height >= 0),
    -- Players of live streams report a stand-in for infinity, 2^32 s: it is let in, and no duration
    -- (silver.video_durations).
    CONSTRAINT video_within_bounds CHECK (
        video.position_ms BETWEEN -10000000000000 AND 10000000000000
        AND video.from_position_ms BETWEEN -10000000000000 AND 10000000000000
        AND video.player_duration_ms <= 10000000000000
        AND video.duration_ms <= 10000000000 AND video.startup_ms <= 10000000000 AND video.interval_ms <= 10000000000
        AND video.buffer_ms <= 10000000000 AND video.dropped_frames <= 1000000000 AND video.bitrate_kbps <= 1000000000
        AND video.prev_bitrate_kbps <= 1000000000 AND video.width <= 1000000000 AND video.height <= 1000000000),
    CONSTRAINT seek_says_from_where CHECK (family <> 'video' OR type <> 'seek' OR video.from_position_ms IS NOT NULL),
    CONSTRAINT buffer_says_phase_and_reason CHECK (family <> 'video' OR type <> 'buffer' OR (video.phase IS NOT NULL AND video.reason IS NOT NULL)),
    CONSTRAINT error_says_fatal_and_code CHECK (family <> 'video' OR type <> 'error' OR (video.fatal IS NOT NULL AND video.error_code IS NOT NULL)),
    CONSTRAINT quality_change_says_bitrates CHECK (family <> 'video' OR type <> 'quality_change' OR (video.bitrate_kbps IS NOT NULL AND video.prev_bitrate_kbps IS NOT NULL)),

    CONSTRAINT interaction_has_action CHECK (interaction IS NULL OR interaction.action IS NOT NULL),
    CONSTRAINT interaction_not_negative CHECK (interaction.text_len >= 0),
    CONSTRAINT interaction_within_bounds CHECK (
        interaction.position_ms BETWEEN -10000000000000 AND 10000000000000 AND interaction.text_len <= 1000000000),

    CONSTRAINT ad_event_names_its_impression CHECK (
        family <> 'ad'
        OR type NOT IN ('impression', 'start', 'first_quartile', 'midpoint', 'third_quartile', 'complete', 'skip', 'click', 'viewability')
        OR (ad.impression_id IS NOT NULL AND ad.ad_break_id IS NOT NULL AND ad.ad_id IS NOT NULL)),
    CONSTRAINT ad_request_has_id CHECK (family <> 'ad' OR type NOT IN ('request', 'response') OR ad.ad_request_id IS NOT NULL),
    CONSTRAINT viewability_has_verdict CHECK (family <> 'ad' OR type <> 'viewability' OR ad.viewability IS NOT NULL),
    CONSTRAINT ad_not_negative CHECK (
        ad.break_position_ms >= 0 AND ad.pod_position >= 1 AND ad.pod_size >= 0 AND ad.slots_requested >= 0 AND ad.ads_returned >= 0
        AND ad.ad_duration_ms >= 0 AND ad.ad_position_ms >= 0 AND ad.skip_offset_ms >= 0 AND ad.price_micros >= 0),
    CONSTRAINT ad_within_bounds CHECK (
        ad.break_position_ms <= 10000000000000 AND ad.ad_duration_ms <= 10000000000 AND ad.ad_position_ms <= 10000000000
        AND ad.skip_offset_ms <= 10000000000 AND ad.price_micros < 1000000000000000
        AND ad.pod_position <= 1000000000 AND ad.pod_size <= 1000000000
        AND ad.slots_requested <= 1000000000 AND ad.ads_returned <= 1000000000),
    CONSTRAINT ad_currency_is_three_capitals CHECK (octet_length(ad.currency) = 3 AND translate(ad.currency, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', '') = ''),

    CONSTRAINT session_within_bounds CHECK (session.position_ms BETWEEN -10000000000000 AND 10000000000000),

    CONSTRAINT purchase_has_order CHECK (
        family <> 'web' OR type <> 'purchase'
        OR (web.order_id IS NOT NULL AND web.order_value_micros IS NOT NULL AND web.currency IS NOT NULL)),
    CONSTRAINT web_not_negative CHECK (web.results >= 0 AND web.quantity >= 0 AND web.price_micros >= 0 AND web.order_value_micros >= 0),
    CONSTRAINT web_within_bounds CHECK (
        web.results <= 1000000000000 AND web.quantity <= 1000000000
        AND web.price_micros < 1000000000000000 AND web.order_value_micros < 1000000000000000),
    CONSTRAINT web_currency_is_three_capitals CHECK (octet_length(web.currency) = 3 AND translate(web.currency, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', '') = ''),
    CONSTRAINT web_items_is_a_list CHECK (starts_with(web.items, '[')),

    -- Open lists: the value is kept as sent, and counted.
    CONSTRAINT known_platform CHECK (platform IN ('web', 'ios', 'android', 'tv_app', 'console', 'stb', 'cast', 'other')),
    CONSTRAINT known_device_type CHECK (device_type IN ('desktop', 'mobile', 'tablet', 'tv', 'console', 'stb', 'other', 'unknown')),
    CONSTRAINT known_connection_type CHECK (connection_type IN ('wifi', 'cellular', 'wired', 'offline', 'unknown')),
    CONSTRAINT known_video_phase CHECK (video.phase IN ('start', 'end')),
    CONSTRAINT known_video_error_category CHECK (video.error_category IN ('network', 'media', 'drm', 'manifest', 'business', 'other')),
    CONSTRAINT known_video_mode CHECK (video.mode IN ('main', 'preview', 'trailer')),
    CONSTRAINT known_video_stream_type CHECK (video.stream_type IN ('vod', 'live', 'low_latency_live')),
    CONSTRAINT known_interaction_action CHECK (interaction.action IN ('add', 'remove')),
    CONSTRAINT known_interaction_target CHECK (interaction.target IN ('video', 'creator', 'comment')),
    CONSTRAINT known_ad_break_type CHECK (ad.break_type IN ('preroll', 'midroll', 'postroll')),
    CONSTRAINT known_ad_insertion CHECK (ad.insertion IN ('csai', 'ssai', 'sgai')),
    CONSTRAINT known_ad_format CHECK (ad.format IN ('linear', 'bumper', 'nonlinear', 'companion')),
    CONSTRAINT known_ad_pricing_model CHECK (ad.pricing_model IN ('CPM', 'CPC', 'CPV', 'CPCV', 'FLAT', 'HOUSE')),
    CONSTRAINT known_ad_viewability CHECK (ad.viewability IN ('viewable', 'not_viewable', 'undetermined')),
    CONSTRAINT known_session_end_reason CHECK (session.end_reason IN ('user', 'timeout', 'app_close', 'logout')),

    -- Legal but doubtful.
    CONSTRAINT video_rate_at_most_four CHECK (video.playback_rate <= 4),
    CONSTRAINT player_duration_is_not_a_stand_in CHECK (video.player_duration_ms <> 86400000)
)
PARTITIONED BY (_ingest_date)
TBLPROPERTIES (
    'lake.source' = 'folder:events, kafka:events',
    'lake.personal' = 'user_id, anonymous_id, device_id, session.from_device_id = device_id, session.to_device_id = device_id',
    'lake.empty_strings' = 'reject',
    'lake.present' = 'video.position_ms',
    'lake.default.content_version' = '1',
    'lake.distinct' = 'event_id',
    'delta.dataSkippingStatsColumns' = 'event_ts,received_ts,playback_id,_record_ts,_ingested_at,_offset',

    'lake.else.known_platform' = 'warn',
    'lake.else.known_device_type' = 'warn',
    'lake.else.known_connection_type' = 'warn',
    'lake.else.known_video_phase' = 'warn',
    'lake.else.known_video_error_category' = 'warn',
    'lake.else.known_video_mode' = 'warn',
    'lake.else.known_video_stream_type' = 'warn',
    'lake.else.known_interaction_action' = 'warn',
    'lake.else.known_interaction_target' = 'warn',
    'lake.else.known_ad_break_type' = 'warn',
    'lake.else.known_ad_insertion' = 'warn',
    'lake.else.known_ad_format' = 'warn',
    'lake.else.known_ad_pricing_model' = 'warn',
    'lake.else.known_ad_viewability' = 'warn',
    'lake.else.known_session_end_reason' = 'warn',
    'lake.else.video_rate_at_most_four' = 'warn',
    'lake.else.player_duration_is_not_a_stand_in' = 'warn',

    'lake.comment.video.position_ms' = 'Position after the event, ms of content; ads do not count; live: epoch ms of the programme; null before the media is known',
    'lake.comment.video.from_position_ms' = 'Position before a seek, ms',
    'lake.comment.video.state' = 'State after the event: preloading, starting, playing, paused, seeking, rebuffering, ad, ended, fatal or quit',
    'lake.comment.video.playback_rate' = 'Speed after the event, 0.01 to 16; 1 where absent',
    'lake.comment.video.phase' = 'start or end of a buffer event',
    'lake.comment.video.reason' = 'Why: of play, pause, stop, seek and buffer each its own list',
    'lake.comment.video.duration_ms' = 'How long the buffering took, ms, at its end',
    'lake.comment.video.startup_ms' = 'From the request to the first frame, ms, on the first play',
    'lake.comment.video.interval_ms' = 'Time between heartbeats, ms',
    'lake.comment.video.loop' = 'The player starts again at 0 after this complete',
    'lake.comment.video.fatal' = 'The error ended the playback',
    'lake.comment.video.is_business_exception' = 'The error is a rule (rights, entitlement), not a fault',
    'lake.comment.video.error_code' = 'Code of the error',
    'lake.comment.video.error_category' = 'network, media, drm, manifest, business or other',
    'lake.comment.video.muted' = 'Sound off after the event',
    'lake.comment.video.visible' = 'Not in a background tab or app; true where absent',
    'lake.comment.video.fullscreen' = 'Full screen after the event',
    'lake.comment.video.pip' = 'Picture in picture after the event',
    'lake.comment.video.autoplay' = 'Started without a click',
    'lake.comment.video.mode' = 'main, preview or trailer; main where absent',
    'lake.comment.video.stream_type' = 'vod, live or low_latency_live; vod where absent',
    'lake.comment.video.player_duration_ms' = 'Duration as the player knows it, ms; used where the catalogue has none; beyond 10^10 it is a stand-in and unknown',
    'lake.comment.video.buffer_ms' = 'Media buffered ahead, ms',
    'lake.comment.video.dropped_frames' = 'Frames not shown since the last event',
    'lake.comment.video.bitrate_kbps' = 'Bit rate after the event, kbit/s',
    'lake.comment.video.prev_bitrate_kbps' = 'Bit rate before a quality change, kbit/s',
    'lake.comment.video.width' = 'Width of the rendition, pixels',
    'lake.comment.video.height' = 'Height of the rendition, pixels',
    'lake.comment.video.fps' = 'Frames per second',
    'lake.comment.video.codec' = 'Codec of the rendition',
    'lake.comment.video.is_auto' = 'The player chose the quality, not the viewer',
    'lake.comment.video.player' = 'Name of the player',
    'lake.comment.video.player_version' = 'Version of the player',
    'lake.comment.video.source' = 'Where the viewer came from: search, suggested, browse, …',
    'lake.comment.video.continues_playback_id' = 'Playback that this one goes on with, on this or another device',

    'lake.comment.interaction.action' = 'add or remove: taking a like back is an event of its own',
    'lake.comment.interaction.target' = 'video, creator or comment',
    'lake.comment.interaction.creator_id' = 'Creator who is followed',
    'lake.comment.interaction.position_ms' = 'Position in the video at that moment, ms',
    'lake.comment.interaction.comment_id' = 'Comment that was written or liked',
    'lake.comment.interaction.text_len' = 'Length of the comment, characters; never its text',
    'lake.comment.interaction.share_service' = 'Where it was shared',

    'lake.comment.ad.ad_request_id' = 'Request for ads',
    'lake.comment.ad.ad_break_id' = 'Break in which the ad runs',
    'lake.comment.ad.break_type' = 'preroll, midroll or postroll',
    'lake.comment.ad.break_position_ms' = 'Where in the content the break lies, ms',
    'lake.comment.ad.pod_position' = 'Place of the ad in its break, from 1',
    'lake.comment.ad.pod_size' = 'Ads in the break',
    'lake.comment.ad.slots_requested' = 'Ads asked for',
    'lake.comment.ad.ads_returned' = 'Ads received',
    'lake.comment.ad.impression_id' = 'One rendering of one ad',
    'lake.comment.ad.ad_id' = 'Ad',
    'lake.comment.ad.creative_id' = 'Creative of the ad',
    'lake.comment.ad.universal_ad_id' = 'Id of the creative across the industry',
    'lake.comment.ad.campaign_id' = 'Campaign that pays',
    'lake.comment.ad.line_item_id' = 'Line item of the campaign',
    'lake.comment.ad.advertiser_id' = 'Advertiser who pays',
    'lake.comment.ad.ad_duration_ms' = 'Length of the ad, ms',
    'lake.comment.ad.ad_position_ms' = 'Position in the ad after the event, ms',
    'lake.comment.ad.skippable' = 'The viewer may skip it',
    'lake.comment.ad.skip_offset_ms' = 'When it may be skipped, ms from its start',
    'lake.comment.ad.insertion' = 'csai, ssai or sgai: on the client, on the server, or guided by it',
    'lake.comment.ad.format' = 'linear, bumper, nonlinear or companion',
    'lake.comment.ad.pricing_model' = 'CPM, CPC, CPV, CPCV, FLAT or HOUSE',
    'lake.comment.ad.price_micros' = 'Price in millionths of the currency: per thousand for CPM, per act otherwise',
    'lake.comment.ad.currency' = 'ISO 4217',
    'lake.comment.ad.viewability' = 'viewable, not_viewable or undetermined',
    'lake.comment.ad.error_code' = 'VAST error number',
    'lake.comment.ad.click_id' = 'One click',

    'lake.comment.session.entry' = 'First page or screen',
    'lake.comment.session.referrer' = 'Where the visit came from',
    'lake.comment.session.source' = 'Source of the visit',
    'lake.comment.session.medium' = 'Medium of the visit',
    'lake.comment.session.campaign' = 'Campaign of the visit',
    'lake.comment.session.end_reason' = 'user, timeout, app_close or logout',
    'lake.comment.session.from_device_type' = 'Type of the device left',
    'lake.comment.session.to_device_type' = 'Type of the device gone to',
    'lake.comment.session.from_device_id' = 'Device left, pseudonymous',
    'lake.comment.session.to_device_id' = 'Device gone to, pseudonymous',
    'lake.comment.session.playback_id' = 'Playback that was handed over',
    'lake.comment.session.position_ms' = 'Position at the handover, ms',

    'lake.comment.web.page' = 'Page',
    'lake.comment.web.query' = 'What was searched for',
    'lake.comment.web.results' = 'Results found',
    'lake.comment.web.product_id' = 'Product',
    'lake.comment.web.sku' = 'Stock-keeping unit',
    'lake.comment.web.quantity' = 'Pieces',
    'lake.comment.web.price_micros' = 'Price of one piece, millionths of the currency',
    'lake.comment.web.currency' = 'ISO 4217',
    'lake.comment.web.order_id' = 'Order',
    'lake.comment.web.order_value_micros' = 'Value of the order, millionths of the currency',
    'lake.comment.web.items' = 'What was ordered: a JSON list of objects'
);
