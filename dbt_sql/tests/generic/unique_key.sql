{% test unique_key(model, columns) %}
    select {{ columns | join(', ') }}
    from {{ model }}
    where "Date" >= date '{{ var("first_day") }}' and "Date" < date '{{ var("last_day") }}' + 1
    group by {{ columns | join(', ') }}
    having count(*) > 1
{% endtest %}
