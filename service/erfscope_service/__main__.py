"""`python -m erfscope_service`: serve as the environment says."""

from erfscope_jobs.environment import read_or_exit
from erfscope_service.serve import serve
from erfscope_service.settings import ServiceSettings

if __name__ == "__main__":
    serve(read_or_exit(ServiceSettings))
