"""Realtime sessions: websockets in the middle between a caller and a provider, counted response by response.

A response begins when the caller asks for it, or by itself when a person stops speaking. So the most that one may cost is
reserved at any time beside those that are running; where the next cannot be paid for, the session ends.
"""
