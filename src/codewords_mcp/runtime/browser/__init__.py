"""Browsers that services work in: `base.py` is the protocol, `actions.py` what can be done in one."""
