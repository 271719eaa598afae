"""The error for images, archives and files that a survey cannot use."""


class SurveyError(ValueError):
    """Images, an archive or a survey file cannot be used; the message says what happened, why, and what to do next."""
