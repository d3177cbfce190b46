"""The prompt services: one prompt, one response in the requested format, from any provider.

`prompt.py` is the service. `sdks.py` calls the providers' official SDKs, whose requests go through
the gateway (`transport.py`). `schemas.py` makes and checks schemas; `model_suggestions.py` names
successors of retired models.
"""
