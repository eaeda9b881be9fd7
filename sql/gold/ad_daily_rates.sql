/*---
about   = "One row per row of gold.ad_daily: its rates, to read; add up gold.ad_daily before dividing, never these"
refresh = "view"
---*/

SELECT
    report_date,
    advertiser_id,
    campaign_id,
    creative_id,
    break_type,
    country,
    device_type,
    currency,
    impressions,
    CAST(clicked_impressions AS DOUBLE) / nullif(impressions, 0)   AS click_through_rate,
    CAST(completes AS DOUBLE) / nullif(starts, 0)                  AS video_completion_rate,
    CAST(completes AS DOUBLE) / nullif(impressions, 0)             AS view_through_rate,
    CAST(skips AS DOUBLE) / nullif(skippable_starts, 0)            AS skip_rate,
    CAST(errors AS DOUBLE) / nullif(impressions, 0)                AS error_rate,
    CAST(revenue_nanos AS DOUBLE) / 1e9                            AS revenue,
    CAST(revenue_nanos AS DOUBLE) / 1e6 / nullif(impressions, 0)   AS effective_cost_per_mille,
    CAST(revenue_nanos AS DOUBLE) / 1e9 / nullif(completes, 0)     AS effective_cost_per_completed_view
FROM gold.ad_daily
