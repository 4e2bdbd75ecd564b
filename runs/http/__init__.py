"""The HTTP kit that every app uses: views, parameters, bodies, problems, pages."""
