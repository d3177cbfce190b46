"""The HTTP API: routes over the runtime, with no logic of their own and one error boundary.

`app.create_app` puts it together; a request passes cors → errors → hosts → auth → (hot path | router) → the runtime.
"""
