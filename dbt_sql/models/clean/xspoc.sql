{#- The table is made by the schema source; dbt replaces whole days in it, in one transaction. -#}
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    full_refresh=false,
    on_schema_change='fail',
    pre_hook="delete from {{ this }} where {{ day_filter() }}"
) }}

with side_by_side as (
    {{ merged_rows(day_filter()) }}
),

keyed as (
    select
        coalesce(m."NodeID", m."XNodeID") as "NodeID",
        coalesce(m."Date", m."XDate") as "Date",
        m."XNodeID",
        m."XDate",
        m."SPM",
        m."StrokeLength",
        m."Runtime",
        m."Fillage",
        m."FillBasePct",
        m."cardPPRL",
        m."cardMPRL",
        m."FillagePct",
        m."TubingPressure",
        m."CasingPressure",
        m."GrossProd",
        m."NetProd",
        m."PPRL",
        m."MPRL",
        m."FluidLoadonPump",
        m."PumpIntakePressure",
        m."MinEnergyKWH",
        m."MinTorqueKWH",
        m."MinEnergyGBLoadPct",
        m."MinTorqueGBLoadPct"
    from side_by_side as m
)

select
    k.*,
    (f."NodeID" is not null)::int::bigint as "FailureBin",
    case when f."NodeID" is null then 'Normal' else coalesce(f.failure_class, 'Unspecified') end as "FailureLabel"
from keyed as k
left join lateral (
    -- where failures overlap, the one that began last says what the well suffers from
    select
        i."NodeID",
        i.failure_class
    from {{ source('analysis', 'failure_info') }} as i
    where
        i."NodeID" = k."NodeID"
        and i."Failure Start Date" <= k."Date"
        and k."Date" <= {{ failure_end('i."Failure End Date"') }}
    order by i."Failure Start Date" desc
    limit 1
) as f on true
