-- ADMIT: may a tenant store a file of that kind? Asked before its bytes are read, and again when they are there.
if above_watermark() then return {'memory', {'0', '0'}} end
local taken = used(a.tenant, a.kind)
if taken + a.size > a.most then return {a.kind, {whole(taken), whole(a.most)}} end
return {'admitted', {'0', '0'}}
