"""The headless browser: Chromium of this machine in a sandbox of the local driver, moved there by a program of ours."""
