"""The edge: pure ASGI middleware and strict parsing between the network and the endpoints."""
