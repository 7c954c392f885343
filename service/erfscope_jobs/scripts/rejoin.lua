-- REJOIN: fenced. A shard, or the merge, has found that the parts would not fit together.
if not held(a.id) then return '' end
local id = field(a.id, 'parent') or a.id
rejoin(id, a.lease)
return id
