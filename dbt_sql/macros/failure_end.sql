{#- Last moment of a failure: an end without a time covers its day, an open failure has no end. -#}
{% macro failure_end(column) -%}
    case
        when {{ column }} is null then 'infinity'::timestamp
        when {{ column }} = date_trunc('day', {{ column }}) then {{ column }} + interval '1 day' - interval '1 millisecond'
        else {{ column }}
    end
{%- endmacro %}
