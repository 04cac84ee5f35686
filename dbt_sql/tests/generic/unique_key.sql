{#- No key stands twice among the rows of the days in hand. -#}
{% test unique_key(model, columns) %}
select {{ columns | join(', ') }}
from {{ model }}
where {{ day_filter() }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
