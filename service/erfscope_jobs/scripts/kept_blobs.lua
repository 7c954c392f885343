-- Which of these blobs does anything alive still need? One 0 or 1 each.
local kept = {}
redis.call('ZREMRANGEBYSCORE', BLOBS, '-inf', whole(now))
redis.call('ZREMRANGEBYSCORE', PARTS, '-inf', whole(now))
for i, sha256 in ipairs(a.blobs) do
  kept[i] = (redis.call('ZSCORE', BLOBS, sha256) or redis.call('ZSCORE', PARTS, sha256)) and 1 or 0
end
return kept
