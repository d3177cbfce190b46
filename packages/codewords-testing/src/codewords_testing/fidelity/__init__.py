"""Checks that the stand-ins answer in the shapes of the services that they stand in for.

Each stand-in reports its replies (`exchange.report`); `check.problems` compares one with the newest published description of
its operation. In a test suite, `pytest -p codewords_testing.fidelity.plugin` fails the test whose stand-in sent a reply
that the service could not have sent.
"""
