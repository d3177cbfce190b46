"""The console: the pages on which a person sees and steers the runtime. Static files, served as they are written.

`index.html` is the shell, `app.js` its entry. There is no build step: a browser loads the modules of this folder as they
are, and `vendor/` has the libraries as single files.
"""
