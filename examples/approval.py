"""A person decides, if need be after days; the pipeline holds nothing meanwhile. Without an answer it goes on."""

from twingraph import component, pipeline, wait_for_signal


@component
def draft(topic: str) -> str:
    return f"A letter about {topic}"


@component
def send(letter: str, by: str) -> str:
    return f"sent: {letter}, approved by {by}"


@pipeline
def letter(topic: str, patience: float) -> str:
    text = draft(topic)
    try:
        answer = wait_for_signal("approve", timeout=patience)
    except TimeoutError:
        return "nobody answered"
    return send(text, by=answer["by"])


if __name__ == "__main__":
    waiting = letter.submit("tea", patience=86400)
    # From a shell: twingraph signal ID approve '{"by": "Ada"}'
    waiting.signal("approve", {"by": "Ada"})
    print(waiting.result())
    print(letter("tea", patience=0.1))
