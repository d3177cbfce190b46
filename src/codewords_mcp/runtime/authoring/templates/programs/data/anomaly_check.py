# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = [
#   "codewords-client==0.4.11",
#   "fastapi==0.115.12",
#   "httpx==0.28.1",
#   "pydantic==2.11.3",
#   "uvicorn[standard]==0.34.2"
# ]
# [tool.env-checker]
# env_vars = [
#   "PORT=8000",
#   "LOGLEVEL=INFO",
#   "CODEWORDS_API_KEY",
#   "CODEWORDS_RUNTIME_URI"
# ]
# [tool.codewords]
# example = {values = [10, 11, 10, 12, 11, 10, 95, 11, 10, 12]}
# ///

"""Find the values of a series that stand out, against its median and typical spread."""

import statistics

from codewords_client import run_service
from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI(title="Anomaly check", description=__doc__)


class Series(BaseModel):
    values: list[float] = Field(min_length=5, max_length=100_000)
    labels: list[str] | None = Field(None, description="A name for each value, such as its day.")
    threshold: float = Field(3.5, gt=0, description="How many typical spreads away stands out.")


class Anomaly(BaseModel):
    position: int = Field(description="From 0.")
    label: str | None
    value: float
    score: float = Field(description="Spreads away from the median; negative below it.")


class Finding(BaseModel):
    median: float
    spread: float = Field(description="The median distance from the median, scaled to a standard deviation.")
    anomalies: list[Anomaly] = Field(description="The farthest first.")


@app.post("/", response_model=Finding)
def check(series: Series) -> Finding:
    """Score each value by its distance from the median, which outliers do not move."""
    median = statistics.median(series.values)
    spread = 1.4826 * statistics.median(abs(value - median) for value in series.values)
    if spread == 0:  # more than half are equal: the mean distance tells the rest apart
        spread = 1.2533 * statistics.fmean(abs(value - median) for value in series.values)
    labels = series.labels or []
    found = [
        Anomaly(position=at, label=labels[at] if at < len(labels) else None, value=value, score=round((value - median) / spread, 2))
        for at, value in enumerate(series.values)
        if spread and abs(value - median) / spread > series.threshold
    ]
    return Finding(median=median, spread=spread, anomalies=sorted(found, key=lambda one: -abs(one.score)))


if __name__ == "__main__":
    run_service(app)
