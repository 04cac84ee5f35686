{#- Every card and every vendor result of the days in hand stands in the model, and nothing else does. -#}
{% test complete_days(model) %}
{%- set days -%}
    "Date" >= date '{{ var("first_day") }}' and "Date" < date '{{ var("last_day") }}' + 1
{%- endset %}
    with arrived as (
        select "NodeID", "Date" from {{ source('xspoc', 'card') }} where {{ days }}
        union
        select "NodeID", "Date" from {{ source('xspoc', 'xdiagresults') }} where {{ days }}
    ),

    made as (
        select "NodeID", "Date" from {{ model }} where {{ days }}
    )

    (select * from arrived except select * from made)
    union all
    (select * from made except select * from arrived)
{% endtest %}
