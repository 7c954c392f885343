"""`python -m erfscope_service`: serve as the environment says."""

from erfscope_service.serve import serve
from erfscope_service.settings import ServiceSettings

if __name__ == "__main__":
    serve(ServiceSettings())
