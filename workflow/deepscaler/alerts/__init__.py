"""Telling people what happens to a run, by mail, Slack, webhook or ntfy: `alerts` of config/site.yaml.

Where something happens an event is written to {work}/{scale}/alerts/, once by its name, and a process of its own sends
what is there. Neither ever raises, waits or stops a run.
Modules may import only what stands above them in this list: outbox, addresses, send, events.
"""
