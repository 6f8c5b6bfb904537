from notifications.topics import rule


@rule("desk.{username}")
def is_their_desk(user, username):
    return user.get_username() == username


@rule("crew.{name}")
def is_in_the_crew(user, name):
    return user.groups.filter(name=name).exists()
