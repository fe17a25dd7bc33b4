-- platform_secret: the platform's secret; whoever asks first sets it.
-- KEYS[1] string hearth:secret
-- ARGV    a fresh random secret           returns the one in force
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1])
