"""How the zoo was trained: data, recipe, a trainer that resumes, and the model cards it leaves behind."""
