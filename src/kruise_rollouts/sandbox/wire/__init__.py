"""HTTP: the socket, media types, bodies in, answers out."""
