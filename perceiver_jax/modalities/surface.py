"""STUB."""


class BadShape(Exception):
    """STUB."""

    def __init__(self, code: str, sentence: str):
        super().__init__(code, sentence)
        self.code, self.sentence = code, sentence
