{#-
    Cards and vendor results side by side: a full outer join on well and time.

    Days are filtered before the join: PostgreSQL pushes no condition through a full outer join, so a filter behind
    it would read both tables whole for every single day.
-#}
{% macro merged_rows(condition='true') -%}
select
        c."NodeID",
        c."Date",
        x."NodeID" as "XNodeID",
        x."Date" as "XDate",
        c."SPM",
        c."StrokeLength",
        c."Runtime",
        c."Fillage",
        c."FillBasePct",
        c.surfcard_load_max_lbf as "cardPPRL",
        c.surfcard_load_min_lbf as "cardMPRL",
        x."FillagePct",
        x."TubingPressure",
        x."CasingPressure",
        x."GrossProd",
        x."NetProd",
        x."PPRL",
        x."MPRL",
        x."FluidLoadonPump",
        x."PumpIntakePressure",
        x."MinEnergyKWH",
        x."MinTorqueKWH",
        x."MinEnergyGBLoadPct",
        x."MinTorqueGBLoadPct"
    from (select * from {{ source('xspoc', 'card') }} where {{ condition }}) as c
    full outer join (select * from {{ source('xspoc', 'xdiagresults') }} where {{ condition }}) as x
        on c."NodeID" = x."NodeID" and c."Date" = x."Date"
{%- endmacro %}
