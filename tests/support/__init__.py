"""What the tests are driven with: real services, real servers, real people on real sockets.

processes   one subprocess that is always ended, with its log
services    PostgreSQL and a Redis-compatible server, in temporary directories on free ports
stack       what one site stands on: a database, a channel layer, the environment that names them
settings    the site's own, with passwords that cost nothing
crowd       many threads in several processes that do something at the same moment; `chores` are done by one
pages       what a page says
servers     the ASGI application under daphne or uvicorn
embedding   a project that has never heard of Usher, and the wheel in it
client      a person who signs in, and the socket they open
passes      access tokens for many people at once
canary      what none of them may find written down anywhere
wires       a proxy between clients and servers that can be cut, slowed down or swallow everything
loyal       a client that comes back and resumes, whatever happens
histories   pure: what was published against what was received
"""
