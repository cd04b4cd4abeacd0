"""Slack as forge uses it: the chat port, the directory of people, the sockets. The SDK is imported here and in handlers alone."""
