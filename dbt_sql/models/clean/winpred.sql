{#- p.* takes the columns as they are when the view is made: it is made again when a new class brings a column. -#}
{{ config(materialized='view') }}
select
    p.*,
    k."XNodeID",
    k."XDate",
    k."SPM",
    k."StrokeLength",
    k."Runtime",
    k."Fillage",
    k."FillBasePct",
    k."cardPPRL",
    k."cardMPRL",
    k."FillagePct",
    k."TubingPressure",
    k."CasingPressure",
    k."GrossProd",
    k."NetProd",
    k."PPRL",
    k."MPRL",
    k."FluidLoadonPump",
    k."PumpIntakePressure",
    k."MinEnergyKWH",
    k."MinTorqueKWH",
    k."MinEnergyGBLoadPct",
    k."MinTorqueGBLoadPct",
    k."FailureBin",
    k."FailureLabel",
    f."Failure Start Date" as "NextFailureStart",
    f.failure_class as "NextFailureLabel"
from {{ source('clean', 'xpred') }} as p
left join {{ ref('xspoc') }} as k on p."NodeID" = k."NodeID" and p."Date" = k."Date"
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
