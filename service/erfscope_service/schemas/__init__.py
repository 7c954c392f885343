"""/schemas: the contract as JSON Schema."""
