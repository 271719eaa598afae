"""What each page gives away: its charts with their numbers, and the Python that makes it. `share_section` shows it."""

from app.views.shares.attribution import attribution
from app.views.shares.comparison import comparison
from app.views.shares.gradients import gradients
from app.views.shares.inspection import inspection
from app.views.shares.survey import survey

__all__ = ["attribution", "comparison", "gradients", "inspection", "survey"]
