"""Small parts that the stdio proxy, the runtime and the front doors share, below all of them: JSON, HTTP/1.1, tasks, remedies."""
