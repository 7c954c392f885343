"""Commands that the service adds to `erfscope` (entry point group `erfscope.commands`): `serve` and `keys`."""
