"""A service that is down twice. The policy says how often and how soon to ask again; the rest is remembered."""

from twingraph import Workflow, component, current


@component(
    retry_policy={"max_attempts": 5, "backoff": "exponential", "initial_delay": 0.05, "exceptions": [ConnectionError]}
)
def ask(question: str) -> str:
    attempt = current().attempt
    if attempt < 3:
        raise ConnectionError(f"attempt {attempt}: nobody answers")
    return f"{question} Attempt {attempt} says: 42."


wf = Workflow("retry")
wf.add_component("ask", ask)

if __name__ == "__main__":
    print(wf.run(question="What is six times seven?"))
