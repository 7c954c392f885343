"""`erfscope worker`."""

from erfscope.cli.starting import DataDir, RedisUrl, start


def worker(redis_url: RedisUrl = None, data_dir: DataDir = None) -> None:
    """Run one worker, against a Redis of your own. `erfscope up` runs everything at once.

    All other settings are ERFSCOPE_* variables.
    """
    start("erfscope_worker", redis_url, {"ERFSCOPE_DATA_DIR": data_dir})
