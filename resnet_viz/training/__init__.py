"""How the shipped networks were trained: data, recipe, a trainer that resumes, and the model cards that it writes."""
