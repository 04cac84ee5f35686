{#- Every card and every vendor result of the days in hand stands in the model, and nothing else does. -#}
{% test complete_days(model) %}
with arrived as (
    select "NodeID", "Date" from {{ source('xspoc', 'card') }} where {{ day_filter() }}
    union
    select "NodeID", "Date" from {{ source('xspoc', 'xdiagresults') }} where {{ day_filter() }}
),

made as (
    select "NodeID", "Date" from {{ model }} where {{ day_filter() }}
)

(select * from arrived except select * from made)
union all
(select * from made except select * from arrived)
{% endtest %}
