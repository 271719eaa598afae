"""Who may come in, with what, and how often; `docs/operating.md` explains every setting.

A file a door: `hosts` (names that the server answers to), `class_code` (the code of a class), `upload_route` (what uploads
may take), `readiness`, `wanted_view` (the link that survives a sign-in), `static_files` (Streamlit's scripts, compressed once);
`server` puts them in front of Streamlit. What pages call is here.
"""

from app.middleware.file_names import safe_name
from app.middleware.limits import TooOftenError, admit
from app.middleware.uploaded import let_go

__all__ = ["TooOftenError", "admit", "let_go", "safe_name"]
