"""How a workflow is written: `StateGraph`, `@entrypoint`, `@task`."""
