"""The HTTP door: routes over the facade, with no logic of their own and one error boundary.

`app.create_app` puts it together; a request walks cors → errors → hosts → auth → (hot path | router) → the facade.
"""
