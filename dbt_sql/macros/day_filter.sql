{#- Condition on a time column for the days in hand. -#}
{% macro day_filter(column='"Date"') -%}
    {{ column }} >= date '{{ var("first_day") }}' and {{ column }} < date '{{ var("last_day") }}' + 1
{%- endmacro %}
