"""Who may listen on the sites of these tests."""

from notifications.topics import rule


@rule("desk.{name}")
def may_hear_of_their_own_desk(user, name):
    return user.username == name
