"""Settings of the HTTP service: the shared ones (ERFSCOPE_*) and its own."""

from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import Literal

from limits import RateLimitItem
from pydantic import Field, field_validator

from erfscope_jobs import rates
from erfscope_jobs.settings import Settings

LOCAL = ("localhost", "127.0.0.1", "[::1]")
USUAL_RATE = "600/minute"


class ServiceSettings(Settings):
    """What `erfscope serve` reads from the environment."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    allowed_hosts: str = Field(
        "",
        description="Names that requests may call the service by, beside localhost; comma-separated, *.example.org "
        "for subdomains, * for any. Empty: this machine's names on a loopback address, any name on another.",
    )
    trusted_proxies: str = Field(
        "",
        description="Addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, "
        "comma-separated: 10.0.0.7, 172.16.0.0/12. Empty: nobody's; the caller is who connects.",
    )
    keys: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Whether callers need an API key (`erfscope keys`); auto: on any but a loopback address, and "
        "behind a trusted proxy.",
    )
    rate_limit: str = Field(
        "auto",
        description="Calls per tenant, or per address where no keys are needed, reads included; each point of a series "
        "counts (a series never more than the whole limit). 600/minute, 20/second; 600/minute, off. A key can have a "
        "rate of its own, which holds instead (`erfscope keys create NAME --rate`). "
        f"auto: none where only this machine calls (a loopback address without a trusted proxy), else {USUAL_RATE}.",
    )
    max_streams: int = Field(
        2000,
        ge=1,
        description="Event streams and waiting requests of one replica, of which one reader of events serves all. "
        "Where keys are needed, a tenant may have half of them.",
    )
    max_connections: int = Field(
        0,
        ge=0,
        description="Connections of one replica; the one that has been idle for longest makes room for a new one. "
        "0: as many as its descriptors allow.",
    )
    max_connections_each: int = Field(
        0, ge=0, description="Of those, connections of one address (trusted proxies excepted); 0: half of them."
    )
    long_poll_seconds: float = Field(60, gt=0, description="The longest that `Prefer: wait` is honoured.")
    keep_alive_seconds: float = Field(15, gt=0, description="Between keep-alive comments of an event stream.")
    patience_seconds: float = Field(
        20, gt=0, description="A request's header must be in by then; its body may not stall for longer."
    )
    shutdown_seconds: float = Field(8, gt=0, description="Open requests get this long to end.")

    @property
    def hosts(self) -> list[str]:
        """`allowed_hosts` as a list, with the rule for an empty one applied."""
        named = [name.strip() for name in self.allowed_hosts.split(",") if name.strip()]
        if named:
            return [*named, *LOCAL]  # for whoever started it; no page elsewhere can have these names
        return [*LOCAL, self.host] if is_loopback(self.host) else ["*"]

    @property
    def is_for_this_machine(self) -> bool:
        """Whether only this machine calls: it listens on a loopback address, and no proxy passes on other calls."""
        return is_loopback(self.host) and not self.proxies

    @property
    def proxies(self) -> list[str]:
        """`trusted_proxies` as a list."""
        return [place.strip() for place in self.trusted_proxies.split(",") if place.strip()]

    @property
    def needs_keys(self) -> bool:
        """`keys` with the rule for auto applied."""
        return self.keys == "on" or (self.keys == "auto" and not self.is_for_this_machine)

    @property
    def max_streams_each(self) -> int:
        """Of `max_streams`, those of one tenant; where no keys are needed all callers are one."""
        return max(1, self.max_streams // 2) if self.needs_keys else self.max_streams

    @property
    def rates(self) -> Sequence[RateLimitItem]:
        """`rate_limit` as the library has it, with the rule for auto applied; empty for none."""
        usual = rates.OFF if self.is_for_this_machine else USUAL_RATE
        return rates.parse(usual if self.rate_limit == "auto" else self.rate_limit)

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, text: str) -> str:
        for place in filter(None, map(str.strip, text.split(","))):
            try:
                ip_network(place)
            except ValueError:
                raise ValueError(
                    "must be addresses or networks (which end in zeros) such as 10.0.0.7,172.16.0.0/12; "
                    f"{place!r} is none"
                ) from None
        return text

    @field_validator("rate_limit")
    @classmethod
    def _is_a_rate(cls, text: str) -> str:
        if text != "auto":
            try:
                rates.parse(text)
            except ValueError as error:
                raise ValueError(str(error).replace("must be off", "must be auto, off", 1)) from None
        return text


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address; a name other than localhost might be anything."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
