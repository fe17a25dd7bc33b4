"""The function under load: answers with its event, so that the load generator can check each answer."""


def handler(event, context):
    return event
