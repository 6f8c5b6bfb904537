"""What the tests are driven with: real services, real servers, real people on real sockets.

processes   one subprocess that is always ended, with its log
services    PostgreSQL and a Redis-compatible server, in temporary directories on free ports
stack       what one site stands on: a database, a channel layer, the environment that names them
servers     the ASGI application under daphne or uvicorn
client      a person who signs in, and the socket they open
histories   pure: what was published against what was received
"""
