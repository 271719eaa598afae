"""Who has access, with which requests, and how often; `docs/operating.md` explains every setting.

One file per check: `hosts` (the server's names), `class_code` (the code of a class), `upload_route` (limits of uploads),
`readiness`, `wanted_view` (the link that survives a sign-in), `static_files` (Streamlit's scripts and icons, made small
once); `server` puts them in front of Streamlit. The functions that pages call are here.
"""

from app.middleware.file_names import safe_name
from app.middleware.rate_limits import TooOftenError, admit
from app.middleware.refused_files import refused_beside
from app.middleware.uploaded import let_go

__all__ = ["TooOftenError", "admit", "let_go", "refused_beside", "safe_name"]
