"""One object with every setting of services and workers; each is an environment variable ERFSCOPE_<NAME>."""

import os
import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from redis.connection import parse_url

MIB = 1024 * 1024
DAY = 24 * 3600.0
CLUSTER = "+cluster"  # in the scheme of an address: redis+cluster://host:7000 is a node of a Redis Cluster
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # "<microseconds> <of each so many>", or "max <period>"


class Settings(BaseSettings):
    """Where things are, how long they last and how much they may take."""

    model_config = SettingsConfigDict(env_prefix="ERFSCOPE_", frozen=True, extra="ignore")

    # where
    redis_url: str = Field(
        "redis://localhost:6379/0",
        description="Broker and ledger: redis://, rediss:// or unix:///path?db=0. AOF on, noeviction. For the ledger "
        "on a Redis Cluster redis+cluster://host:7000 (any of its nodes), and broker_url.",
    )
    broker_url: str | None = Field(
        None, description="Redis for Celery's messages, a plain one; null is redis_url. Needs no AOF: they may be lost."
    )
    partitions: int = Field(
        1,
        ge=1,
        le=256,
        description="Parts of the ledger, each in one slot of a Redis Cluster and with its own max_open_jobs; a tenant "
        "is in one of them. Equal for all services and workers; fixed once there are jobs.",
    )
    namespace: str = Field(
        "erfscope", pattern=r"^[a-z0-9-]+$", description="Prefix of every key and queue, for a shared Redis."
    )
    data_dir: Path = Field(
        Path("erfscope-data"),
        description="Files of this installation (`erfscope up`: in the user's data folder by default).",
    )
    blob_dir: Path | None = Field(
        None, description="Models and arrays, shared by services and workers; null is <data_dir>/blobs."
    )
    blob_url: str | None = Field(
        None,
        description="Models and arrays behind a URL that fsspec knows (s3://bucket/prefix); blob_dir is a cache then.",
    )
    blob_timeout: float = Field(2.0, gt=0, description="Seconds of silence of that store, until 503.")
    blob_cache_bytes: int = Field(8192 * MIB, ge=0, description="Of that store's files kept on this machine.")
    redis_timeout: float = Field(2.0, gt=0, description="Seconds to wait for Redis before answering 503.")
    durable_submit: bool = Field(
        True,
        description="Answer a submission only when it is on disk (WAITAOF, Valkey or Redis 7.2 and later).",
    )

    log: Literal["auto", "json", "text"] = Field(
        "auto",
        description="Log lines: JSON, or text for people; auto is text at a terminal, JSON elsewhere (`erfscope up`: "
        "text, unless it is json).",
    )
    log_to: Literal["files", "stderr"] = Field(
        "files",
        description="Of `erfscope up` alone: logs of store, worker and service go to files in DATA_DIR/logs, or to its "
        "stderr (the journal, where systemd runs it).",
    )
    log_bytes: int = Field(
        10 * MIB,
        ge=4096,
        description="Of `erfscope up` alone: a larger log file is moved to ….log.1, which replaces the one before.",
    )

    # how long
    lease_seconds: float = Field(15.0, gt=0, description="A worker that is silent for so long has lost its job.")
    job_seconds: float = Field(900.0, gt=0, description="Wall time of one attempt; then failed, `timeout`.")
    job_deadline: float = Field(DAY, gt=0, description="From submission; then `expired`.")
    result_ttl: float = Field(
        7 * DAY, gt=0, description="Records, results and blobs live so long after their last use."
    )
    shutdown_grace: float = Field(
        20.0,
        ge=0,
        description="Seconds a stopping worker lets its jobs finish; then they are handed back. `erfscope up` has a "
        "default of its own, 5 s.",
    )
    max_crashes: int = Field(2, ge=1, description="Deaths of the child by signal; then failed, `worker-crash`.")
    max_lapses: int = Field(10, ge=1, description="Lost leases and hand-backs; then failed, `worker-crash`.")

    # how much
    max_open_jobs: int = Field(10_000, ge=1, description="Queued and running, of all tenants, shards too; then 503.")
    max_open_jobs_per_tenant: int = Field(1_000, ge=1, description="Queued and running; then 429.")
    max_jobs_per_tenant: int = Field(100_000, ge=1, description="Stored jobs of a tenant, ended ones too; then 403.")
    max_model_bytes_per_tenant: int = Field(
        64 * 1024 * MIB, ge=1, description="Of all stored models of a tenant; then 403."
    )
    max_file_bytes_per_tenant: int = Field(
        16 * 1024 * MIB, ge=1, description="Of all stored images of a tenant; then 403."
    )
    max_result_bytes_per_tenant: int = Field(
        16 * 1024 * MIB, ge=1, description="Of all stored results of a tenant, maps and pictures too; then 403."
    )
    disk_watermark: float = Field(
        0.95, gt=0, le=1, description="Used share of the file store's disk above which new work and uploads get 503."
    )
    memory_watermark: float = Field(
        0.7, gt=0, le=1, description="Share of Redis' maxmemory above which new work and uploads get 503."
    )
    max_model_bytes: int = Field(512 * MIB, ge=1, description="Of an uploaded ONNX file.")
    max_data_bytes: int = Field(
        4096 * MIB, ge=0, description="Of the files beside an uploaded ONNX file, all together; 0 takes none."
    )
    max_file_bytes: int = Field(256 * MIB, ge=1, description="Of an uploaded image file or archive.")
    max_json_bytes: int = Field(MIB, ge=1, description="Of a JSON body or part.")
    max_result_bytes: int = Field(4 * MIB, ge=1, description="Of a result's JSON, and of its default picture.")
    max_array_bytes: int = Field(1024 * MIB, ge=1, description="Of one stored array.")
    job_memory_bytes: int = Field(4096 * MIB, ge=64 * MIB, description="Of the child that runs a job, above its start.")
    job_file_bytes: int = Field(
        1024 * MIB, ge=0, description="Of all files together that a job writes into its folder."
    )

    # workers
    shard_seconds: float = Field(
        60.0,
        ge=0,
        description="A job whose samples would take longer is split among idle workers of one kind; 0 splits none.",
    )
    concurrency: int = Field(1, ge=1, description="Jobs at a time in one worker.")
    threads: int = Field(
        0, ge=0, description="CPU threads of one job; 0 is cores / concurrency. Part of a result's identity."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto takes a GPU when there is one.")
    allow_unsandboxed: bool = Field(
        False, description="Run jobs where the kernel offers no jail; only for models of one's own."
    )
    runner: str = Field("erfscope_worker.runner:run", description="module:function that a child runs a job with.")

    @field_validator("redis_url", "broker_url")
    @classmethod
    def _is_a_redis(cls, url: str | None, about: ValidationInfo) -> str | None:
        may_be_cluster = about.field_name == "redis_url"
        try:
            parse_url((url or "redis://").replace(CLUSTER, "", int(may_be_cluster)))  # type: ignore[no-untyped-call]
        except ValueError:
            raise ValueError(
                "must name a Redis: redis://host:6379/0, rediss://host:6379/0 or unix:///path?db=0"
            ) from None
        return url

    @model_validator(mode="after")
    def _a_cluster_is_no_broker(self) -> Self:
        if self.is_cluster and not self.broker_url:
            raise ValueError(
                "a Redis Cluster keeps the ledger only; name a plain Redis for messages in ERFSCOPE_BROKER_URL"
            )
        return self

    @property
    def is_cluster(self) -> bool:
        """Whether the ledger is on a Redis Cluster."""
        return CLUSTER in self.redis_url.partition("://")[0]

    @property
    def redis_shown(self) -> str:
        """`redis_url` as it may be shown: without its password."""
        return re.sub(r"//[^/@]*@", "//***@", self.redis_url)

    @property
    def blobs(self) -> Path:
        """The folder of the blob store."""
        return self.blob_dir or self.data_dir / "blobs"

    @property
    def job_threads(self) -> int:
        """CPU threads of one job."""
        return self.threads or max(1, cores() // self.concurrency)


def cores(quota: Path = CPU_QUOTA) -> int:
    """Cores that this process may use: its affinity, and in a container no more than its share."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        share, period = quota.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return allowed
    return allowed if share == "max" else max(1, min(allowed, int(share) // int(period)))
