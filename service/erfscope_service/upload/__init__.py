"""Bodies that stream in: multipart parts and raw files, to disk, hashed on the way."""
