{#- Columns of xpred grow when a failure class first arrives, so they are asked for, not written down. -#}
{{ config(materialized='view') }}
{%- set forecast = source('clean', 'xpred') %}
{%- set known = ref('xspoc') %}

select
    {%- for column in adapter.get_columns_in_relation(forecast) %}
    p.{{ adapter.quote(column.name) }},
    {%- endfor %}
    {%- for column in adapter.get_columns_in_relation(known) if column.name not in ('NodeID', 'Date') %}
    k.{{ adapter.quote(column.name) }},
    {%- endfor %}
    f."Failure Start Date" as "NextFailureStart",
    f.failure_class as "NextFailureLabel"
from {{ forecast }} as p
left join {{ known }} as k on p."NodeID" = k."NodeID" and p."Date" = k."Date"
left join lateral (
    select
        i."Failure Start Date",
        i.failure_class
    from {{ source('analysis', 'failure_info') }} as i
    where
        i."NodeID" = p."NodeID"
        and i."Failure Start Date" > p."Date"
        and i."Failure Start Date" <= p."Date" + make_interval(days => p."HorizonDays"::int)
    order by i."Failure Start Date"
    limit 1
) as f on true
