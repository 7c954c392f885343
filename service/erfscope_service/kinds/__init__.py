"""What a type of problem means: the table of the contract as a resource."""
