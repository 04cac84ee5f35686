{#- Each row has a card or a vendor result. -#}
{% test one_side_at_least(model) %}
select 1
from {{ model }}
where "NodeID" is null and "XNodeID" is null
limit 1
{% endtest %}
