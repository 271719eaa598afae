"""What a survey refuses, with a sentence for the person who asked for it."""


class SurveyError(ValueError):
    """Images, an archive or a survey file that cannot be used; the message says what happened, why, and what to do next."""
