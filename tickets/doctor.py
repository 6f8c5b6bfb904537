"""This room's part of `manage.py doctor`: what it asks, and why what it may find matters, for each id."""

from tickets.advisories import server_hole
from tickets.probes import Found, database, files

__all__ = ["PROBES", "WHY", "Found", "server_hole"]

PROBES = (database, files)

WHY = {
    "tickets.E001": "A misspelled setting is one that is not set: the default holds, unnoticed.",
    "tickets.E002": "Without a policy that is known no ticket can be compared with its network.",
    "tickets.E003": "What depends on it fails, or never ends.",
    "tickets.E004": "It allows nobody: pages from there are refused.",
    "tickets.E005": "It trusts nobody: callers behind that proxy all look like the proxy.",
    "tickets.E006": "Clients are told to connect nowhere.",
    "tickets.E007": "Whoever learns one key has the other; and neither can be changed alone.",
    "tickets.E008": "A short key is found by trying, and then anybody signs tokens for anybody.",
    "tickets.E010": "Closed accounts could not be told from open ones.",
    "tickets.E011": "Nobody could show a credential.",
    "tickets.E012": "Who guesses the shared key is whomever they like.",
    "tickets.E013": "Every socket is refused.",
    "tickets.E014": "A token could mean several people, or none.",
    "tickets.E015": "Clients could not be told how to send the token, or it would be taken for something else.",
    "tickets.E016": "A changed password could not be noticed, and would end nothing.",
    "tickets.E017": "Who was signed out by staff goes on by the cookie they have.",
    "tickets.E018": "Nobody is signed in on any page.",
    "tickets.E019": "Times in the database depend on where the server is; twice a year an hour comes twice.",
    "tickets.E020": "Nothing can be issued, told or read without it.",
    "tickets.E021": "The code asks for tables and columns that are not there.",
    "tickets.E022": "Acts that give or take access leave their record in the journal alone, or nowhere.",
    "tickets.W001": "Tickets expire under way on a slow link, or are good for long when stolen.",
    "tickets.W002": "Addresses are written down by servers, proxies and browsers, and the ticket with them.",
    "tickets.W003": "A stolen ticket works from everywhere.",
    "tickets.W004": "Addresses are written down, and this token is good more than once.",
    "tickets.W005": "Changing the key of tokens signs everybody out of pages as well.",
    "tickets.W006": "Passwords are guessed as fast as pages answer.",
    "tickets.W007": "Requests fail with 'database is locked' as soon as two of them write.",
    "tickets.W008": "Any page that points a name of its own here is then of the site's own origin.",
    "tickets.W009": "Whoever is on the way to such a page can change it, and use the sockets that it may open.",
    "tickets.W010": "Strangers in it choose the address they are taken for, and so their network and limits.",
    "tickets.W011": "Every request looks like plain HTTP from the proxy: redirected for ever, all in one network.",
    "tickets.W012": "What is not random is guessed, and then anybody signs tokens for anybody.",
    "tickets.W013": "Sockets are never asked to prove themselves anew before the login session ends anyway.",
    "tickets.W014": "A stolen refresh token that comes again is taken for a second tab, and ends nothing.",
    "tickets.W015": "Under load threads wait for each other's connections, and give up after some seconds.",
    "tickets.W016": "The hole is public, and so is how to use it.",
    "tickets.W017": "After a rotation what is audited goes on into a file that is compressed, or gone.",
    "tickets.W018": "Transactions that meet are then aborted where they were to wait: requests fail.",
    "tickets.W019": "The process that comes last is refused connections, and answers 503.",
    "tickets.W020": "Tickets expire early or late, and what is first by one clock is not by the other.",
    "tickets.W021": "Pages come without style and script, and the client is answered 404.",
    "tickets.W022": "A full disk stops the database before it stops the log.",
    "tickets.W023": "Locks and numbering rely on what PostgreSQL and SQLite do.",
}
