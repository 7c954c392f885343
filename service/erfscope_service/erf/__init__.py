"""/erf: submit a measurement, follow it, fetch its picture and its map."""
