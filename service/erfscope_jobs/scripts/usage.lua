-- USAGE: what a tenant stores now, and how many of its jobs are unfinished.
return {used(a.tenant, 'model'), used(a.tenant, 'file'), used(a.tenant, 'result'), used(a.tenant, 'job'),
  redis.call('ZCARD', key('active', a.tenant))}
