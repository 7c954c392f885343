"""The ledger in partitions: each a ledger of its own, for some of the tenants, whose keys share one hash slot.

A script may touch only keys of one slot of a Redis Cluster. So every key of a partition begins with the same tag, and
everything that a tenant has, its jobs' queues and leases included, lies in the tenant's partition. One Redis needs one.
"""

from dataclasses import replace
from zlib import crc32

from erfscope_jobs.operations import Operations
from erfscope_jobs.records import Submission, new_id
from erfscope_jobs.settings import Settings


def partition_of(settings: Settings, name: str) -> int:
    """The number of the partition of a tenant, or of a job by its id."""
    return crc32(name.encode()) % settings.partitions


def space_of(settings: Settings, partition: int) -> str:
    """What every key of a partition begins with; what is in braces decides a cluster's slot."""
    if settings.partitions == 1 and not settings.is_cluster:
        return settings.namespace
    return f"{{{settings.namespace}.{partition}}}"


class Partitions:
    """The operations of every partition."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.all = tuple(Operations(settings, space_of(settings, n)) for n in range(settings.partitions))
        self.first = self.all[0]

    def of(self, tenant: str) -> Operations:
        """Those of a tenant."""
        return self.all[partition_of(self._settings, tenant)]

    def number_of_job(self, id: str) -> int:
        """The number of a job's partition; a shard (`ID.N`) is where its job is."""
        return partition_of(self._settings, id.partition(".")[0])

    def of_job(self, id: str) -> Operations:
        """Those of a job or shard."""
        return self.all[self.number_of_job(id)]

    def placed(self, job: Submission) -> Submission:
        """The job with an id by which its partition is found again: about as many draws as there are partitions."""
        wanted, id = partition_of(self._settings, job.tenant), job.id
        while partition_of(self._settings, id) != wanted:
            id = new_id()
        return job if id == job.id else replace(job, id=id)
