"""`python -m erfscope_service.check`: whether the settings can be used; words and exit code 2 where not."""

from erfscope_jobs.environment import read_or_exit
from erfscope_service.settings import ServiceSettings

if __name__ == "__main__":
    read_or_exit(ServiceSettings)
