"""The simple form: one prompt, one answer, in the shape that was asked for, from whichever provider.

`form.py` is the service; `sdks.py` asks through the providers' official SDKs, whose requests go through the gateway
(`transport.py`) like everybody's; `schemas.py` is about shapes; `neighbours.py` about models that are gone.
"""
