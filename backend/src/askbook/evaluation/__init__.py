"""How well the index answers a file of real questions: retrieval, answers, what changed since another run."""

from askbook.evaluation.questions import FORMS, Fact, Gold, GoldQuestion, read_questions
from askbook.evaluation.results import Evaluation, read_run
from askbook.evaluation.retrieval import METRICS, score
from askbook.evaluation.run import evaluate

__all__ = [
    "FORMS",
    "METRICS",
    "Evaluation",
    "Fact",
    "Gold",
    "GoldQuestion",
    "evaluate",
    "read_questions",
    "read_run",
    "score",
]
