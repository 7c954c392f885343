"""Settings of the HTTP service: the shared ones (ERFSCOPE_*) and its own."""

from ipaddress import ip_address

from pydantic import Field

from erfscope_jobs.settings import Settings

LOCAL = ("localhost", "127.0.0.1", "[::1]")


class ServiceSettings(Settings):
    """What `erfscope serve` reads from the environment."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    allowed_hosts: str = Field(
        "",
        description="Names that requests may call the service by, comma-separated; *.example.org for subdomains, "
        "* for any. Empty: this machine's names on a loopback address, any name on another.",
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
            return named
        return [*LOCAL, self.host] if is_loopback(self.host) else ["*"]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address; a name other than localhost might be anything."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
