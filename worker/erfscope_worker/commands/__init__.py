"""Commands that the worker adds to `erfscope` (entry point group `erfscope.commands`): `worker` and `up`."""
