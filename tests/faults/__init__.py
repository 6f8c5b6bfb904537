"""What is promised whatever happens: to Redis, to PostgreSQL, to a server process, to the line, or to a client that
means no good. One file a promise, on real servers and services, each beside a naive variant that its checker refuses.

They come in two sizes: the short one is part of all tests; `make soak` runs the long one, in which figures are
held to what is promised and not to ten times as much.
"""
