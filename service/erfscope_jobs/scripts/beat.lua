-- BEAT: the lease goes on while the attempt matches; otherwise the worker learns why to kill its child.
if not held(a.id) then
  local status = field(a.id, 'status')
  return (status == 'canceled' or status == 'expired') and status or 'lost'
end
if number(a.id, 'deadline') <= now then expire(a.id); return 'expired' end
hold(a.id)
if field(a.id, 'stage') ~= a.stage or number(a.id, 'progress') ~= a.progress then
  redis.call('HSET', key('job', a.id), 'stage', a.stage, 'progress', tostring(a.progress))
  event(a.id)
  if field(a.id, 'parent') then tell_share(field(a.id, 'parent')) end
end
return 'held'
