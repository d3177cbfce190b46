"""Where workflows run: the protocol (`base`), its drivers (`drivers`), and the way to ask a program (`http1`)."""
