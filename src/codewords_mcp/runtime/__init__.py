"""The embedded runtime. It knows neither MCP nor a web framework; `Runtime` is its only door."""
