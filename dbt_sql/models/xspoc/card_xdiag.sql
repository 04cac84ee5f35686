select
    c."NodeID",
    c."Date",
    c.surfcard_position,
    c.surfcard_load,
    c.downcard_position,
    c.downcard_load,
    c.pocdowncard_position,
    c.pocdowncard_load,
    c."SPM",
    c."Fillage",
    x."PumpCond1" as xlabel1,
    x."PumpCond2" as xlabel2
from {{ source('xspoc', 'card') }} as c
left join {{ source('xspoc', 'xdiagresults') }} as x
    on c."NodeID" = x."NodeID" and c."Date" = x."Date"
