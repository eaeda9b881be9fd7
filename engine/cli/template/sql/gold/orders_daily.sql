/*---
about   = "One row per day and country."
refresh = "full"
---*/
WITH distinct_orders AS (
    SELECT order_id, ordered_at, country, total_micros
    FROM bronze.orders
    QUALIFY row_number() OVER (PARTITION BY order_id ORDER BY ordered_at, total_micros) = 1
)

SELECT
    CAST(ordered_at AS DATE) AS order_date,
    coalesce(country, 'ZZ')  AS country,
    count(*)                 AS orders,
    sum(total_micros)        AS total_micros
FROM distinct_orders
GROUP BY CAST(ordered_at AS DATE), coalesce(country, 'ZZ')
