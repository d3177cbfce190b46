"""Small parts that the stdio proxy, the runtime and the front doors share: JSON, HTTP/1.1, tasks, imports."""
