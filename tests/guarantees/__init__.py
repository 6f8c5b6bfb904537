"""The promises of the project, each put to a crowd: many threads in several processes, or real sockets on real servers.

Every promise has a checker and, beside the test that it passes for the product, a test that it does not pass for a
naive variant: a checker that cannot fail proves nothing. The naive variants are in the modules that run as processes.
"""
